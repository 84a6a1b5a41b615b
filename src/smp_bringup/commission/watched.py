"""Which links of one arm the check `arm_distance` does not look at: it depends on the homes of a robot file."""

from smp_bringup.geometry import has_geometry
from smp_bringup.robot import Robot
from smp_bringup.safety.checks.arm_distance import ArmDistance
from smp_bringup.safety.config import SafetyConfig


def unwatched(robot: Robot, settings: SafetyConfig) -> tuple[str, ...]:
    """Return the pairs of links that are near each other at home, and left out for it; nothing where none is watched.

    Raises:
        ConfigError: the shapes of an arm cannot be read.
    """
    watches = has_geometry(robot) and ArmDistance.name in settings.checks
    return ArmDistance(robot, settings).left_out if watches else ()
