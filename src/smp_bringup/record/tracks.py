"""What an episode's verdict is made from, collected message by message while it is recorded."""

import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smp_bringup.bag.messages import COMPRESSED, IMAGE, JOINT_STATE, typestore
from smp_bringup.robot import Arm, Camera, Robot
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import NS_PER_S, FloatArray

TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
ARRAY = "std_msgs/msg/Float64MultiArray"
_COMMAND_KIND = {"joint_state": JOINT_STATE, "forward_position": ARRAY, "joint_trajectory": TRAJECTORY}


@dataclass
class Track:
    """One topic: when its messages were stamped and when they arrived [ns], and what they said."""

    topic: str
    name: str
    """Arm or camera."""
    kind: str
    """Message type."""
    rate_hz: float
    """Nominal; 0 where the robot file does not say."""
    stamp_ns: list[int] = field(default_factory=list)
    log_ns: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    """Checksum of each frame, or joint positions (n,) of each sample."""
    refused: Counter[str] = field(default_factory=Counter)
    """Messages that say nothing usable, by cause."""

    def times(self) -> FloatArray:
        """Return the stamps (N,) [s] from the first arrival of the topic on."""
        return (np.array(self.stamp_ns, dtype=np.int64) - self.log_ns[0]) / NS_PER_S

    def lateness(self) -> FloatArray:
        """Return arrival minus stamp (N,) [s]."""
        return (np.array(self.log_ns, dtype=np.int64) - np.array(self.stamp_ns, dtype=np.int64)) / NS_PER_S


class Tracks:
    """The tracks of a robot's cameras, states, leaders and commands; other topics are only counted."""

    def __init__(self, robot: Robot) -> None:
        self.robot = robot
        self.cameras = {c.name: _camera(c) for c in robot.cameras}
        self.states = {a.name: Track(a.state_topic, a.name, JOINT_STATE, robot.state_rate_hz) for a in robot.arms}
        self.leaders = {a.name: Track(a.leader_topic, a.name, JOINT_STATE, 0.0) for a in robot.arms}
        self.commands = {a.name: _command(a) for a in robot.arms}
        self._orders = {a.name: JointOrder([j.name for j in a.joints]) for a in robot.arms}
        self._by_topic = {track.topic: track for track in self.all()}
        self.counts: Counter[str] = Counter()
        """Messages per topic."""
        self.span_ns: tuple[int, int] | None = None
        """First and last arrival of anything."""

    def all(self) -> list[Track]:
        """Return every track."""
        return [t for group in (self.cameras, self.states, self.leaders, self.commands) for t in group.values()]

    @property
    def duration_s(self) -> float:
        """Time between the first and the last message [s]."""
        return 0.0 if self.span_ns is None else (self.span_ns[1] - self.span_ns[0]) / NS_PER_S

    def take(self, topic: str, msgtype: str, log_ns: int, cdr: bytes) -> None:
        """Take one message; it is looked at only as far as the verdict needs."""
        self.counts[topic] += 1
        first, last = self.span_ns or (log_ns, log_ns)
        self.span_ns = min(first, log_ns), max(last, log_ns)
        track = self._by_topic.get(topic.removesuffix("/compressed"))
        if track is None:
            return
        try:
            message = typestore().deserialize_cdr(cdr, msgtype)
            stamp, value = self._read(track, message, msgtype, log_ns)
        except Refusal as refusal:
            track.refused[str(refusal)] += 1
            return
        except Exception as error:  # foreign bytes: whatever the decoder trips over
            track.refused[type(error).__name__] += 1
            return
        track.stamp_ns.append(stamp)
        track.log_ns.append(log_ns)
        track.values.append(value)

    def _read(self, track: Track, message: Any, msgtype: str, log_ns: int) -> tuple[int, Any]:
        if msgtype == ARRAY:
            return log_ns, np.array(message.data, dtype=np.float64)
        stamp = int(message.header.stamp.sec) * NS_PER_S + int(message.header.stamp.nanosec)
        if msgtype in (IMAGE, COMPRESSED):
            return stamp, zlib.crc32(message.data)
        order = self._orders[track.name]
        if msgtype == TRAJECTORY:
            return stamp, order.map(message.joint_names, message.points[-1].positions, [])[0]
        return stamp, order.map(message.name, message.position, [])[0]


def _camera(camera: Camera) -> Track:
    return Track(camera.topic, camera.name, IMAGE, camera.rate_hz)


def _command(arm: Arm) -> Track:
    return Track(arm.command_topic, arm.name, _COMMAND_KIND[arm.command_interface], 0.0)
