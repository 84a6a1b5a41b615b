"""The command node as a process, between arms and sources that this process plays and can break."""

import json
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from smp_bringup.chaos.ear import Ear
from smp_bringup.client.graph_client import GraphClient, GraphError
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import chunk_msg, joint_state_msg
from smp_bringup.robot import Robot
from smp_bringup.types import ActionChunk, FloatArray

HEARTBEAT_S = 0.05
"""What the command node is told to expect; here it comes more often."""
_STRANGER_S = 30.0
_AMPLITUDE, _RATE = 0.25, 5.0
"""The waists swing by so much [rad] at so many radians of phase a second."""


class ChaosRig:
    """Plays arms, sources and the emergency stop's heartbeat for a command node, and listens to it."""

    def __init__(self, robot: Robot, safety: Path, log: Path) -> None:
        """Start the command node; `safety` must ask for a heartbeat of `HEARTBEAT_S`."""
        self.robot, self._safety, self._log = robot, safety, log
        rclpy.init()
        self.client = GraphClient("fake_arms")
        self.ear = Ear(self.client, robot)
        self.silent: set[str] = set()
        """Arms that report nothing."""
        self.quiet: set[str] = set()
        """Of "teleop", "policy" and "heartbeat": those that say nothing."""
        self.ahead_ns = 0
        """Added to the stamps of the teleoperation."""
        self.offset = np.zeros(robot.dof)
        """Added to what the arms measure."""
        home = np.array(robot.joint_array("home"))
        self._home, self._swings = home, np.array([joint.endswith("waist") for joint in robot.joint_names])
        self._measured, self._born_s, self._beat = home, time.monotonic(), 0
        self._states = {a.name: self.client.create_publisher(JointState, a.state_topic, qos.DRIVER) for a in robot.arms}
        self.teleop = self.client.create_publisher(JointState, "/teleop/command", qos.LATEST)
        self.chunks = self.client.create_publisher(JointTrajectory, "/policy/chunk", qos.LATEST)
        self.button = self.client.create_publisher(Bool, "/estop", qos.OBSERVATION)
        self.client.create_timer(robot.control_period_s, self._play)
        self.graph = self.start()

    def __enter__(self) -> "ChaosRig":
        return self

    def __exit__(self, *_: object) -> None:
        self.graph.stop()
        self.client.destroy_node()
        rclpy.try_shutdown()

    @property
    def mode(self) -> str:
        """Mode that the command node published last."""
        return self.client.command_state.get("mode", "")

    @property
    def pid(self) -> int:
        """Of the command node."""
        return self.graph.processes["command"].pid

    def start(self) -> Graph:
        """Start a command node and wait until it is disarmed and hears the arms."""
        self.client.command_state = {}
        self.ear.restart()
        for ear in self.ear.arms.values():
            ear.sequence = None
        graph = Graph([NodeSpec("command", {"robot": "aloha", "safety": str(self._safety)})], self._log)
        self.client.wait(lambda: self.mode == "disarmed", 60.0, "the command node", graph.check)
        return graph

    def until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> float:
        """Spin until a condition holds; return how long it took [ms]."""
        begun = time.monotonic()
        self.client.wait(condition, timeout_s, what)
        return (time.monotonic() - begun) * 1e3

    def spin(self, duration_s: float) -> None:
        """Let time pass."""
        end = time.monotonic() + duration_s
        while (left := end - time.monotonic()) > 0:
            self.client.spin(min(left, 0.01))

    def asks(self, request: str) -> bool:
        """Ask the command node for something; return whether it did it."""
        try:
            self.client.trigger(f"/command/{request}")
        except GraphError as error:
            self.client.refusal = str(error)
            return False
        return True

    def follow(self, source: str = "teleop") -> None:
        """Bring the command node, whatever its state, to follow a source at speed."""
        self.silent, self.quiet, self.ahead_ns, self.offset = set(), set(), 0, np.zeros(self.robot.dof)
        self.spin(0.05)
        self.until(lambda: self._follows(source), 60.0, f"following {source} at speed")

    def arm(self) -> bool:
        """Arm, which starts the setpoint anew."""
        self.ear.restart()
        return self.asks("arm")

    def is_not_armed(self, why: str) -> bool:
        """Ask for arming; return whether it is refused for a reason, and take it back where it is not."""
        if self.arm():
            self.asks("disarm")
            return False
        return why in self.client.refusal

    def _follows(self, source: str) -> bool:
        """Ask for whatever comes next on the way to following a source; return whether it is followed at speed."""
        if self.mode in ("fault", "estop"):
            self.asks("reset")
        elif self.mode == "disarmed":
            self.arm()
        elif self.mode != source:
            self.ear.thaw()
            self.asks(f"use_{source}")
        else:
            self.ear.thaw()
            return self.ear.speed > 0.2
        self.spin(0.03)
        return False

    def fault(self, check: str) -> Callable[[], bool]:
        """Return whether the command node is in a fault of a check."""
        return lambda: self.mode == "fault" and self.client.command_state["check"] == check

    def held(self, check: str) -> Callable[[], bool]:
        """Return whether the command node holds, or has faulted, by a check."""
        return lambda: self.client.command_state["check"] == check

    def stop(self, number: signal.Signals) -> None:
        """Send the command node a signal."""
        self.graph.processes["command"].send_signal(number)

    def rest(self) -> None:
        """Wait until the arms are told to stand still; from then on they must not be told otherwise."""
        self.until(lambda: self.ear.still, 5.0, "rest")
        self.ear.freeze()

    def target(self, ahead_s: float = 0.0) -> tuple[FloatArray, FloatArray]:
        """Return where both sources want the arms (J,), and how fast (J,)."""
        phase = _RATE * (time.monotonic() - self._born_s + ahead_s)
        where = self._home + self._swings * _AMPLITUDE * np.sin(phase)
        return where, self._swings * _AMPLITUDE * _RATE * np.cos(phase)

    def chunk(self) -> ActionChunk:
        """Return a chunk of what the sources want."""
        rows = np.array([self.target(k * self.robot.action_period_s)[0] for k in range(16)])
        return ActionChunk(now_ns(self.client), self.robot.action_period_s, rows)

    def _play(self) -> None:
        """Play one control period of everything around the command node."""
        self._beat += 1
        now, names = now_ns(self.client), self.robot.joint_names
        if self.ear.heard:
            self._measured = self.ear.newest()
        for arm in self.robot.arms:
            if arm.name not in self.silent:
                part = self.robot.arm_slices[arm.name]
                self.report(arm.name, (self._measured + self.offset)[part])
        if "teleop" not in self.quiet:
            position, velocity = self.target()
            self.teleop.publish(joint_state_msg(now + self.ahead_ns, names, position, velocity))
        if self._beat % 10 == 0 and "policy" not in self.quiet:
            self.chunks.publish(chunk_msg(self.chunk(), names))
        if self._beat % 2 == 0 and "heartbeat" not in self.quiet:
            self.button.publish(Bool(data=False))

    def report(self, arm: str, position: FloatArray) -> None:
        """Publish a measured state of one arm."""
        names = tuple(joint.name for joint in self.robot.arm(arm).joints)
        stamp = now_ns(self.client)
        self._states[arm].publish(joint_state_msg(stamp, names, position, np.zeros(len(names))))


