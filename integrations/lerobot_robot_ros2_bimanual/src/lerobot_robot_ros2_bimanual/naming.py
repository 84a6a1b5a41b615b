"""What LeRobot calls and measures: as the robot file, or as a mapping says."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smp_bringup.errors import ConfigError, one_line
from smp_bringup.mapping import layout
from smp_bringup.mapping.document import INTO_MAPPING, ArmMapping, ImportMapping, joint_mappings, load_mapping
from smp_bringup.mapping.extent import Extent
from smp_bringup.mapping.vectors import Vectors
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray

_SHOWN = 400
"""Characters of foreign names that a message quotes."""


class Names:
    """The joints and cameras of a robot by the names of LeRobot; depth images are left out."""

    def __init__(self, robot: Robot, mapping: str) -> None:
        """Read a mapping; without one joints go by the robot file's names [rad], grippers [m].

        Raises:
            ConfigError: there is no such mapping, or it does not fit the robot.
        """
        theirs = load_mapping(mapping) if mapping else ImportMapping(robot.name)
        said = [joint for arm in robot.arms for joint in joint_mappings(arm, theirs.arms.get(arm.name, ArmMapping()))]
        ours = [f"{joint.name}.pos" for joint in robot.joints]  # as LeRobot's robots call the position of a joint
        self.measured = tuple(joint.name or name for joint, name in zip(said, ours, strict=True))
        """(J,)"""
        self.told = tuple(joint.leader or joint.name or name for joint, name in zip(said, ours, strict=True))
        """(J,)"""
        self.cameras = {
            camera.name: theirs.cameras.get(camera.name, camera.name).removeprefix(layout.IMAGES)
            for camera in robot.cameras
            if not camera.depth
        }
        self._measured = Vectors.measured(robot, theirs, self.measured)
        self._told = Vectors.told(robot, theirs, self.told)
        self._extent = Extent(robot, theirs)

    def observation(self, position: FloatArray) -> dict[str, float]:
        """Return what LeRobot is told of measured joints (J,)."""
        return _by_name(self.measured, self._measured.theirs(position))

    def action(self, position: FloatArray) -> dict[str, float]:
        """Return what LeRobot is told of where the joints (J,) are led to."""
        return _by_name(self.told, self._told.theirs(position))

    def led_to(self, action: Mapping[str, Any]) -> FloatArray:
        """Return where an action of LeRobot leads the joints (J,) [rad], grippers [m].

        Raises:
            ConfigError: it has not all joints by their names, or values that look like another unit.
        """
        missing = [name for name in self.told if name not in action]
        if missing:
            raise ConfigError(
                f"an action of LeRobot's teleoperator has no {_shown(missing)}, only {_shown(action)}; write its name "
                f"of each joint {INTO_MAPPING}"
            )
        position = self._told.ours(np.array([float(action[name]) for name in self.told]))
        self._extent.add("an action of LeRobot's teleoperator", position[None])
        self._extent.judge()
        return position


def _by_name(names: Sequence[str], values: FloatArray) -> dict[str, float]:
    return dict(zip(names, map(float, values), strict=True))


def _shown(names: Sequence[str] | Mapping[str, Any]) -> str:
    return one_line(", ".join(map(str, names)) or "nothing")[:_SHOWN]
