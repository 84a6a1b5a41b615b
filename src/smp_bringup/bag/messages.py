"""ROS 2 messages without ROS: built, serialised to CDR and described by the rosbags library."""

from functools import cache
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from smp_bringup.errors import one_line
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import FloatArray, ImageArray
from smp_bringup.wire import split_stamp

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
JOINT_STATE = "sensor_msgs/msg/JointState"


@cache
def typestore() -> Typestore:
    """Return the message definitions of ROS 2 Kilted."""
    return get_typestore(Stores.ROS2_KILTED)


def definition(msgtype: str) -> tuple[str, str]:
    """Return the full text of a message definition, as recorded in bags, and its type hash."""
    text, _ = typestore().generate_msgdef(msgtype, ros_version=2)
    return text, typestore().hash_rihs01(msgtype)


def known(msgtype: str) -> bool:
    """Return whether a message type is one of ROS 2 Kilted."""
    return msgtype in typestore().fielddefs


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
    """Return a serialised sensor_msgs/Image of an RGB image (H, W, 3)."""
    types = typestore().types
    height, width, _ = image.shape
    message = types[IMAGE](
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=width * 3,
        data=np.ascontiguousarray(image).reshape(-1),
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
