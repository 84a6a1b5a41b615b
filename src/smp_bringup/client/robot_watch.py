"""Looks at a running graph for a few seconds: who is there on some topics, and what they say."""

import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

from smp_bringup import wire
from smp_bringup.client.graph_client import GraphClient
from smp_bringup.commission.live import command_streams, streams
from smp_bringup.commission.seen import GraphSeen, Heard, HeardImage, HeardJoints, Message
from smp_bringup.environment import small_sockets
from smp_bringup.errors import SmpError
from smp_bringup.graph import NODE_NAMES
from smp_bringup.names import full_name
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns, steady_ns
from smp_bringup.nodes.graph_watch import endpoint, node_name
from smp_bringup.nodes.matched import MatchedSubscriptions, topics_with
from smp_bringup.nodes.messages import type_name
from smp_bringup.record.tracks import COMMAND_KINDS
from smp_bringup.robot import Robot
from smp_bringup.safety.node_graph import Topic
from smp_bringup.sync.checks import Refusal
from smp_bringup.sync.depth import DEPTH_ENCODINGS

_MIDDLEWARE = ("RMW_IMPLEMENTATION", "ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")
_DISCOVERY_S = 5.0
"""Who is there has been found after so long."""
_LEAST_S = 1.0
"""Who is there may still be found for so long although all that was asked for is."""
_ANSWER_S = 2.0
_LONGEST = 200
"""Characters of a foreign name."""
_MOST_JOINTS = 1000


def look_at_robot(client: GraphClient, robot: Robot, state_timeout_s: float, seconds: float) -> GraphSeen:
    """Return what is on the topics of a robot.

    Args:
        client: of the graph.
        robot: with full names of its topics.
        state_timeout_s: see `commission.live.streams`.
        seconds: for how long messages are heard.
    """
    said = {stream.topic: stream.kind for stream in streams(robot, state_timeout_s)}
    taken = dict(command_streams(robot))

    def complete() -> bool:
        return all(client.count_publishers(topic) for topic in said) and all(
            client.count_subscribers(topic) or client.count_publishers(topic) for topic in taken
        )

    _discover(client, complete)
    return _look(client, said, taken, seconds)


def look_around(client: GraphClient, seconds: float) -> GraphSeen:
    """Return what is on all topics of joint states and images, and who takes commands."""
    _discover(client, lambda: False)
    heard = {type_name(kind) for kind in (JointState, Image, CompressedImage)}
    published, taken = topics_with(client, client.count_publishers), topics_with(client, client.count_subscribers)
    said = {topic: kinds[0] for topic, kinds in published.items() if kinds[0] in heard}
    told = {topic: kinds[0] for topic, kinds in taken.items() if set(kinds) & set(COMMAND_KINDS.values())}
    return _look(client, said, {topic: kind for topic, kind in told.items() if topic not in said}, seconds)


def robot_description(client: GraphClient) -> str:
    """Return what /robot_description of the graph says; raises GraphError where nobody says it."""
    texts: list[str] = []
    client.create_subscription(String, "robot_description", lambda message: texts.append(message.data), qos.STATE)
    client.wait(lambda: bool(texts), _DISCOVERY_S, "/robot_description: start robot_state_publisher, or give --urdf")
    return texts[-1]


