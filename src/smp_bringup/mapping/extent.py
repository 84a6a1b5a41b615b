"""Do the joints of others lie where ours can be, or are they degrees and millimetres?"""

import math

import numpy as np

from smp_bringup.errors import ConfigError
from smp_bringup.joints import Joint
from smp_bringup.mapping.document import INTO_MAPPING, ArmMapping, ImportMapping, joint_mappings
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray


class Extent:
    """The least and greatest value of every joint, against its limits."""

    def __init__(self, robot: Robot, mapping: ImportMapping) -> None:
        """Take the joints whose unit the mapping names at its word."""
        told = [joint_mappings(arm, mapping.arms.get(arm.name, ArmMapping())) for arm in robot.arms]
        self._sure = [bool(joint.unit) for arm in told for joint in arm]
        self._joints = robot.joints
        self._seen: dict[str, tuple[FloatArray, FloatArray]] = {}

    def add(self, what: str, values: FloatArray, part: slice = slice(None)) -> None:
        """Take values (N, J of the part) of a topic or feature `what` that tells a part of the joints."""
        low, high = self._seen.setdefault(
            what, (np.full(len(self._joints), np.inf), np.full(len(self._joints), -np.inf))
        )
        low[part] = np.fmin(low[part], np.fmin.reduce(values, axis=0, initial=np.inf))
        high[part] = np.fmax(high[part], np.fmax.reduce(values, axis=0, initial=-np.inf))

    def judge(self) -> list[str]:
        """Return what lies outside the limits, a sentence a topic or feature.

        Raises:
            ConfigError: values look like another unit than ours.
        """
        return [text for what in self._seen if (text := self._outside(what))]

    def _outside(self, what: str) -> str:
        out = []
        for joint, sure, low, high in zip(self._joints, self._sure, *self._seen[what], strict=True):
            far = max(abs(low), abs(high))
            if not sure and np.isfinite(far) and far > _plausible(joint):
                looks = "degrees, not [rad]" if joint.turns else "[mm] or percent, not [m]"
                raise ConfigError(
                    f"{what}: {joint.name} goes from {low:.6g} to {high:.6g}, its limits are {joint.min:g} to "
                    f"{joint.max:g}: that looks like {looks}; write unit (rad, deg, m, mm), sign and scale of each "
                    f"joint {INTO_MAPPING}"
                )
            slack = 1e-5 * max(1.0, abs(joint.min), abs(joint.max))  # of single precision
            if low < joint.min - slack or high > joint.max + slack:
                out.append(f"{joint.name} {low:.4g} to {high:.4g} (limits {joint.min:g} to {joint.max:g})")
        return f"{what} is outside the joint limits: {', '.join(out)}" if out else ""


def _plausible(joint: Joint) -> float:
    """Return the largest value that may be meant in our unit: two turns of the limits, a hundred gripper widths."""
    reach = max(abs(joint.min), abs(joint.max))
    return max(2 * math.pi, 2 * reach) if joint.turns else 100 * reach
