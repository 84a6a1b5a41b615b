"""Settings of the command core (config/safety/*.yaml)."""

from dataclasses import dataclass, field

from smp_bringup import config
from smp_bringup.config import spec
from smp_bringup.paths import named_config


@dataclass(frozen=True)
class SafetyConfig:
    """Which checks run, and their bounds."""

    checks: tuple[str, ...]
    velocity_scale: float = field(default=1.0, metadata=spec(gt=0, le=1, help="share of the robot's limit"))
    acceleration_scale: float = field(default=1.0, metadata=spec(gt=0, le=1, help="share of the robot's limit"))
    jerk_scale: float = field(default=1.0, metadata=spec(gt=0, le=1, help="share of the robot's limit"))
    state_timeout_s: float = field(default=0.1, metadata=spec(gt=0, le=1, unit="s"))
    """An arm whose state is older holds both arms."""
    source_timeout_s: float = field(default=0.1, metadata=spec(gt=0, le=1, unit="s"))
    """A teleoperation command that is older holds both arms."""
    source_start_grace_s: float = field(default=5.0, metadata=spec(ge=0, le=60, unit="s"))
    """A source that was just selected may be silent for so long before the hold becomes a fault."""
    hold_grace_s: float = field(default=0.5, metadata=spec(gt=0, le=10, unit="s"))
    """A hold that lasts longer becomes a fault, which only a reset clears."""
    future_tolerance_s: float = field(default=0.05, metadata=spec(ge=0, le=1, unit="s"))
    max_step_refuse: float = field(default=0.5, metadata=spec(gt=0, le=10, unit="rad"))
    """A chunk that would start farther from the present setpoint is refused whole."""
    max_tracking_error: float = field(default=0.5, metadata=spec(gt=0, le=10, unit="rad"))
    """A measured joint farther from its setpoint holds both arms."""


def load_safety(name: str) -> SafetyConfig:
    """Return the safety settings `name` (in config/safety, or a path to a YAML file)."""
    return config.load(SafetyConfig, named_config("safety", name))
