"""What `ros2 topic echo` is to the graph: a node that listens, in a process of its own."""

import importlib
import json
import signal
import sys

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions


def main(name: str, orders: str) -> None:
    """Listen until it is asked to end.

    Args:
        name: of the node.
        orders: JSON list of [topic, type such as "sensor_msgs/msg/JointState", durability].
    """
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(name)
    for topic, kind, durability in json.loads(orders):
        package, _, word = kind.split("/")
        message = getattr(importlib.import_module(f"{package}.msg"), word)
        profile = QoSProfile(depth=10, durability=DurabilityPolicy[durability])
        node.create_subscription(message, topic, lambda _: None, profile)
    while not asked:
        rclpy.spin_once(node, timeout_sec=0.1)
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
