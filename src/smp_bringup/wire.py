"""From ROS messages to core values, by their fields alone: works on rclpy's and on rosbags' messages."""

from typing import Any

import numpy as np

from smp_bringup.sync.checks import Refusal, decode_image, decode_packed
from smp_bringup.types import NS_PER_S, Frame, JointSample

OBJECTS_TOPIC = "/sim/objects"
"""Object poses of the simulator, at the action rate: sensor_msgs/JointState with the names of `tasks.state`."""


def stamp_ns(stamp: Any) -> int:
    """Return a builtin_interfaces/Time in nanoseconds.

    Raises:
        Refusal: the nanoseconds are not below one second.
    """
    if not 0 <= stamp.nanosec < NS_PER_S:
        raise Refusal("nanosec")
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def split_stamp(at_ns: int) -> tuple[int, int]:
    """Return seconds and nanoseconds of a stamp."""
    return divmod(at_ns, NS_PER_S)


def frame(message: Any, size: tuple[int, int] | None = None) -> Frame:
    """Return the frame of a sensor_msgs/Image or CompressedImage of (height, width) `size`; raises Refusal."""
    if hasattr(message, "format"):
        return Frame(stamp_ns(message.header.stamp), decode_packed(message.data, size))
    image = decode_image(message.encoding, message.height, message.width, message.step, message.data, size)
    return Frame(stamp_ns(message.header.stamp), image)


def whole_robot(message: Any, names: tuple[str, ...]) -> JointSample:
    """Return a sensor_msgs/JointState that names all joints in robot order.

    Raises:
        Refusal: the names are others.
    """
    if tuple(message.name) != names:
        raise Refusal(f"joints {list(message.name)}, expected {list(names)}")
    position = np.array(message.position, dtype=np.float64)
    velocity = np.array(message.velocity, dtype=np.float64)
    if velocity.size == 0:
        velocity = np.zeros_like(position)
    if position.shape != (len(names),) or velocity.shape != position.shape:
        raise Refusal(f"{position.size} positions and {velocity.size} velocities for {len(names)} joints")
    return JointSample(stamp_ns(message.header.stamp), position, velocity)
