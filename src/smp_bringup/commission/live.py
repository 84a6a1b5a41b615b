"""What is wrong with a running graph, topic by topic of the robot file."""

from collections.abc import Iterator, Sequence

import numpy as np

from smp_bringup.bag.messages import COMPRESSED, IMAGE, JOINT_STATE, measured_type
from smp_bringup.commission.camera_images import check_images, check_skew
from smp_bringup.commission.commands import check_commands
from smp_bringup.commission.finding import Finding, error
from smp_bringup.commission.joint_states import check_joints
from smp_bringup.commission.seen import GraphSeen, HeardJoints
from smp_bringup.commission.streams import Stream, check_stream
from smp_bringup.goals import ACTIONS, feedback_topic
from smp_bringup.record.tracks import COMMAND_KINDS, TWIST, TWIST_STAMPED
from smp_bringup.robot import JointTopic, Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.sync.watch import LIVE_TRAVEL, STALL_S
from smp_bringup.types import FloatArray

POSE, JOY = "geometry_msgs/msg/PoseStamped", "sensor_msgs/msg/Joy"
_LEADER_KINDS = {"twist": TWIST_STAMPED, "twist_unstamped": TWIST, "pose": POSE}


def streams(robot: Robot, state_timeout_s: float) -> Iterator[Stream]:
    """Yield all topics of a robot file that a driver or an operator publishes.

    Args:
        robot: whose they are.
        state_timeout_s: after which silent joint states hold the arms [s].
    """
    for joints in robot.state_topics:
        # A base is a machine of its own, whose odometry comes as slowly as it may without holding everything.
        rate_hz = 1 / state_timeout_s if joints.arms[0].is_base else robot.state_rate_hz
        stall = max(0.0, state_timeout_s - 1 / rate_hz)
        states = _of(joints), joints.topic, measured_type(joints.arms[0]), "state_topic"
        yield Stream(*states, rate_hz, "state_rate_hz", stall)
    for joints in robot.leader_topics:
        yield Stream(f"leader of {_of(joints)}", joints.topic, JOINT_STATE, "leader_topic")
    for arm in robot.arms:
        if arm.led_by and not arm.led_by.is_arm:
            kind = _LEADER_KINDS[arm.led_by.kind]
            yield Stream(f"leader of arm {arm.name}", arm.led_by.topic, kind, "leader: topic")
            if arm.led_by.buttons:
                yield Stream(f"buttons of arm {arm.name}", arm.led_by.buttons.topic, JOY, "leader: buttons: topic")
    for camera in robot.cameras:
        kind = COMPRESSED if camera.compressed else IMAGE
        yield Stream(f"camera {camera.name}", camera.topic, kind, "topic", camera.rate_hz, "rate_hz", STALL_S)
    for topic, vectors in robot.vector_topics.items():
        if topic not in [joints.topic for joints in robot.state_topics]:
            yield Stream(f"vector {', '.join(v.name for v in vectors)}", topic, vectors[0].type, "topic")
    for recorded in robot.recorded:
        yield Stream("recorded topic", recorded.topic, recorded.type, "topic")


def command_streams(robot: Robot) -> Iterator[tuple[str, str]]:
    """Yield the topics by which arms are told, and their types; of actions, that by which their server is known."""
    for told in robot.command_topics:
        yield told.topic, COMMAND_KINDS[told.arms[0].command_interface]
    for told in robot.command_actions:
        yield feedback_topic(told.topic), f"{ACTIONS[told.arms[0].command_interface]}_FeedbackMessage"


def check_live(robot: Robot, safety: SafetyConfig, seen: GraphSeen, namespace: str = "/") -> list[Finding]:
    """Return what is wrong with a running graph.

    Args:
        robot: with full names of its topics.
        safety: it runs under.
        seen: the graph.
        namespace: of our nodes.
    """
    every = list(streams(robot, safety.state_timeout_s))
    taken = [stream.topic for stream in every]
    if not any(topic.publishers or topic.subscribers for topic in seen.topics.values()):
        said = f"nobody is on any topic of the robot; we are here with {seen.middleware}"
        todo = "start the drivers, with the same RMW_IMPLEMENTATION, ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE"
        return [error("graph", said, todo)]
    found = [finding for stream in every for finding in check_stream(stream, seen, taken)]
    for joints in robot.state_topics:
        for arm, driver, _ in joints.parts():
            heard = seen.heard.get(joints.topic, ())
            found += check_joints(f"arm {arm.name}", joints.topic, arm.joints, driver, heard)
    for joints in robot.leader_topics:
        for arm, driver, _ in joints.parts():
            heard = seen.heard.get(joints.topic, ())
            found += check_joints(f"leader of arm {arm.name}", joints.topic, arm.joints, driver, heard)
    moved = _moved(robot, seen)
    for camera in robot.cameras:
        found += check_images(camera, seen.heard.get(camera.topic, ()), moved)
    found += check_skew(robot.cameras, seen.heard)
    found += check_commands(robot, safety, seen, namespace)
    return list(dict.fromkeys(found))  # arms that share a topic share what is wrong with it


def _of(joints: JointTopic) -> str:
    return "arm " + ", ".join(arm.name for arm in joints.arms)


def _moved(robot: Robot, seen: GraphSeen) -> bool:
    """Return whether a joint moved while the graph was looked at."""
    for joints in robot.state_topics:
        rows = _positions(joints, seen.heard.get(joints.topic, ()))
        travel = np.ptp(rows, axis=0) if len(rows) else np.zeros(0)
        if travel[np.isfinite(travel)].max(initial=0.0) > LIVE_TRAVEL:
            return True
    return False


def _positions(joints: JointTopic, heard: Sequence[object]) -> FloatArray:
    """Return positions (m, n) of messages that say all joints of a topic, in our units."""
    rows = [
        [message.position[message.names.index(name)] for name in joints.names]
        for message in heard
        if isinstance(message, HeardJoints)
        and set(joints.names) <= set(message.names)
        and len(message.position) == len(message.names)
    ]
    return joints.joints.ours(np.array(rows)) if rows else np.zeros((0, len(joints.names)))
