"""Core values to ROS messages and back; the only place that knows both."""

import os
from array import array
from collections.abc import Mapping
from importlib import import_module
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from smp_bringup.arm import Arm
from smp_bringup.errors import ConfigError, InstallError
from smp_bringup.leader import TWISTS
from smp_bringup.robot import JointTopic
from smp_bringup.ros_types import known
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import ActionChunk, Command, FloatArray, GateReport, ImageArray, nanoseconds
from smp_bringup.wire import image_encoding, split_stamp, stamp_ns, told

M = TypeVar("M")
ArmCommand: TypeAlias = JointState | Float64MultiArray | JointTrajectory | TwistStamped | Twist
COMMAND_TYPES: dict[str, type[ArmCommand]] = {
    "joint_state": JointState,
    "forward_position": Float64MultiArray,
    "joint_trajectory": JointTrajectory,
    "twist": TwistStamped,
    "twist_unstamped": Twist,
}


_TEXT_BYTES = 128
"""A frame or a joint has no longer name, padding included; a message has that much of its own besides."""
ODOMETRY_BYTES = 708 + 2 * _TEXT_BYTES
"""An Odometry of two frames is no larger."""
STATUS_BYTES = 16_384
"""A status of a node of ours is no larger."""


def state_type(arm: Arm) -> type:
    """Return the type in which the driver of an arm says what it measures.

    Raises:
        InstallError: it is nav_msgs/Odometry, which this ROS lacks.
    """
    if not arm.by_twist:
        return JointState
    try:
        kind: type = import_module("nav_msgs.msg").Odometry
    except ImportError:
        distro = os.environ.get("ROS_DISTRO", "$ROS_DISTRO")
        raise InstallError(
            f"arm '{arm.name}' is told by twist and measured by nav_msgs/Odometry, which this ROS lacks: "
            f"pip install ros-nav-msgs, or apt install ros-{distro}-nav-msgs"
        ) from None
    return kind


def joints_bytes(joints: int) -> int:
    """Return how large a JointState of so many joints may be: name, position, velocity and effort of each."""
    return 2 * _TEXT_BYTES + joints * (_TEXT_BYTES + 3 * 8)


def chunk_bytes(joints: int, points: int) -> int:
    """Return how large a JointTrajectory of so many points may be: positions and velocities, and their lengths."""
    return 2 * _TEXT_BYTES + joints * _TEXT_BYTES + points * (2 * 8 * joints + 32)


def decoded(cdr: bytes, kind: type[M], most: int) -> M:
    """Return the message in CDR, which is not looked at where it is larger than `most` bytes: decoding takes time.

    Raises:
        Refusal: it is too large, or is no such message.
    """
    if len(cdr) > most:
        raise Refusal(f"{len(cdr)} bytes, expected at most {most}")
    try:
        return cast(M, deserialize_message(cdr, kind))
    except Exception as error:
        raise Refusal(f"{len(cdr)} bytes that are no {type_name(kind)}") from error


def type_name(kind: type) -> str:
    """Return the name of a message type as the node graph shows it, e.g. "sensor_msgs/msg/Image"."""
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def message_type(topic: str, name: str) -> type:
    """Return the type `name` of the messages of a topic, e.g. "geometry_msgs/msg/WrenchStamped".

    Raises:
        ConfigError: it is not installed, or bags cannot describe it.
    """
    package, _, kind = name.split("/")
    try:
        found: type = getattr(import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError):
        raise ConfigError(f"topic {topic}: no message type {name} is installed; source its package") from None
    if not known(name):
        raise ConfigError(f"topic {topic}: {name} is no message of ROS 2 itself, only those are recorded")
    return found


def time_msg(at_ns: int) -> Time:
    """Return a stamp."""
    sec, nanosec = split_stamp(at_ns)
    return Time(sec=sec, nanosec=nanosec)


def image_msg(at_ns: int, frame_id: str, image: ImageArray) -> Image:
    """Return an image in colour (H, W, 3) or of depth (H, W, 1) [mm].

    The data goes in as an array, which rclpy takes without looking at each byte.
    """
    height, width, _ = image.shape
    data = array("B")
    data.frombytes(np.ascontiguousarray(image).tobytes())
    return Image(
        header=Header(stamp=time_msg(at_ns), frame_id=frame_id),
        height=height,
        width=width,
        encoding=image_encoding(image),
        step=len(data) // height,
        data=data,
    )


def joint_state_msg(at_ns: int, names: tuple[str, ...], position: FloatArray, velocity: FloatArray) -> JointState:
    """Return joint positions and velocities (len(names),)."""
    return JointState(
        header=Header(stamp=time_msg(at_ns)),
        name=list(names),
        position=position.tolist(),
        velocity=velocity.tolist(),
    )


def chunk_msg(chunk: ActionChunk, names: tuple[str, ...]) -> JointTrajectory:
    """Return a chunk for all arms; the header carries the observation's stamp."""
    points = []
    for k, row in enumerate(chunk.position):
        sec, nanosec = split_stamp(nanoseconds(k * chunk.period_s))
        points.append(JointTrajectoryPoint(positions=row.tolist(), time_from_start=Duration(sec=sec, nanosec=nanosec)))
    return JointTrajectory(header=Header(stamp=time_msg(chunk.stamp_ns)), joint_names=list(names), points=points)