class Stranger:
    """A process beside the graph that publishes what it should not; leaving the `with` block ends it."""

    def __init__(self, rig: ChaosRig, name: str) -> None:
        """Start it and wait until it is there."""
        self._rig = rig
        self._process = subprocess.Popen(
            [sys.executable, "-m", "smp_bringup.chaos.stranger", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer("a stranger's start")

    def __enter__(self) -> "Stranger":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def publishes(self, topic: str, kind: str = "joint_state") -> float:
        """Let it have a publisher, which says nothing; return the steady time of its creation [s]."""
        return self._order(topic, kind, [], 0)

    def says(self, topic: str, position: FloatArray, count: int) -> float:
        """Let it publish a pose (J,) so many times; return the steady time of its publisher's creation [s]."""
        return self._order(topic, "joint_state", position.tolist(), count)

    def _order(self, topic: str, kind: str, position: list[float], count: int) -> float:
        names = list(self._rig.robot.joint_names)
        order = {"topic": topic, "kind": kind, "names": names, "position": position, "count": count}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return float(self._answer(f"a publisher of {topic}"))

    def _answer(self, what: str) -> str:
        """Return the line that it writes next; everything around the command node goes on meanwhile."""
        stdout = self._process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            self._rig.until(lambda: bool(selector.select(0)), _STRANGER_S, what)
        line = stdout.readline()
        if not line:
            raise GraphError(f"waited for {what}: it ended with {self._process.wait()}")
        return line.strip()
