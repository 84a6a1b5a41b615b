"""A SpaceMouse at each arm of the simulated ALOHA: real nodes; where the tip is, says the published MJCF."""

import importlib.util
import os
import time
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from sensor_msgs.msg import JointState, Joy

from smp_bringup import config, wire
from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.leader import Buttons, Leader
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import joint_state_msg, status_msg, time_msg

SPEED = 0.05
EVERY_S = 0.02
URDF = "package://smp_bringup/config/descriptions/aloha.urdf"


class Tip:
    """Where the left arm's gripper is, measured, over time."""

    def __init__(self, robot):
        assets = Path(importlib.util.find_spec("gym_aloha").origin).parent / "assets"
        self._model = mujoco.MjModel.from_xml_path(str(assets / "bimanual_viperx_transfer_cube.xml"))
        self._data = mujoco.MjData(self._model)
        self._names = [joint.name.removeprefix("left_") for joint in robot.arms[0].joints[:6]]
        self.at_s, self.path = [], []

    def hear(self, message):
        for name, value in zip(self._names, message.position, strict=False):
            self._data.joint(f"vx300s_left/{name}").qpos[0] = value
        mujoco.mj_kinematics(self._model, self._data)
        body = self._data.body("vx300s_left/gripper_link")
        self.path.append(body.xpos + body.xmat.reshape(3, 3) @ [0.135, 0, 0])
        self.at_s.append(wire.stamp_ns(message.header.stamp) / 1e9)

    def speed(self, samples):
        """Return the speed [m/s] over the last samples."""
        path, at = np.array(self.path[-samples:]), np.array(self.at_s[-samples:]) - self.at_s[-1]
        return float(np.linalg.norm(np.polyfit(at, path, 1)[0])) if len(path) == samples else np.inf


class SpaceMouse:
    """Says what stock spacenav says: stamped, without a frame, zeros while nobody touches it."""

    def __init__(self, client, robot, every_s=EVERY_S):
        self._client = client
        self.twist, self.silent = {arm.name: np.zeros(6) for arm in robot.arms}, set()
        self._publishers = {arm.name: client.create_publisher(TwistStamped, arm.leader.topic, 10) for arm in robot.arms}
        client.create_timer(every_s, self._speak)

    def _speak(self):
        for arm, publisher in self._publishers.items():
            message = TwistStamped()
            message.header.stamp = time_msg(now_ns(self._client))
            linear, angular = message.twist.linear, message.twist.angular
            linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = map(float, self.twist[arm])
            if arm not in self.silent:
                publisher.publish(message)
                self.sent_s = time.monotonic()


class Cost:
    """How long a word takes through the teleop node and back to us, and how busy that node is."""

    def __init__(self, client, speaker, pid):
        self._speaker, self._stat = speaker, Path(f"/proc/{pid}/stat")
        self._delays_ms, self._since = [], (time.monotonic(), self._busy_s())
        client.create_subscription(JointState, "/teleop/command", self._hear, qos.LATEST)

    def _hear(self, _):
        self._delays_ms.append(1e3 * (time.monotonic() - self._speaker.sent_s))

    def _busy_s(self):
        user, system = self._stat.read_text().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    @property
    def heard(self):
        return len(self._delays_ms)

    def __str__(self):
        took_s, busy_s = time.monotonic() - self._since[0], self._busy_s() - self._since[1]
        p50, p99 = np.percentile(self._delays_ms, [50, 99])
        return f"from a word to its setpoint {p50:.1f} ms (p50), {p99:.1f} ms (p99); {busy_s / took_s:.0%} of a core"


class LeaderArms:
    """Says where leader arms are that stand still."""

    def __init__(self, client, robot, every_s):
        self._client, self._home = client, np.array(robot.joint_array("home"))
        self._arms = [
            (
                client.create_publisher(JointState, arm.leader_topic, 10),
                tuple(joint.name for joint in arm.joints),
                self._home[robot.arm_slices[arm.name]],
            )
            for arm in robot.arms
        ]
        client.create_timer(every_s, self._speak)

    def _speak(self):
        for publisher, names, home in self._arms:
            publisher.publish(joint_state_msg(now_ns(self._client), names, home, home * 0.0))
            self.sent_s = time.monotonic()


