"""Chunks and teleoperation in, setpoints for both arms out, at the control period, under safety."""

import gc
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, ROSClock
from rclpy.executors import Executor
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from smp_bringup import wire
from smp_bringup.arm import Arm
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.nodes import qos, realtime
from smp_bringup.nodes.base import Diagnostics, now_ns, run_node, steady_ns
from smp_bringup.nodes.command_report import CommandReport
from smp_bringup.nodes.graph_watch import GraphWatch
from smp_bringup.nodes.gripper_actions import GripperActions
from smp_bringup.nodes.managed import ManagedNode
from smp_bringup.nodes.messages import (
    COMMAND_TYPES,
    ODOMETRY_BYTES,
    STATUS_BYTES,
    chunk_bytes,
    chunk_from_msg,
    command_msg,
    decoded,
    first_status,
    joints_bytes,
    state_type,
    type_name,
)
from smp_bringup.nodes.params import CommandParams, declare
from smp_bringup.nodes.timed import Polled, TimedLoop
from smp_bringup.pipeline import build_command, warm_up_command
from smp_bringup.robot import JointTopic, load_robot
from smp_bringup.safety.config import load_safety, safety_of
from smp_bringup.safety.modes import Mode, Reply
from smp_bringup.safety.node_graph import Snapshot, inspect
from smp_bringup.safety.output import CommandOutput
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import JointSample

M = TypeVar("M")
_GRAPH_PERIOD_S, _IDLE_S = 0.05, 0.1
_ESTOP, _OBSERVATION = "estop", "observation/state"
_ANYBODY = "topic"
"""Who speaks on it where the middleware does not say."""
_EXTRA_JOINTS = 64
"""A driver may report so many joints that are not of its arm: a hand's, a whole robot's."""
_BOOL_BYTES = 64
_LONGEST_LOG = 200
"""Characters of what a stranger makes us say."""
_SENDING_NS = 50_000_000
"""A publisher may take so long to send what it was given: a best-effort one does so in a thread of its own."""
_YOUNG_NS = 5_000_000_000
"""A node that finds another of its name so soon after its start, and is not armed, is the second, and ends."""


