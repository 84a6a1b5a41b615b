"""Two xArm7, each under ros2_control in a namespace of its own as its maker's driver starts it, and two leader arms.

Nothing of ours. The operator keeps each leader arm where its follower is; told to by a service, he sways both:
`two_xarm7.py sway` and `two_xarm7.py rest` call it.
"""

import math
import sys

import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from ros2_control import SYSTEM_DEFAULT, Arm, Manager, spin
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool

SIDES = "left", "right"
JOINTS = [f"joint{k}" for k in range(1, 8)]
START = (0.0, -0.3, 0.0, 1.2, 0.0, 1.0, 0.0)
RATE_HZ, LEADER_HZ = 100, 50
SWAY = np.array([0.4, 0.0, 0.0, 0.3, 0.0, 0.0, 0.4])
"""How far from START the operator goes [rad], and back, in `SWAY_S`."""
SWAY_S = 2.0
BRING = 0.5
"""Speed at which he brings a leader arm to its follower [rad/s]."""


class Operator(Node):
    """Two leader arms of the followers' kind, and whose hands are on them."""

    def __init__(self, arms):
        super().__init__("leader_arms")
        self._arms, self._since, self._ends = arms, None, math.inf
        self._at = {side: arm.position.copy() for side, arm in arms.items()}
        self._said = {
            side: self.create_publisher(JointState, f"{side}_leader/joint_states", SYSTEM_DEFAULT) for side in arms
        }
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_service(SetBool, "operator/sway", self._on_sway)
        self.create_timer(1 / LEADER_HZ, self._move, clock=self._steady)

    def _on_sway(self, request, response):
        now = self._now_s()
        if request.data:
            self._since, self._ends = now, math.inf
        elif self._since is not None:  # he ends where he began
            self._ends = self._since + math.ceil((now - self._since) / SWAY_S) * SWAY_S
        response.success = True
        return response

    def _move(self):
        now = self._now_s()
        self._since = None if now >= self._ends else self._since
        for side, arm in self._arms.items():
            wanted, most = arm.position, BRING / LEADER_HZ
            if self._since is not None:
                phase, most = 2 * np.pi * (now - self._since) / SWAY_S, 2 * BRING / LEADER_HZ
                wanted = np.array(START) + SWAY / 2 * (1 - np.cos(phase))
            self._at[side] = self._at[side] + np.clip(wanted - self._at[side], -most, most)
            message = JointState(name=JOINTS, position=self._at[side].tolist())
            message.header.stamp = self.get_clock().now().to_msg()
            self._said[side].publish(message)

    def _now_s(self):
        return self._steady.now().nanoseconds * 1e-9


def ask(sway):
    """Tell the operator of a robot that runs whether to sway the leader arms."""
    node = rclpy.create_node("ask_operator")
    asking = node.create_client(SetBool, "operator/sway")
    if not asking.wait_for_service(10.0):
        sys.exit("no operator is there: start two_xarm7.py first")
    rclpy.spin_until_future_complete(node, asking.call_async(SetBool.Request(data=sway)), timeout_sec=10.0)


def main():
    """Run until a signal ends it."""
    rclpy.init()
    if sys.argv[1:]:
        ask(sys.argv[1] == "sway")
        return
    arms = {side: Arm(side, JOINTS, START, "xarm7_traj_controller", RATE_HZ) for side in SIDES}
    managers = [Manager([arm], namespace=side, rate_hz=RATE_HZ) for side, arm in arms.items()]
    spin([*(node for manager in managers for node in manager.nodes), Operator(arms)])


if __name__ == "__main__":
    main()
