"""Faults of time and of cameras at the running nodes: F01, F02, F08, F26 and F29, every wait with a deadline."""

import os
import signal

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image, JointState

from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.client import GraphClient
from smp_bringup.nodes.messages import image_msg, joint_state_msg

START_S = 60.0


class Drivers:
    """Fake drivers of the shipped robot, whose cameras can stop, freeze, or send what raises."""

    def __init__(self, client, robot):
        self.client, self.robot, self.stopped, self.frozen = client, robot, "", ""
        self.state, self.diagnostics, self.q = None, {}, 0.0
        self.rng = np.random.default_rng(0)
        self.images = {c.name: client.create_publisher(Image, c.topic, qos.DRIVER) for c in robot.cameras}
        self.joints = {a.name: client.create_publisher(JointState, a.state_topic, qos.DRIVER) for a in robot.arms}
        self.still = np.zeros((robot.cameras[0].height, robot.cameras[0].width, 3), np.uint8)
        self.observed = 0
        client.create_subscription(DiagnosticArray, "/observation/state", self.on_state, qos.STATE)
        client.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 10)
        client.create_subscription(JointState, "/observation/joint_states", self.on_observation, qos.OBSERVATION)
        client.create_timer(0.04, self.frames)
        client.create_timer(0.01, self.states)

    def said(self, name):
        """Return what a node last said of itself on /diagnostics; nothing before it spoke."""
        return self.diagnostics[name].message if name in self.diagnostics else ""

    def on_state(self, message):
        self.state = message.status[0]

    def on_diagnostics(self, message):
        self.diagnostics[message.status[0].name] = message.status[0]

    def on_observation(self, _):
        self.observed += 1

    def states(self):
        self.q += 0.003
        for arm in self.robot.arms:
            names = tuple(joint.name for joint in arm.joints)
            q = np.full(len(names), 0.3 * np.sin(self.q))
            self.joints[arm.name].publish(joint_state_msg(now_ns(self.client), names, q, q * 0))

    def frames(self):
        for camera in self.robot.cameras:
            if camera.name == self.stopped:
                continue
            noise = self.rng.integers(0, 256, self.still.shape, dtype=np.uint8)
            image = self.still if camera.name == self.frozen else noise
            self.images[camera.name].publish(image_msg(now_ns(self.client), camera.name, image))


@pytest.fixture
def sync(robot, tmp_path):
    import rclpy

    with Graph([NodeSpec("sync", {"robot": "aloha"})], tmp_path / "log") as graph:
        rclpy.init()
        client = GraphClient()
        drivers = Drivers(client, robot)
        try:
            client.wait(lambda: drivers.observed > 10, START_S, "observations", graph.check)
            yield graph, client, drivers
        finally:
            client.destroy_node()
            rclpy.try_shutdown()


def test_a_camera_that_stops_is_named_and_its_return_resumes(sync):
    """F01, and the warning on /diagnostics."""
    graph, client, drivers = sync
    drivers.stopped = "wrist_left"
    client.wait(lambda: drivers.state.message.startswith("camera_stalled:wrist_left"), 5, "the state", graph.check)
    client.wait(lambda: "wrist_left" in drivers.said("smp_bringup: sync"), 10, "diagnostics", graph.check)
    drivers.stopped, before = "", drivers.observed
    client.wait(lambda: drivers.observed > before + 10, 10, "observations again", graph.check)


def test_a_camera_that_freezes_while_the_robot_moves_stops_the_observations(sync):
    """F02."""
    graph, client, drivers = sync
    drivers.frozen = "overview"
    client.wait(lambda: drivers.state.message == "camera_frozen:overview", 10, "the state", graph.check)
    drivers.frozen, before = "", drivers.observed
    client.wait(lambda: drivers.observed > before + 10, 10, "observations again", graph.check)


def test_a_stopped_policy_costs_the_command_node_no_cycle_and_its_return_moves_nothing(launch, checkpoints, tmp_path):
    """F26: SIGSTOP; cycles go on, the arms are held, and a fault stays until it is reset."""
    settings = {"model": str(checkpoints["smp"][0]), "sim": True, "task": "lift_tray"}
    with launch(tmp_path / "log", **settings) as (graph, client):
        reports = {}

        def on_diagnostics(message):
            reports[message.status[0].name] = {pair.key: pair.value for pair in message.status[0].values}

        def count(node, key):
            """Return what a node last counted; 0 before it spoke."""
            return int(reports.get(f"smp_bringup: {node}", {}).get(key, 0))

        client.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 10)
        client.wait(lambda: bool(client.sim_state and client.command_state), START_S, "the graph", graph.check)
        client.wait(lambda: client.count_publishers("/policy/chunk") > 0, START_S, "the policy", graph.check)
        client.start_episode("lift_tray", 2, "policy")

        def followed():
            if client.command_state["mode"] == "fault":  # a machine too busy to start the nodes in time
                client.start_episode("lift_tray", 2, "policy")
            return client.command_state["chunk_stamp_ns"] != "0"

        client.wait(followed, START_S, "a chunk followed", graph.check)
        policy = graph.processes["policy"].pid
        os.kill(policy, signal.SIGSTOP)
        try:
            client.wait(lambda: client.command_state["mode"] == "fault", 10, "the fault", graph.check)
            client.wait(lambda: count("command", "cycles") > 0, 10, "the count of cycles", graph.check)
            cycles = count("command", "cycles")
            client.wait(lambda: count("command", "cycles") >= cycles + 100, 10, "cycles", graph.check)
        finally:
            os.kill(policy, signal.SIGCONT)
        chunks = count("policy", "chunks")
        client.wait(lambda: count("policy", "chunks") > chunks, 20, "chunks again", graph.check)
        assert client.command_state["mode"] == "fault"