def controlled_joints(client: GraphClient, nodes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return by node the joints that its parameter `joints` names, as controllers of ros2_control have it."""
    found = {}
    for node in nodes:
        service = f"{node}/get_parameters"
        if not client.service_ready(service):
            continue
        asking = client.create_client(GetParameters, service)
        future = asking.call_async(GetParameters.Request(names=["joints"]))
        try:
            client.wait(future.done, _ANSWER_S, f"an answer of {node}")
        except SmpError:
            continue
        values = future.result().values
        joints = tuple(values[0].string_array_value) if values else ()
        if joints:
            found[node] = joints
    return found


def follow_clock(client: GraphClient) -> None:
    """Let the client's clock be that of /clock."""
    Node.set_parameters(client, [Parameter("use_sim_time", value=True)])


def _discover(client: GraphClient, complete: Callable[[], bool]) -> None:
    """Wait until all is there that is asked for, or may be taken for absent."""
    client.spin_for(_LEAST_S)
    try:
        client.wait(complete, _DISCOVERY_S - _LEAST_S, "the graph")
    except SmpError:
        return  # what is absent is told with all the rest


def _look(client: GraphClient, said: Mapping[str, str], taken: Mapping[str, str], seconds: float) -> GraphSeen:
    heard: dict[str, list[Message]] = {}
    ears = MatchedSubscriptions(client, at_once=False)
    for topic, kind in said.items():
        found = _class(kind)
        if found is not None:
            heard[topic] = []
            ears.add(found, topic, partial(_hear, client, heard[topic]), qos.SENSOR)
    client.spin_for(seconds)
    ours = {full_name(name, client.get_namespace()) for name in NODE_NAMES if name != "sim"}
    ours.add(client.get_fully_qualified_name())
    everyone = {**said, **taken}
    return GraphSeen(
        {topic: _topic(client, topic, kind, topic in taken, ours) for topic, kind in everyone.items()},
        topics_with(client, client.count_publishers),
        topics_with(client, client.count_subscribers),
        {topic: tuple(messages) for topic, messages in heard.items()},
        frozenset(topic for topic in said if _best_effort(client, topic)),
        seconds,
        small_sockets(),
        ", ".join(f"{name}={os.environ.get(name, '')}" for name in _MIDDLEWARE),
        tuple(sorted(node_name(name, space) for name, space in client.get_node_names_and_namespaces())),
    )


def _class(kind: str) -> type | None:
    """Return the class of a message type; None where its package is not installed here."""
    package, _, name = kind.partition("/msg/")
    try:
        found: type = getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        return None
    return found


def _hear(client: GraphClient, into: list[Message], message: Any) -> None:
    arrival, clock = steady_ns(), now_ns(client)
    header = getattr(message, "header", None)
    try:
        stamp = clock if header is None else wire.stamp_ns(header.stamp)
    except Refusal:
        stamp = 0
    if isinstance(message, JointState) or hasattr(message, "twist"):
        names, position, _ = wire.told(message)
        names = tuple(name[:_LONGEST] for name in names[:_MOST_JOINTS])
        into.append(HeardJoints(arrival, clock, stamp, names, tuple(position[:_MOST_JOINTS])))
    elif isinstance(message, Image | CompressedImage):
        into.append(_image(message, arrival, clock, stamp))
    else:
        into.append(Heard(arrival, clock, stamp))


def _image(message: Image | CompressedImage, arrival: int, clock: int, stamp: int) -> HeardImage:
    packed, pixels, refusal, size = isinstance(message, CompressedImage), zlib.crc32(message.data), "", (0, 0)
    try:
        depth = not packed and message.encoding in DEPTH_ENCODINGS
        size = (wire.depth_frame if depth else wire.frame)(message).image.shape[:2]
    except Refusal as why:
        refusal = str(why)
    height, width = size if packed else (message.height, message.width)
    encoding = message.format[:_LONGEST] if packed else message.encoding[:_LONGEST]
    return HeardImage(arrival, clock, stamp, width, height, encoding, pixels, refusal)


def _topic(client: GraphClient, name: str, kind: str, commands: bool, ours: set[str]) -> Topic:
    """Return who is on a topic besides our own nodes; of commands, judged against what the command node offers."""
    publishers = client.get_publishers_info_by_topic(name)
    subscribers = client.get_subscriptions_info_by_topic(name)
    offered, asked = (qos.as_seen(qos.LATEST), None) if commands else (None, qos.as_seen(qos.SENSOR))
    others = [[info for info in infos if not _is_ours(info, ours)] for infos in (publishers, subscribers)]
    return Topic(
        name,
        kind,
        commands,
        tuple(endpoint(info, info.qos_profile, asked) for info in others[0]),
        tuple(endpoint(info, offered, info.qos_profile) for info in others[1]),
    )


def _is_ours(info: Any, ours: set[str]) -> bool:
    return node_name(info.node_name, info.node_namespace) in ours


def _best_effort(client: GraphClient, topic: str) -> bool:
    profiles: Sequence[QoSProfile] = [info.qos_profile for info in client.get_publishers_info_by_topic(topic)]
    return any(profile.reliability != ReliabilityPolicy.RELIABLE for profile in profiles)
