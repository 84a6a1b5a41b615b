"""What the limits of a joint can be in rad and m; a robot file in degrees or millimetres is told so."""

from dataclasses import dataclass, replace
from math import pi

from smp_bringup.errors import ConfigError


@dataclass(frozen=True)
class Plausible:
    """Bounds that no joint of its kind leaves."""

    unit: str
    position: float
    """Largest distance from zero [unit]."""
    velocity: tuple[float, float]
    """Least and largest limit [unit/s]."""
    acceleration: tuple[float, float]
    """[unit/s^2]."""
    jerk: tuple[float, float]
    """[unit/s^3]."""
    mistaken: str
    """Unit that larger numbers are probably in, and what to do."""


TURNING = Plausible(
    "rad",
    4 * pi,
    (1e-2, 20.0),
    (1e-2, 500.0),
    (1e-1, 30_000.0),
    "this looks like degrees: multiply by pi / 180",
)
"""The fastest wrists of arms turn at 10 rad/s; the steepest jerk limit that a maker states is 20,000 rad/s^3."""
GRIPPER = Plausible(
    "m",
    0.5,
    (1e-3, 5.0),
    (1e-3, 100.0),
    (1e-2, 10_000.0),
    "this looks like millimetres: divide by 1000 (a gripper that is measured in rad is a joint without gripper: true)",
)
"""Fingers travel; their largest opening is a hand's width or two."""
SLIDING = replace(GRIPPER, position=5.0, mistaken="this looks like millimetres: divide by 1000")
"""A lift or a rail."""
ROLLING = replace(SLIDING, velocity=(1e-2, 5.0), acceleration=(1e-2, 20.0), jerk=(1e-1, 1000.0))
"""A base that drives: no robot with arms on it is faster."""
SPINNING = replace(TURNING, velocity=(1e-2, 10.0), acceleration=(1e-2, 50.0), jerk=(1e-1, 2000.0))
"""A base that turns."""


LEAST_SCALE, LARGEST_SCALE = 1e-9, 1e9
"""Of our unit for one of theirs: finer than the counts of any encoder."""
NARROWEST = 1e-6
"""No driver says the whole range of a joint within less, in whatever unit."""


def check_offset(offset: float) -> None:
    """Raise ConfigError where the zero of somebody else's joint is farther away than any joint goes."""
    if not abs(offset) <= TURNING.position:
        raise ConfigError(
            f"offset {offset:g} must be in rad, of grippers and slides in m, at most {TURNING.position:.4g} from zero, "
            f"in whatever unit they measure; {TURNING.mistaken}"
        )


def check_limits(
    name: str, bounds: Plausible, positions: dict[str, float], rates: dict[str, tuple[float, tuple[float, float]]]
) -> None:
    """Refuse a joint's limits that are of another unit.

    Args:
        name: of the joint.
        bounds: of its kind.
        positions: by key of the robot file [rad or m].
        rates: by key, the limit and its bounds.

    Raises:
        ConfigError: a number is not plausible; the message says what its unit must be.
    """
    for key, value in positions.items():
        if not abs(value) <= bounds.position:
            allowed = f"at most {bounds.position:.4g} {bounds.unit} from zero"
            raise ConfigError(f"joint '{name}': {key} {value:g} must be in {bounds.unit}, {allowed}; {bounds.mistaken}")
    for order, (key, (value, (low, high))) in enumerate(rates.items(), 1):
        unit = f"{bounds.unit}/s" + (f"^{order}" if order > 1 else "")
        if not low <= value <= high:
            hint = bounds.mistaken if value > high else "a joint that hardly moves cannot be driven"
            raise ConfigError(f"joint '{name}': {key} {value:g} must be in [{low:g}, {high:g}] {unit}; {hint}")
