"""Chunks and teleoperation in, setpoints for both arms out, at the control period, under safety."""

import gc
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from smp_bringup import wire
from smp_bringup.errors import one_line
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Health, now_ns, run_node, steady_ns
from smp_bringup.nodes.messages import COMMAND_TYPES, chunk_from_msg, command_msg, status_msg
from smp_bringup.nodes.params import CommandParams, declare
from smp_bringup.pipeline import build_command
from smp_bringup.robot import Arm, load_robot
from smp_bringup.safety.command import CommandOutput
from smp_bringup.safety.modes import Mode, Reply
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import JointSample

_STATE_PERIOD_NS = 100_000_000


class CommandNode(Node):
    """Wires the command core to topics and services; the only publisher to the arms."""

    def __init__(self) -> None:
        super().__init__("command")
        params = declare(self, CommandParams)
        self._robot = load_robot(params.robot)
        self._core = build_command(self._robot, params.safety)
        self._orders = {a.name: JointOrder([j.name for j in a.joints]) for a in self._robot.arms}
        self._arms = [
            (arm, self.create_publisher(COMMAND_TYPES[arm.command_interface], arm.command_topic, qos.LATEST))
            for arm in self._robot.arms
        ]
        self._state = self.create_publisher(DiagnosticArray, "/command/state", qos.STATE)
        self._said: tuple[Mode, str, str] | None = None
        self._followed_ns: int | None = None
        self._said_ns, self._cycles, self._late_ms, self._last_ns = 0, 0, 0.0, 0
        self._rotary = [not joint.gripper for joint in self._robot.joints]
        self._seam_mrad = 0.0
        self._subscribe()
        self._serve()
        self._health = Health(self, self._report)
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(self._robot.control_period_s, self._cycle, clock=clock)
        gc.collect()
        gc.freeze()  # what exists now lives for ever: a collection need not look at it again
        self.get_logger().info("disarmed; no certified safety function: keep the hardware e-stop at hand")

    def destroy_node(self) -> None:
        """Let the collector see everything again, then end."""
        gc.unfreeze()
        super().destroy_node()

    def _subscribe(self) -> None:
        for arm in self._robot.arms:
            self.create_subscription(JointState, arm.state_topic, partial(self._on_state, arm), qos.SENSOR)
        self.create_subscription(JointTrajectory, "/policy/chunk", self._on_chunk, qos.LATEST)
        self.create_subscription(DiagnosticArray, "/observation/state", self._on_observation_state, qos.STATE)
        self.create_subscription(JointState, "/teleop/command", self._on_teleop, qos.LATEST)
        self.create_subscription(Bool, "/estop", self._on_estop, qos.OBSERVATION)

    def _serve(self) -> None:
        requests = {
            "arm": lambda: self._core.arm(steady_ns()),
            "disarm": self._core.disarm,
            "reset": self._core.reset,
            "use_policy": lambda: self._core.use(Mode.POLICY, steady_ns()),
            "use_teleop": lambda: self._core.use(Mode.TELEOP, steady_ns()),
        }
        for name, request in requests.items():
            self.create_service(Trigger, f"/command/{name}", partial(self._answer, request))
        self.create_service(SetBool, "/command/estop", self._answer_estop)

    def _answer(self, request: object, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        reply: Reply = request()  # type: ignore[operator]
        self.get_logger().info(reply.message)
        response.success, response.message = reply
        return response

    def _answer_estop(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success, response.message = self._core.estop(request.data)
        return response

    def _on_estop(self, message: Bool) -> None:
        self._core.estop(message.data)

    def _on_state(self, arm: Arm, message: JointState) -> None:
        try:
            position, velocity = self._orders[arm.name].map(message.name, message.position, message.velocity)
            sample = JointSample(wire.stamp_ns(message.header.stamp), position, velocity)
        except Refusal as refusal:
            self._refuse(f"state of {arm.name}", refusal)
            return
        self._core.on_state(arm.name, sample, steady_ns())

    def _on_chunk(self, message: JointTrajectory) -> None:
        try:
            chunk = chunk_from_msg(message, self._robot.joint_names, self._robot.action_period_s)
        except Refusal as refusal:
            self._refuse("chunk", refusal)
            return
        cause = self._core.on_chunk(chunk, now_ns(self))
        if cause:
            self._refuse("chunk", cause)
        elif self._core.seam is not None:
            self._seam_mrad = max(self._seam_mrad, 1e3 * float(self._core.seam[self._rotary].max()))

    def _on_observation_state(self, message: DiagnosticArray) -> None:
        invalid = message.status[0].level >= DiagnosticStatus.ERROR
        self._core.on_observation_state(one_line(message.status[0].message) if invalid else "")

    def _on_teleop(self, message: JointState) -> None:
        try:
            self._core.on_teleop(wire.whole_robot(message, self._robot.joint_names), steady_ns())
        except Refusal as refusal:
            self._refuse("teleoperation", refusal)

    def _refuse(self, what: str, why: object) -> None:
        self.get_logger().error(f"{what} refused: {one_line(why)}", throttle_duration_sec=1.0)

    def _cycle(self) -> None:
        steady = steady_ns()
        output = self._core.step(now_ns(self), steady)
        if output.command is not None:
            for arm, publisher in self._arms:
                part = self._robot.arm_slices[arm.name]
                publisher.publish(command_msg(arm, part, output.command, self._robot.control_period_s))
        late_ms = (steady - self._last_ns) / 1e6 - self._robot.control_period_s * 1e3 if self._last_ns else 0.0
        self._late_ms = max(self._late_ms, late_ms)
        self._last_ns, self._cycles = steady, self._cycles + 1
        self._say(output, steady)

    def _say(self, output: CommandOutput, steady: int) -> None:
        """Publish mode and verdict ten times a second, and at once when they or the chunk in execution change."""
        key = (output.mode, output.verdict.check, output.verdict.severity.name)
        fresh = output.chunk_stamp_ns != self._followed_ns
        self._followed_ns = output.chunk_stamp_ns
        if key != self._said:
            self.get_logger().info(f"{output.mode.value}: {output.verdict.check} {output.verdict.reason}".rstrip(" :"))
        elif not fresh and steady - self._said_ns < _STATE_PERIOD_NS:
            return
        self._said, self._said_ns = key, steady
        values = {
            "mode": output.mode.value,
            "severity": output.verdict.severity.name,
            "check": output.verdict.check,
            "reason": output.verdict.reason,
            "chunk_stamp_ns": output.chunk_stamp_ns or 0,
        }
        self._state.publish(status_msg(now_ns(self), "command", values))

    def _report(self) -> dict[str, object]:
        late, self._late_ms = self._late_ms, 0.0
        seam, self._seam_mrad = self._seam_mrad, 0.0
        refused = {f"refused/{cause}": count for cause, count in self._core.refused.items()}
        return {
            "mode": self._core.mode.value,
            "cycles": self._cycles,
            "late_ms": round(late, 3),
            "seam_jump_mrad": round(seam, 3),
            **refused,
        }


def main() -> None:
    """Run the node."""
    run_node(CommandNode)


if __name__ == "__main__":
    main()