class CommandNode(ManagedNode):
    """Wires the command core to topics and services; the only publisher to the arms."""

    def __init__(self) -> None:
        super().__init__("command")
        self._params = declare(self, CommandParams)
        self.autostart = self._params.autostart
        self.add_on_set_parameters_callback(self._on_set)
        self._group = Polled()
        self._loop: TimedLoop | None = None
        self._sent_ns = -_SENDING_NS  # when the last setpoint was published

    def configure(self) -> None:
        """As of ManagedNode."""
        params = self._params
        self._robot = load_robot(params.robot, self.get_namespace())
        safety = safety_of(self._robot, params.safety)
        self._config = load_safety(safety)
        self._core = build_command(self._robot, safety, params.replayed)
        self._orders = {a.name: JointOrder(*a.driver) for a in self._robot.arms}
        self._most = self._sizes()
        warm_up_command(self._robot, safety)
        self._grants = realtime.apply(params.realtime, params.cpus)

    def activate(self) -> None:
        """As of ManagedNode."""
        grants = self._grants
        self._watch, self._extra = GraphWatch(self), set[str]()
        self._publish()
        # Over a bag nobody is told by goals: there is no stand-in for a server, and no hand may move.
        self._hands = GripperActions(self, self._watch, () if self._params.replayed else self._robot.command_actions)
        self._subscribe()
        self._serve()
        self._report = CommandReport(self, self._robot)
        realtime.freeze()
        self._diagnostics = Diagnostics(self, lambda: self._values(grants))
        self._born_ns = steady_ns()
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_GRAPH_PERIOD_S, lambda: self._inspect(self._watch.look()), clock=clock)
        self.get_logger().info(", ".join(f"{grant.option} {grant}" for grant in grants) or "realtime off")
        if self._core.left_out:
            self.get_logger().warning(f"checks that do not run: {', '.join(self._core.left_out)}")
        self.get_logger().info("disarmed; no certified safety function: keep the hardware e-stop at hand")
        self._loop = TimedLoop(self._robot.control_period_s, self._polled, self._cycle, self._simulated)

    def spin(self, executor: Executor) -> None:
        """As of LeanNode: cycles at their times, until a deactivation that was not refused.

        A node that was told to shut down while its arms moved is no longer active, and goes on.
        """
        while self.context.ok():
            if self._loop is not None:
                self._loop.turn(executor)
            else:
                executor.spin_once(timeout_sec=_IDLE_S)

    def deactivate(self) -> None:
        """As of ManagedNode: end the cycles."""
        if self._loop is not None:
            self._loop.end()
        self._loop = None

    def why_not_deactivate(self) -> str:
        """Begin to disarm where that is not done: arms that move come to rest under control, and latched ones stay."""
        if self._core.resting:  # a publisher that is destroyed takes along what it has not sent yet
            sent = steady_ns() - self._sent_ns > _SENDING_NS
            return "" if sent else "the last setpoint is on its way to the arms"
        reply = self._core.disarm()
        return "" if self._core.resting else reply.message

    def destroy_node(self) -> None:
        """Let the collector see everything again, then end."""
        gc.unfreeze()
        super().destroy_node()

    def _values(self, grants: list[realtime.Grant]) -> dict[str, object]:
        return {**self._report.values(self._core, grants, self._hands.troubles()), **self._hands.counters()}

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        """Refuse another clock of the headers while what is published or followed was planned on this one."""
        clocked = any(parameter.name == "use_sim_time" for parameter in parameters)
        if self._loop is None or self._core.resting or not clocked:
            return SetParametersResult(successful=True)
        why = f"use_sim_time cannot change in {self._core.mode.value}: disarm first, and let the arms rest"
        return SetParametersResult(successful=False, reason=why)

    def _publish(self) -> None:
        self._commanded = []
        for joints in self._robot.command_topics:
            kind = COMMAND_TYPES[joints.arms[0].command_interface]
            self._commanded.append((joints, self.create_publisher(kind, joints.topic, qos.LATEST)))
            self._watch.publishes(joints.topic, type_name(kind))

    def _sizes(self) -> dict[type, int]:
        """Return how large a message of each type may be [bytes], of this robot under these settings."""
        points = int(self._config.max_horizon_s / self._robot.action_period_s) + 1
        joints = joints_bytes(self._robot.dof + _EXTRA_JOINTS)
        chunk = chunk_bytes(self._robot.dof, points)
        sizes = {JointState: joints, JointTrajectory: chunk, DiagnosticArray: STATUS_BYTES, Bool: _BOOL_BYTES}
        return sizes | {state_type(arm): ODOMETRY_BYTES for arm in self._robot.arms if arm.by_twist}

    def _decoded(self, cdr: bytes, kind: type[M]) -> M:
        return decoded(cdr, kind, self._most[kind])

    def _subscribe(self) -> None:
        listened: list[tuple] = [(_ESTOP, Bool, self._on_estop, qos.OBSERVATION)]
        listened += [
            (topic, state_type(joints.arms[0]), self.speakers.only(topic, partial(self._on_states, joints)), qos.SENSOR)
            for joints in self._robot.state_topics
            for topic in (joints.topic,)
        ]
        listened += [
            ("policy/chunk", JointTrajectory, self._on_chunk, qos.LATEST),
            (_OBSERVATION, DiagnosticArray, self._on_observation_state, qos.STATE),
            ("teleop/command", JointState, self._on_teleop, qos.LATEST),
        ]
        self._polled = []
        for topic, kind, callback, profile in listened:
            how = {"raw": True, "callback_group": self._group}  # raw: its size is looked at first
            self._polled.append(self.create_subscription(kind, topic, callback, qos.drained(profile), **how))
            self._watch.subscribes(topic, type_name(kind))

    def _serve(self) -> None:
        requests: dict[str, Callable[[], Reply]] = {
            "arm": self._arm,
            "disarm": self._core.disarm,
            "hold": self._core.hold,
            "reset": lambda: self._core.reset(steady_ns()),
            "use_policy": lambda: self._core.use(Mode.POLICY, now_ns(self), steady_ns()),
            "use_teleop": lambda: self._core.use(Mode.TELEOP, now_ns(self), steady_ns()),
        }
        for name, request in requests.items():
            self.create_service(Trigger, f"command/{name}", partial(self._answer, name, request))
        self.create_service(SetBool, "command/estop", self._answer_estop)

    def _answer(
        self, name: str, request: Callable[[], Reply], _: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        reply = request()
        self.get_logger().info(f"{name}: {one_line(reply.message)}")
        response.success, response.message = reply
        return response

    def _answer_estop(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success, response.message = self._core.estop(request.data, "service")
        return response

    def _arm(self) -> Reply:
        self._inspect(self._watch.look_at_all())
        return self._core.arm(steady_ns())

    def _inspect(self, snapshot: Snapshot | None) -> None:
        if snapshot is None:
            return
        us = self.get_fully_qualified_name()
        findings = inspect(snapshot, self._robot, self._config, us)
        young = self._core.mode is Mode.DISARMED and steady_ns() - self._born_ns < _YOUNG_NS
        if snapshot.nodes.count(us) > 1 and young:
            raise ConfigError(f"another node '{us}' is already running: stop it first")
        self._core.buttons.present({*self._watch.speakers(_ESTOP), _ANYBODY})
        self._core.observations.present({*self._watch.speakers(_OBSERVATION), ""})
        self._report.graph(findings, young)
        self._core.on_graph(findings)

    def _on_estop(self, cdr: bytes, info: dict) -> None:
        message = self._decoded(cdr, Bool)
        channel = self._source(info) or _ANYBODY
        self._core.estop_heard(steady_ns(), channel)
        self._core.estop(message.data, channel)

    def _on_states(self, joints: JointTopic, cdr: bytes) -> None:
        try:
            message: Any = self._decoded(cdr, state_type(joints.arms[0]))
        except Refusal as refusal:
            for arm in joints.arms:
                self._bad_state(arm, refusal)
            return
        extra = isinstance(message, JointState) and len(message.name) > len(joints.names)
        if extra and joints.topic not in self._extra:
            self._extra.add(joints.topic)
            self.get_logger().warning(f"{joints.topic} names joints that its arms lack: ignored")
        for arm in joints.arms:
            self._on_state(arm, message)

    def _on_state(self, arm: Arm, message: Any) -> None:
        try:
            position, velocity = self._orders[arm.name].map(*wire.told(message))
            sample = JointSample(wire.stamp_ns(message.header.stamp), position, velocity)
        except Refusal as refusal:
            self._bad_state(arm, refusal)
            return
        self._core.on_state(arm.name, sample, steady_ns())

    def _bad_state(self, arm: Arm, refusal: Refusal) -> None:
        self._core.on_bad_state(arm.name, str(refusal))
        self._refuse(f"state of {arm.name}", refusal)

    def _on_chunk(self, cdr: bytes, info: dict) -> None:
        source = self._source(info)
        if not self._core.hears(Mode.POLICY, source):
            self._refuse(f"chunk of {source}", "lease")
            return
        try:
            message = self._decoded(cdr, JointTrajectory)
            chunk = chunk_from_msg(message, self._robot.joint_names, self._robot.action_period_s)
        except Refusal as refusal:
            self._core.on_malformed(Mode.POLICY, one_line(refusal)[:_LONGEST_LOG], source)
            self._refuse(f"chunk of {source}", refusal)
            return
        now = now_ns(self)
        self._report.heard((now - chunk.stamp_ns) / 1e6)
        cause = self._core.on_chunk(chunk, now, steady_ns(), source)
        self._refuse(f"chunk of {source}", cause)
        if cause is None and self._core.jump is not None:
            self._report.jumped(self._core.jump)

    def _on_observation_state(self, cdr: bytes, info: dict) -> None:
        status = first_status(self._decoded(cdr, DiagnosticArray))
        invalid = status.level >= DiagnosticStatus.ERROR
        fault = one_line(status.message)[:_LONGEST_LOG] or "observations are invalid" if invalid else ""
        self._core.on_observation_state(fault, self._source(info))

    def _on_teleop(self, cdr: bytes, info: dict) -> None:
        source = self._source(info)
        if not self._core.hears(Mode.TELEOP, source):
            self._refuse(f"teleoperation of {source}", "lease")
            return
        try:
            message = self._decoded(cdr, JointState)
            sample = wire.teleop_command(message, self._robot)
        except Refusal as refusal:
            self._core.on_malformed(Mode.TELEOP, one_line(refusal)[:_LONGEST_LOG], source)
            self._refuse(f"teleoperation of {source}", refusal)
            return
        self._refuse(f"teleoperation of {source}", self._core.on_teleop(sample, now_ns(self), steady_ns(), source))

    def _source(self, info: dict) -> str:
        gid = info.get("publisher_gid")  # absent before Kilted: then all publishers of a topic are one source
        return self._watch.name_of(bytes(gid["data"])) if gid else ""

    def _refuse(self, what: str, why: object) -> None:
        if why:
            self.get_logger().error(f"{what} refused: {one_line(why)[:_LONGEST_LOG]}", throttle_duration_sec=1.0)

    def _simulated(self) -> bool:
        """Return whether time is that of /clock."""
        clock = self.get_clock()
        return isinstance(clock, ROSClock) and clock.ros_time_is_active

    def _cycle(self) -> None:
        steady = steady_ns()
        output: CommandOutput = self._core.step(now_ns(self), steady)
        sent_ns = []
        if output.command is not None:
            period_s, command = self._robot.control_period_s, output.command
            parts = [(publisher, command_msg(joints, command, period_s)) for joints, publisher in self._commanded]
            for publisher, message in parts:
                publisher.publish(message)
                sent_ns.append(steady_ns())
            self._sent_ns = steady_ns()
        self._hands.follow(output.command, steady)
        self._report.cycle(output, steady, sent_ns)


def main() -> None:
    """Run the node."""
    run_node(CommandNode)


if __name__ == "__main__":
    main()
