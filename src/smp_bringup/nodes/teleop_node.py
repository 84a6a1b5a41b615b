"""Leader arms in, one setpoint for both followers out."""

from functools import partial

from sensor_msgs.msg import JointState

from smp_bringup import wire
from smp_bringup.action.teleop import Leaders, Tremor
from smp_bringup.errors import one_line
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Diagnostics, LeanNode, run_node
from smp_bringup.nodes.messages import joint_state_msg
from smp_bringup.nodes.params import TeleopParams, declare
from smp_bringup.robot import Arm, JointTopic, load_robot
from smp_bringup.sync.checks import Refusal


class TeleopNode(LeanNode):
    """Wires the leaders to teleop/command."""

    def __init__(self) -> None:
        super().__init__("teleop")
        params = declare(self, TeleopParams)
        self._robot = load_robot(params.robot, self.get_namespace())
        self._leaders = Leaders(self._robot)
        self._tremor = Tremor(self._robot, params.noise, params.seed)
        self._sent, self._refused = 0, 0
        self._publisher = self.create_publisher(JointState, "teleop/command", qos.LATEST)
        for joints in self._robot.leader_topics:
            self.create_subscription(JointState, joints.topic, partial(self._on_leaders, joints), qos.SENSOR)
        self._diagnostics = Diagnostics(self, self._values)

    def _values(self) -> dict[str, object]:
        return {"sent": self._sent, "refused": self._refused, "late": self._leaders.late}

    def _on_leaders(self, joints: JointTopic, message: JointState) -> None:
        for arm in joints.arms:
            self._on_leader(arm, message)

    def _on_leader(self, arm: Arm, message: JointState) -> None:
        try:
            stamp = wire.stamp_ns(message.header.stamp)
            merged = self._leaders.push(arm.name, stamp, message.name, message.position)
        except Refusal as refusal:
            self._refused += 1
            self.get_logger().error(f"{arm.leader_topic}: refused: {one_line(refusal)}", throttle_duration_sec=1.0)
            return
        if merged is not None:
            wanted = self._tremor.step(merged)
            self._publisher.publish(joint_state_msg(wanted.stamp_ns, *wire.teleop_fields(wanted, self._robot)))
            self._sent += 1


def main() -> None:
    """Run the node."""
    run_node(TeleopNode)


if __name__ == "__main__":
    main()
