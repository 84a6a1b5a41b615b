"""What an episode's verdict is made from, collected message by message while it is recorded."""

import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.bag.commanders import COMMAND_STATE, DIAGNOSTICS, Commanders, said_mode
from smp_bringup.bag.messages import IMAGE, JOINT_STATE, deserialized, measured_type
from smp_bringup.camera import COMPRESSED_SUFFIX, Camera
from smp_bringup.errors import one_line
from smp_bringup.pipeline import build_sync
from smp_bringup.robot import Robot
from smp_bringup.safety.modes import Mode
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import NS_PER_S, FloatArray, nanoseconds
from smp_bringup.wire import frame, stamp_ns, told, vector

TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
ARRAY = "std_msgs/msg/Float64MultiArray"
TWIST = "geometry_msgs/msg/Twist"
TWIST_STAMPED = "geometry_msgs/msg/TwistStamped"
COMMAND_KINDS = {
    "joint_state": JOINT_STATE,
    "forward_position": ARRAY,
    "joint_trajectory": TRAJECTORY,
    "twist": TWIST_STAMPED,
    "twist_unstamped": TWIST,
}
"""Types of the messages by which arms are told, by `command_interface`."""


@dataclass
class Track:
    """One topic: when its messages were stamped and when they arrived [ns], and what they said."""

    topic: str
    name: str
    """Arm, camera or vector."""
    kind: str
    """Message type."""
    rate_hz: float
    """Nominal; 0 where the robot file does not say."""
    stamp_ns: list[int] = field(default_factory=list)
    log_ns: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    """Checksum of each frame, or joint positions or numbers of a vector (n,) of each sample."""
    ahead_ns: int = 0
    """How long before the time in its stamp a message is sent: a command says when it is due."""
    expected: bool = True
    """Whether an episode without it is spoiled."""
    gap_s: float = 0.0
    """Silence of this length is no gap, even where the bounds are tighter [s]."""
    refused: Counter[str] = field(default_factory=Counter)
    """Messages that say nothing usable, by cause."""

    def times(self) -> FloatArray:
        """Return the stamps (N,) [s] from the first arrival of the topic on."""
        return (np.array(self.stamp_ns, dtype=np.int64) - self.log_ns[0]) / NS_PER_S

    def lateness(self) -> FloatArray:
        """Return by how much each message arrived after it was to be sent (N,) [s]."""
        sent = np.array(self.stamp_ns, dtype=np.int64) - self.ahead_ns
        return (np.array(self.log_ns, dtype=np.int64) - sent) / NS_PER_S

    def period_s(self) -> float:
        """Return the median time between two stamps [s]; 0 where there are fewer than two."""
        if len(self.stamp_ns) < 2:
            return 0.0
        return float(np.median(np.diff(np.array(self.stamp_ns, dtype=np.int64)))) / NS_PER_S


