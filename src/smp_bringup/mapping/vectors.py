"""A whole robot in one vector of LeRobot, both ways: what its policies see and say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smp_bringup.errors import ConfigError, one_line
from smp_bringup.mapping import layout
from smp_bringup.mapping.document import INTO_MAPPING, ArmMapping, ImportMapping, require_known
from smp_bringup.mapping.joints import select
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray

_SHOWN = 400


@dataclass(frozen=True)
class Vectors:
    """Which entry (of D) is which joint (of J), and how its value becomes ours."""

    index: tuple[int, ...]
    """(J,)"""
    factor: FloatArray
    """(J,)"""
    offset: FloatArray
    """(J,) [rad], grippers [m]."""

    @staticmethod
    def measured(robot: Robot, mapping: ImportMapping, names: Sequence[str]) -> "Vectors":
        """Return where the joints are in observation.state, whose entries are called `names`; raises as `select`."""
        return _whole(robot, mapping, layout.STATE, names, told=False)

    @staticmethod
    def told(robot: Robot, mapping: ImportMapping, names: Sequence[str]) -> "Vectors":
        """Return where the joints are in action, whose entries are called `names`; raises as `select`."""
        return _whole(robot, mapping, layout.ACTION, names, told=True)

    def ours(self, values: FloatArray) -> FloatArray:
        """Return joints (..., J) [rad], grippers [m], of vectors (..., D)."""
        return np.asarray(values[..., self.index] * self.factor + self.offset, dtype=np.float64)

    def theirs(self, values: FloatArray) -> FloatArray:
        """Return vectors (..., D) of joints (..., J)."""
        out = np.empty_like(values)
        out[..., self.index] = (values - self.offset) / self.factor
        return out


def _whole(robot: Robot, mapping: ImportMapping, feature: str, names: Sequence[str], told: bool) -> Vectors:
    """Return where all joints are in one feature; raises ConfigError where an entry is no joint, or two."""
    require_known(robot, mapping)
    parts = []
    for arm in robot.arms:
        said = mapping.arms.get(arm.name, ArmMapping())
        other = said.leader if told else said.state
        if other not in ("", feature):
            raise ConfigError(f"mapping: arm '{arm.name}' is in {one_line(other)}, a policy of LeRobot has {feature}")
        parts.append(select(arm, said, feature, names, told))
    index = tuple(place for part in parts for place in part.index)
    for place, name in enumerate(names):
        if index.count(place) != 1:
            what = "is no joint of" if place not in index else "would be two joints of"
            raise ConfigError(
                f"{feature}: '{one_line(name)[:_SHOWN]}' {what} robot '{robot.name}', whose joints are "
                f"{', '.join(robot.joint_names)}: train without it, or write what it is {INTO_MAPPING}"
            )
    return Vectors(index, *(np.concatenate([getattr(part, key) for part in parts]) for key in ("factor", "offset")))
