"""A robot of two arms as stock drivers would show it: fine, or with a fault in every part; nothing of ours."""

import argparse
import array
import time
from contextlib import suppress
from pathlib import Path

import rclpy
import rclpy.executors
import rclpy.time
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

RATE_HZ, IMAGE_EVERY = 100, 5
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
JOINTS = {side: [f"{side}_{name}" for name in ("shoulder", "elbow", "forearm", "wrist")] for side in ("left", "right")}
SLOW_NS = 2_000_000_000


def image(stamp, k, width=64, encoding="rgb8"):
    size = {"rgb8": 3, "16UC1": 2}[encoding]
    message = Image(width=width, height=48, encoding=encoding, step=width * size)
    message.data = array.array("B", bytes([k % 256]) * (width * 48 * size))
    message.header.stamp = stamp
    return message


def states(stamp, names, position):
    message = JointState(name=names, position=position)
    message.header.stamp = stamp
    return message


class Robot:
    """Its nodes, and what they publish in each cycle."""

    def __init__(self, executor, spoiled):
        self.spoiled, self.publishers = spoiled, {}
        self.arms, self.camera = self.node(executor, "broadcaster"), self.node(executor, "camera")
        hands = {} if spoiled else {f"{side}_gripper": [f"{side}_finger"] for side in JOINTS}
        for part, joints in (JOINTS | hands).items():
            name, side = f"{part}_controller", part.partition("_")[0]
            node = self.node(executor, name, [Parameter("joints", value=joints)])
            kind = Float64MultiArray if spoiled and side == "right" else JointTrajectory
            profile = LATCHED if spoiled and side == "left" else 10
            node.create_subscription(kind, f"/{name}/joint_trajectory", lambda message: None, profile)
        if spoiled:
            other = self.node(executor, "joint_state_publisher")
            self.second = other.create_publisher(JointState, "/right/joint_states", 10)

    def node(self, executor, name, parameters=()):
        node = rclpy.create_node(
            name, parameter_overrides=parameters, automatically_declare_parameters_from_overrides=True
        )
        executor.add_node(node)
        return node

    def say(self, node, kind, topic, message):
        if topic not in self.publishers:
            profile = qos_profile_sensor_data if kind is Image else 10
            self.publishers[topic] = node.create_publisher(kind, topic, profile)
        self.publishers[topic].publish(message)

    def cycle(self, k, at_ns):
        stamp, old = (rclpy.time.Time(nanoseconds=ns).to_msg() for ns in (at_ns, at_ns - SLOW_NS))
        home = [0.0, -1.0, 0.0, 0.0]
        if self.spoiled:
            self.say(self.arms, JointState, "/left/joint_states", states(old, JOINTS["left"], home))
            right = states(stamp, [*JOINTS["right"][:3], "right_rist"], home)
            self.say(self.arms, JointState, "/right/joint_states", right)
        else:
            fingers = [f"{side}_finger" for side in JOINTS]
            both = states(stamp, JOINTS["left"] + JOINTS["right"] + fingers, home * 2 + [0.0, 0.0])
            self.say(self.arms, JointState, "/joint_states", both)
        if k % IMAGE_EVERY == 0:
            self.say(self.camera, Image, "/top/image_raw", image(stamp, k))
            if self.spoiled:
                self.say(self.camera, Image, "/small/image_raw", image(stamp, k, width=32))
                self.say(self.camera, Image, "/deep/image_raw", image(stamp, k, encoding="16UC1"))
                self.say(self.camera, Image, "/still/image_raw", image(stamp, 7))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spoiled", action="store_true")
    parser.add_argument("--urdf", type=Path)
    said = parser.parse_args()
    rclpy.init()
    executor = rclpy.executors.SingleThreadedExecutor()
    robot = Robot(executor, said.spoiled)
    if said.urdf:
        described = robot.arms.create_publisher(String, "/robot_description", LATCHED)
        described.publish(String(data=said.urdf.read_text()))
    start, begun_ns, k = time.monotonic(), time.time_ns(), 0
    with suppress(rclpy.executors.ExternalShutdownException):
        while rclpy.ok():
            robot.cycle(k, begun_ns + k * 1_000_000_000 // RATE_HZ)
            k += 1
            while (left := start + k / RATE_HZ - time.monotonic()) > 0:
                executor.spin_once(timeout_sec=left)


if __name__ == "__main__":
    main()
