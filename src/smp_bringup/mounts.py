"""Which arms carry others: a torso two arms, an arm its hand."""

from collections.abc import Sequence

from smp_bringup.arm import Arm
from smp_bringup.errors import ConfigError, nearest, one_line

Mount = tuple[int, int]
"""An arm by its place among all, and how many of its joints that are no grippers move what it carries."""


def find_mounts(arms: Sequence[Arm]) -> tuple[Mount | None, ...]:
    """Return for each arm what carries it.

    Raises:
        ConfigError: what carries an arm is no such joint of another, or arms carry each other.
    """
    found = tuple(_mount(arm, arms) for arm in arms)
    for number, arm in enumerate(arms):
        way, mount = {number}, found[number]
        while mount is not None and mount[0] not in way:
            way.add(mount[0])
            mount = found[mount[0]]
        if mount is not None:
            carrier = one_line(arm.carried_by)
            raise ConfigError(f"arm '{arm.name}' is carried by '{carrier}', which it carries itself")
    return found


def _mount(arm: Arm, arms: Sequence[Arm]) -> Mount | None:
    if not arm.carried_by:
        return None
    known = []
    for carrier, other in enumerate(arms):
        if other.is_base:
            continue  # it carries all of them, and there is nothing to say of it
        names = [joint.name for joint in other.joints if not joint.gripper]
        if other is not arm and arm.carried_by in names:
            return carrier, names.index(arm.carried_by) + 1
        known += names
    raise ConfigError(
        f"arm '{arm.name}' is carried by '{one_line(arm.carried_by)}', which is no joint of another arm"
        f"{nearest(arm.carried_by, known)}"
    )
