"""ROS 2 messages without ROS: built, serialised to CDR and described by the rosbags library."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.errors import one_line
from smp_bringup.ros_types import known as known
from smp_bringup.ros_types import typestore as typestore
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import FloatArray, ImageArray
from smp_bringup.wire import image_encoding, split_stamp

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
JOINT_STATE = "sensor_msgs/msg/JointState"
ODOMETRY = "nav_msgs/msg/Odometry"


def measured_type(arm: Arm) -> str:
    """Return the type in which the driver of an arm says what it measures."""
    return ODOMETRY if arm.by_twist else JOINT_STATE


def definition(msgtype: str) -> tuple[str, str]:
    """Return the full text of a message definition, as recorded in bags, and its type hash."""
    text, _ = typestore().generate_msgdef(msgtype, ros_version=2)
    return text, typestore().hash_rihs01(msgtype)


def deserialized(cdr: bytes, msgtype: str) -> Any:
    """Return a message.

    Raises:
        Refusal: the bytes are none of its type.
    """
    if not known(msgtype):
        raise Refusal(f"no message of ROS 2 Kilted: {one_line(msgtype)}")
    try:
        return typestore().deserialize_cdr(cdr, msgtype)
    except Exception as error:  # foreign bytes: whatever the decoder trips over
        raise Refusal(f"no {msgtype}: its bytes cannot be decoded") from error


def image_cdr(stamp_ns: int, frame_id: str, image: ImageArray) -> bytes:
    """Return a serialised sensor_msgs/Image of an RGB image (H, W, 3), or of depth (H, W, 1) [mm]."""
    types = typestore().types
    height, width, _ = image.shape
    pixels = np.ascontiguousarray(image)
    message = types[IMAGE](
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding=image_encoding(image),
        is_bigendian=0,
        step=pixels.nbytes // height,
        data=pixels.reshape(-1).view(np.uint8),
    )
    return bytes(typestore().serialize_cdr(message, IMAGE))


def joint_state_cdr(
    stamp_ns: int, names: tuple[str, ...], position: FloatArray, velocity: FloatArray | None = None
) -> bytes:
    """Return a serialised sensor_msgs/JointState; positions and velocities are (len(names),)."""
    message = typestore().types[JOINT_STATE](
        header=header(stamp_ns, ""),
        name=list(names),
        position=np.ascontiguousarray(position, dtype=np.float64),
        velocity=np.ascontiguousarray(() if velocity is None else velocity, dtype=np.float64),
        effort=np.zeros(0),
    )
    return bytes(typestore().serialize_cdr(message, JOINT_STATE))


def measured_cdr(arms: Sequence[Arm], stamp_ns: int, names: tuple[str, ...], position: FloatArray) -> tuple[str, bytes]:
    """Return the type and the serialised message in which a driver says what it measures (len(names),)."""
    if not arms[0].by_twist:
        return JOINT_STATE, joint_state_cdr(stamp_ns, names, position)
    types, said = typestore().types, dict(zip(names, map(float, position), strict=True))
    vector, quaternion = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Quaternion"]
    linear = vector(x=said.get("linear.x", 0.0), y=said.get("linear.y", 0.0), z=0.0)
    angular = vector(x=0.0, y=0.0, z=said.get("angular.z", 0.0))
    twist = types["geometry_msgs/msg/Twist"](linear=linear, angular=angular)
    origin = types["geometry_msgs/msg/Point"](x=0.0, y=0.0, z=0.0)
    pose = types["geometry_msgs/msg/Pose"](position=origin, orientation=quaternion(x=0.0, y=0.0, z=0.0, w=1.0))
    message = types[ODOMETRY](
        header=header(stamp_ns, ""),
        child_frame_id="",
        pose=types["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36)),
        twist=types["geometry_msgs/msg/TwistWithCovariance"](twist=twist, covariance=np.zeros(36)),
    )
    return ODOMETRY, bytes(typestore().serialize_cdr(message, ODOMETRY))


def header(stamp_ns: int, frame_id: str) -> Any:
    """Return a std_msgs/Header."""
    types = typestore().types
    sec, nanosec = split_stamp(stamp_ns)
    return types["std_msgs/msg/Header"](
        stamp=types["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec), frame_id=frame_id
    )
