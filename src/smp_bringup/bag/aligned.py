"""What a bag says, through the same aligner that runs on the robot."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from smp_bringup import wire
from smp_bringup.arm import Arm
from smp_bringup.bag.messages import COMPRESSED, IMAGE, JOINT_STATE, measured_type
from smp_bringup.bag.reader import Bag
from smp_bringup.camera import COMPRESSED_SUFFIX, Camera
from smp_bringup.errors import BagError, one_line
from smp_bringup.joints import DriverJoints
from smp_bringup.pipeline import build_sync
from smp_bringup.robot import JointTopic, Robot
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import AlignedSet, FloatArray
from smp_bringup.vector import Vector


def camera_topics(bag: Bag, robot: Robot) -> dict[str, Camera]:
    """Return the topic of each camera's images in a bag, raw or compressed: a recorder that packs them leaves raw
    what it could not read, and an import has only raw ones.
    """
    names = [(c, (c.topic, c.raw_topic, c.packed_topic)) for c in robot.cameras]
    return {max(topics, key=lambda topic: bag.counts.get(topic, 0)): camera for camera, topics in names}


def observation_topics(bag: Bag, robot: Robot) -> dict[str, str]:
    """Return topic and type of everything that the aligner needs."""
    images = {t: COMPRESSED if t.endswith(COMPRESSED_SUFFIX) else IMAGE for t in camera_topics(bag, robot)}
    vectors = {vector.topic: vector.type for vector in robot.vectors}
    return images | {joints.topic: measured_type(joints.arms[0]) for joints in robot.state_topics} | vectors


OBJECTS_TOPIC = "/sim/objects"
"""Poses of the task's objects, which only a simulator knows."""
_LEADING = 20
"""Messages of an arm that may lack joints before one has them all."""


def leader_topics(robot: Robot) -> dict[str, str]:
    """Return topic and type of the leaders' joint states."""
    return {joints.topic: JOINT_STATE for joints in robot.leader_topics}


class Feed:
    """Gives the messages of a bag to the aligner that runs on the robot; log time is its now."""

    def __init__(self, bag: Bag, robot: Robot) -> None:
        """Raises BagError where a topic is missing."""
        self.topics = observation_topics(bag, robot)
        bag.require(self.topics)
        self.aligner = build_sync(robot)
        self._bag, self._cameras = bag, camera_topics(bag, robot)
        self._arms = {joints.topic: joints.arms for joints in robot.state_topics}
        self._vectors = robot.vector_topics
        self._leading = _Leading()

    def push(self, topic: str, log_ns: int, message: Any) -> list[AlignedSet]:
        """Take a message of one of `topics`; return the sets that it completes.

        Raises:
            BagError: an arm has other joints than the robot.
        """
        try:
            if topic in self._cameras:
                self._push_image(self._cameras[topic], log_ns, message)
            for arm in self._arms.get(topic, ()):
                self._push_joints(arm, topic, log_ns, message)
        except Refusal as refusal:
            self._count((*self._arms.get(topic, ()), *self._camera(topic)), str(refusal))
        for vector in self._vectors.get(topic, ()):
            self._push_vector(vector, log_ns, message)
        return self.aligner.pop()

    def refuse(self, topic: str, cause: str) -> None:
        """Count a message that is not taken; of a topic that is not one of `topics`, nothing."""
        self._count((*self._camera(topic), *self._arms.get(topic, ()), *self._vectors.get(topic, ())), cause)

    def _camera(self, topic: str) -> Sequence[Camera]:
        return [self._cameras[topic]] if topic in self._cameras else []

    def _count(self, streams: Sequence[Camera | Arm | Vector], cause: str) -> None:
        for stream in streams:
            self.aligner.refuse(stream.name, cause)

    def _push_image(self, camera: Camera, log_ns: int, message: Any) -> None:
        self.aligner.push_image(camera.name, wire.frame(message, camera), log_ns)

    def _push_joints(self, arm: Arm, topic: str, log_ns: int, message: Any) -> None:
        names, position, velocity = wire.told(message)
        self._leading.take(arm.name, self._bag, topic, names, arm.driver)
        self.aligner.push_joints(arm.name, wire.stamp_ns(message.header.stamp), names, position, velocity, log_ns)

    def _push_vector(self, vector: Vector, log_ns: int, message: Any) -> None:
        try:
            sample = wire.vector(message, vector, log_ns)
        except Refusal as refusal:
            self.aligner.refuse(vector.name, str(refusal))
        else:
            self.aligner.push_vector(vector.name, sample, log_ns)


class _Leading:
    """Tells a bag of another robot from one whose first messages lack joints, as a driver's that just starts may."""

    def __init__(self) -> None:
        self._lacking: Counter[str] = Counter()
        """By arm, of those that had no whole message yet."""
        self._known: set[str] = set()
        """Arms that had one."""

    def take(self, arm: str, bag: Bag, topic: str, names: Sequence[str], wanted: DriverJoints) -> None:
        """Raise BagError where many messages of an arm lack joints, and none came that had all; one costs itself."""
        if arm in self._known:
            return
        if not set(wanted.names) - set(names):
            self._known.add(arm)
            return
        self._lacking[arm] += 1
        if self._lacking[arm] >= min(_LEADING, max(1, bag.counts.get(topic, 0) - 1)):
            require_joints(bag, topic, names, wanted)


