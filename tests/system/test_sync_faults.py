"""Faults of time and of cameras at the running nodes: F01, F02, F08, F26 and F29, every wait with a deadline."""

import os
import signal

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rosgraph_msgs.msg import Clock as ClockMsg
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from smp_bringup.client.graph_client import START_S, graph_client
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import chunk_msg, image_msg, joint_state_msg, status_values, time_msg
from smp_bringup.types import ActionChunk, nanoseconds


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
        self.now_ns = lambda: now_ns(client)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        client.create_timer(0.04, self.frames, clock=steady)
        client.create_timer(0.01, self.states, clock=steady)

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
            self.joints[arm.name].publish(joint_state_msg(self.now_ns(), names, q, q * 0))

    def frames(self):
        for camera in self.robot.cameras:
            if camera.name == self.stopped:
                continue
            noise = self.rng.integers(0, 256, self.still.shape, dtype=np.uint8)
            image = self.still if camera.name == self.frozen else noise
            self.images[camera.name].publish(image_msg(self.now_ns(), camera.name, image))


@pytest.fixture
def sync(robot, tmp_path):
    with Graph([NodeSpec("sync", {"robot": "aloha"})], tmp_path / "log") as graph, graph_client() as client:
        drivers = Drivers(client, robot)
        client.wait(lambda: drivers.observed > 10, START_S, "observations", graph.check)
        yield graph, client, drivers


def test_a_camera_that_stops_is_named_and_its_return_resumes(sync):
    """F01, and the warning on /diagnostics."""
    graph, client, drivers = sync
    drivers.stopped = "wrist_left"
    client.wait(lambda: drivers.state.message.startswith("camera_stalled:wrist_left"), 60, "the state", graph.check)
    client.wait(lambda: "wrist_left" in drivers.said("smp_bringup: sync"), 60, "diagnostics", graph.check)
    drivers.stopped, before = "", drivers.observed
    client.wait(lambda: drivers.observed > before + 10, 60, "observations again", graph.check)


def test_a_camera_that_freezes_while_the_robot_moves_stops_the_observations(sync):
    """F02."""
    graph, client, drivers = sync
    drivers.frozen = "overview"
    client.wait(lambda: drivers.state.message == "camera_frozen:overview", 60, "the state", graph.check)
    drivers.frozen, before = "", drivers.observed
    client.wait(lambda: drivers.observed > before + 10, 60, "observations again", graph.check)


class SimTime:
    """A simulator's clock, which can stand still, jump and run faster, and a policy that holds the arms at home."""

    def __init__(self, client, robot):
        self.robot, self.now_ns, self.rate = robot, nanoseconds(1000.0), 1.0
        self.clock = client.create_publisher(ClockMsg, "/clock", 10)
        self.chunks = client.create_publisher(JointTrajectory, "/policy/chunk", qos.LATEST)
        self.states = {a.name: client.create_publisher(JointState, a.state_topic, qos.DRIVER) for a in robot.arms}
        for arm in robot.arms:  # the driver that must listen
            client.create_subscription(JointState, arm.command_topic, lambda _: None, qos.LATEST)
        client.create_timer(0.01, self.tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def tick(self):
        self.now_ns += round(self.rate * nanoseconds(0.01))
        self.clock.publish(ClockMsg(clock=time_msg(self.now_ns)))
        home = np.array(self.robot.joint_array("home"))
        for arm in self.robot.arms:
            part = home[self.robot.arm_slices[arm.name]]
            names = tuple(joint.name for joint in arm.joints)
            self.states[arm.name].publish(joint_state_msg(self.now_ns, names, part, part * 0))
        if self.rate:
            rows = np.tile(home, (16, 1))
            chunk = ActionChunk(self.now_ns, self.robot.action_period_s, rows)
            self.chunks.publish(chunk_msg(chunk, self.robot.joint_names))


@pytest.fixture
def sim_time(robot, tmp_path):
    """A command node on simulated time that follows a policy."""
    spec = NodeSpec("command", {"robot": "aloha", "use_sim_time": True})
    with Graph([spec], tmp_path / "log") as graph, graph_client("fake_arms") as client:
        clock, reports = SimTime(client, robot), {}
        client.create_subscription(DiagnosticArray, "/diagnostics", lambda m: reports.update(status_values(m)), 10)

        def follow():
            client.follow("policy", graph.check, once=lambda: client.command_state["severity"] == "PASS")

        follow()
        yield graph, client, clock, reports, follow


def test_f08_paused_time_holds_the_arms_by_the_steady_clock_and_its_return_moves_nothing(sim_time):
    graph, client, clock, _, follow = sim_time
    clock.rate = 0.0
    client.wait(lambda: "clock_runs" in client.command_state["reasons"], 60, "the hold", graph.check)
    client.wait(lambda: client.command_state["mode"] == "fault", 60, "the fault", graph.check)
    clock.rate = 1.0
    now_ns = clock.now_ns
    client.wait(lambda: clock.now_ns > now_ns + nanoseconds(0.5), 60, "time that runs", graph.check)
    assert client.command_state["mode"] == "fault"
    follow()


def test_f08_time_that_jumps_back_clears_the_chunk_and_the_next_one_is_followed(sim_time):
    graph, client, clock, reports, follow = sim_time
    clock.now_ns -= nanoseconds(10.0)
    client.wait(lambda: reports.get("refused/clock_reset") == "1", 60, "the reset to be counted", graph.check)
    follow()
    assert 0 < int(client.command_state["chunk_stamp_ns"]) <= clock.now_ns


def test_f08_time_ten_times_as_fast_trips_nothing(sim_time):
    graph, client, clock, _, follow = sim_time
    clock.rate, trips = 10.0, []

    def trips_nothing():
        follow()
        trips.clear()
        now_ns = clock.now_ns

        def passed():
            if client.command_state["severity"] in ("HOLD", "FAULT"):
                trips.append(client.command_state["reason"])
            return clock.now_ns > now_ns + nanoseconds(20.0)

        client.wait(passed, START_S, "twenty seconds of simulated time", graph.check)
        return not trips

    assert any(trips_nothing() for _ in range(10)), f"a machine that stalls trips it too, though not each time: {trips}"


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
        client.start_episode("lift_tray", 2, "policy", graph.check)
        client.follow("policy", graph.check, once=lambda: client.command_state["chunk_stamp_ns"] != "0")
        policy = graph.processes["policy"].pid
        os.kill(policy, signal.SIGSTOP)
        try:
            client.wait(lambda: client.command_state["mode"] == "fault", 60, "the fault", graph.check)
            client.wait(lambda: count("command", "cycles") > 0, 60, "the count of cycles", graph.check)
            cycles = count("command", "cycles")
            client.wait(lambda: count("command", "cycles") >= cycles + 100, 60, "cycles", graph.check)
        finally:
            os.kill(policy, signal.SIGCONT)
        chunks = count("policy", "chunks")
        client.wait(lambda: count("policy", "chunks") > chunks, 60, "chunks again", graph.check)
        assert client.command_state["mode"] == "fault"
