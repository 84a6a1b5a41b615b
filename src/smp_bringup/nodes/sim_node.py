"""A simulated robot that publishes what its drivers would, in real time."""

from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from smp_bringup.errors import SmpError
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Diagnostics, LeanNode, run_node, steady_ns
from smp_bringup.nodes.camera_messages import camera_msg, camera_type
from smp_bringup.nodes.messages import (
    COMMAND_TYPES,
    ArmCommand,
    command_position,
    joint_state_msg,
    status_msg,
    time_msg,
)
from smp_bringup.nodes.params import SimParams, current, declare
from smp_bringup.robot import JointTopic, load_robot
from smp_bringup.sim.camera_delay import CameraDelay
from smp_bringup.sim.live import LiveRobot
from smp_bringup.tasks.state import STATE_NAMES
from smp_bringup.types import Frame, nanoseconds

_MAX_CATCH_UP = 5
"""Periods made up for in one timer call; what is later than that is skipped, never rushed through."""


class SimNode(LeanNode):
    """Wires the simulated robot to the topics of the robot file."""

    def __init__(self) -> None:
        super().__init__("sim")
        params = declare(self, SimParams)
        self._robot = load_robot(params.robot, self.get_namespace())
        self._live = LiveRobot(self._robot, params.operator == "scripted")
        self._live.reset(params.task, params.seed)
        self._delays = {
            c.name: CameraDelay(params.camera_latency_s, params.camera_jitter_s, i)
            for i, c in enumerate(self._robot.cameras)
        }
        period = self._robot.control_period_s
        self._period_ns = nanoseconds(period)
        self._state_every = max(1, round(1 / (self._robot.state_rate_hz * period)))
        self._objects_every = max(1, round(self._robot.action_period_s / period))
        self._tick, self._skipped = 0, 0
        self._advertise(params.publish_clock)
        self.create_service(Trigger, "sim/reset", self._on_reset)
        self.create_service(Trigger, "sim/operate", self._on_operate)
        self._diagnostics = Diagnostics(self, lambda: {"ticks": self._tick, "skipped": self._skipped})
        self._anchor(0)
        self.create_timer(period, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def destroy_node(self) -> None:
        """Free the GL contexts, then the node."""
        self._live.close()
        super().destroy_node()

    def _advertise(self, clock: bool) -> None:
        self._images = {c.name: self.create_publisher(camera_type(c), c.topic, qos.DRIVER) for c in self._robot.cameras}
        robot = self._robot
        self._states, self._leaders = (
            [(joints, self.create_publisher(JointState, joints.topic, qos.DRIVER)) for joints in each]
            for each in (robot.state_topics, robot.leader_topics)
        )
        self._operator = (
            self.create_publisher(JointState, "teleop/command", qos.LATEST) if robot.is_led_by_none else None
        )
        for joints in robot.command_topics:
            kind = COMMAND_TYPES[joints.arms[0].command_interface]
            self.create_subscription(kind, joints.topic, partial(self._on_command, joints), qos.LATEST)
        self._clock_topic = self.create_publisher(ClockMessage, "/clock", 10) if clock else None
        self._objects = self.create_publisher(JointState, "sim/objects", qos.DRIVER)
        self._sim_state = self.create_publisher(DiagnosticArray, "sim/state", qos.STATE)

    def _anchor(self, tick: int) -> None:
        """Let `tick` happen now, on both clocks."""
        wall = Clock(clock_type=ClockType.SYSTEM_TIME).now().nanoseconds
        self._first_steady_ns = steady_ns() - tick * self._period_ns
        self._first_stamp_ns = wall - tick * self._period_ns

    def _on_timer(self) -> None:
        due = (steady_ns() - self._first_steady_ns) // self._period_ns - self._tick
        if due > _MAX_CATCH_UP:
            self._skipped += due
            self._anchor(self._tick)
            due = 1
        for _ in range(due):
            self._advance()

    def _advance(self) -> None:
        samples, stamp = self._live.world.samples, 0
        begun = self._tick * self._period_ns + (0 if self._clock_topic is not None else self._first_stamp_ns)
        self._tick += 1
        for sample in range(1, samples + 1):
            self._live.step(self._robot.control_period_s / samples, steady_ns())
            stamp = begun + sample * self._period_ns // samples
            if self._clock_topic is not None:
                self._clock_topic.publish(ClockMessage(clock=time_msg(stamp)))
            if self._tick % self._state_every == 0:
                self._publish_joints(stamp)
        if self._operator is not None and (wanted := self._live.wanted(stamp)) is not None:
            self._operator.publish(joint_state_msg(stamp, self._robot.joint_names, wanted.position, wanted.velocity))
        if self._tick % self._objects_every == 0:
            objects = self._live.world.objects()
            self._objects.publish(joint_state_msg(stamp, STATE_NAMES[: len(objects)], objects, objects[:0]))
        for camera in self._robot.cameras:
            if camera.exposes(self._tick, self._robot.control_period_s):
                self._delays[camera.name].push(Frame(stamp, self._live.world.render(camera.name)))
            for frame in self._delays[camera.name].pop(stamp):
                self._images[camera.name].publish(camera_msg(camera, frame.stamp_ns, frame.image))
        if self._tick % 10 == 0:
            self._sim_state.publish(status_msg(stamp, "sim", self._live.state()))

    def _publish_joints(self, stamp: int) -> None:
        position, velocity = self._live.world.joint_state()
        leaders = self._live.leaders()
        for joints, publisher in self._states:
            measured = joints.positions(position), joints.velocities(velocity)
            publisher.publish(joint_state_msg(stamp, joints.names, *measured))
        if leaders is None:
            return
        for joints, publisher in self._leaders:
            told = joints.positions(leaders)
            publisher.publish(joint_state_msg(stamp, joints.names, told, told * 0.0))

    def _on_command(self, joints: JointTopic, message: ArmCommand) -> None:
        position = command_position(message, joints)
        for arm, _, part in joints.parts():
            self._live.command(arm.name, position[part], steady_ns())

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            params = current(self, SimParams)
            self._live.reset(params.task, params.seed)
        except SmpError as error:
            response.success, response.message = False, str(error)
            return response
        self._anchor(self._tick)
        response.success, response.message = True, f"{params.task}, seed {params.seed}"
        return response

    def _on_operate(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.message = self._live.operate()
        response.success = response.message.startswith("the operator")
        return response


def main() -> None:
    """Run the node."""
    run_node(SimNode)


if __name__ == "__main__":
    main()