def described(robot, tmp_path, **leader):
    """Write a robot file whose arms are led by hands; return its path and the robot."""
    arms = (
        replace(
            arm, leader_topic="", leader=Leader(f"/spacenav_{arm.name}/twist_stamped", tip=f"{arm.name}_tip", **leader)
        )
        for arm in robot.arms
    )
    robot = replace(robot, arms=tuple(arms), description=URDF)
    path = tmp_path / "hands.yaml"
    path.write_text(config.dump(robot))
    return str(path), robot


class Operator:
    """Leads the left hand up and down, and says whether nothing but him had a say in it."""

    def __init__(self, graph, client, tip, mouse):
        self._graph, self._client, self._tip, self._mouse = graph, client, tip, mouse
        self._held = False

    def moves_along_a_line(self, way):
        """Go 12 cm up or down, and rest."""
        tip, start = self._tip, np.array(self._tip.path[-1])
        gone = lambda: way * (tip.path[-1][2] - start[2])  # noqa: E731
        self._begin(way)
        self._wait(lambda: gone() > 0.05, "the hand to move")
        first = len(tip.path)
        self._wait(lambda: gone() > 0.12, "the hand to move on")
        line = np.array(tip.path[first:])
        strayed, speed = float(np.abs(line[:, :2] - start[:2]).max(initial=0)), tip.speed(len(line))
        self._push(0.0)
        self._wait(lambda: tip.speed(20) < 0.002, "the hand to rest")
        if self._held:
            return False
        print(f"{1e3 * strayed:.2f} mm beside the line, {1e3 * speed:.1f} mm/s of {1e3 * SPEED:.0f}")
        assert strayed < 0.004
        assert 0.8 * SPEED < speed < 1.2 * SPEED
        return self._client.command_state["mode"] == "teleop"

    def falls_silent(self, way):
        """Go up or down, and vanish with the mouse where it is."""
        client, tip = self._client, self._tip
        self._begin(way)
        self._wait(lambda: tip.speed(20) > 0.5 * SPEED, "the hand to move again")
        silent_s = now_ns(client) / 1e9
        self._mouse.silent.add("left")
        silence = lambda: "the leader of arm 'left' has said nothing" in client.command_state["reason"]  # noqa: E731
        moved_before = not self._held
        self._wait(silence, "the hold")
        if not (moved_before and silence()):
            return False
        client.wait(lambda: client.latched, 60, "the fault", self._graph.check)
        client.wait(lambda: tip.speed(20) < 0.002, 60, "the hand to rest", self._graph.check)
        moved = np.linalg.norm(np.diff(np.array(tip.path), axis=0), axis=1) / np.diff(tip.at_s) > 0.1 * SPEED
        stopped_s = tip.at_s[int(np.flatnonzero(moved)[-1]) + 1] - silent_s
        print(f"at rest {1e3 * stopped_s:.0f} ms after the last word")
        return stopped_s < 1.0

    def _begin(self, way):
        self._push(0.0)
        self._mouse.silent.clear()
        self._client.follow("teleop", self._graph.check)
        led = lambda: self._client.latched or not self._holds()  # noqa: E731
        self._client.wait(led, 60, "the end of the hold before", self._graph.check)
        self._held = False
        self._push(way * SPEED)

    def _push(self, speed):
        self._mouse.twist["left"] = np.array([0, 0, speed, 0, 0, 0])

    def _wait(self, condition, what):
        """Wait for a condition, or for the arms to be latched."""

        def over():
            self._held |= self._holds()
            return self._client.latched or condition()

        self._client.wait(over, 60, what, self._graph.check)

    def _holds(self):
        return self._client.command_state["severity"] in ("HOLD", "FAULT")


def test_a_twist_moves_the_gripper_in_a_straight_line_without_one_it_rests_and_silence_stops_it(robot, tmp_path):
    path, robot = described(robot, tmp_path, kind="twist")
    nodes = [NodeSpec("sim", {"robot": path}), *(NodeSpec(name, {"robot": path}) for name in ("command", "teleop"))]
    with Graph(nodes, tmp_path / "log") as graph, graph_client() as client:
        tip, mouse = Tip(robot), SpaceMouse(client, robot)
        client.create_subscription(JointState, robot.arms[0].state_topic, tip.hear, qos.SENSOR)
        client.wait(lambda: bool(client.command_state) and len(tip.path) > 10, 60, "the graph", graph.check)
        operator = Operator(graph, client, tip, mouse)
        # A machine that stalls silences the mouse too, which holds the arms: then it is tried again.
        assert any(operator.moves_along_a_line(way) for way in (1, -1) * 5), client.command_state
        assert any(operator.falls_silent(way) for way in (-1, 1) * 5), client.command_state


