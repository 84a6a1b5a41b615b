"""A process that publishes what it should not, on orders that come line by line: for `smp chaos`."""

import json
import sys
import time

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image, JointState

from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import joint_state_msg

KINDS = {"joint_state": JointState, "image": Image}
_PERIOD_S = 0.01


def main(name: str) -> None:
    """Obey until stdin ends; answer each order, once it is done, with the steady time of its publisher [s]."""
    rclpy.init()
    node, made = Node(name), []
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        publisher = node.create_publisher(KINDS[order["kind"]], order["topic"], qos.DRIVER)
        made.append((publisher, time.monotonic()))  # kept: a publisher without a reference is taken down
        if order["position"]:
            _repeat(node, publisher, order)
        print(made[-1][1], flush=True)
    node.destroy_node()
    rclpy.try_shutdown()


def _repeat(node: Node, publisher: Publisher, order: dict) -> None:
    """Publish a joint state `count` times, once somebody listens."""
    while publisher.get_subscription_count() == 0:
        time.sleep(_PERIOD_S)
    position = np.array(order["position"])
    for _ in range(order["count"]):
        publisher.publish(joint_state_msg(now_ns(node), order["names"], position, position * 0.0))
        time.sleep(_PERIOD_S)


if __name__ == "__main__":
    main(sys.argv[1])
