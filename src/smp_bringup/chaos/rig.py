"""The command node as a process, between arms and sources that this process plays and can break."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from smp_bringup import config
from smp_bringup.arm import Arm
from smp_bringup.chaos.ear import judged
from smp_bringup.chaos.judged import Judged
from smp_bringup.chaos.stranger import Stranger
from smp_bringup.client.graph_client import START_S, GraphClient, graph_client
from smp_bringup.errors import ConfigError
from smp_bringup.graph import NODES, NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import chunk_msg, joint_state_msg
from smp_bringup.robot import Robot, load_robot
from smp_bringup.types import ActionChunk, FloatArray

HEARTBEAT_S = 0.05
"""What the command node is told to expect; here it comes more often."""
_AMPLITUDE, _RATE = 0.25, 5.0
"""A joint of each arm swings by up to so much [rad] at so many radians of phase a second."""
_AT_SPEED = 0.16
"""Share of the fastest joint's greatest velocity from which the arms count as moving."""
_FOLLOW_S = 20.0
"""A command node that runs is brought to follow a source within this."""
_KNOWN_S = 20.0
_ANNOUNCED_S = 0.6
"""A new process announces itself six times in half a second (Fast DDS's defaults): by then all know of it."""
_HORIZON, _PERIOD_S = 16, 0.01
"""Rows of a chunk, and how often arms and sources speak, whatever the robot's own rates."""


def swings(robot: Robot) -> FloatArray:
    """Return by how much each joint swings around home (J,) [rad]: one of each arm, well inside its limits.

    Raises:
        ConfigError: no joint can.
    """
    home = robot.joint_array("home")
    room = np.minimum(robot.joint_array("max") - home, home - robot.joint_array("min"))
    limits = [limit / _RATE**k for k, limit in enumerate(robot.slopes, 1)]
    free = np.minimum.reduce([np.full(robot.dof, _AMPLITUDE), 0.9 * room, *(0.5 * limit for limit in limits)])
    free *= robot.turning
    swing = np.zeros(robot.dof)
    for part in robot.arm_slices.values():
        joint = part.start + int(np.argmax(free[part]))
        swing[joint] = free[joint]
    if not swing.any():
        raise ConfigError(f"smp chaos must move robot '{robot.name}': no joint of it turns and has room around home")
    return swing


