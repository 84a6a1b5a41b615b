"""Settings of recording (config/recording/*.yaml)."""

from dataclasses import dataclass, field

from smp_bringup import config
from smp_bringup.bag.settings import StorageConfig
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.paths import named_config

Bounds = tuple[float, float]
"""Beyond the first an episode is kept with a warning, beyond the second it is rejected."""


_AT_LEAST = ("rate_share", "aligned_share")
_SHARE = spec(ge=0, le=1)
_SECONDS = spec(ge=0, le=5, unit="s")
"""Of gaps and latencies: what is larger was meant in milliseconds."""
_IDLE = spec(ge=0, le=60, unit="s")
_ANGLE = spec(ge=0, le=3, unit="rad")
"""What is larger was meant in degrees."""
_TRAVEL = spec(ge=0, le=0.5, unit="m")
"""What is larger was meant in millimetres."""


@dataclass(frozen=True)
class PedalConfig:
    """Buttons of a foot pedal (sensor_msgs/Joy)."""

    toggle: int = field(default=0, metadata=spec(ge=0, le=63))
    """Starts an episode, or stops it as a success."""
    failure: int = field(default=1, metadata=spec(ge=0, le=63))
    """Stops it as a failure."""
    discard: int = field(default=2, metadata=spec(ge=0, le=63))
    """Discards the open episode, or the last one."""

    def __post_init__(self) -> None:
        buttons = vars(self)
        for name, button in buttons.items():
            other = next(key for key, value in buttons.items() if value == button)
            if other != name:
                raise ConfigError(f"button {button} is {other} and {name}: each needs a button of its own")


@dataclass(frozen=True)
class QualityConfig:
    """What makes an episode worth keeping; each value is (warn, reject)."""

    rate_share: Bounds = field(default=(0.98, 0.95), metadata=_SHARE)
    """Messages per second as a share of the nominal rate, at least."""
    rate_excess: Bounds = field(default=(1.05, 1.2), metadata=spec(ge=1, le=10))
    """The same, at most."""
    gap_s: Bounds = field(default=(0.08, 0.1), metadata=_SECONDS)
    """Longest time between two stamps of a topic [s]; never below 2.2 periods."""
    skew_s: Bounds = field(default=(0.015, 0.02), metadata=_SECONDS)
    """95th percentile of a camera's distance from the reference frame [s]."""
    latency_s: Bounds = field(default=(0.15, 0.25), metadata=_SECONDS)
    """Median of arrival minus stamp [s]."""
    latency_spread_s: Bounds = field(default=(0.04, 0.06), metadata=_SECONDS)
    """Difference of that median between a camera and the other cameras [s]."""
    drift: Bounds = field(default=(0.002, 0.01), metadata=_SHARE)
    """Change of arrival minus stamp [s/s]."""
    frozen_frames: Bounds = field(default=(4, 5), metadata=spec(ge=1, le=1000))
    """Equal frames in a row while the camera's surroundings move."""
    duplicate_share: Bounds = field(default=(0.02, 0.1), metadata=_SHARE)
    """Share of frames that equal the one before while the camera's surroundings move."""
    jump_rad: Bounds = field(default=(0.12, 0.2), metadata=_ANGLE)
    """Step of a measured or leader joint between two samples at 100 Hz, in proportion where they are rarer [rad];
    never below what the joint's speed limit allows, one and a half and two and a half times."""
    jump_m: Bounds = field(default=(0.012, 0.02), metadata=_TRAVEL)
    """The same for joints that travel in m: grippers, and joints that slide [m]."""
    leader_offset_rad: Bounds = field(default=(0.1, 0.2), metadata=_ANGLE)
    """Median distance between a follower's joint and its leader's, lag removed [rad]."""
    leader_offset_m: Bounds = field(default=(0.01, 0.02), metadata=_TRAVEL)
    """The same for joints that travel in m: grippers, and joints that slide [m]."""
    idle_head_s: Bounds = field(default=(1.0, 2.5), metadata=_IDLE)
    """Time before anything moves [s]."""
    idle_tail_s: Bounds = field(default=(1.5, 4.0), metadata=_IDLE)
    """Time after everything came to rest [s]."""
    clipped_share: Bounds = field(default=(0.02, 0.1), metadata=_SHARE)
    """Share of the time that a leader asks for what the limits cut off."""
    length_ratio: Bounds = field(default=(2.5, 5.0), metadata=spec(ge=1, le=100))
    """Length against the median of the task's other episodes, either way."""
    aligned_share: Bounds = field(default=(0.9, 0.5), metadata=_SHARE)
    """Share of the reference camera's frames that replay and training can use with the other streams, at least."""
    dropped_share: Bounds = field(default=(0.0, 0.01), metadata=_SHARE)
    """Share of a topic's messages that were dropped."""
    refused_share: Bounds = field(default=(0.0, 0.01), metadata=_SHARE)
    """Share of a topic's messages that replay and training cannot use."""

    def __post_init__(self) -> None:
        for name, (warn, reject) in vars(self).items():
            if (warn > reject) != (name in _AT_LEAST):
                raise ConfigError(f"{name}: warn {warn:g} must come before reject {reject:g}")


@dataclass(frozen=True)
class RecordConfig:
    """All settings of recording."""

    storage: StorageConfig = field(default_factory=StorageConfig)
    pedal: PedalConfig = PedalConfig()
    quality: QualityConfig = QualityConfig()


def load_recording(name: str) -> RecordConfig:
    """Return the recording settings `name` (in config/recording, or a path to a YAML file)."""
    return config.load(RecordConfig, named_config("recording", name))
