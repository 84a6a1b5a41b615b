"""Drives and hears a running graph from outside: demos, recording, benchmarks."""

from smp_bringup.environment import before_rclpy

before_rclpy()
