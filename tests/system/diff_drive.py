"""A stand-in of a diff_drive_controller and its base, as its source (ros2_controllers, 94e74de) has the rules.

It shares no code with what it stands opposite to. Where its parameters have defaults they are taken: a timeout of
0.5 s, no limits of its own, a rolling mean of ten velocities in the odometry.
"""

import json
import math
import time
from collections import deque
from contextlib import suppress

import rclpy
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String

RATE_HZ = 100
CMD_VEL_TIMEOUT_S = 0.5
LAG_S = 0.05
"""Of the wheels behind what they are told."""
SYSTEM_DEFAULT = QoSProfile(depth=10)


class Base(Node):
    """Takes ~/cmd_vel, tells ~/odom."""

    def __init__(self):
        super().__init__("base_controller")
        self.ignored, self.received = 0, 0
        self.command, self.stamp_s = (0.0, 0.0), self._now_s()
        self.reference, self.wheels, self.pose = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0, 0.0]
        self.window = deque(maxlen=10)
        self.told = deque(maxlen=100_000)
        """Linear and angular velocity of every command, and its stamp [s]."""
        self.odometry = self.create_publisher(Odometry, "~/odom", SYSTEM_DEFAULT)
        self.report = self.create_publisher(String, "base/report", SYSTEM_DEFAULT)
        self.create_subscription(TwistStamped, "~/cmd_vel", self._take, SYSTEM_DEFAULT)
        self._last, self._cycle = time.monotonic(), 0
        self.create_timer(1 / RATE_HZ, self._update, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _now_s(self):
        return self.get_clock().now().nanoseconds * 1e-9

    def _take(self, message):
        """Keep a command, unless it is too old; one without a stamp is of now."""
        stamp_s = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9 or self._now_s()
        self.received += 1
        if self._now_s() - stamp_s >= CMD_VEL_TIMEOUT_S:
            self.ignored += 1
            return
        self.command, self.stamp_s = (message.twist.linear.x, message.twist.angular.z), stamp_s
        self.told.append((*self.command, stamp_s))

    def _update(self):
        now = time.monotonic()
        period_s, self._last = now - self._last, now
        if self._now_s() - self.stamp_s > CMD_VEL_TIMEOUT_S:
            self.reference = [0.0, 0.0]
        elif all(map(math.isfinite, self.command)):
            self.reference = list(self.command)
        share = 1 - math.exp(-period_s / LAG_S)
        self.wheels = [v + share * (r - v) for v, r in zip(self.wheels, self.reference, strict=True)]
        self.window.append(tuple(self.wheels))
        self.pose[2] += self.wheels[1] * period_s
        self.pose[0] += self.wheels[0] * period_s * math.cos(self.pose[2])
        self.pose[1] += self.wheels[0] * period_s * math.sin(self.pose[2])
        self._publish()

    def _publish(self):
        message = Odometry(child_frame_id="base_link")
        message.header.frame_id, message.header.stamp = "odom", self.get_clock().now().to_msg()
        message.pose.pose.position.x, message.pose.pose.position.y = self.pose[:2]
        message.pose.pose.orientation.z = math.sin(self.pose[2] / 2)
        message.pose.pose.orientation.w = math.cos(self.pose[2] / 2)
        linear, angular = (sum(column) / len(self.window) for column in zip(*self.window, strict=True))
        message.twist.twist.linear.x, message.twist.twist.angular.z = linear, angular
        self.odometry.publish(message)
        self._cycle += 1
        if self._cycle % 10 == 0:
            said = {"wheels": self.wheels, "pose": self.pose, "received": self.received, "ignored": self.ignored}
            said["heard_by"] = self.odometry.get_subscription_count()
            self.report.publish(String(data=json.dumps({**said, "told": list(self.told)[-400:]})))


def main():
    """Run until a signal ends it."""
    rclpy.init()
    try:
        with suppress(KeyboardInterrupt, ExternalShutdownException):
            rclpy.spin(Base())
    except Exception:
        if rclpy.ok():  # else a signal ended the context in the midst of it
            raise


if __name__ == "__main__":
    main()
