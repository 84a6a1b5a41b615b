"""What a bag says, through the same aligner that runs on the robot."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from smp_bringup import wire
from smp_bringup.errors import BagError
from smp_bringup.pipeline import build_sync
from smp_bringup.record.messages import IMAGE, JOINT_STATE
from smp_bringup.replay.reader import Bag
from smp_bringup.robot import Robot
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import AlignedSet, FloatArray


def observation_topics(robot: Robot) -> dict[str, str]:
    """Return topic and type of everything that the aligner needs."""
    return {c.topic: IMAGE for c in robot.cameras} | {a.state_topic: JOINT_STATE for a in robot.arms}


OBJECTS_TOPIC = "/sim/objects"
"""Poses of the task's objects, which only a simulator knows."""


def leader_topics(robot: Robot) -> dict[str, str]:
    """Return topic and type of the leaders' joint states."""
    return {a.leader_topic: JOINT_STATE for a in robot.arms}


def aligned_sets(bag: Bag, robot: Robot) -> Iterator[AlignedSet]:
    """Yield the aligned sets of a bag at camera resolution; log time is the aligner's now."""
    topics = observation_topics(robot)
    bag.require(topics)
    aligner = build_sync(robot)
    cameras = {c.topic: c for c in robot.cameras}
    arms = {a.state_topic: a.name for a in robot.arms}
    for topic, log_ns, message in bag.messages(set(topics)):
        if topic in cameras:
            camera = cameras[topic]
            try:
                frame = wire.frame(message, (camera.height, camera.width))
            except Refusal as refusal:
                aligner.refuse(camera.name, str(refusal))
                continue
            aligner.push_image(camera.name, frame, log_ns)
        else:
            aligner.push_joints(
                arms[topic], wire.stamp_ns(message.header.stamp), message.name, message.position,
                message.velocity, log_ns,
            )  # fmt: skip
        yield from aligner.pop()


def leader_trajectory(bag: Bag, robot: Robot) -> tuple[np.ndarray, FloatArray]:
    """Return stamps (N,) [ns] and leader positions (N, J) of all arms, at the stamps of the first arm.

    Raises:
        BagError: a leader's topic is missing or has fewer than two samples.
    """
    return _trajectory(bag, robot, [a.leader_topic for a in robot.arms])


def follower_trajectory(bag: Bag, robot: Robot) -> tuple[np.ndarray, FloatArray]:
    """Return stamps (N,) [ns] and measured positions (N, J) of all arms; raises like `leader_trajectory`."""
    return _trajectory(bag, robot, [a.state_topic for a in robot.arms])


def object_trajectory(bag: Bag) -> tuple[np.ndarray, FloatArray]:
    """Return stamps (N,) [ns] and object poses (N, D) of a bag recorded in simulation.

    Raises:
        BagError: it has none.
    """
    bag.require({OBJECTS_TOPIC: JOINT_STATE})
    read = [message for _, _, message in bag.messages({OBJECTS_TOPIC})]
    stamps = np.array([wire.stamp_ns(message.header.stamp) for message in read], dtype=np.int64)
    return stamps, np.array([message.position for message in read], dtype=np.float64)


def _trajectory(bag: Bag, robot: Robot, order: list[str]) -> tuple[np.ndarray, FloatArray]:
    """Return stamps (N,) of the first topic, and the joints of all topics, one an arm, at them (N, J)."""
    bag.require(dict.fromkeys(order, JOINT_STATE))
    names = [JointOrder([j.name for j in arm.joints]) for arm in robot.arms]
    orders = dict(zip(order, names, strict=True))
    stamps: dict[str, list[int]] = {topic: [] for topic in order}
    rows: dict[str, list[FloatArray]] = {topic: [] for topic in order}
    for topic, _, message in bag.messages(set(order)):
        stamps[topic].append(wire.stamp_ns(message.header.stamp))
        rows[topic].append(orders[topic].map(message.name, message.position, [])[0])
    short = [topic for topic in order if len(stamps[topic]) < 2]
    if short:
        raise BagError(f"bag '{bag.path}': fewer than two messages on {', '.join(short)}")
    at = np.array(stamps[order[0]])
    columns = [np.interp(at, stamps[topic], column) for topic in order for column in np.array(rows[topic]).T]
    return at, np.stack(columns, axis=1)


def bag_folders(root: Path) -> list[Path]:
    """Return all bag folders below `root` (itself included), sorted.

    Raises:
        BagError: there is none.
    """
    if not root.exists():
        raise BagError(f"'{root}' does not exist")
    found = sorted({p.parent for p in root.rglob("*.mcap")} | {p.parent for p in root.rglob("*.db3")})
    folders = [folder for folder in found if not folder.name.endswith(".partial")]
    if not folders:
        raise BagError(f"no bags below '{root}': record some with smp record")
    return folders
