"""From ROS messages to core values, by their fields alone: works on rclpy's and on rosbags' messages."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from smp_bringup.arm import AXES
from smp_bringup.camera import Camera
from smp_bringup.robot import Robot
from smp_bringup.sync.checks import Refusal, check_numbers, decode_image, decode_packed, known_velocity
from smp_bringup.sync.depth import decode_depth
from smp_bringup.types import NS_PER_S, FloatArray, Frame, ImageArray, JointSample, VectorSample
from smp_bringup.vector import Vector, labels, split

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


def image_encoding(image: ImageArray) -> str:
    """Return the encoding of an image of ours: RGB (H, W, 3), or depth (H, W, 1) [mm]."""
    return "16UC1" if image.shape[2] == 1 else "rgb8"


def frame(message: Any, camera: Camera | None = None) -> Frame:
    """Return the frame of a sensor_msgs/Image or CompressedImage; raises Refusal.

    Args:
        message: of a driver, a bag or sync.
        camera: whose size and kind it must have; without one it is an image in colour of any size.
    """
    size = (camera.height, camera.width) if camera else None
    if camera is not None and camera.depth:
        return depth_frame(message, size)
    if hasattr(message, "format"):
        return Frame(stamp_ns(message.header.stamp), decode_packed(message.data, size))
    image = decode_image(message.encoding, message.height, message.width, message.step, message.data, size)
    return Frame(stamp_ns(message.header.stamp), image)


def depth_frame(message: Any, size: tuple[int, int] | None = None) -> Frame:
    """Return the frame of a depth image, a sensor_msgs/Image of (height, width) `size`; raises Refusal."""
    if hasattr(message, "format"):
        raise Refusal("a compressed image, expected depth as a raw one")
    fields = message.encoding, message.height, message.width, message.step, message.data
    return Frame(stamp_ns(message.header.stamp), decode_depth(*fields, bool(message.is_bigendian), size))


def vector(message: Any, told: Vector, received_ns: int) -> VectorSample:
    """Return the sample of a vector in a message; one whose type has no header was sampled when it was received.

    Raises:
        Refusal: a number is missing or is none, or the stamp is none.
    """
    at_ns = stamp_ns(message.header.stamp) if told.stamped else received_ns
    try:
        value = told.read(message)
    except (LookupError, ValueError, TypeError) as error:
        raise Refusal(str(error)) from None
    check_numbers(value)
    return VectorSample(at_ns, value)


def observed_vectors(message: Any, robot: Robot) -> tuple[int, dict[str, FloatArray]]:
    """Return stamp and vectors (n,) of an observation, a sensor_msgs/JointState that names every number.

    Raises:
        Refusal: the names are others.
    """
    sample = whole_robot(message, labels(robot.vectors))
    return sample.stamp_ns, split(robot.vectors, sample.position)


def told(message: Any) -> tuple[Sequence[str], Sequence[float], Sequence[float]]:
    """Return names, values and their derivatives in a message about joints, whichever form it has.

    A sensor_msgs/JointState names its joints. What nav_msgs/Odometry and geometry_msgs/TwistStamped or Twist say are
    rates, named as the parts of a twist are, in the order of `arm.AXES`; how these change is not said.
    """
    if hasattr(message, "position"):
        return message.name, message.position, message.velocity
    twist = message
    while hasattr(twist, "twist"):  # with its stamp, with its covariance
        twist = twist.twist
    return tuple(AXES), (twist.linear.x, twist.linear.y, twist.angular.z), ()


def whole_robot(message: Any, names: tuple[str, ...]) -> JointSample:
    """Return a sensor_msgs/JointState that names all joints in robot order.

    Raises:
        Refusal: the names are others.
    """
    if tuple(message.name) != names:
        raise Refusal(f"joints {list(message.name)}, expected {list(names)}")
    position = np.array(message.position, dtype=np.float64)
    velocity = known_velocity(position, message.velocity)
    if position.shape != (len(names),) or velocity.shape != position.shape:
        raise Refusal(f"{position.size} positions and {velocity.size} velocities for {len(names)} joints")
    return JointSample(stamp_ns(message.header.stamp), position, velocity)


def teleop_fields(sample: JointSample, robot: Robot) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """Return names, positions and velocities of a teleoperation command, a sensor_msgs/JointState of all joints (J,).

    Behind the joints stand the stamps of the leaders that it merges, exactly: "stamp/ARM", seconds and nanoseconds.
    """
    stamps = np.array([split_stamp(at_ns) for at_ns in sample.stamps_ns.values()], dtype=np.float64).reshape(-1, 2)
    names = robot.joint_names + tuple(f"stamp/{arm}" for arm in sample.stamps_ns)
    return names, np.append(sample.position, stamps[:, 0]), np.append(sample.velocity, stamps[:, 1])


def teleop_command(message: Any, robot: Robot) -> JointSample:
    """Return a teleoperation command, with or without the stamps of leaders behind the joints; see `teleop_fields`.

    Raises:
        Refusal: the names are others, or a stamp is none.
    """
    if tuple(message.name) == robot.joint_names:
        return whole_robot(message, robot.joint_names)
    arms = [arm.name for arm in robot.arms]
    sample = whole_robot(message, robot.joint_names + tuple(f"stamp/{arm}" for arm in arms))
    sec, nanosec = sample.position[robot.dof :], sample.velocity[robot.dof :]
    if not ((np.abs(sec) < 2**33) & (nanosec >= 0) & (nanosec < NS_PER_S)).all():
        raise Refusal("nanosec")
    stamps = {arm: int(s) * NS_PER_S + int(ns) for arm, s, ns in zip(arms, sec, nanosec, strict=True)}
    return JointSample(sample.stamp_ns, sample.position[: robot.dof], sample.velocity[: robot.dof], stamps)
