"""A stand-in of ros2_control, as its source (ros2_controllers, 94e74de) has the rules; run by itself, two UR5e.

Each `Manager` is a controller_manager: joint_state_broadcaster, a joint_trajectory_controller with default parameters
for each arm, a forward_command_controller for each hand. It shares no code with what it stands opposite to. Services of
its own play the switch of a controller and the stop of the teach pendant.
"""

import json
import math
import sys
import time
from itertools import pairwise

import numpy as np
import rclpy
from builtin_interfaces.msg import Duration
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration as RosDuration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

RATE_HZ = 500
"""Update rate of the UR driver's controller_manager."""
LAG_S = 0.02
"""A UR follows what it is told with about this delay."""
_CATCH_UP = 5
"""A machine that stalls skips cycles beyond so many, as under Linux."""
SYSTEM_DEFAULT = QoSProfile(depth=10)
_EPSILON = float(np.finfo(np.float32).eps)
_ARM = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
_START = (0.0, -1.5708, 1.5708, -1.5708, -1.5708, 1.5708)


class TrajectoryController:
    """The rules of a joint_trajectory_controller on position interfaces, with default parameters."""

    def __init__(self, joints, start, period_s):
        self.joints, self.period_s = tuple(joints), period_s
        self.active, self.scale = True, 1.0
        self.refusals = []
        self.command = np.array(start, dtype=float)
        self.lowest, self.highest = self.command, self.command
        """Of all points that were taken."""
        self._points = []
        self._started, self._sampled = 0.0, True

    def take(self, message, now_s):
        """Take a trajectory; one that breaks a rule is refused, one for an inactive controller is ignored."""
        refusal = self._refusal(message, now_s)
        if refusal:
            self.refusals.append(refusal)
        elif self.active:
            order = [message.joint_names.index(name) for name in self.joints]
            self._points = [
                (_seconds(p.time_from_start), *(np.array(v)[order] if len(v) else None for v in _fields(p)[:2]))
                for p in message.points
            ]
            self._started, self._sampled = _seconds(message.header.stamp), False
            told = [position for _, position, _ in self._points]
            self.lowest, self.highest = np.min([self.lowest, *told], axis=0), np.max([self.highest, *told], axis=0)

    def hold(self, measured):
        """Stay where the arm is."""
        self.command, self._points = measured.copy(), []

    def update(self, now_s, measured):
        """Return what the hardware is told after one period."""
        if not self.active or not self._points:
            return self.command
        if not self._sampled:
            self._before = now_s, measured.copy(), None if self._points[0][2] is None else np.zeros_like(measured)
            self._started = self._started or now_s
            self._at, self._sampled = now_s, True
        else:
            self._at += self.period_s * self.scale
        self.command = self._sample(self._at + self.period_s)
        return self.command

    def _sample(self, at_s):
        earlier = self._before
        for after_s, position, velocity in self._points:
            later = self._started + after_s, position, velocity
            if at_s < later[0]:
                return _between(earlier, later, at_s)
            earlier = later
        return self._points[-1][1]

    def _refusal(self, message, now_s):
        if len(message.joint_names) != len(self.joints) or not set(message.joint_names) <= set(self.joints):
            return "Joints on incoming trajectory don't match the controller joints."
        if not message.points:
            return "Empty trajectory received."
        if any(abs(v) > _EPSILON for v in message.points[-1].velocities):
            return "Velocity of last trajectory point is not zero"
        stamp_s = _seconds(message.header.stamp)
        if stamp_s and stamp_s + _seconds(message.points[-1].time_from_start) < now_s:
            return "Received trajectory with non-zero start time that ends in the past"
        times = [_seconds(point.time_from_start) for point in message.points]
        if any(b <= a for a, b in pairwise(times)):
            return "Time between points is not strictly increasing"
        for point in message.points:
            position, *others, effort = _fields(point)
            if len(position) != len(self.joints) or any(len(v) not in (0, len(self.joints)) for v in others):
                return "Mismatch between joint_names size and a field"
            if len(effort):
                return "Trajectories with effort fields are only supported for the effort interface"
        return ""


def _fields(point):
    return point.positions, point.velocities, point.accelerations, point.effort


def _seconds(stamp):
    return stamp.sec + stamp.nanosec * 1e-9


