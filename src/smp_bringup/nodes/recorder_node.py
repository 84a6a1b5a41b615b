"""Every topic of an episode into a bag, between start and stop; a verdict right after it."""

import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo, JointState, Joy
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from smp_bringup.bag.messages import known
from smp_bringup.errors import ConfigError, SmpError, one_line
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Diagnostics, LeanNode, now_ns, run_node, steady_ns
from smp_bringup.nodes.camera_messages import camera_type
from smp_bringup.nodes.matched import MatchedSubscriptions
from smp_bringup.nodes.messages import COMMAND_TYPES, status_msg, type_name
from smp_bringup.nodes.params import RecorderParams, current, declare
from smp_bringup.record.config import load_recording
from smp_bringup.record.heard import Heard
from smp_bringup.record.pedal import Pedal
from smp_bringup.record.recorder import Recorder
from smp_bringup.robot import RecordedTopic, Robot, load_robot
from smp_bringup.safety.config import load_safety
from smp_bringup.wire import OBJECTS_TOPIC

_PUMP_S = 0.05
_STATE_S = 0.2
LOST = 3
"""Exit code of a recorder that could not keep everything it heard."""


class RecorderNode(LeanNode):
    """Hands serialised messages to the recorder; services, pedal and signals say when an episode begins and ends."""

    def __init__(self) -> None:
        super().__init__("recorder")
        params = declare(self, RecorderParams)
        config = load_recording(params.settings)
        robot, safety = load_robot(params.robot), load_safety(params.safety)
        self._recorder = Recorder(robot, safety, Path(params.out), params.task, config)
        self._pedal, self._heard = Pedal(config.pedal), Heard()
        self._listen()
        for name, act in self._requests().items():
            self.create_service(Trigger, f"/recorder/{name}", partial(self._answer, act))
        self.create_service(SetBool, "/recorder/success", self._on_success)
        self.create_subscription(Joy, "/recorder/pedal", self._on_pedal, qos.OBSERVATION)
        self._state = self.create_publisher(DiagnosticArray, "/recorder/state", qos.STATE)
        self.create_timer(_STATE_S, self._say)
        self._diagnostics = Diagnostics(self, self._recorder.report)
        self._closing = threading.Event()
        self._worker = threading.Thread(target=self._work, name="disk", daemon=True)
        self._worker.start()

    @property
    def exit_code(self) -> int:
        """Nonzero where something that was heard is not in a bag."""
        return LOST if self._recorder.dropped or self._recorder.failed else 0

    def destroy_node(self) -> None:
        """Close an open episode before leaving."""
        self._closing.set()
        self._worker.join()
        if self._recorder.recording:
            self._act(self._recorder.stop)
        super().destroy_node()

    def _listen(self) -> None:
        robot = self._recorder.robot
        drivers: dict[str, type] = {camera.topic: camera_type(camera) for camera in robot.cameras}
        drivers |= {recorded.topic: _message_type(recorded) for recorded in robot.recorded}
        self._drivers = MatchedSubscriptions(self, at_once=False)
        for topic, kind in drivers.items():
            self._drivers.add(kind, topic, partial(self._on_message, topic, type_name(kind)), qos.RECORD, raw=True)
        for topic, kind in _topics(robot).items():
            callback = partial(self._on_message, topic, type_name(kind))
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


def _message_type(recorded: RecordedTopic) -> type:
    """Return the type of a further topic.

    Raises:
        ConfigError: it is not installed, or bags cannot describe it.
    """
    package, _, name = recorded.type.split("/")
    try:
        kind: type = getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        raise ConfigError(
            f"recorded topic {recorded.topic}: no message type {recorded.type} is installed; source its package"
        ) from None
    if not known(recorded.type):
        raise ConfigError(
            f"recorded topic {recorded.topic}: {recorded.type} is no message of ROS 2 itself, only those are recorded"
        )
    return kind


def _topics(robot: Robot) -> dict[str, type]:
    """Return every recorded topic and its type, beside images and further topics of drivers."""
    topics: dict[str, type] = {camera.info_topic: CameraInfo for camera in robot.cameras}
    for arm in robot.arms:
        topics |= {arm.state_topic: JointState, arm.leader_topic: JointState}
        topics[arm.command_topic] = COMMAND_TYPES[arm.command_interface]
    return topics | {
        "/teleop/command": JointState,
        OBJECTS_TOPIC: JointState,
        "/policy/chunk": JointTrajectory,
        "/policy/gate": JointState,
        "/command/state": DiagnosticArray,
    }


def main() -> None:
    """Run the node."""
    run_node(RecorderNode)


if __name__ == "__main__":
    main()
