"""The robot's description, and the transforms of its measured and commanded links, where nobody else publishes them."""

from collections import deque
from functools import partial

from geometry_msgs.msg import TransformStamped
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Header, String

from smp_bringup import wire
from smp_bringup.description.frames import Frames, Transform
from smp_bringup.description.model import Description
from smp_bringup.errors import ConfigError
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Diagnostics, LeanNode, now_ns, run_node, steady_ns
from smp_bringup.nodes.messages import COMMAND_TYPES, ArmCommand, time_msg
from smp_bringup.nodes.params import DescriptionParams, declare
from smp_bringup.robot import JointTopic, Robot, load_robot
from smp_bringup.types import NS_PER_S

try:
    from tf2_msgs.msg import TFMessage
except ModuleNotFoundError:  # of every ROS installation, but of no wheel of PyPI
    TFMessage = None

COMMANDED = "commanded/"
"""Before the names of the links where the arms are told to be."""
_QUIET_NS = 5 * NS_PER_S
"""Whoever moved our frames and has not for so long does not any more."""


class DescriptionNode(LeanNode):
    """Does for this robot what robot_state_publisher does, and shows the commanded arms too."""

    def __init__(self) -> None:
        super().__init__("description")
        params = declare(self, DescriptionParams)
        robot = load_robot(params.robot, self.get_namespace())
        if not robot.description:
            raise ConfigError(
                f"robot '{robot.name}' has no description: name its URDF, e.g. description: my_robot.urdf"
            )
        self._text = self._published_text(Description(robot.description))
        self._measured = Frames(Description(robot.description))
        self._commanded = Frames(Description(robot.description), COMMANDED)
        self._period_ns = round(NS_PER_S / params.rate_hz)
        self._due_ns: dict[str, int] = {}
        self._sent, self._others = 0, ""
        self._mine: deque[tuple[str, int]] = deque(maxlen=256)
        """Child and stamp of the transforms that were published lately."""
        self._foreign_ns = -_QUIET_NS
        self._ear: Subscription | None = None
        self._publisher: Publisher | None = None
        self._tf = self._tf_static = None
        if TFMessage is None:
            self.get_logger().warning("no transforms on /tf: tf2_msgs is not installed; see docs/teleoperation.md")
        else:
            self._tf = self.create_publisher(TFMessage, "/tf", 100)
            self._tf_static = self.create_publisher(TFMessage, "/tf_static", qos.STATE)
            self._hear(robot)
        self.create_timer(1.0, self._look_around, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._diagnostics = Diagnostics(self, lambda: {"sent": self._sent, "others": self._others})

    def _hear(self, robot: Robot) -> None:
        """Hear where the arms are, and where they are told to be."""
        for joints in robot.state_topics:
            if joints.arms[0].by_twist:
                continue  # how a base drives places no link
            self.create_subscription(JointState, joints.topic, partial(self._on_state, joints), qos.SENSOR)
        for joints in robot.command_topics:
            if joints.arms[0].by_twist:
                continue
            kind = COMMAND_TYPES[joints.arms[0].command_interface]
            self.create_subscription(kind, joints.topic, partial(self._on_command, joints), qos.SENSOR)

    def _published_text(self, description: Description) -> str:
        """Return what goes to /robot_description."""
        if not description.urdf:
            self.get_logger().warning(
                f"no /robot_description: {description.path.name} is an MJCF, and others read URDF"
            )
            return ""
        return description.text

    def _look_around(self) -> None:
        """See whether somebody else describes the robot, and stand back then."""
        own = self.get_fully_qualified_name()
        topics = ("robot_description", "/tf")
        others = {
            topic: sorted(
                {f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in self.get_publishers_info_by_topic(topic)}
                - {own}
            )
            for topic in topics
        }
        self._listen(bool(others["/tf"]))
        moved = ["who moves its frames on /tf"] if steady_ns() - self._foreign_ns < _QUIET_NS else []
        found = ", ".join(others["robot_description"] or moved)
        if found == self._others and self._publisher is not None:
            return
        self._others = found
        self._describe()
        self._stand()
        if found:
            self.get_logger().info(f"the robot is described by {found}: only the commanded arms are shown from here")

    def _describe(self) -> None:
        """Say the description, or take it back."""
        if self._publisher is not None:
            self.destroy_publisher(self._publisher)
        self._publisher = self.create_publisher(String, "robot_description", qos.STATE)
        if self._text and not self._others:
            self._publisher.publish(String(data=self._text))

    def _stand(self) -> None:
        """Publish the transforms that never change."""
        if self._tf_static is not None:
            still = self._commanded.still() + ([] if self._others else self._measured.still())
            self._tf_static.publish(_message(now_ns(self), still))

    def _listen(self, wanted: bool) -> None:
        """Hear /tf while somebody else speaks there."""
        if wanted and self._ear is None and TFMessage is not None:
            self._ear = self.create_subscription(TFMessage, "/tf", self._on_tf, 100)
        elif not wanted and self._ear is not None:
            self.destroy_subscription(self._ear)
            self._ear = None

    def _on_tf(self, message: "TFMessage") -> None:
        for transform in message.transforms:
            child = transform.child_frame_id.lstrip("/")
            if child in self._measured.children:
                if (child, wire.stamp_ns(transform.header.stamp)) not in self._mine:
                    self._foreign_ns = steady_ns()
                return

    def _on_state(self, joints: JointTopic, message: JointState) -> None:
        if not self._others and self._publisher is not None and self._is_due(joints.topic):
            told = dict(zip(message.name, message.position, strict=False))
            self._show(self._measured, joints, told, wire.stamp_ns(message.header.stamp))

    def _on_command(self, joints: JointTopic, message: ArmCommand) -> None:
        if not self._is_due(joints.topic):
            return
        stamp = 0 if isinstance(message, Float64MultiArray) else wire.stamp_ns(message.header.stamp)
        self._show(self._commanded, joints, _commanded(joints, message), stamp or now_ns(self))

    def _is_due(self, topic: str) -> bool:
        now = steady_ns()
        if now < self._due_ns.get(topic, 0):
            return False
        self._due_ns[topic] = now + self._period_ns
        return True

    def _show(self, frames: Frames, joints: JointTopic, told: dict[str, float], stamp_ns: int) -> None:
        transforms = frames.move(told, {arm.prefix for arm in joints.arms})
        if self._tf is not None and transforms:
            self._mine += [(transform.child, stamp_ns) for transform in transforms]
            self._tf.publish(_message(stamp_ns, transforms))
            self._sent += 1


def _commanded(joints: JointTopic, message: ArmCommand) -> dict[str, float]:
    """Return what a command tells each joint."""
    if isinstance(message, Float64MultiArray):
        return dict(zip(joints.names, message.data, strict=False))
    if isinstance(message, JointState):
        return dict(zip(message.name, message.position, strict=False))
    return dict(zip(message.joint_names, message.points[-1].positions, strict=False)) if message.points else {}


def _message(stamp_ns: int, transforms: list[Transform]) -> "TFMessage":
    return TFMessage(transforms=[_transform(stamp_ns, transform) for transform in transforms])


def _transform(stamp_ns: int, transform: Transform) -> TransformStamped:
    out = TransformStamped(header=Header(stamp=time_msg(stamp_ns), frame_id=transform.parent))
    out.child_frame_id = transform.child
    at, turn = out.transform.translation, out.transform.rotation
    at.x, at.y, at.z = transform.pose.position.tolist()
    turn.w, turn.x, turn.y, turn.z = transform.pose.quaternion.tolist()
    return out


def main() -> None:
    """Run the node."""
    run_node(DescriptionNode)


if __name__ == "__main__":
    main()
