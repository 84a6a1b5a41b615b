"""ROS 2 nodes: parameters, message conversion, one core call, publish."""

from smp_bringup.environment import before_rclpy

before_rclpy()
