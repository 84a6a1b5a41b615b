"""What leads the arms in, one setpoint for all of them out."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState, Joy

from smp_bringup import wire
from smp_bringup.action.teleop import Leaders, Tremor, Whereabouts
from smp_bringup.arm import Arm
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Diagnostics, LeanNode, now_ns, run_node, steady_ns
from smp_bringup.nodes.messages import (
    COMMAND_TYPES,
    ArmCommand,
    command_position,
    joint_state_msg,
    state_type,
    status_values,
)
from smp_bringup.nodes.one_speaker import SILENT_S
from smp_bringup.nodes.params import TeleopParams, declare
from smp_bringup.robot import JointTopic, load_robot
from smp_bringup.safety.modes import Mode
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import JointSample, Severity

if TYPE_CHECKING:
    from smp_bringup.action.leader_hand import LeaderHand


class TeleopNode(LeanNode):
    """Wires the leaders to teleop/command."""

    def __init__(self) -> None:
        super().__init__("teleop")
        params = declare(self, TeleopParams)
        self._robot = load_robot(params.robot, self.get_namespace())
        if params.noise > 0 and not self._robot.has_leader_arms:
            raise ConfigError("teleop: noise needs a leader arm for every arm: what they told is what a policy learns")
        self._hands = self._led_by_hands()
        self._leaders = Leaders(self._robot, self._hands)
        self._where = Whereabouts(self._robot)
        self._tremor = Tremor(self._robot, params.noise, params.seed)
        self._sent, self._refused = 0, 0
        self._publisher = self.create_publisher(JointState, "teleop/command", qos.LATEST)
        for joints in self._robot.leader_topics:
            self._hear(JointState, joints.topic, partial(self._on_leaders, joints))
        if not self._robot.has_leader_arms:
            self._hear_arms()
        for arm in self._robot.arms:
            if arm.is_base and (leader := arm.led_by):
                kind = TwistStamped if leader.kind == "twist" else Twist
                self._hear(kind, leader.topic, partial(self._on_drive, arm.name, leader.topic))
        self._diagnostics = Diagnostics(self, self._values)

    def _led_by_hands(self) -> "dict[str, LeaderHand]":
        """Return what leads the arms that an operator's hand leads, and hear it."""
        led = [(arm, leader) for arm in self._robot.arms if (leader := arm.led_by) and leader.moves_hand]
        if not led:
            return {}
        from smp_bringup.action.leader_hand import LeaderHand  # needs mink, which leader arms do without
        from smp_bringup.description.hand import Hand
        from smp_bringup.description.model import Description

        hands = {}
        for arm, leader in led:
            hands[arm.name] = LeaderHand(arm, leader, Hand(Description(self._robot.description), arm, leader.tip))
            if leader.kind == "twist":
                self._hear(TwistStamped, leader.topic, partial(self._on_twist, arm.name))
            else:
                self._hear(PoseStamped, leader.topic, partial(self._on_pose, arm.name))
            if leader.buttons:  # may speak only when one is pressed
                self._hear(Joy, leader.buttons.topic, partial(self._on_buttons, arm.name), silent_s=None)
        return hands

    def _hear(
        self,
        kind: type,
        topic: str,
        callback: Callable[[Any], None],
        profile: QoSProfile = qos.SENSOR,
        silent_s: float | None = SILENT_S,
    ) -> None:
        """Hear one publisher of a topic; an operator's hands are not moved by another's words."""
        self.create_subscription(kind, topic, self.speakers.only(topic, callback, silent_s), profile)

    def _hear_arms(self) -> None:
        """Hear where the arms are, and whether they follow us: hands move from there, arms without a leader stay."""
        self._orders = {arm.name: JointOrder(*arm.driver) for arm in self._robot.arms}
        for joints in self._robot.state_topics:
            self._hear(state_type(joints.arms[0]), joints.topic, partial(self._on_state, joints))
        for joints in self._robot.command_topics:
            kind = COMMAND_TYPES[joints.arms[0].command_interface]
            self._hear(kind, joints.topic, partial(self._on_command, joints))
        self._hear(DiagnosticArray, "command/state", self._on_command_state, qos.STATE)

    def _values(self) -> dict[str, object]:
        jumps = {f"jumps/{name}": hand.jumps for name, hand in self._hands.items()}
        standing = "; ".join(self._leaders.standing())
        if standing:
            self.get_logger().warning(standing)
        return {"sent": self._sent, "refused": self._refused, "late": self._leaders.late, **jumps, "warning": standing}

    def _on_leaders(self, joints: JointTopic, message: JointState) -> None:
        for arm in joints.arms:
            self._on_leader(arm, message)

    def _on_leader(self, arm: Arm, message: JointState) -> None:
        try:
            stamp = wire.stamp_ns(message.header.stamp)
            merged = self._leaders.push(arm.name, stamp, message.name, message.position)
        except Refusal as refusal:
            self._refuse(arm.led_by.topic if arm.led_by else "", refusal)
            return
        self._send(merged)

    def _on_drive(self, name: str, topic: str, message: TwistStamped | Twist) -> None:
        names, rates, _ = wire.told(message)
        try:
            stamp = wire.stamp_ns(message.header.stamp) if isinstance(message, TwistStamped) else 0
            merged = self._leaders.twist(name, stamp, names, rates, now_ns(self))
        except Refusal as refusal:
            self._refuse(topic, refusal)
            return
        self._send(merged)

    def _refuse(self, topic: str, refusal: Refusal) -> None:
        self._refused += 1
        self.get_logger().error(f"{topic}: refused: {one_line(refusal)}", throttle_duration_sec=1.0)

    def _on_twist(self, name: str, message: TwistStamped) -> None:
        linear, angular = message.twist.linear, message.twist.angular
        twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        stamp, frame = wire.stamp_ns(message.header.stamp), message.header.frame_id
        news = self._hands[name].twist(stamp, twist, frame, now_ns(self), steady_ns())
        self._send(self._leaders.merged(name, news))

    def _on_pose(self, name: str, message: PoseStamped) -> None:
        at, turn = message.pose.position, message.pose.orientation
        pose = [at.x, at.y, at.z], [turn.w, turn.x, turn.y, turn.z]
        stamp, frame = wire.stamp_ns(message.header.stamp), message.header.frame_id
        news = self._hands[name].pose(stamp, pose, frame, now_ns(self), steady_ns())
        self._send(self._leaders.merged(name, news))

    def _on_buttons(self, name: str, message: Joy) -> None:
        self._hands[name].buttons(message.buttons)

    def _on_state(self, joints: JointTopic, message: Any) -> None:
        names, values, slopes = wire.told(message)
        told = dict(zip(names, values, strict=False))
        for hand in self._hands.values():
            hand.carried(told)
        for arm in joints.arms:
            stamp = wire.stamp_ns(message.header.stamp)
            measured, _ = self._orders[arm.name].map(names, values, slopes)
            position = self._where.measured(arm.name, measured, steady_ns())
            self._leaders.measured(arm.name, stamp, position)
            if arm.is_base:
                self._send(self._leaders.base_heard(arm.name, now_ns(self)))
            if arm.name in self._hands:
                self._hands[arm.name].measured(position)

    def _on_command(self, joints: JointTopic, message: ArmCommand) -> None:
        position = command_position(message, joints)
        for arm, _, part in joints.parts():
            self._where.commanded(arm.name, position[part], steady_ns())

    def _on_command_state(self, message: DiagnosticArray) -> None:
        state = status_values(message)
        followed = state["mode"] == Mode.TELEOP.value and Severity[state["severity"]] < Severity.HOLD
        self._leaders.followed(followed)
        for hand in self._hands.values():
            hand.followed(followed)

    def _send(self, merged: JointSample | None) -> None:
        if merged is not None:
            wanted = self._tremor.step(merged)
            self._publisher.publish(joint_state_msg(wanted.stamp_ns, *wire.teleop_fields(wanted, self._robot)))
            self._sent += 1


def main() -> None:
    """Run the node."""
    run_node(TeleopNode)


if __name__ == "__main__":
    main()
