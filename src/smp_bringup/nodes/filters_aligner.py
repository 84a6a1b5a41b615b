"""The aligner that ROS ships, message_filters' ApproximateTimeSynchronizer, behind our interface.

For comparison, and for whoever must have it: it pairs whole messages, does not interpolate,
and checks no stamp, so nothing is checked here either (docs/adr/0001-sync-by-stamps.md).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from std_msgs.msg import Header

from smp_bringup.errors import ConfigError, InstallError
from smp_bringup.nodes.messages import time_msg
from smp_bringup.robot import Robot
from smp_bringup.sync.base import SLOP_S, AbstractAligner
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import AlignedSet, FloatArray, Frame, JointSample, VectorSample

_QUEUE = 10


@dataclass(frozen=True)
class _Stamped:
    """What the synchronizer sees of a message."""

    header: Header
    value: Any


class MessageFiltersAligner(AbstractAligner):
    """Sets as message_filters makes them: each message used once, all within the slop."""

    def __init__(self, robot: Robot) -> None:
        """Connect one filter per stream.

        Raises:
            InstallError: message_filters is not installed.
            ConfigError: the robot has vectors.
        """
        if robot.vectors:
            told = ", ".join(vector.name for vector in robot.vectors)
            raise ConfigError(f"aligner message_filters pairs no vectors ({told}): use aligner:=interpolating")
        try:
            from message_filters import ApproximateTimeSynchronizer, SimpleFilter
        except ImportError:
            raise InstallError(
                "message_filters not found: it comes with ROS 2 (apt install ros-$ROS_DISTRO-message-filters); "
                "aligner:=interpolating needs nothing"
            ) from None
        self._robot = robot
        names = [c.name for c in robot.cameras] + [a.name for a in robot.arms]
        self._orders = {a.name: JointOrder(*a.driver) for a in robot.arms}
        self._filters = {name: SimpleFilter() for name in names}
        self._synchronizer = ApproximateTimeSynchronizer(list(self._filters.values()), _QUEUE, SLOP_S)
        self._synchronizer.registerCallback(self._on_set)
        self._ready: list[AlignedSet] = []
        self.counters: Counter[str] = Counter()
        self.skew_ns: dict[str, int] = {}
        self.joints: dict[str, FloatArray] = {}

    def push_image(self, camera: str, frame: Frame, now_ns: int) -> str | None:
        """Hand the frame on."""
        self._signal(camera, frame.stamp_ns, frame)
        return None

    def push_joints(
        self, arm: str, stamp_ns: int, names: Sequence[str], position: ArrayLike, velocity: ArrayLike, now_ns: int
    ) -> str | None:
        """Hand the joint state on, unless it cannot be read."""
        try:
            p, v = self._orders[arm].map(names, position, velocity)
        except Refusal as refusal:
            return self.refuse(arm, str(refusal))
        self.joints[arm] = p
        self._signal(arm, stamp_ns, JointSample(stamp_ns, p, v))
        return None

    def push_vector(self, name: str, sample: VectorSample, now_ns: int) -> str | None:
        """Refuse it: a robot with vectors is not taken in the first place."""
        return self.refuse(name, "no_vectors_here")

    def pop(self) -> list[AlignedSet]:
        """Return the sets that the synchronizer has made."""
        ready, self._ready = self._ready, []
        return ready

    def _signal(self, stream: str, stamp_ns: int, value: Frame | JointSample) -> None:
        self._filters[stream].signalMessage(_Stamped(Header(stamp=time_msg(stamp_ns)), value))

    def _on_set(self, *messages: _Stamped) -> None:
        count = len(self._robot.cameras)
        frames = {c.name: m.value for c, m in zip(self._robot.cameras, messages[:count], strict=True)}
        stamp = messages[0].value.stamp_ns
        self.skew_ns = {name: frame.stamp_ns - stamp for name, frame in frames.items()}
        states = [m.value for m in messages[count:]]
        self._ready.append(
            AlignedSet(
                stamp,
                {name: frame.image for name, frame in frames.items()},
                np.concatenate([s.position for s in states]),
                np.concatenate([s.velocity for s in states]),
                self.skew_ns,
            )
        )
        self.counters["pairs"] += 1