def chunk_from_msg(message: JointTrajectory, names: tuple[str, ...], period_s: float) -> ActionChunk:
    """Return the chunk in a message.

    Raises:
        Refusal: it is for other joints, has points of other lengths, or other times.
    """
    if tuple(message.joint_names) != names:
        raise Refusal(f"joints {list(message.joint_names)}, expected {list(names)}")
    rows = [point.positions for point in message.points]
    if not rows or any(len(row) != len(names) for row in rows):
        raise Refusal(f"points of {sorted({len(row) for row in rows})} joints, expected {len(names)}")
    for k, point in enumerate(message.points):
        if stamp_like(point.time_from_start) != nanoseconds(k * period_s):
            raise Refusal(f"point {k} is not at {k * period_s:g} s")
    return ActionChunk(stamp_ns(message.header.stamp), period_s, np.array(rows, dtype=np.float64))


def stamp_like(duration: Duration) -> int:
    """Return a duration in nanoseconds."""
    return int(duration.sec) * 1_000_000_000 + int(duration.nanosec)


def command_msg(joints: JointTopic, command: Command, period_s: float) -> ArmCommand:
    """Return what a command (J,) says to the arms of one topic, in the form that their driver takes."""
    position, interface = joints.positions(command.position), joints.arms[0].command_interface
    if interface == "joint_state":
        return joint_state_msg(command.stamp_ns, joints.names, position, joints.velocities(command.velocity))
    if interface == "forward_position":
        return Float64MultiArray(data=position.tolist())
    if interface in TWISTS:
        twist = _twist(joints.names, position)
        stamped = interface == "twist"  # by it the controller refuses what is old
        return TwistStamped(header=Header(stamp=time_msg(command.stamp_ns)), twist=twist) if stamped else twist
    # A joint_trajectory_controller refuses a last point that moves, unless told otherwise (its parameter
    # allow_nonzero_velocity_at_trajectory_end): from positions alone it interpolates to our setpoint. It refuses
    # a trajectory that has ended by its clock; one whose stamp is zero begins when it arrives.
    step = Duration(sec=0, nanosec=nanoseconds(period_s))
    point = JointTrajectoryPoint(positions=position.tolist(), time_from_start=step)
    return JointTrajectory(joint_names=list(joints.names), points=[point])


def measured_msg(joints: JointTopic, at_ns: int, position: FloatArray) -> Any:
    """Return what the driver of a topic says that it measures (n,), in the type that it has."""
    kind = state_type(joints.arms[0])
    if kind is JointState:
        return joint_state_msg(at_ns, joints.names, position, np.zeros_like(position))
    message = kind(header=Header(stamp=time_msg(at_ns)))
    message.twist.twist = _twist(joints.names, position)
    return message


def _twist(names: tuple[str, ...], rates: FloatArray) -> Twist:
    """Return a twist of the rates (n,) of some of `arm.AXES`; the others are 0."""
    twist, said = Twist(), dict(zip(names, rates.tolist(), strict=True))
    twist.linear.x, twist.linear.y = said.get("linear.x", 0.0), said.get("linear.y", 0.0)
    twist.angular.z = said.get("angular.z", 0.0)
    return twist


def command_position(message: ArmCommand, joints: JointTopic) -> FloatArray:
    """Return the setpoint (n,) of the arms of a topic in whichever form it came; raises Refusal for other joints."""
    if isinstance(message, Float64MultiArray):
        position = message.data
    elif isinstance(message, TwistStamped | Twist):
        names, values, _ = told(message)
        position = [dict(zip(names, values, strict=True))[name] for name in joints.names]
    else:
        got = tuple(message.name if isinstance(message, JointState) else message.joint_names)
        if got != joints.names:
            raise Refusal(f"joints {list(got)}, expected {list(joints.names)}")
        last = message if isinstance(message, JointState) else (message.points or [JointTrajectoryPoint()])[-1]
        position = last.position if isinstance(last, JointState) else last.positions
    if len(position) != len(joints.names):
        raise Refusal(f"{len(position)} values for {len(joints.names)} joints")
    return joints.joints.ours(position)


def gate_msg(gate: GateReport, latency_ms: float) -> JointState:
    """Return a gate report as labelled numbers that any plotting tool shows (docs/adr/0002)."""
    values: dict[str, float] = {}
    for label, row in (("weight", gate.weight), ("mass", gate.mass), ("calls", gate.denoiser_calls)):
        values |= {f"{label}/{i}": float(v) for i, v in enumerate(row)}
    values |= {f"active/{i}": float(i in gate.active) for i in range(len(gate.weight))}
    values |= {"kept_mass": gate.kept_mass, "active_count": float(len(gate.active)), "latency_ms": latency_ms}
    values |= {f"stage_ms/{name}": ms for name, ms in gate.stage_ms.items()}
    return JointState(header=Header(stamp=time_msg(gate.stamp_ns)), name=list(values), position=list(values.values()))


def status_msg(
    at_ns: int, name: str, values: Mapping[str, object], level: bytes = DiagnosticStatus.OK, message: str = ""
) -> DiagnosticArray:
    """Return one status with key-value pairs."""
    pairs = [KeyValue(key=str(k), value=str(v)) for k, v in values.items()]
    status = DiagnosticStatus(level=level, name=name, message=message, hardware_id="smp_bringup", values=pairs)
    return DiagnosticArray(header=Header(stamp=time_msg(at_ns)), status=[status])


def diagnostic_name(node: str) -> str:
    """Return under which name a node, given by its full name, speaks on /diagnostics, which all robots share."""
    return f"smp_bringup: {node.lstrip('/')}"


def first_status(message: DiagnosticArray) -> DiagnosticStatus:
    """Return the status of a node that says one; raises Refusal where there is none."""
    if not message.status:
        raise Refusal("an array without a status")
    return message.status[0]


def status_values(message: DiagnosticArray) -> dict[str, str]:
    """Return the key-value pairs of the first status; raises Refusal where there is none."""
    return {pair.key: pair.value for pair in first_status(message).values}
