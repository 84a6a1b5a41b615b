"""A force and torque sensor as a stock driver publishes it: nothing of ours, no Fast DDS profile; see its --help."""

import argparse
import time

import rclpy
from geometry_msgs.msg import WrenchStamped
from rclpy.qos import qos_profile_sensor_data


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topic")
    parser.add_argument("--rate", type=float, default=500.0, help="[Hz]")
    said = parser.parse_args()

    rclpy.init()
    node = rclpy.create_node("force_torque_sensor")
    publisher = node.create_publisher(WrenchStamped, said.topic, qos_profile_sensor_data)
    message = WrenchStamped()
    message.header.frame_id = "tool0"
    start, k = time.monotonic(), 0
    while rclpy.ok():
        message.header.stamp = node.get_clock().now().to_msg()
        message.wrench.force.x, message.wrench.force.z = float(k % 10), -9.81
        publisher.publish(message)
        k += 1
        time.sleep(max(0.0, start + k / said.rate - time.monotonic()))


if __name__ == "__main__":
    main()