def _between(earlier, later, at_s):
    """Return the position between two points: linear, or a cubic where both have velocities."""
    (a_s, a, va), (b_s, b, vb) = earlier, later
    whole = b_s - a_s
    u = min(max((at_s - a_s) / whole, 0.0), 1.0)
    if va is None or vb is None:
        return a + u * (b - a)
    near, far = u * (1 - u) ** 2 * whole, u * u * (u - 1) * whole
    return a + (3 * u * u - 2 * u**3) * (b - a) + near * va + far * vb


class Arm:
    """An arm's hardware: it follows its command with a lag, unless its drives are stopped."""

    def __init__(self, name, joints, start, controller, rate_hz=RATE_HZ):
        """Let it stand at `start` [rad]; `controller` is the name of its controller's node."""
        self.name, self.joints, self.controller_name, self.rate_hz = name, list(joints), controller, rate_hz
        self.drives = True
        self.position = np.array(start, dtype=float)
        self.controller = TrajectoryController(self.joints, start, 1 / rate_hz)
        self.fastest = 0.0
        """Largest speed of the hardware so far [rad/s]."""

    def advance(self, now_s):
        """Let one period pass."""
        told = self.controller.update(now_s, self.position)
        step = (told - self.position) * (1 - math.exp(-1 / (self.rate_hz * LAG_S))) * self.drives
        self.fastest = max(self.fastest, float(np.abs(step).max()) * self.rate_hz)
        self.position = self.position + step


class Hand:
    """A hand's hardware: it is at once where it is told to be."""

    def __init__(self, name, knuckles, controller):
        """Let it stand at zero; `knuckles` are its joints, each with what it does of what the hand is told."""
        self.name, self.knuckles, self.controller_name = name, knuckles, controller
        self.position, self.wrong = 0.0, 0
        """[rad]; and how many commands were of the wrong size, or not finite."""

    def take(self, data):
        if len(data) != 1 or not math.isfinite(data[0]):
            self.wrong += 1
        else:
            self.position = data[0]


