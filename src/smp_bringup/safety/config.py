"""Settings of the command core (config/safety/*.yaml)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from smp_bringup import config
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.names import check_node, require_unique
from smp_bringup.paths import named_config
from smp_bringup.robot import Robot

Point = tuple[float, float, float]
DEFAULT_SAFETY, BARE_SAFETY = "default", "bare"
"""Settings of a robot that names none: one whose file names the shapes of its links, and one whose file does not."""


@dataclass(frozen=True)
class JointLimits:
    """Limits of one joint that are tighter than the robot's; what is left out is the robot's."""

    min: float | None = None
    max: float | None = None
    velocity: float | None = field(default=None, metadata=spec(gt=0, unit="rad/s"))
    acceleration: float | None = field(default=None, metadata=spec(gt=0, unit="rad/s^2"))
    jerk: float | None = field(default=None, metadata=spec(gt=0, unit="rad/s^3"))


@dataclass(frozen=True)
class GripperBounds:
    """Bounds of joints that travel in metres, grippers and others, where those of the rest are angles."""

    max_step_refuse: float = field(default=0.1, metadata=spec(gt=0, le=1, unit="m"))
    """A hand is told to open or close at once: wider than most can."""
    max_switch_step: float = field(default=0.02, metadata=spec(gt=0, le=1, unit="m"))
    max_tracking_error: float = field(default=0.1, metadata=spec(gt=0, le=1, unit="m"))
    """What is between the fingers keeps them from where they are told to be."""
    max_state_jump: float = field(default=0.01, metadata=spec(gt=0, le=1, unit="m"))
    max_rest_speed: float = field(default=0.05, metadata=spec(gt=0, le=1, unit="m/s"))


@dataclass(frozen=True)
class SafetyConfig:
    """Which checks run, and their bounds."""

    checks: tuple[str, ...]
    """At least one; the command node names at its start those that are left out."""
    velocity_scale: float = field(default=1.0, metadata=spec(ge=0.01, le=1, help="share of the robot's limit"))
    acceleration_scale: float = field(default=1.0, metadata=spec(ge=0.01, le=1, help="share of the robot's limit"))
    jerk_scale: float = field(default=1.0, metadata=spec(ge=0.01, le=1, help="share of the robot's limit"))
    limits: Mapping[str, JointLimits] = field(default_factory=dict)
    """Tighter limits of single joints; looser ones are refused."""

    state_timeout_s: float = field(default=0.05, metadata=spec(gt=0, le=1, unit="s"))
    """An arm whose state is older holds both arms."""
    source_timeout_s: float = field(default=0.1, metadata=spec(gt=0, le=1, unit="s"))
    """A teleoperation command that is older holds both arms; a chunk commands for its whole horizon."""
    hold_grace_s: float = field(default=0.5, metadata=spec(gt=0, le=10, unit="s"))
    """A hold that lasts longer becomes a fault, which only a reset clears."""
    hold_share: float = field(default=0.05, metadata=spec(gt=0, le=0.5, help="share of the time"))
    """Holds that come again and again and take more of the time become a fault too."""
    overrun_cycles: float = field(default=5.0, metadata=spec(ge=1, le=50))
    """A cycle that comes so many periods late is a fault."""
    estop_heartbeat_s: float = field(default=0.0, metadata=spec(ge=0, le=1, unit="s"))
    """Period at which something repeats /estop; three missed are a fault. 0: nobody need repeat it."""
    future_tolerance_s: float = field(default=0.05, metadata=spec(ge=0, le=1, unit="s"))

    max_horizon_s: float = field(default=5.0, metadata=spec(gt=0, le=60, unit="s"))
    """A chunk that commands for longer is refused: its source may be gone by then."""
    max_step_refuse: float = field(default=0.5, metadata=spec(gt=0, le=10, unit="rad"))
    """A source farther from the setpoint is not taken over, its chunk is refused, and following it holds."""
    max_switch_step: float = field(default=0.1, metadata=spec(gt=0, le=3, unit="rad"))
    """A source farther from the setpoint is not switched to while another is followed, nor a leader that comes back."""
    ramp_in_s: float = field(default=1.0, metadata=spec(gt=0, le=30, unit="s"))
    """After a take-over from rest the speed limit grows to its full value over so long."""
    ramp_in_start: float = field(default=0.2, metadata=spec(gt=0, le=1, help="share of the speed limit it starts at"))
    max_tracking_error: float = field(default=0.5, metadata=spec(gt=0, le=10, unit="rad"))
    """A measured joint farther from its setpoint holds both arms."""
    follow_step: float = field(default=0.1, metadata=spec(gt=0, le=3, unit="rad"))
    """An arm that stands still while its setpoint goes farther does not follow, and holds both arms."""
    follow_time_s: float = field(default=0.25, metadata=spec(gt=0, le=2, unit="s"))
    """So much later it should have moved."""
    max_sag: float = field(default=0.2, metadata=spec(gt=0, le=10, unit="rad"))
    """An arm that leaves the standing setpoint of a latched stop by more has no power: the setpoint goes after it."""
    max_rest_speed: float = field(default=0.2, metadata=spec(gt=0, le=10, unit="rad/s"))
    """While a joint is measured to move faster, the arms are neither armed nor reset."""
    trim_limit: float = field(default=0.03, metadata=spec(ge=0, le=0.1, unit="rad"))
    """Arms that stand beside their setpoints are trimmed by at most so much; 0: not at all."""
    trim_time_s: float = field(default=0.2, metadata=spec(gt=0, le=60, unit="s"))
    """Time constant of the trim."""
    trim_speed: float = field(default=0.2, metadata=spec(gt=0, le=10, unit="rad/s"))
    """A joint whose setpoint moves faster tells nothing about the trim."""
    max_state_jump: float = field(default=0.2, metadata=spec(gt=0, le=10, unit="rad"))
    """A measured joint that moves farther from one sample to the next is a fault of its encoder."""
    gripper: GripperBounds = field(default_factory=GripperBounds)
    bad_states_to_fault: int = field(default=3, metadata=spec(ge=1, le=100))
    """So many states in a row that are not finite are a fault."""
    bad_chunks_to_fault: int = field(default=2, metadata=spec(ge=1, le=100))
    """So many commands in a row that are not finite are a fault."""
    limit_tolerance: float = field(default=0.05, metadata=spec(ge=0, le=1, help="share of a joint's range"))
    """A target farther outside the position limits counts as limited."""
    limited_share: float = field(default=0.2, metadata=spec(gt=0, le=1, help="share of the cycles of a second"))
    """More limited cycles are a fault."""

    workspace_min: Point = field(default=(-10.0, -10.0, -10.0), metadata=spec(ge=-50, le=50, unit="m"))
    """Corner of the box that the axes of the last link's capsules keep [m]."""
    workspace_max: Point = field(default=(10.0, 10.0, 10.0), metadata=spec(ge=-50, le=50, unit="m"))
    stop_distance: float = field(default=-0.008, metadata=spec(ge=-0.05, le=1, unit="m"))
    """Capsules may not come nearer to each other; negative since they stand out from the links inside."""
    slow_distance: float = field(default=0.06, metadata=spec(gt=0, le=2, unit="m"))
    """Links that are nearer and approach each other are slowed down, the more the nearer."""
    slow_speed: float = field(default=0.2, metadata=spec(gt=0, le=1, help="share of the speed limit at stop_distance"))
    touch_speed: float = field(default=0.5, metadata=spec(gt=0, le=2, unit="m/s"))
    """Fingertips of two arms may meet at no more than this: a handover needs it."""
    touch_distance: float = field(default=0.01, metadata=spec(ge=0, le=1, unit="m"))
    """Fingertips that approach faster may not come nearer."""
    self_gap: int = field(default=3, metadata=spec(ge=2, le=20, unit="joints"))
    """Links of one arm are kept apart from this many joints between them on."""
    drivers: tuple[str, ...] = ()
    """Nodes that drive an arm although another node publishes its joint states, as `ros2 node list` names them."""

    def __post_init__(self) -> None:
        if not self.checks:
            raise ConfigError("checks: none is listed, so nothing would stop the arms: list those of config/safety")
        require_unique("check", list(self.checks))
        if self.estop_heartbeat_s > 0 and "estop_link" not in self.checks:
            raise ConfigError("estop_heartbeat_s is awaited by the check estop_link, which is not among checks: add it")
        if not all(low < high for low, high in zip(self.workspace_min, self.workspace_max, strict=True)):
            low, high = list(self.workspace_min), list(self.workspace_max)
            raise ConfigError(f"workspace_min {low} must be below workspace_max {high} in x, y and z")
        if not self.stop_distance < self.slow_distance:
            raise ConfigError(
                f"stop_distance {self.stop_distance:g} m must be below slow_distance {self.slow_distance:g} m, "
                "at which the arms begin to slow down"
            )
        for name in self.drivers:
            check_node(name)


def safety_of(robot: Robot, asked: str = "") -> str:
    """Return which safety settings a robot runs under: those asked for, else those its file names, else ours."""
    shaped = all(arm.geometry for arm in robot.arms if not arm.is_base)
    return asked or robot.safety or (DEFAULT_SAFETY if shaped else BARE_SAFETY)


def load_safety(name: str) -> SafetyConfig:
    """Return the safety settings `name` (in config/safety, or a path to a YAML file)."""
    return config.load(SafetyConfig, named_config("safety", name))