class ChaosRig(Judged):
    """Plays arms, sources and the emergency stop's heartbeat for a command node, and listens to it."""

    def __init__(self, client: GraphClient, robot: str, safety: Path, log: Path, package: str) -> None:
        """Play everything around a command node, which is not there before `start`.

        Args:
            client: whose node plays, the drivers among others.
            robot: name or YAML path; what its drivers call joints, and how they are commanded, is left aside.
            safety: settings that ask for a heartbeat of `HEARTBEAT_S`.
            log: of the command node; the n-th that is started has its own, with _n in its name.
            package: that holds the command node.
        """
        given = load_robot(robot)
        body = judged(given)
        if body != given:
            robot = str(log.with_name("robot.yaml"))
            Path(robot).write_text(config.dump(body), encoding="utf-8")
        self.swing = swings(body)
        super().__init__(client, body, _AT_SPEED * _RATE * self.swing.max())
        self.command = NodeSpec("command", {"robot": robot, "safety": str(safety)}, package=package)
        self.log = log
        self.graph: Graph | None = None
        self._starts = 0
        self.silent: set[str] = set()
        """Arms that report nothing."""
        self.quiet: set[str] = set()
        """Of "teleop", "policy" and "heartbeat": those that say nothing."""
        self.ahead_ns = 0
        """Added to the stamps of the teleoperation."""
        self.offset = np.zeros(self.robot.dof)
        """Added to what the arms measure."""
        self._home = self._measured = np.array(self.robot.joint_array("home"))
        self._born_s, self._beat = time.monotonic(), 0
        arms = self.robot.arms
        topics = dict.fromkeys(arm.state_topic for arm in arms)
        self._states = {topic: client.create_publisher(JointState, topic, qos.DRIVER) for topic in topics}
        self.teleop = client.create_publisher(JointState, "/teleop/command", qos.LATEST)
        self.chunks = client.create_publisher(JointTrajectory, "/policy/chunk", qos.LATEST)
        self.button = client.create_publisher(Bool, "/estop", qos.OBSERVATION)
        client.create_timer(_PERIOD_S, self._play)

    def start(self) -> None:
        """Start a command node, again if there was one, and wait until it is disarmed and answers."""
        self.stop()
        self.client.command_state = {}
        self.ear.killed()
        self._starts += 1
        again = self.log.with_name(f"{self.log.stem}_{self._starts}{self.log.suffix}")
        self.graph = Graph([self.command], self.log if self._starts == 1 else again)
        self.alive = self.graph.check
        self.until(lambda: self.mode == "disarmed", START_S, "the command node")
        self.until(lambda: self.client.accepts("disarm"), START_S, "its answer")

    def stop(self) -> None:
        """End the command node, where there is one."""
        if self.graph is not None:
            self.graph.stop()

    def send(self, number: signal.Signals) -> None:
        """Send the command node a signal; one that is killed has ended when this returns."""
        assert self.graph is not None
        process = self.graph.processes["command"]
        process.send_signal(number)
        if number is signal.SIGKILL:
            process.wait()

    def follow(self, source: str = "teleop") -> None:
        """Bring the command node, whatever its state, to follow a source at speed."""
        self.mend()
        self.client.spin_for(0.05)
        self.source = source
        self.client.follow(source, self.check, before=self._expect, once=lambda: self.at_speed, timeout_s=_FOLLOW_S)

    def mend(self) -> None:
        """Let arms and sources speak again, and as they should."""
        self.silent, self.quiet, self.ahead_ns, self.offset = set(), set(), 0, np.zeros(self.robot.dof)

    def arm(self) -> bool:
        """Ask for arming; return whether it is granted."""
        self._expect("arm")
        return self.client.accepts("arm")

    def _expect(self, request: str) -> None:
        """Tell the recorder what a request will lead to: but for a reset the arms may move again."""
        if request != "reset":
            self.ear.thaw()

    def is_not_armed(self, why: str) -> bool:
        """Ask for arming; return whether it is refused for a reason, and take it back where it is not."""
        if self.arm():
            self.client.accepts("disarm")
            return False
        return why in self.client.refusal

    def held(self, check: str) -> Callable[[], bool]:
        """Return whether the command node holds, or has faulted, by a check."""
        return lambda: self.client.command_state.get("check") == check

    def conclude(self) -> None:
        """Stop moving arms for good, and listen until there is something to judge by every law."""
        self.follow()
        self.client.set_bool("/command/estop", True)
        self.rest()
        self.until(lambda: self.ear.at_rest > 0 and bool(self.ear.skew_ms), 5.0, "commands at rest and a report")

    @contextmanager
    def stranger(self, name: str) -> Iterator[Stranger]:
        """Give a process beside the graph that publishes what it should not, once the graph can know it."""
        with Stranger(name, self.robot.joint_names, self.until) as stranger:
            self.until(lambda: name in self.client.get_node_names(), _KNOWN_S, f"{name} in the graph")
            self.client.spin_for(_ANNOUNCED_S, self.check)
            yield stranger

    def target(self, ahead_s: float = 0.0) -> tuple[FloatArray, FloatArray]:
        """Return where both sources want the arms (J,), and how fast (J,)."""
        phase = _RATE * (time.monotonic() - self._born_s + ahead_s)
        return self._home + self.swing * np.sin(phase), self.swing * _RATE * np.cos(phase)

    def chunk(self) -> ActionChunk:
        """Return a chunk of what the sources want."""
        period_s = self.robot.action_period_s
        rows = np.array([self.target(k * period_s)[0] for k in range(_HORIZON)])
        return ActionChunk(now_ns(self.client), period_s, rows)

    def _play(self) -> None:
        """Play one period of everything around the command node."""
        self._beat += 1
        now, names = now_ns(self.client), self.robot.joint_names
        if self.ear.heard:
            self._measured = self.ear.newest()
        measured = self._measured + self.offset
        for joints in self.robot.state_topics:
            self.report([arm for arm in joints.arms if arm.name not in self.silent], measured)
        if "teleop" not in self.quiet:
            position, velocity = self.target()
            self.teleop.publish(joint_state_msg(now + self.ahead_ns, names, position, velocity))
        if self._beat % 10 == 0 and "policy" not in self.quiet:
            self.chunks.publish(chunk_msg(self.chunk(), names))
        if self._beat % 2 == 0 and "heartbeat" not in self.quiet:
            self.button.publish(Bool(data=False))

    def report(self, arms: Sequence[Arm], position: FloatArray) -> None:
        """Publish a measured state of some of the arms of one topic, out of that of all joints (J,)."""
        if not arms:
            return
        names = tuple(name for arm in arms for name in arm.driver.names)
        measured = np.concatenate([arm.driver.positions(position[self.robot.arm_slices[arm.name]]) for arm in arms])
        message = joint_state_msg(now_ns(self.client), names, measured, np.zeros(len(names)))
        self._states[arms[0].state_topic].publish(message)


@contextmanager
def chaos_rig(robot: str, safety: Path, log: Path, package: str = NODES) -> Iterator[ChaosRig]:
    """Give a rig whose command node runs; see `ChaosRig` for the arguments."""
    with graph_client("fake_arms", leads=True) as client:
        rig = ChaosRig(client, robot, safety, log, package)
        try:
            rig.start()
            yield rig
        finally:
            rig.stop()
