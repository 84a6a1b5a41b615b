"""Every topic of an episode into a bag, between start and stop; a verdict right after it."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, JointState, Joy
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from smp_bringup.errors import SmpError, one_line
from smp_bringup.names import full_name
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Diagnostics, now_ns, run_node, steady_ns
from smp_bringup.nodes.camera_messages import camera_type
from smp_bringup.nodes.managed import ManagedNode
from smp_bringup.nodes.matched import MatchedSubscriptions
from smp_bringup.nodes.messages import COMMAND_TYPES, message_type, state_type, status_msg, type_name
from smp_bringup.nodes.params import RecorderParams, current, declare
from smp_bringup.output import try_folder
from smp_bringup.record.config import load_recording
from smp_bringup.record.heard import Heard
from smp_bringup.record.pedal import Pedal
from smp_bringup.record.recorder import Recorder
from smp_bringup.record.tasks import TaskQueue
from smp_bringup.robot import Robot, load_robot
from smp_bringup.safety.config import load_safety, safety_of

_PUMP_S = 0.05
_STATE_S = 0.2
LOST = 3
"""Exit code of a recorder that could not keep everything it heard."""


class RecorderNode(ManagedNode):
    """Hands serialised messages to the recorder; services, pedal and signals say when an episode begins and ends."""

    _worker: threading.Thread | None = None

    def __init__(self) -> None:
        super().__init__("recorder")
        self._params = declare(self, RecorderParams)
        self.autostart = self._params.autostart

    def configure(self) -> None:
        """As of ManagedNode."""
        params = self._params
        config = load_recording(params.settings)
        robot = load_robot(params.robot)  # a bag's names are as in the root namespace
        safety = load_safety(safety_of(robot, params.safety))
        self._recorder = Recorder(robot, safety, Path(params.out), params.task, config)
        self._pedal, self._heard = Pedal(config.pedal), Heard()
        self.add_on_set_parameters_callback(self._on_set)

    def activate(self) -> None:
        """As of ManagedNode."""
        self._listen(load_robot(self._params.robot, self.get_namespace()))
        for name, act in self._requests().items():
            self.create_service(Trigger, f"recorder/{name}", partial(self._answer, act))
        self.create_service(SetBool, "recorder/success", self._on_success)
        self.create_subscription(Joy, "recorder/pedal", self._on_pedal, qos.OBSERVATION)
        self._state = self.create_publisher(DiagnosticArray, "recorder/state", qos.STATE)
        self.create_timer(_STATE_S, self._say)
        self._diagnostics = Diagnostics(self, self._recorder.report)
        self._closing = threading.Event()
        self._worker = threading.Thread(target=self._work, name="disk", daemon=True)
        self._worker.start()

    @property
    def exit_code(self) -> int:
        """Nonzero where something that was heard is not in a bag."""
        recorder = getattr(self, "_recorder", None)  # never configured: nothing was heard
        return LOST if recorder and (recorder.dropped or recorder.failed) else 0

    def why_not_deactivate(self) -> str:
        """As of ManagedNode."""
        return "an episode is open: stop or discard it first" if self._recorder.recording else ""

    def deactivate(self) -> None:
        """Stop the worker, and close an open episode."""
        if self._worker is None:
            return
        self._closing.set()
        self._worker.join()
        self._worker = None
        if self._recorder.recording:
            self._act(self._recorder.stop)

    def destroy_node(self) -> None:
        """Close an open episode before leaving."""
        self.deactivate()
        super().destroy_node()

    def _listen(self, here: Robot) -> None:
        """Hear the topics as they are here; write them as if in the root namespace, so that all bags are alike."""
        self._drivers = MatchedSubscriptions(self, at_once=False)
        for (topic, kind), written in zip(_images(here).items(), _images(self._recorder.robot), strict=True):
            callback = partial(self._on_message, written, type_name(kind))
            self._drivers.add(kind, topic, callback, qos.RECORD, raw=True)
        for (topic, kind), written in zip(_topics(here).items(), _topics(self._recorder.robot), strict=True):
            callback = partial(self._on_message, full_name(written), type_name(kind))
            self.create_subscription(kind, topic, callback, qos.RECORD, raw=True)

    def _requests(self) -> dict[str, Callable[[], str]]:
        recorder = self._recorder
        return {"start": self._start, "stop": recorder.stop, "discard": recorder.discard, "next": recorder.skip}

    def _work(self) -> None:
        while not self._closing.wait(_PUMP_S):
            self._recorder.pump(steady_ns())

    def _on_message(self, topic: str, kind: str, cdr: bytes, info: dict[str, int]) -> None:
        self._recorder.lose(topic, self._heard.missed(topic, info["publication_sequence_number"]))
        self._recorder.offer(topic, kind, now_ns(self), cdr)

    def _on_success(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success, response.message = self._act(partial(self._recorder.label, request.data))
        return response

    def _on_pedal(self, message: Joy) -> None:
        for press in self._pedal.pressed(message.buttons):
            self._act(partial(press, self._recorder, self._start))

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        """Refuse a queue that names no task, and a folder that cannot be written to."""
        for parameter in parameters:
            try:
                if parameter.name == "task":
                    TaskQueue(parameter.value)
                elif parameter.name == "out":
                    try_folder(Path(parameter.value))
            except SmpError as error:
                return SetParametersResult(successful=False, reason=one_line(error))
        return SetParametersResult(successful=True)

    def _start(self) -> str:
        params = current(self, RecorderParams)
        self._recorder.assign(params.task, Path(params.out))
        return self._recorder.start(steady_ns())

    def _answer(self, act: Callable[[], str], _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._act(act)
        return response

    def _act(self, act: Callable[[], str]) -> tuple[bool, str]:
        """Do what is asked; return whether it was done, and what to say."""
        try:
            done, text = True, act()
        except SmpError as error:
            done, text = False, str(error)
        self.get_logger().info(one_line(text))
        return done, text

    def _say(self) -> None:
        self._state.publish(status_msg(now_ns(self), "recorder", self._recorder.report()))


_LEADER_TYPES = {"joints": JointState, "twist": TwistStamped, "twist_unstamped": Twist, "pose": PoseStamped}


def _images(robot: Robot) -> dict[str, type]:
    """Return the topics of cameras, and further ones of drivers, and their types."""
    images: dict[str, type] = {camera.topic: camera_type(camera) for camera in robot.cameras}
    states = {joints.topic for joints in robot.state_topics}
    further = {one.topic: one.type for one in robot.recorded}
    further |= {vector.topic: vector.type for vector in robot.vectors if vector.topic not in states}
    return images | {topic: message_type(topic, kind) for topic, kind in further.items()}


def _topics(robot: Robot) -> dict[str, type]:
    """Return every recorded topic and its type, beside images and further topics of drivers."""
    topics: dict[str, type] = {camera.info_topic: CameraInfo for camera in robot.cameras}
    for arm in robot.arms:
        topics[arm.state_topic] = state_type(arm)
        if leader := arm.led_by:
            topics[leader.topic] = _LEADER_TYPES[leader.kind]
            topics |= {leader.buttons.topic: Joy} if leader.buttons else {}
    topics |= {told.topic: COMMAND_TYPES[told.arms[0].command_interface] for told in robot.command_topics}
    return topics | {
        "teleop/command": JointState,
        "sim/objects": JointState,
        "policy/chunk": JointTrajectory,
        "policy/gate": JointState,
        "policy/task": String,
        "command/state": DiagnosticArray,
    }


def main() -> None:
    """Run the node."""
    run_node(RecorderNode)


if __name__ == "__main__":
    main()
