"""Breaks arms, sources and processes around the command node, and judges what it commands."""

from smp_bringup.environment import before_rclpy

before_rclpy()
