"""ROS 2 messages without ROS: built, serialised to CDR and described by the rosbags library."""

from typing import Any

import numpy as np

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


def header(stamp_ns: int, frame_id: str) -> Any:
    """Return a std_msgs/Header."""
    types = typestore().types
    sec, nanosec = split_stamp(stamp_ns)
    return types["std_msgs/msg/Header"](
        stamp=types["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec), frame_id=frame_id
    )
