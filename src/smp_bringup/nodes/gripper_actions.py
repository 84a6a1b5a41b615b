"""Hands that are told by goals of an action: the control cycle hands setpoints over and never waits.

An action is called as the two services that it is made of: of every goal, rclpy's ActionClient (9.1.2) keeps a future
for good, and an executor looks at all of them in every cycle. Its feedback is not needed: the driver measures the hand.
"""

import os
from collections import Counter, deque
from functools import partial
from importlib import import_module
from typing import Any
from uuid import uuid4

import numpy as np
from action_msgs.msg import GoalStatus
from rclpy.node import Node
from rclpy.task import Future

from smp_bringup.errors import InstallError
from smp_bringup.goals import ACTIONS, GoalPace, feedback_topic
from smp_bringup.nodes.base import steady_ns
from smp_bringup.nodes.graph_watch import GraphWatch
from smp_bringup.robot import JointTopic
from smp_bringup.types import NS_PER_S, Command

_ANSWER_NS = NS_PER_S
"""A goal that nobody has accepted or rejected by then is sent again."""
_RETRY_NS = NS_PER_S
"""So long after one that was rejected."""
_END_NS = 5 * NS_PER_S
"""A goal that is the newest for longer has neither been reached nor given up: controllers give up within a second."""
_LOG_NS = NS_PER_S
_RESULTS = 32
"""Results that are waited for: a server that never says one costs no more."""


class GripperActions:
    """All hands of a robot that are told by goals."""

    def __init__(self, node: Node, watch: GraphWatch, actions: tuple[JointTopic, ...]) -> None:
        """Look their actions up, and have their servers watched; raises InstallError where ROS lacks a type."""
        self._hands = [_Hand(node, joints) for joints in actions]
        for joints in actions:
            watch.subscribes(feedback_topic(joints.topic), f"{joints.arms[0].action_type}_FeedbackMessage")

    def follow(self, command: Command | None, steady: int) -> None:
        """Take the setpoint of a cycle (J,), None while nothing is told; send a goal where one is due."""
        for hand in self._hands:
            hand.follow(command, steady)

    def counters(self) -> dict[str, int]:
        """Return how many goals of each hand were sent, rejected and so on."""
        return {f"goals/{hand.name}/{what}": n for hand in self._hands for what, n in hand.counters.items()}

    def troubles(self) -> list[str]:
        """Return what is wrong with the newest goals."""
        return [hand.trouble for hand in self._hands if hand.trouble]


