"""Where the hands go if a chunk is followed: forward kinematics from the robot's description."""

from collections.abc import Mapping, Sequence

import numpy as np

from smp_bringup.description.model import Description
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray


class Ribbons:
    """The path of each hand through the future of a chunk."""

    def __init__(self, robot: Robot, description: Description) -> None:
        """Find what each arm's last joints move; an arm of which the description knows no joint has no hand."""
        self._description = description
        self._hands: dict[str, list[int]] = {}
        for arm in robot.arms:
            names = [f"{front}{joint.name}" for joint in arm.joints for front in ("", arm.prefix)]
            known = [name for name in dict.fromkeys(names) if name in description.joints]
            ends = [link for link in description.links if known and description.mover(link) == known[-1]]
            if ends:
                self._hands[arm.name] = [description.link(link) for link in ends]

    def of(self, names: Sequence[str], positions: Sequence[Sequence[float]]) -> Mapping[str, FloatArray]:
        """Return per arm the way (T, 3) [m] of the middle of its fingers, or of its last link, from the root.

        Args:
            names: of the joints, as the description has them.
            positions: (T, J) [rad], [m].
        """
        ways: dict[str, list[FloatArray]] = {arm: [] for arm in self._hands}
        for row in positions:
            self._description.move(dict(zip(names, row, strict=False)))
            for arm, links in self._hands.items():
                ways[arm].append(np.mean([self._description.pose(link).position for link in links], axis=0))
        return {arm: np.array(way) for arm, way in ways.items() if way}