class Manager:
    """Nodes and hardware of a controller_manager."""

    def __init__(self, arms, hands=(), namespace="", rate_hz=RATE_HZ):
        self.arms, self.hands, self.rate_hz, self._space = arms, hands, rate_hz, namespace
        self.nodes = [Node(name, namespace=namespace) for name in ("controller_manager", "joint_state_broadcaster")]
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for arm in arms:
            self._control(arm)
        for hand in hands:
            self._control_hand(hand)
        self.states = self.nodes[1].create_publisher(JointState, "joint_states", SYSTEM_DEFAULT)
        self.report = self.nodes[0].create_publisher(String, "ros2_control/report", SYSTEM_DEFAULT)
        self._last, self._cycle = time.monotonic(), 0
        self._epoch = self.nodes[0].get_clock().now() - RosDuration(seconds=self._last)
        self.nodes[0].create_timer(1 / rate_hz, self._update, clock=steady)

    def _node(self, name, joints):
        """Return the node of a controller, which says in its parameter whose it is."""
        node = Node(name, namespace=self._space, parameter_overrides=[Parameter("joints", value=list(joints))])
        node.declare_parameter("joints", list(joints))
        self.nodes.append(node)
        return node

    def _control(self, arm):
        controller = self._node(arm.controller_name, arm.joints)
        controller.create_subscription(
            JointTrajectory,
            "~/joint_trajectory",
            lambda message: arm.controller.take(message, self._now_s()),
            SYSTEM_DEFAULT,
        )
        controller.create_service(SetBool, "~/active", lambda *call: self._activate(arm, *call))
        controller.create_service(SetBool, "~/drives", lambda *call: self._drive(arm, *call))

    def _control_hand(self, hand):
        controller = self._node(hand.controller_name, list(hand.knuckles)[:1])
        controller.create_subscription(
            Float64MultiArray, "~/commands", lambda message: hand.take(message.data), SYSTEM_DEFAULT
        )

    def _activate(self, arm, request, response):
        """Switch a controller; one that is switched on holds the arm where it is."""
        arm.controller.active, response.success = request.data, True
        if request.data:
            arm.controller.hold(arm.position)
        return response

    def _drive(self, arm, request, response):
        arm.drives, response.success = request.data, True
        return response

    def _now_s(self):
        return self.nodes[0].get_clock().now().nanoseconds * 1e-9

    def _update(self):
        now = time.monotonic()
        periods = min(_CATCH_UP, round((now - self._last) * self.rate_hz))
        self._last = now if periods == _CATCH_UP else self._last + periods / self.rate_hz
        for k in range(periods):
            for arm in self.arms:
                arm.advance(self._now_s())
            self._broadcast(self._last - (periods - k - 0.5) / self.rate_hz)
            self._cycle += 1
            if self._cycle % (self.rate_hz // 10) == 0:
                self.report.publish(String(data=json.dumps(self.said())))

    def said(self):
        """Return what the test looks at."""
        return {
            "refusals": [text for arm in self.arms for text in arm.controller.refusals][:5],
            "refused": sum(len(arm.controller.refusals) for arm in self.arms) + sum(hand.wrong for hand in self.hands),
            "fastest": max(arm.fastest for arm in self.arms),
            "positions": {arm.name: arm.position.tolist() for arm in self.arms},
            "told": {arm.name: arm.controller.command.tolist() for arm in self.arms},
            "lowest": {arm.name: arm.controller.lowest.tolist() for arm in self.arms},
            "highest": {arm.name: arm.controller.highest.tolist() for arm in self.arms},
            "hands": {hand.name: hand.position for hand in self.hands},
        }

    def _broadcast(self, at_s):
        """Publish all joints, in an order of its own; of hardware that measures positions alone, the rest is NaN."""
        rows = {name: q for arm in self.arms for name, q in zip(arm.joints, arm.position, strict=True)}
        for hand in self.hands:
            rows |= {name: sign * hand.position for name, sign in hand.knuckles.items()}
        names, nothing = sorted(rows), [math.nan] * len(rows)
        message = JointState(name=names, position=[rows[n] for n in names], velocity=nothing, effort=nothing)
        message.header.stamp = (self._epoch + RosDuration(seconds=at_s)).to_msg()
        self.states.publish(message)


def ur5e(side):
    """Return a UR5e."""
    return Arm(side, [f"{side}_{name}_joint" for name in _ARM], _START, f"{side}_controller")


def robotiq(side):
    """Return a Robotiq 2F-85, whose other finger goes the other way."""
    knuckles = {f"{side}_robotiq_85_{finger}_knuckle_joint": sign for finger, sign in (("left", 1), ("right", -1))}
    return Hand(side, knuckles, f"{side}_hand_controller")


def lag(ahead_s, lasts_s=4.0, period_s=0.01):
    """Return how far an arm falls behind a swing [rad] that is sent one point a period, stamped `ahead_s` or zero."""
    arm, wanted, now, worst = ur5e("left"), lambda at: np.array(_START) + 0.5 - 0.5 * np.cos(np.pi * at), 1000.0, 0.0
    for cycle in range(round(lasts_s * RATE_HZ)):
        at = cycle / RATE_HZ
        if cycle % round(period_s * RATE_HZ) == 0:
            point = JointTrajectoryPoint(positions=wanted(at + period_s).tolist(), time_from_start=_duration(period_s))
            message = JointTrajectory(joint_names=arm.joints, points=[point])
            if ahead_s is not None:
                whole = _duration(now + at + ahead_s)
                message.header.stamp.sec, message.header.stamp.nanosec = whole.sec, whole.nanosec
            arm.controller.take(message, now + at)
        arm.advance(now + at)
        worst = max(worst, float(np.abs(arm.position - wanted(at)).max()))
    return worst


def _duration(seconds):
    whole = int(seconds)
    return Duration(sec=whole, nanosec=round((seconds - whole) * 1e9))


def spin(nodes):
    """Run nodes until a signal ends it."""
    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:
        if rclpy.ok():  # else a signal ended the context in the midst of it
            raise


def main():
    """Run two UR5e; or print how far the forms of a message let an arm fall behind."""
    if sys.argv[1:] == ["lag"]:
        print(f"stamp of zero: {lag(None):.3f} rad behind; stamped when it is due: {lag(0.01):.3f} rad")
        return
    rclpy.init()
    sides = "left", "right"
    spin(Manager([ur5e(side) for side in sides], [robotiq(side) for side in sides]).nodes)


if __name__ == "__main__":
    main()
