"""Two hands under ros2_control that are told by goals, as the source of ros2_controllers has the rules.

The left is the older gripper_action_controller (GripperCommand; removed in 2025, `gripper_controllers` of 4.24), the
right a parallel_gripper_action_controller (ParallelGripperCommand), both with default parameters but for the tolerance
in their unit. A joint_state_broadcaster publishes both. Services of the test's own block a hand, take its server away,
let it reject, and play somebody else who cancels its goals.
"""

import json
import sys

import rclpy
from action_msgs.msg import GoalStatus
from control_msgs.action import GripperCommand, ParallelGripperCommand
from rclpy.action import ActionServer, GoalResponse
from rclpy.action.server import GoalEvent
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool

RATE_HZ = 100
STALL_TIMEOUT_S = 1.0
STALL_SPEED = 0.001


class Controller:
    """One controller and its hand, which goes where it is told at its own speed, unless something is in the way."""

    def __init__(self, side, kind, joint, start, span):
        self.node = Node(f"{side}_hand_controller")
        self.kind, self.joint, self.side = kind, joint, side
        self.position = self.command = float(start)
        self.speed, self.tolerance = 0.2 * span, 0.01 * span  # slower than it is told: goals are overtaken by others
        self.blocked = self.rejects = self.cancels = False
        self.goals, self.ended, self.results = [], {}, {}
        self.names, self.efforts = [], []
        """Of the newest goal."""
        self.server = self.active = None
        self.moved_s = 0.0
        self.serve(True)
        for name in ("block", "serve", "reject", "cancel"):
            call = getattr(self, name)
            self.node.create_service(SetBool, f"~/{name}", lambda q, r, call=call: self._answer(call, q, r))

    def serve(self, on):
        if on:
            self.server = ActionServer(
                self.node,
                self.kind,
                "~/gripper_cmd",
                self.execute,
                goal_callback=self.judge,
                handle_accepted_callback=self.accept,
            )
        else:
            self.server.destroy()
            self.server = None

    def block(self, on):
        self.blocked = on

    def reject(self, on):
        self.rejects = on

    def cancel(self, on):
        self.cancels = on

    def _answer(self, call, request, response):
        call(request.data)
        response.success = True
        return response

    def judge(self, goal):
        """Accept all goals; the parallel controller those of one position. Neither looks at names."""
        wrong = self.kind is ParallelGripperCommand and len(goal.command.position) != 1
        return GoalResponse.REJECT if wrong or self.rejects else GoalResponse.ACCEPT

    def accept(self, handle):
        """Let a new goal end the one before, whose handle is then dropped: rclcpp ends it as canceled."""
        self.end(GoalStatus.STATUS_CANCELED)
        told = handle.request.command
        if self.kind is ParallelGripperCommand:
            self.command = told.position[0]
            self.names, self.efforts = list(told.name), list(told.effort)
        else:
            self.command, self.efforts = told.position, [told.max_effort]
        self.goals.append(self.command)
        self.active, self.moved_s = (handle, Future()), self.now_s()
        self.results[bytes(handle.goal_id.uuid)] = self.active[1]
        handle.execute()

    async def execute(self, handle):
        return await self.results.pop(bytes(handle.goal_id.uuid))

    def end(self, status, stalled=False):
        """End the goal that runs, if any."""
        if self.active is None:
            return
        (handle, future), self.active = self.active, None
        self.ended[status] = self.ended.get(status, 0) + 1
        result = self.kind.Result(stalled=stalled, reached_goal=status == GoalStatus.STATUS_SUCCEEDED)
        if status == GoalStatus.STATUS_CANCELED:  # all fields are as they are made
            handle._update_state(GoalEvent.CANCEL_GOAL)
            handle.canceled()
        else:
            if self.kind is ParallelGripperCommand:
                result.state.position, result.state.effort = [self.position], [0.0]
            else:
                result.position = self.position
            handle.succeed() if status == GoalStatus.STATUS_SUCCEEDED else handle.abort()
        future.set_result(result)

    def update(self):
        """Let one period pass."""
        step = max(-1.0, min(1.0, (self.command - self.position) * RATE_HZ / self.speed)) * self.speed / RATE_HZ
        step = 0.0 if self.blocked else step
        self.position += step
        if self.active is None:
            return
        if self.cancels:
            self.end(GoalStatus.STATUS_CANCELED)
        elif abs(self.command - self.position) < self.tolerance:
            self.end(GoalStatus.STATUS_SUCCEEDED)
        elif abs(step) * RATE_HZ > STALL_SPEED:
            self.moved_s = self.now_s()
        elif self.now_s() - self.moved_s > STALL_TIMEOUT_S:
            self.end(GoalStatus.STATUS_ABORTED, stalled=True)

    def now_s(self):
        return self.node.get_clock().now().nanoseconds * 1e-9

    def said(self):
        own = ("goals", "position", "command", "names", "efforts")
        return {name: getattr(self, name) for name in own} | {"ended": {str(k): n for k, n in self.ended.items()}}


class Manager:
    """Nodes of a controller_manager."""

    def __init__(self):
        self.hands = [
            Controller("left", GripperCommand, "left_knuckle", 0.0, 0.8),
            Controller("right", ParallelGripperCommand, "right_percent", 100.0, 100.0),
        ]
        self.node = Node("joint_state_broadcaster")
        self.states = self.node.create_publisher(JointState, "joint_states", 10)
        self.report = self.node.create_publisher(String, "hands/report", 10)
        self.cycle = 0
        self.node.create_timer(1 / RATE_HZ, self.update, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def update(self):
        for hand in self.hands:
            hand.update()
        message = JointState(name=[h.joint for h in self.hands], position=[h.position for h in self.hands])
        message.header.stamp = self.node.get_clock().now().to_msg()
        self.states.publish(message)
        self.cycle += 1
        if self.cycle % 10 == 0:
            self.report.publish(String(data=json.dumps({hand.side: hand.said() for hand in self.hands})))


def main():
    """Run until a signal ends it."""
    rclpy.init()
    executor = SingleThreadedExecutor()
    manager = Manager()
    for node in (manager.node, *(hand.node for hand in manager.hands)):
        executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        sys.exit(0)


if __name__ == "__main__":
    main()
