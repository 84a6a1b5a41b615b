"""Watching changes nothing: real observers of every kind beside the real command node, with a driver and without."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import JointState

from smp_bringup.client.graph_client import graph_client
from smp_bringup.config import read_yaml
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import joint_state_msg, status_values
from smp_bringup.paths import named_config

JOINTS, EMPTY = "sensor_msgs/msg/JointState", "std_msgs/msg/Empty"
CHUNK, STATUS = "trajectory_msgs/msg/JointTrajectory", "diagnostic_msgs/msg/DiagnosticArray"
VOLATILE, LATE = "VOLATILE", "TRANSIENT_LOCAL"
ECHO = Path(__file__).with_name("echo.py")


@contextmanager
def echoes(client, *observers):
    """Run processes that listen; each is a node's name and its [topic, type, durability]s."""
    words = [[sys.executable, str(ECHO), name, json.dumps(orders)] for name, orders in observers]
    started = [subprocess.Popen(each) for each in words]
    try:
        yield
        for process in started:
            process.terminate()
        client.wait(lambda: all(process.poll() == 0 for process in started), 60, "the end of the observers")
    finally:
        for process in started:
            process.kill()
            process.wait()


def observers(robot):
    """Return one observer of each kind, and two of one name; each but the last listens to every topic of the arms."""
    arms = [topic for arm in robot.arms for topic in (arm.state_topic, arm.command_topic)]
    others = [["/policy/chunk", CHUNK, LATE], ["/observation/state", STATUS, LATE]]
    return [
        ("echo", [[topic, JOINTS, VOLATILE] for topic in arms]),
        ("twin", [[topic, JOINTS, VOLATILE] for topic in arms]),
        ("twin", [[topic, JOINTS, VOLATILE] for topic in arms]),
        ("late_joiner", [[topic, JOINTS, LATE] for topic in arms] + others),
        ("typist", [[topic, EMPTY, VOLATILE] for topic in arms]),
    ]


class Arms:
    """Arms at home that report it, and listen once they are told to."""

    def __init__(self, client, robot):
        self.client, self.robot = client, robot
        self.home = np.array(robot.joint_array("home"))
        self.publishers = {a.name: client.create_publisher(JointState, a.state_topic, qos.DRIVER) for a in robot.arms}
        client.create_timer(0.01, self.report)

    def report(self):
        for arm in self.robot.arms:
            where = self.home[self.robot.arm_slices[arm.name]]
            names = tuple(joint.name for joint in arm.joints)
            self.publishers[arm.name].publish(joint_state_msg(now_ns(self.client), names, where, where * 0.0))

    def listen(self):
        for arm in self.robot.arms:
            self.client.create_subscription(JointState, arm.command_topic, lambda _: None, qos.LATEST)


@contextmanager
def command(log, **parameters):
    """Run a command node and a client that plays the arms; yield graph, client and what the node's reports say."""
    with Graph([NodeSpec("command", parameters)], log) as graph, graph_client("fake_arms") as client:
        reports = []
        client.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
        client.wait(lambda: bool(client.command_state), 60, "the command node", graph.check)
        yield graph, client, reports


def watched(client, topic, count, check):
    client.wait(lambda: client.count_subscribers(topic) >= count, 60, f"{count} observers of {topic}", check)


def test_observers_of_every_kind_neither_stand_for_a_driver_nor_keep_from_arming(tmp_path, robot):
    topic = robot.arms[-1].command_topic
    with command(tmp_path / "log") as (graph, client, reports):
        arms = Arms(client, robot)
        with echoes(client, *observers(robot)):
            watched(client, topic, 5, graph.check)
            missing = f"no driver listens to {robot.arms[0].command_topic}: needed is a node that subscribes to it"
            refused = lambda: not client.accepts("arm") and missing in client.refusal  # noqa: E731
            client.wait(refused, 60, "the refusal", graph.check)
            assert "used twice" not in client.refusal
            assert client.command_state["mode"] == "disarmed"
            arms.listen()
            client.wait(lambda: client.accepts("arm"), 60, "arming", graph.check)
            client.wait(lambda: "typist" in client.command_state["reasons"], 60, "the warning", graph.check)
            assert client.command_state["mode"] == "hold"
            assert client.command_state["severity"] == "WARN"
            reports.clear()
            client.wait(lambda: len(reports) > 1, 60, "a report", graph.check)
            warning = status_values(reports[-1])["warning"]
            assert reports[-1].status[0].level == DiagnosticStatus.WARN
            for arm in robot.arms:
                assert f"{arm.command_topic} cannot be watched: /typist is there, but speaks {EMPTY}" in warning
                assert f"{arm.command_topic} cannot be watched: /late_joiner is there, but QoS" in warning
            assert "/echo" not in warning
            assert "twice" not in warning
        client.wait(lambda: client.command_state["severity"] == "PASS", 60, "the warning to go", graph.check)
        assert client.command_state["mode"] == "hold"
    assert "[WARN]" in (tmp_path / "log").read_text()


def test_a_controller_that_another_node_measures_for_is_a_driver_where_the_settings_name_it(tmp_path, robot):
    safety = tmp_path / "safety.yaml"
    safety.write_text(yaml.safe_dump(read_yaml(named_config("safety", "default")) | {"drivers": ["/controller"]}))
    with command(tmp_path / "log", safety=str(safety)) as (graph, client, _):
        Arms(client, robot)
        refused = lambda: not client.accepts("arm") and "no driver listens" in client.refusal  # noqa: E731
        client.wait(refused, 60, "the refusal", graph.check)
        with echoes(client, ("controller", [[arm.command_topic, JOINTS, VOLATILE] for arm in robot.arms])):
            client.wait(lambda: client.accepts("arm"), 60, "arming", graph.check)
        client.wait(lambda: client.command_state["mode"] == "fault", 60, "the fault", graph.check)
        assert "_gone: no driver listens" in client.command_state["reason"]


@pytest.mark.parametrize(("kind", "durability"), [(EMPTY, VOLATILE), (JOINTS, LATE)])
def test_a_driver_that_cannot_hear_us_is_refused_by_name(tmp_path, robot, kind, durability):
    safety = tmp_path / "safety.yaml"
    safety.write_text(yaml.safe_dump(read_yaml(named_config("safety", "default")) | {"drivers": ["/controller"]}))
    with command(tmp_path / "log", safety=str(safety)) as (graph, client, _):
        Arms(client, robot)
        with echoes(client, ("controller", [[arm.command_topic, kind, durability] for arm in robot.arms])):
            refused = lambda: not client.accepts("arm") and "/controller is there, but" in client.refusal  # noqa: E731
            client.wait(refused, 60, "the refusal", graph.check)