def test_a_pose_leads_the_gripper_while_the_clutch_is_closed_and_a_button_closes_it(robot, tmp_path):
    path, robot = described(robot, tmp_path, kind="pose", buttons=Buttons("/vr/joy", close=0, open=1, clutch=2))
    nodes = [NodeSpec("sim", {"robot": path}), *(NodeSpec(name, {"robot": path}) for name in ("command", "teleop"))]
    with Graph(nodes, tmp_path / "log") as graph, graph_client() as client:
        tip, hand, pressed = Tip(robot), np.array([3.0, 2.0, 1.0]), [0, 0, 0]
        client.create_subscription(JointState, robot.arms[0].state_topic, tip.hear, qos.SENSOR)
        joy = client.create_publisher(Joy, "/vr/joy", 10)
        poses = [client.create_publisher(PoseStamped, arm.leader.topic, 10) for arm in robot.arms]

        def speak():
            message = PoseStamped()
            message.header.stamp = time_msg(now_ns(client))
            at = message.pose.position
            at.x, at.y, at.z = map(float, hand)
            for publisher in poses:
                publisher.publish(message)
            joy.publish(Joy(buttons=pressed))

        client.create_timer(EVERY_S, speak)
        client.wait(lambda: bool(client.command_state) and len(tip.path) > 10, 60, "the graph", graph.check)

        def leads():
            """Return whether the gripper followed; a machine that stalls silences the hand, which is a fault."""
            pressed[2] = 0
            client.follow("teleop", graph.check)
            start = np.array(tip.path[-1])
            hand[2] += 0.08  # the clutch is open: nothing follows
            seen = len(tip.path)
            client.wait(lambda: len(tip.path) > seen + 50, 60, "half a second", graph.check)
            assert np.abs(tip.path[-1] - start).max() < 0.002
            pressed[2] = 1
            client.wait(lambda: len(tip.path) > seen + 100, 60, "half a second", graph.check)
            hand[2] += 0.06
            risen = lambda: tip.path[-1][2] - start[2] > 0.055  # noqa: E731
            client.wait(lambda: client.latched or risen(), 60, "the hand to follow", graph.check)
            client.wait(lambda: tip.speed(20) < 0.002, 60, "the hand to rest", graph.check)
            if client.latched:
                return False
            np.testing.assert_allclose(tip.path[-1] - start, [0, 0, 0.06], atol=0.005)
            return client.command_state["mode"] == "teleop"

        assert any(leads() for _ in range(10)), client.command_state


def test_what_hands_cost_beside_leader_arms(robot, tmp_path):
    """Two arms at 100 Hz, the hands moving; prints what the page on teleoperation says."""
    path, led = described(robot, tmp_path, kind="twist")
    for name, file in (("leader arms", "aloha"), ("hands", path)):
        with Graph([NodeSpec("teleop", {"robot": file})], tmp_path / "log") as graph, graph_client() as client:
            home = np.array(robot.joint_array("home"))
            states = [
                (client.create_publisher(JointState, arm.state_topic, 10), arm, home[robot.arm_slices[arm.name]])
                for arm in robot.arms
            ]
            command = client.create_publisher(DiagnosticArray, "/command/state", qos.STATE)
            command.publish(status_msg(now_ns(client), "command", {"mode": "teleop", "severity": "PASS"}))

            def measure(client=client, states=states):
                for publisher, arm, here in states:
                    names = tuple(joint.name for joint in arm.joints)
                    publisher.publish(joint_state_msg(now_ns(client), names, here, here * 0.0))

            client.create_timer(0.01, measure)
            speaker = LeaderArms(client, robot, 0.01) if file == "aloha" else SpaceMouse(client, led, 0.01)
            warm = Cost(client, speaker, graph.processes["teleop"].pid)
            client.wait(lambda warm=warm: warm.heard > 100, 60, "setpoints", graph.check)
            if file != "aloha":
                speaker.twist = {arm.name: np.array([0, 0, 0.01, 0, 0, 0]) for arm in robot.arms}
            cost = Cost(client, speaker, graph.processes["teleop"].pid)
            client.wait(lambda cost=cost: cost.heard > 300, 60, "setpoints", graph.check)
            print(f"{name}: {cost}")