class Tracks:
    """The tracks of a robot's cameras, states, leaders, commands and vectors; other topics are only counted."""

    def __init__(self, robot: Robot) -> None:
        self.robot = robot
        self.cameras = {c.name: _camera(c) for c in robot.cameras}
        self.states = {a.name: _state(a, robot.state_rate_hz) for a in robot.arms}
        self.leaders = {a.name: _leader(a) for a in robot.arms}
        """What the operator wanted of each arm."""
        ahead_ns, by_topic = nanoseconds(robot.control_period_s), [a for a in robot.arms if not a.action_type]
        self.commands = {a.name: _command(a, ahead_ns) for a in by_topic}
        """Of arms that are told by a topic: goals of an action are on none."""
        self.vectors = {v.name: Track(v.topic, v.name, v.type, 0.0, gap_s=v.max_age_s) for v in robot.vectors}
        self._orders = {a.name: JointOrder(*a.driver) for a in robot.arms}
        self._leads = {a.name: JointOrder(*a.leader_joints) for a in robot.arms}
        self._told = {a.name: (joints, part) for joints in robot.command_topics for a, _, part in joints.parts()}
        self._by_topic: dict[str, list[Track]] = {}
        for track in self.all():
            self._by_topic.setdefault(track.topic.removesuffix(COMPRESSED_SUFFIX), []).append(track)
        self._aligner = build_sync(robot)
        self._said: list[tuple[int, Mode]] = []
        self.sets = 0
        """Aligned sets that replay and training make of the episode."""
        self.counts: Counter[str] = Counter()
        """Messages per topic."""
        self.span_ns: tuple[int, int] | None = None
        """First and last arrival of anything."""

    def all(self) -> list[Track]:
        """Return every track."""
        groups = self.cameras, self.states, self.leaders, self.commands, self.vectors
        return [track for group in groups for track in group.values()]

    @cached_property
    def commanders(self) -> Commanders:
        """Who commanded the arms, by arrival; of a whole episode."""
        return Commanders(self._said)

    @property
    def led(self) -> bool:
        """Whether an operator commanded at any time."""
        return not self.commanders.policy or any(self.operated(track).log_ns for track in self.states.values())

    def operated(self, track: Track, settled_s: float = 0.0) -> Track:
        """Return a track as far as an operator commanded, for so long already; all of it where no policy had a part."""
        log_ns = np.array(track.log_ns, dtype=np.int64)
        led = self.commanders.operator(log_ns) & self.commanders.operator(log_ns - nanoseconds(settled_s))
        taken = np.flatnonzero(led)
        stamps, values = [track.stamp_ns[i] for i in taken], [track.values[i] for i in taken]
        return replace(track, stamp_ns=stamps, log_ns=[track.log_ns[i] for i in taken], values=values)

    def do_without_commands(self) -> None:
        """Expect no commands: only our own recorder promises them."""
        for track in self.commands.values():
            track.expected = False

    def take_rates_as_found(self) -> None:
        """Hold every topic against the rate that it has itself: who imports a bag cannot choose it."""
        for track in self.all():
            period_s = track.period_s()
            track.rate_hz = 1 / period_s if period_s > 0 else 0.0

    @property
    def duration_s(self) -> float:
        """Time between the first and the last message [s]."""
        return 0.0 if self.span_ns is None else (self.span_ns[1] - self.span_ns[0]) / NS_PER_S

    def take(self, topic: str, msgtype: str, log_ns: int, cdr: bytes) -> None:
        """Take one message; it is looked at only as far as the verdict needs."""
        self.counts[topic] += 1
        first, last = self.span_ns or (log_ns, log_ns)
        self.span_ns = min(first, log_ns), max(last, log_ns)
        for track in self._by_topic.get(topic.removesuffix(COMPRESSED_SUFFIX), ()):
            self._take(track, msgtype, log_ns, cdr)
        if (topic, msgtype) == (COMMAND_STATE, DIAGNOSTICS):
            with suppress(Refusal):
                self._said.append((log_ns, said_mode(deserialized(cdr, msgtype))[1]))

    def _take(self, track: Track, msgtype: str, log_ns: int, cdr: bytes) -> None:
        try:
            stamp, value = self._read(track, deserialized(cdr, msgtype), msgtype, log_ns)
        except Refusal as refusal:
            track.refused[str(refusal)] += 1
            return
        except Exception:  # a message of another type than the topic's
            track.refused[f"a {one_line(msgtype)} that is no sound {track.kind}"] += 1
            return
        track.stamp_ns.append(stamp)
        track.log_ns.append(log_ns)
        track.values.append(value)

    def _read(self, track: Track, message: Any, msgtype: str, log_ns: int) -> tuple[int, Any]:
        """Return stamp and value of a message; raises Refusal where replay and training would."""
        if msgtype == ARRAY and track.name in self.commands:
            return log_ns, self._from_array(track.name, message.data)
        if msgtype == TRAJECTORY and track.name in self.commands:
            if not len(message.points):
                raise Refusal("a trajectory without points")
            return log_ns, self._orders[track.name].map(message.joint_names, message.points[-1].positions, [])[0]
        if track.name in self.vectors:
            return self._read_vector(track, message, log_ns)
        stamp = log_ns if msgtype == TWIST else stamp_ns(message.header.stamp)
        if stamp <= 0:
            raise Refusal("zero_stamp")
        if track.kind == IMAGE:
            shown = frame(message, self.robot.camera(track.name))
            self._aligner.push_image(track.name, shown, log_ns)
            self.sets += len(self._aligner.pop())
            return stamp, zlib.crc32(message.data)
        names, position, velocity = told(message)
        if track is self.leaders[track.name]:
            return stamp, self._leads[track.name].map(names, position, [])[0]
        measured = track is self.states[track.name]
        value = self._orders[track.name].map(names, position, velocity if measured else [])[0]
        if measured:
            self._aligner.push_joints(track.name, stamp, names, position, velocity, log_ns)
            self.sets += len(self._aligner.pop())
        return stamp, value

    def _read_vector(self, track: Track, message: Any, log_ns: int) -> tuple[int, Any]:
        sample = vector(message, self.robot.vector(track.name), log_ns)
        if sample.stamp_ns <= 0:
            raise Refusal("zero_stamp")
        self._aligner.push_vector(track.name, sample, log_ns)
        self.sets += len(self._aligner.pop())
        return sample.stamp_ns, sample.value

    def _from_array(self, arm: str, data: Sequence[float]) -> FloatArray:
        """Return the setpoint (n,) of an arm in the numbers of all arms that share its topic."""
        joints, part = self._told[arm]
        if len(data) != len(joints.names):
            raise Refusal(f"{len(data)} values for {len(joints.names)} joints")
        return joints.joints.ours(data)[part]


def _camera(camera: Camera) -> Track:
    return Track(camera.topic, camera.name, IMAGE, camera.rate_hz)


def _state(arm: Arm, rate_hz: float) -> Track:
    """Return the track of a driver; a base is a machine of its own, with a rate that the robot file does not say."""
    return Track(arm.state_topic, arm.name, measured_type(arm), 0.0 if arm.is_base else rate_hz)


def _leader(arm: Arm) -> Track:
    return Track(arm.operator_topic, arm.name, JOINT_STATE, 0.0, expected=arm.led_by is not None)


def _command(arm: Arm, ahead_ns: int) -> Track:
    kind = COMMAND_KINDS[arm.command_interface]
    due = kind in (JOINT_STATE, TWIST_STAMPED)  # the others do not say when
    return Track(arm.command_topic, arm.name, kind, 0.0, ahead_ns=ahead_ns if due else 0)