def require_joints(bag: Bag, topic: str, names: Sequence[str], wanted: DriverJoints) -> None:
    """Raise BagError where a message lacks joints of an arm."""
    if set(wanted.names) - set(names):
        raise BagError(
            f"bag '{bag.path}', {topic}: bag has joints {one_line(list(names))}, model expects {list(wanted.names)}"
        )


def aligned_sets(bag: Bag, robot: Robot) -> Iterator[AlignedSet]:
    """Yield the aligned sets of a bag at camera resolution; raises BagError for what cannot be read."""
    feed = Feed(bag, robot)
    for topic, log_ns, message in bag.messages(set(feed.topics), feed.refuse):
        yield from feed.push(topic, log_ns, message)


class Trajectory:
    """Collects the joints of all arms from their topics; samples that say nothing usable are left out."""

    def __init__(self, bag: Bag, robot: Robot, sources: Sequence[JointTopic]) -> None:
        """Read from the topics `sources`; raises BagError where one is missing."""
        measured = {joints.topic: measured_type(joints.arms[0]) for joints in robot.state_topics}
        self.topics = {joints.topic: measured.get(joints.topic, JOINT_STATE) for joints in sources}
        bag.require(self.topics)
        self._bag = bag
        self._sources = {joints.topic: joints for joints in sources}
        self._topic_of = {arm.name: joints.topic for joints in sources for arm in joints.arms}
        self._orders = {arm.name: JointOrder(*driver) for joints in sources for arm, driver, _ in joints.parts()}
        self._stamps: dict[str, list[int]] = {arm.name: [] for arm in robot.arms}
        self._rows: dict[str, list[FloatArray]] = {arm.name: [] for arm in robot.arms}
        self._leading = _Leading()

    def push(self, topic: str, message: Any) -> None:
        """Take a message of one of `topics`; raises BagError where they are of other joints than the robot's."""
        for arm, driver, _ in self._sources[topic].parts():
            self._push(arm, driver, topic, message)

    def _push(self, arm: Arm, driver: DriverJoints, topic: str, message: Any) -> None:
        stamps, (names, position, _) = self._stamps[arm.name], wire.told(message)
        self._leading.take(arm.name, self._bag, topic, names, driver)
        try:
            stamp = wire.stamp_ns(message.header.stamp)
            row = self._orders[arm.name].map(names, position, [])[0]
        except Refusal:
            return
        if not stamps or stamp > stamps[-1]:
            stamps.append(stamp)
            self._rows[arm.name].append(row)

    def positions(self) -> tuple[np.ndarray, FloatArray]:
        """Return stamps (N,) [ns] of the first arm, and the joints of all arms at them (N, J).

        Raises:
            BagError: a topic has fewer than two samples.
        """
        short = dict.fromkeys(self._topic_of[arm] for arm, stamps in self._stamps.items() if len(stamps) < 2)
        if short:
            raise BagError(f"bag '{self._bag.path}': fewer than two messages on {', '.join(short)}")
        at = np.array(next(iter(self._stamps.values())))
        columns = [
            np.interp(at - at[0], np.array(self._stamps[arm]) - at[0], column)
            for arm, rows in self._rows.items()
            for column in np.array(rows).T
        ]
        return at, np.stack(columns, axis=1)


def leader_trajectory(bag: Bag, robot: Robot) -> tuple[np.ndarray, FloatArray]:
    """Return stamps (N,) [ns] and leader positions (N, J) of all arms, at the stamps of the first arm.

    An arm without a leader has the positions that the teleoperation told it.

    Raises:
        BagError: a leader's topic is missing, has other joints, or fewer than two samples.
    """
    return _read(bag, Trajectory(bag, robot, robot.operator_topics))


def follower_trajectory(bag: Bag, robot: Robot) -> tuple[np.ndarray, FloatArray]:
    """Return stamps (N,) [ns] and measured positions (N, J) of all arms; raises like `leader_trajectory`."""
    return _read(bag, Trajectory(bag, robot, robot.state_topics))


def object_trajectory(bag: Bag) -> tuple[np.ndarray, FloatArray]:
    """Return stamps (N,) [ns] and object poses (N, D) of a bag recorded in simulation.

    Raises:
        BagError: it has none.
    """
    bag.require({OBJECTS_TOPIC: JOINT_STATE})
    read, at = [], []
    for _, _, message in bag.messages({OBJECTS_TOPIC}):
        with suppress(Refusal):  # of a stamp that is none
            at.append(wire.stamp_ns(message.header.stamp))
            read.append(message)
    stamps = np.array(at, dtype=np.int64)
    if len({len(message.position) for message in read}) > 1:
        raise BagError(f"bag '{bag.path}', {OBJECTS_TOPIC}: not every message is about the same objects")
    return stamps, np.array([message.position for message in read], dtype=np.float64)


def _read(bag: Bag, trajectory: Trajectory) -> tuple[np.ndarray, FloatArray]:
    for topic, _, message in bag.messages(set(trajectory.topics)):
        trajectory.push(topic, message)
    return trajectory.positions()
