"""Whatever a stranger sends on a subscribed topic is refused and counted, and the node goes on: one test per node."""

import importlib
from contextlib import suppress

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy._rclpy_pybind11 import RCLError
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import status_values

OURS = ("/parameter_events", "/clock", "/rosout")
REFUSES = {
    "command": ["refused/observation/state", "refused/teleop/malformed", "refused/policy/malformed", "refused/estop"],
    "sync": ["encoding"],
    "policy": ["refused/observation/joint_states", "refused/command/state"],
    "sim": ["refused/follower_left/joint_commands"],
    "teleop": ["refused"],
    "recorder": [],  # what it hears is bytes to it, and goes into the bag as it is
}


def message_type(name):
    package, _, kind = name.replace("/msg", "").partition("/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


def scalar(kind, rng):
    if kind.startswith("sequence<"):
        return [scalar(kind[9:-1], rng) for _ in range(rng.integers(0, 20))]
    if kind.endswith("]"):  # of a fixed length
        of, _, length = kind.rstrip("]").partition("[")
        return [scalar(of, rng) for _ in range(int(length))]
    if "/" in kind:
        return filled(message_type(kind), rng)
    if kind in ("double", "float"):
        return float(rng.choice([0.0, 1.0, np.nan, np.inf, -1e300, 5e-324]))
    if kind == "string":
        return "".join(map(chr, rng.integers(1, 0x2FF, rng.integers(0, 30))))
    if kind == "boolean":
        return bool(rng.integers(2))
    if kind == "octet":
        return bytes([rng.integers(256)])
    bits, lowest = int(kind.lstrip("uint")), 0 if kind.startswith("u") else -1
    return int(rng.integers(lowest * 2 ** (bits - 1), 2 ** (bits + lowest)))


def filled(kind, rng):
    """Return a message whose every field is random."""
    return kind(**{name: scalar(of, rng) for name, of in kind.get_fields_and_field_types().items()})


def hostile(kind, rng):
    """Yield an empty message, random ones, and bytes that are cut off or no message at all."""
    yield serialize_message(kind())
    for _ in range(5):
        whole = serialize_message(filled(kind, rng))
        yield whole
        yield whole[: rng.integers(0, len(whole))]
        yield whole[: len(whole) // 2] + rng.bytes(len(whole) // 2)
    yield b"\x00\x01\x00\x00" + rng.bytes(200_000)


def attack(client, node, check, seed):
    """Send all of that on every topic that a node subscribes to; return those topics."""
    rng = np.random.default_rng(seed)
    up = lambda: dict(client.get_publisher_names_and_types_by_node(node, "/"))  # noqa: E731
    client.wait(lambda: "/diagnostics" in up(), 60, node, check)
    heard = client.get_subscriber_names_and_types_by_node(node, "/")
    topics = {topic: kinds[0] for topic, kinds in heard if topic not in OURS}
    for topic, name in topics.items():
        publisher = client.create_publisher(message_type(name), topic, qos.STATE)
        client.wait(lambda p=publisher: p.get_subscription_count() > 0, 60, topic, check)
        for raw in hostile(message_type(name), rng):
            with suppress(RCLError):  # a publisher of a type of fixed size takes no more than that
                publisher.publish(bytes(raw))
            client.spin_for(0.02, check)
        client.destroy_publisher(publisher)
    return topics


@pytest.mark.parametrize("node", REFUSES)
def test_a_node_outlives_whatever_is_sent_to_it_and_counts_it(node, tmp_path):
    values = {}

    def hear(message):
        if message.status[0].name == f"smp_bringup: {node}":
            values.update(status_values(message))
            values["reports"] = values.get("reports", 0) + 1

    parameters = {"out": str(tmp_path / "bags")} if node == "recorder" else {}
    with Graph([NodeSpec(node, parameters)], tmp_path / "log") as graph, graph_client() as client:
        client.create_subscription(DiagnosticArray, "/diagnostics", hear, 10)
        client.wait(lambda: values, 60, "the node", graph.check)
        if node == "recorder":
            client.trigger("/recorder/start")
        assert attack(client, node, graph.check, seed=18)
        reports = values["reports"]
        client.wait(lambda: values["reports"] > reports + 1, 60, "its next reports", graph.check)
        if node == "recorder":
            with suppress(GraphError):  # a random pedal has stopped it already
                client.trigger("/recorder/stop")
            client.trigger("/recorder/start")
            client.trigger("/recorder/discard")
    log = (tmp_path / "log").read_text()
    for counter in REFUSES[node]:
        assert any(int(value) > 0 for key, value in values.items() if counter in key), (counter, values, log)
    if node == "command":
        assert "refused what /smp_client sent" in log


def test_megabytes_of_strangers_do_not_delay_the_cycles_of_the_command_node(tmp_path, robot):
    """A joint state of 7 MB and a chunk of 100,000 points, ten times a second; and many within the sizes."""
    names = list(robot.joint_names)
    point = JointTrajectoryPoint(positions=[0.0] * robot.dof)
    flood = {
        ("/teleop/command", JointState): JointState(name=["x" * 20] * 200_000, position=[0.0] * 200_000),
        ("/policy/chunk", JointTrajectory): JointTrajectory(joint_names=names, points=[point] * 100_000),
        ("/observation/state", DiagnosticArray): DiagnosticArray(status=[DiagnosticStatus()] * 100_000),
        (robot.arms[0].state_topic, JointState): JointState(name=[""] * 1_000),
        ("/policy/chunk", JointTrajectory, "small"): JointTrajectory(points=[JointTrajectoryPoint()] * 800),
    }
    late_ms, counts = [], {}

    def hear(message):
        if message.status[0].name == "smp_bringup: command":
            counts.update(status_values(message))
            late_ms.append(float(counts["late_p99_ms"]))

    with Graph([NodeSpec("command", {})], tmp_path / "log") as graph, graph_client() as client:
        client.create_subscription(DiagnosticArray, "/diagnostics", hear, 10)
        publishers = []
        for (topic, kind, *_), message in flood.items():
            publisher = client.create_publisher(kind, topic, qos.LATEST if "chunk" in topic else qos.STATE)
            client.wait(lambda p=publisher: p.get_subscription_count() > 0, 60, topic, graph.check)
            publishers.append((publisher, serialize_message(message)))
        client.wait(lambda: len(late_ms) > 3, 60, "reports of calm seconds", graph.check)
        calm_ms = sorted(late_ms[1:])  # the first second is that of the start
        late_ms.clear()
        while len(late_ms) < 4:
            for publisher, raw in publishers:
                publisher.publish(raw)
            client.spin_for(0.1, graph.check)
    assert int(counts["refused/policy/malformed"]) > 0
    assert int(counts["refused/teleop/malformed"]) > 0
    # What other processes of the machine take from us they took before; one second more of theirs is not ours either.
    # Under 20 ms where a message of 7 MB is taken in 8 (docs/adr/0015); a slow machine takes it in 15.
    assert sorted(late_ms)[1] < 40 + calm_ms[-1], (late_ms, calm_ms)
