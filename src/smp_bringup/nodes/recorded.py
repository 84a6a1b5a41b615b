"""Which topics of a robot go into bags, and their types."""

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from sensor_msgs.msg import CameraInfo, JointState, Joy
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from smp_bringup.nodes.camera_messages import camera_type
from smp_bringup.nodes.messages import COMMAND_TYPES, message_type, state_type
from smp_bringup.robot import Robot

_LEADER_TYPES = {"joints": JointState, "twist": TwistStamped, "twist_unstamped": Twist, "pose": PoseStamped}


def images(robot: Robot) -> dict[str, type]:
    """Return the topics of cameras, and further ones of drivers, and their types."""
    found: dict[str, type] = {camera.topic: camera_type(camera) for camera in robot.cameras}
    states = {joints.topic for joints in robot.state_topics}
    further = {one.topic: one.type for one in robot.recorded}
    further |= {vector.topic: vector.type for vector in robot.vectors if vector.topic not in states}
    return found | {topic: message_type(topic, kind) for topic, kind in further.items()}


def topics(robot: Robot) -> dict[str, type]:
    """Return every recorded topic and its type, beside images and further topics of drivers."""
    found: dict[str, type] = {camera.info_topic: CameraInfo for camera in robot.cameras}
    for arm in robot.arms:
        found[arm.state_topic] = state_type(arm)
        if leader := arm.led_by:
            found[leader.topic] = _LEADER_TYPES[leader.kind]
            found |= {leader.buttons.topic: Joy} if leader.buttons else {}
    found |= {told.topic: COMMAND_TYPES[told.arms[0].command_interface] for told in robot.command_topics}
    return found | {
        "teleop/command": JointState,
        "sim/objects": JointState,
        "policy/chunk": JointTrajectory,
        "policy/gate": JointState,
        "policy/task": String,
        "command/state": DiagnosticArray,
    }
