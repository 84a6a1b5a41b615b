"""Every topic of an episode into a bag, between start and stop."""

from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from smp_bringup.errors import SmpError
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Health, now_ns, run_node
from smp_bringup.nodes.messages import COMMAND_TYPES
from smp_bringup.nodes.params import RecorderParams, current, declare
from smp_bringup.paths import named_config
from smp_bringup.record.writer import BagWriter
from smp_bringup.robot import Robot, load_robot


class RecorderNode(Node):
    """Writes serialised messages as they come; services say when an episode begins and how it ended."""

    def __init__(self) -> None:
        super().__init__("recorder")
        params = declare(self, RecorderParams)
        self._robot = load_robot(params.robot)
        self._robot_yaml = named_config("robots", params.robot).read_text(encoding="utf-8")
        self._writer: BagWriter | None = None
        self._success: bool | None = None
        self._last: Path | None = None
        for topic, kind in _topics(self._robot).items():
            name = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
            self.create_subscription(kind, topic, partial(self._on_message, topic, name), qos.RECORD, raw=True)
        for name, act in (("start", self._start), ("stop", self._stop), ("discard", self._discard)):
            self.create_service(Trigger, f"/recorder/{name}", partial(self._answer, act))
        self.create_service(SetBool, "/recorder/success", self._on_success)
        self._health = Health(self, self._report)

    def destroy_node(self) -> None:
        """Close an open bag before leaving."""
        if self._writer is not None:
            self._writer.close(self._success)
            self._writer = None
        super().destroy_node()

    def _on_message(self, topic: str, kind: str, cdr: bytes) -> None:
        if self._writer is not None:
            self._writer.write(topic, kind, now_ns(self), cdr)

    def _on_success(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._success = request.data
        response.success, response.message = True, f"success: {request.data}"
        return response

    def _answer(self, act: object, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.success, response.message = True, act()  # type: ignore[operator]
        except SmpError as error:
            response.success, response.message = False, str(error)
        self.get_logger().info(response.message)
        return response

    def _start(self) -> str:
        """Open the next free episode of the task."""
        if self._writer is not None:
            return "already recording"
        params = current(self, RecorderParams)
        folder = _next_folder(Path(params.out) / params.task)
        self._writer, self._success = BagWriter(folder, self._robot_yaml, params.task), None
        return f"recording {folder}"

    def _stop(self) -> str:
        if self._writer is None:
            return "not recording"
        count = self._writer.messages
        self._last, self._writer = self._writer.close(self._success), None
        return f"saved {self._last} ({count} messages)"

    def _discard(self) -> str:
        if self._writer is None:
            return "not recording"
        self._writer.discard()
        self._writer = None
        return "discarded"

    def _report(self) -> dict[str, object]:
        recording = self._writer is not None
        return {"recording": recording, "messages": self._writer.messages if self._writer else 0}


def _topics(robot: Robot) -> dict[str, type]:
    """Return every recorded topic and its type."""
    topics: dict[str, type] = {c.topic: Image for c in robot.cameras}
    for arm in robot.arms:
        topics |= {arm.state_topic: JointState, arm.leader_topic: JointState}
        topics[arm.command_topic] = COMMAND_TYPES[arm.command_interface]
    return topics | {
        "/teleop/command": JointState,
        "/policy/chunk": JointTrajectory,
        "/policy/gate": JointState,
        "/command/state": DiagnosticArray,
    }


def _next_folder(task: Path) -> Path:
    """Return the first folder `episode_NNNNN` of a task that does not exist."""
    index = 0
    while (task / f"episode_{index:05d}").exists():
        index += 1
    return task / f"episode_{index:05d}"


def main() -> None:
    """Run the node."""
    run_node(RecorderNode)


if __name__ == "__main__":
    main()
