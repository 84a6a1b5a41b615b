"""An independent recorder of the command topics, which judges all that the arms were told."""

from functools import partial

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState

from smp_bringup import wire
from smp_bringup.chaos.output_law import Violation, violations
from smp_bringup.errors import ConfigError
from smp_bringup.nodes.messages import first_status, status_values
from smp_bringup.robot import Arm, Robot
from smp_bringup.types import FloatArray

_ALL = QoSProfile(reliability=ReliabilityPolicy.RELIABLE, history=HistoryPolicy.KEEP_LAST, depth=2000)
_RESEED = 0.02
"""A new start may differ from the last setpoint by what the arm was off it [rad]."""


class ArmEar:
    """What one arm was told, in segments; a segment ends where the command node starts anew."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.rows: list[tuple[FloatArray, FloatArray]] = []
        self.stamps: list[int] = []
        self.segments = [0]
        self.fresh = {0}
        """Segments before which there was another robot."""
        self.lost = 0
        self.sequence: int | None = None

    def judge(self, period_s: float) -> list[Violation]:
        """Return every violation of the output law, and steps at a new start."""
        found = []
        for start, end in zip(self.segments, [*self.segments[1:], len(self.rows)], strict=True):
            if end > start:
                position, velocity = (np.array(part) for part in zip(*self.rows[start:end], strict=True))
                found += violations(self.arm, period_s, position, velocity)
            if start not in self.fresh and start < len(self.rows):
                step = np.abs(self.rows[start][0] - self.rows[start - 1][0]).max()
                if not step <= _RESEED:
                    found.append(Violation("reseed", start, float(step)))
        return found


class Ear:
    """Hears every command of every arm."""

    def __init__(self, node: Node, robot: Robot) -> None:
        """Subscribe; raises ConfigError where commands come in a form that lacks what is judged."""
        for arm in robot.arms:
            if arm.command_interface != "joint_state":
                raise ConfigError(
                    f"smp chaos judges position, velocity and stamp of every command: arm '{arm.name}' of robot "
                    f"'{robot.name}' has command_interface {arm.command_interface}; set joint_state in a copy of it"
                )
        self._period_s = robot.control_period_s
        self.arms = {arm.name: ArmEar(arm) for arm in robot.arms}
        self.at_rest = self.moved = 0
        """Commands heard while the arms should have been still, and those of them that differed."""
        self.skew_ms: list[float] = []
        """Longest time between sending the messages of all arms, of each second, as the command node says."""
        self._reported = 0
        """Commands heard before the last report."""
        self._frozen: dict[str, FloatArray] | None = None
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        for arm in robot.arms:
            node.create_subscription(JointState, arm.command_topic, partial(self._hear, self.arms[arm.name]), _ALL)

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

    def restart(self, another_robot: bool = False) -> None:
        """The command node is about to start from the measured pose, of another robot or of the same."""
        self._frozen = None
        for ear in self.arms.values():
            if ear.segments[-1] != len(ear.rows):
                ear.segments.append(len(ear.rows))
            if another_robot:
                ear.fresh.add(len(ear.rows))
                ear.sequence = None

    def judge(self) -> list[Violation]:
        """Return every violation of the output law."""
        return [violation for ear in self.arms.values() for violation in ear.judge(self._period_s)]

    def unpaired(self) -> int:
        """Return how many cycles did not tell every arm something with one stamp; lost and last ones aside."""
        stamps = [set(ear.stamps) for ear in self.arms.values()]
        odd = len(set.union(*stamps)) - len(set.intersection(*stamps))
        return max(0, odd - sum(ear.lost for ear in self.arms.values()) - 1)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        if first_status(message).name.endswith(": command"):
            if self.heard > self._reported:  # a second without commands has no skew
                self.skew_ms.append(float(status_values(message)["skew_us"]) / 1e3)
            self._reported = self.heard

    def _hear(self, ear: ArmEar, message: JointState, info: dict) -> None:
        position, velocity = np.array(message.position), np.array(message.velocity)
        sequence = info.get("publication_sequence_number")
        if ear.sequence is not None and sequence is not None and sequence > ear.sequence + 1:
            ear.lost += sequence - ear.sequence - 1
            ear.segments.append(len(ear.rows))
        ear.sequence = sequence
        if self._frozen is not None:
            self.at_rest += 1
            self.moved += not np.array_equal(position, self._frozen[ear.arm.name])
        ear.rows.append((position, velocity))
        ear.stamps.append(wire.stamp_ns(message.header.stamp))
