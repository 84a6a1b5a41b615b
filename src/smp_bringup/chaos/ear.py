"""An independent recorder of the command topics, which judges all that the arms were told."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState

from smp_bringup import wire
from smp_bringup.arm import Arm
from smp_bringup.chaos.output_law import Violation, violations
from smp_bringup.joints import DriverJoint
from smp_bringup.nodes.messages import first_status, status_values
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray, nanoseconds

_ALL = QoSProfile(reliability=ReliabilityPolicy.RELIABLE, history=HistoryPolicy.KEEP_LAST, depth=2000)
_RESEED = 0.02
"""A new start may differ from the last setpoint by what the arm was off it [rad]."""
_GAP = 1.5
"""Periods between two stamps from which on the command node has said nothing for a cycle."""


class ArmEar:
    """What one arm was told, in segments that keep the output law.

    A segment ends where it shows that the command node began anew: it had come to rest, was silent, and began at rest.
    Nobody's word is taken for that, but for one: after `killed`, it need not have come to rest.
    """

    def __init__(self, arm: Arm, period_s: float) -> None:
        self._arm, self._period_s = arm, period_s
        self._fastest = np.array([joint.slopes[0] for joint in arm.joints])
        self.rows: list[tuple[FloatArray, FloatArray]] = []
        self.stamps: list[int] = []
        self.lost = 0
        self._seams: dict[int, FloatArray] = {}
        """First rows of segments, and by how much each joint (n,) may differ from the row before."""
        self._killed = self._other = False
        self._sequence: int | None = None

    def killed(self, another_robot: bool) -> None:
        """The command node was killed: the next new start may follow whatever was said, or be of another robot."""
        self._killed, self._other = True, another_robot

    def hear(self, position: FloatArray, velocity: FloatArray, stamp_ns: int, sequence: int | None = None) -> None:
        """Take a command: positions and velocities (n,), and its number where the middleware counts."""
        missed = sequence - self._sequence - 1 if sequence is not None and self._sequence is not None else 0
        if not self.rows:
            self._killed = self._other = False
        elif missed > 0:  # a new publisher counts from 1 again
            self.lost += missed
            self._seams[len(self.rows)] = self._fastest * self._period_s * (missed + 1)
        elif self._begins(velocity, stamp_ns):
            self._seams[len(self.rows)] = np.full(len(position), np.inf if self._other else _RESEED)
            self._killed = self._other = False
        self._sequence = sequence
        self.rows.append((position, velocity))
        self.stamps.append(stamp_ns)

    def judge(self) -> list[Violation]:
        """Return every violation of the output law, and steps at a new start."""
        found, bounds = [], [0, *self._seams, len(self.rows)]
        for start, end in pairwise(bounds):
            if end > start:
                position, velocity = (np.array(part) for part in zip(*self.rows[start:end], strict=True))
                broken = violations(self._arm, self._period_s, position, velocity)
                found += [replace(violation, cycle=start + violation.cycle) for violation in broken]
        for start, most in self._seams.items():
            step = np.abs(self.rows[start][0] - self.rows[start - 1][0])
            if not (step <= most).all():
                found.append(Violation("reseed", start, float((step - most).max())))
        return found

    def _begins(self, velocity: FloatArray, stamp_ns: int) -> bool:
        """Return whether the command node begins anew with a command."""
        silent = stamp_ns - self.stamps[-1] > _GAP * nanoseconds(self._period_s)
        rested = self._killed or not self.rows[-1][1].any()
        return silent and rested and not velocity.any()


def judged(robot: Robot) -> Robot:
    """Return a robot as its commands can be judged: position, velocity and stamp of each arm, as we say them."""
    alone = len(robot.command_topics) == len(robot.arms)
    return robot if alone and all(map(_plain, robot.arms)) else replace(robot, arms=tuple(map(_as_judged, robot.arms)))


def _plain(arm: Arm) -> bool:
    ours = all(joint.driver == DriverJoint() for joint in arm.joints) and not arm.prefix
    return ours and arm.command_interface == "joint_state"


def _as_judged(arm: Arm) -> Arm:
    joints = tuple(replace(joint, driver=DriverJoint()) for joint in arm.joints)
    topic = f"/chaos/{arm.name}/joint_commands"
    return replace(arm, joints=joints, prefix="", command_interface="joint_state", command_topic=topic)


class Ear:
    """Hears every command of every arm."""

    def __init__(self, node: Node, robot: Robot) -> None:
        """Subscribe to the commands of a robot that can be `judged`."""
        self.arms = {arm.name: ArmEar(arm, robot.control_period_s) for arm in robot.arms}
        self.at_rest = self.moved = 0
        """Commands heard while the arms should have been still, and those of them that differed."""
        self.skew_ms: list[float] = []
        """Longest time between sending the messages of all arms, of each second, as the command node says."""
        self._reports: list[tuple[int, str, bytes]] = []
        """Stamp [ns], mode and level of each report of the command node on /diagnostics."""
        self._reported = 0
        """Commands heard before the last report."""
        self._frozen: dict[str, FloatArray] | None = None
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        for arm in robot.arms:
            node.create_subscription(JointState, arm.command_topic, partial(self._hear, arm.name), _ALL)

    @property
    def heard(self) -> int:
        """Commands heard of one arm."""
        return min(len(ear.rows) for ear in self.arms.values())

    @property
    def still(self) -> bool:
        """Whether the newest commands do not move."""
        return all(ear.rows and not ear.rows[-1][1].any() for ear in self.arms.values())

    @property
    def speed(self) -> float:
        """Largest joint velocity of the newest commands [rad/s]."""
        return max((float(np.abs(ear.rows[-1][1]).max()) for ear in self.arms.values() if ear.rows), default=0.0)

    def newest(self) -> FloatArray:
        """Return the newest setpoint (J,) of all arms."""
        return np.concatenate([ear.rows[-1][0] for ear in self.arms.values()])

    def freeze(self) -> None:
        """From now on no command may differ, to the bit, until `thaw`."""
        self._frozen = {name: ear.rows[-1][0] for name, ear in self.arms.items()}

    def thaw(self) -> None:
        """Commands may move again."""
        self._frozen = None

    def killed(self, another_robot: bool = False) -> None:
        """The command node was killed; who comes next may begin anywhere, and command another robot."""
        self.thaw()
        for ear in self.arms.values():
            ear.killed(another_robot)

    def reports_since(self, since_ns: int) -> list[tuple[str, bytes]]:
        """Return mode and level of each report of the command node on /diagnostics that was stamped later."""
        return [(mode, level) for stamp, mode, level in self._reports if stamp > since_ns]

    def judge(self) -> list[Violation]:
        """Return every violation of the output law."""
        return [violation for ear in self.arms.values() for violation in ear.judge()]

    def unpaired(self) -> int:
        """Return how many cycles did not tell every arm something with one stamp; lost and last ones aside."""
        stamps = [set(ear.stamps) for ear in self.arms.values()]
        odd = len(set.union(*stamps)) - len(set.intersection(*stamps))
        return max(0, odd - sum(ear.lost for ear in self.arms.values()) - 1)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        status = first_status(message)
        if status.name.endswith(": command"):
            stamp = wire.stamp_ns(message.header.stamp)
            self._reports.append((stamp, status_values(message)["mode"], status.level))
            if self.heard > self._reported:  # a second without commands has no skew
                self.skew_ms.append(float(status_values(message)["skew_us"]) / 1e3)
            self._reported = self.heard

    def _hear(self, arm: str, message: JointState, info: dict) -> None:
        position, velocity = np.array(message.position), np.array(message.velocity)
        if self._frozen is not None:
            self.at_rest += 1
            self.moved += not np.array_equal(position, self._frozen[arm])
        sequence = info.get("publication_sequence_number")
        self.arms[arm].hear(position, velocity, wire.stamp_ns(message.header.stamp), sequence)