class _Hand:
    """One hand: at most one goal that waits for its answer, and the newest that runs."""

    def __init__(self, node: Node, joints: JointTopic) -> None:
        arm = joints.arms[0]
        self._node, self._joints, self.name = node, joints, arm.name
        self._kind = action_class(arm.command_interface)
        self._goals = node.create_client(self._kind.Impl.SendGoalService, f"{joints.topic}/_action/send_goal")
        self._results = node.create_client(self._kind.Impl.GetResultService, f"{joints.topic}/_action/get_result")
        (joint,), (self._place,) = arm.joints, joints.places
        self._pace, self._effort = GoalPace(joint.max - joint.min), joint.driver.effort
        self._asked: Future | None = None
        self._waited: deque[Future] = deque()
        self._told = ""
        """The newest goal, in words."""
        self._number = self._asked_ns = 0
        self._logged, self._logged_ns = "", 0
        """Kind and time of the last warning in the log."""
        self._running_ns: int | None = None
        """Since when the newest goal runs."""
        self.counters: Counter[str] = Counter()
        self.trouble = ""

    def follow(self, command: Command | None, steady: int) -> None:
        """Take the setpoint of a cycle."""
        if command is None:
            self._pace.forget()
            return
        if self._asked is not None:
            if steady - self._asked_ns < _ANSWER_NS:
                return
            self._give_up(self._asked)
        position = float(command.position[self._place])
        if self._pace.due(position, float(command.velocity[self._place]), steady):
            self._send(position, steady)
        elif self._running_ns is not None and steady - self._running_ns > _END_NS:
            self._running_ns = None
            self._warn("unfinished", f"{self._told} is neither reached nor given up: is its controller switched on?")

    def _send(self, position: float, steady: int) -> None:
        said = float(self._joints.joints.positions(np.array([position]))[0])
        self._number += 1
        self._told = f"{self._joints.topic}: the goal {said:.4g} for {self._joints.names[0]}"
        request = self._kind.Impl.SendGoalService.Request()
        request.goal_id.uuid = np.frombuffer(uuid4().bytes, np.uint8)
        request.goal.command = self._command(said)
        self._asked, self._asked_ns, self._running_ns = self._goals.call_async(request), steady, None
        self._asked.add_done_callback(partial(self._on_answer, self._number, request.goal_id))
        self._pace.sent(position, steady)
        self.counters["sent"] += 1

    def _command(self, said: float) -> Any:
        command = self._kind.Goal().command
        if hasattr(command, "max_effort"):
            command.position, command.max_effort = said, self._effort
        else:
            command.name, command.position = list(self._joints.names), [said]
            command.effort = [self._effort] if self._effort else []
        return command

    def _give_up(self, asked: Future) -> None:
        self._goals.remove_pending_request(asked)
        self._asked = None
        self._pace.forget()
        self._warn("unanswered", f"{self._told} was neither accepted nor rejected within {_ANSWER_NS / NS_PER_S:g} s")

    def _on_answer(self, number: int, goal_id: Any, asked: Future) -> None:
        self._asked = None
        if not asked.result().accepted:
            self._pace.forget(steady_ns() + _RETRY_NS)
            self._warn("rejected", f"{self._told} was rejected: its server's log says why")
            return
        self.trouble, self._running_ns = "", steady_ns()
        request = self._kind.Impl.GetResultService.Request(goal_id=goal_id)
        waited = self._results.call_async(request)
        waited.add_done_callback(partial(self._on_result, number))
        self._waited.append(waited)
        if len(self._waited) > _RESULTS:
            self._results.remove_pending_request(self._waited.popleft())

    def _on_result(self, number: int, waited: Future) -> None:
        self._waited.remove(waited)
        if number != self._number:
            return  # a newer goal has taken its place
        self._running_ns = None
        status, result = waited.result().status, waited.result().result
        at = result.state.position if hasattr(result, "state") else [result.position]
        where = f" at {at[0]:.4g}" if len(at) else ""
        if status == GoalStatus.STATUS_SUCCEEDED:
            self.counters["stalled" if result.stalled else "reached"] += 1
        elif status == GoalStatus.STATUS_ABORTED and result.stalled:
            self._warn("aborted", f"{self._told} was aborted: stalled{where}; something is in the way, or held")
        elif status == GoalStatus.STATUS_ABORTED:
            self._warn("aborted", f"{self._told} was aborted{where}: its server's log says why")
        else:
            self._warn("canceled", f"{self._told} was canceled: does somebody else tell this hand, too?")

    def _warn(self, what: str, text: str) -> None:
        self.counters[what] += 1
        now = steady_ns()
        if what != self._logged or now - self._logged_ns > _LOG_NS:
            self._logged, self._logged_ns = what, now
            self._node.get_logger().warning(text)
        self.trouble = text


def action_class(interface: str) -> Any:
    """Return the class of the action of a `command_interface`; raises InstallError where this ROS has none."""
    package, _, name = ACTIONS[interface].split("/")
    try:
        return getattr(import_module(f"{package}.action"), name)
    except (ImportError, AttributeError):
        distro = os.environ.get("ROS_DISTRO", "$ROS_DISTRO")
        raise InstallError(
            f"command_interface '{interface}' needs {ACTIONS[interface]}, which this ROS lacks: "
            f"apt install ros-{distro}-{package.replace('_', '-')}, then source ROS again (PyPI has none)"
        ) from None
