"""One node in the graph for all that LeRobot's process asks of it; nothing spins but who waits."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from sensor_msgs.msg import Image, JointState

from smp_bringup import wire
from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import graph_client
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import joint_state_msg
from smp_bringup.observation.assembler import Assembler
from smp_bringup.robot import Robot, load_robot
from smp_bringup.types import AlignedSet, FloatArray, JointSample

_MOST_AT_ONCE = 1000


class Link:
    """What the graph says, and how it is led; opened by robot and leaders, closed by the last of them."""

    _open: ClassVar[dict[tuple[str, str], "Link"]] = {}

    def __init__(self, robot: Robot, namespace: str) -> None:
        """Join the graph; see `opened`."""
        self.robot, self._users, self._heard = robot, 0, 0
        self._block = graph_client("lerobot", namespace)
        self.client = self._block.__enter__()
        colour = tuple(camera.name for camera in robot.cameras if not camera.depth)
        self._assembler = Assembler(colour)
        self.seen: AlignedSet | None = None
        """The newest set of sync."""
        self.told: JointSample | None = None
        """What the leaders say, of all joints."""
        for name in colour:
            self._hear(Image, f"observation/{name}", partial(self._on_image, name))
        self._hear(JointState, "observation/joint_states", self._on_joints)
        self._hear(JointState, "teleop/command", self._on_told)
        self._leaders: list[Any] = []

    @classmethod
    def opened(cls, robot: str, namespace: str) -> "Link":
        """Return the link to a graph; the same for all that name the same."""
        key = robot, namespace
        link = cls._open.get(key) or cls._open.setdefault(key, cls(load_robot(robot, namespace), namespace))
        link._users += 1
        return link

    def close(self) -> None:
        """Leave the graph, if nobody else uses the link."""
        self._users -= 1
        if not self._users:
            Link._open = {key: link for key, link in Link._open.items() if link is not self}
            self._block.__exit__(None, None, None)

    def lead(self, position: FloatArray) -> None:
        """Tell the arms where to go (J,), as leader arms would."""
        robot = self.robot
        if not self._leaders:
            topics = robot.leader_topics
            self._leaders = [
                (joints, self.client.create_publisher(JointState, joints.topic, qos.DRIVER)) for joints in topics
            ]
        for joints, publisher in self._leaders:
            values = joints.positions(position)
            publisher.publish(joint_state_msg(now_ns(self.client), joints.names, values, values * 0.0))

    def drain(self) -> None:
        """Handle all that has come meanwhile."""
        for _ in range(_MOST_AT_ONCE):
            before = self._heard
            self.client.spin(0.0)
            if self._heard == before:
                return

    def await_(self, condition: Callable[[], bool], wait_s: float, what: str) -> None:
        """Handle what comes until `condition` holds; raises GraphError where it does not within `wait_s` [s]."""
        end = time.monotonic() + wait_s
        while not condition():
            if time.monotonic() > end:
                raise GraphError(f"waited {wait_s:g} s for {what}: does the graph run? smp status says so")
            self.client.spin(0.05)

    def _hear(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        def heard(message: Any) -> None:
            self._heard += 1
            callback(message)

        self.client.create_subscription(kind, topic, heard, qos.OBSERVATION)

    def _on_image(self, camera: str, message: Image) -> None:
        frame = wire.frame(message)
        self._take(self._assembler.push_image(camera, frame.stamp_ns, frame.image))

    def _on_joints(self, message: JointState) -> None:
        self._take(self._assembler.push_joints(wire.whole_robot(message, self.robot.joint_names)))

    def _on_told(self, message: JointState) -> None:
        self.told = wire.whole_robot(message, self.robot.joint_names)

    def _take(self, aligned: AlignedSet | None) -> None:
        self.seen = aligned or self.seen
