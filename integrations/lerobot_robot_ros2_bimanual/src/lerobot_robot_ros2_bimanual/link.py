"""One node in the graph for all that LeRobot's process asks of it; nothing spins but who waits."""

import atexit
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from sensor_msgs.msg import Image, JointState

from lerobot_robot_ros2_bimanual.interrupts import INTERRUPTS
from smp_bringup import wire
from smp_bringup.client.answers import WHERE, GraphError
from smp_bringup.client.graph_client import graph_client
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.lerobot.uncaught import say_interrupt
from smp_bringup.nodes import qos
from smp_bringup.observation.assembler import Assembler
from smp_bringup.robot import Robot
from smp_bringup.types import AlignedSet, JointSample

_MOST_AT_ONCE, _IDLE = 1000, 3
"""Callbacks that are handled at once, and turns without a message after which none is left."""
_SILENT_S = 1.0
"""Leaders that said nothing for so long lead no more."""


class Link:
    """What the graph says; opened by robot and leaders, closed by the last of them."""

    _open: ClassVar["Link | None"] = None

    def __init__(self, robot: Robot, namespace: str) -> None:
        """Join the graph; see `opened`."""
        self.robot, self._namespace, self._users, self._heard = robot, namespace, 0, Counter[str]()
        self._block = graph_client("lerobot", namespace, leads=True, signals=False)  # Ctrl-C ends LeRobot's episode
        self.client = self._block.__enter__()
        self.client.between = INTERRUPTS.look
        atexit.register(self._end)
        say_interrupt("interrupted: what was being recorded is not kept")
        self._misfit = ""
        colour = {camera.name: camera for camera in robot.cameras if not camera.depth}
        self._sizes = {name: (camera.observation_height, camera.observation_width) for name, camera in colour.items()}
        self._assembler = Assembler(tuple(colour))
        self._seen: AlignedSet | None = None
        self.told: JointSample | None = None
        """What the leaders said last, of all joints."""
        self._told_s = 0.0
        self.looked_on = False
        """Whether LeRobot hears who leads the arms."""
        self._parts = [f"observation/{name}" for name in colour] + ["observation/joint_states"]
        for name in colour:
            self._hear(Image, f"observation/{name}", partial(self._on_image, name))
        self._hear(JointState, "observation/joint_states", self._on_joints)
        self._hear(JointState, "teleop/command", self._on_told)

    @classmethod
    def opened(cls, robot: Robot, namespace: str) -> "Link":
        """Return the link to the graph in a full namespace, the same for all devices.

        Raises:
            ConfigError: another device of LeRobot is in another graph, or of another robot.
        """
        link = cls._open = cls._open or cls(robot, namespace)
        if (link.robot, link._namespace) != (robot, namespace):
            raise ConfigError(
                f"--robot and --teleop must name the same robot and namespace, got '{link.robot.name}' in "
                f"{link._namespace} and '{robot.name}' in {namespace}"
            )
        link._users += 1
        return link

    def close(self) -> None:
        """Leave the graph, if nobody else uses the link."""
        self._users -= 1
        if not self._users:
            self._end()

    def next_seen(self, after_ns: int, wait_s: float) -> AlignedSet:
        """Return the newest set of sync with a stamp after `after_ns`, awaited for `wait_s` [s].

        Raises:
            ConfigError: it is of another robot.
            GraphError: none came.
        """
        self.drain()
        heard = Counter(self._heard)
        self.wait(
            lambda: self._seen is not None and self._seen.stamp_ns > after_ns,
            wait_s,
            lambda: f"an observation of sync: {self._lacking(heard)}",
        )
        assert self._seen is not None
        return self._seen

    def next_told(self, wait_s: float) -> JointSample:
        """Return what the leaders say now.

        Raises:
            GraphError: they say nothing for `wait_s` [s], or the arms are stopped, so that nobody does it.
        """
        self.drain()
        self.require_unlatched()
        self.wait(
            lambda: self.led,
            wait_s,
            lambda: f"who leads the arms: {self.unled}",
        )
        assert self.told is not None
        return self.told

    @property
    def state(self) -> str:
        """Mode of the command node, and why."""
        state = self.client.command_state
        return one_line(": ".join(filter(None, (state["mode"], state["reasons"]))))

    def require_unlatched(self) -> None:
        """Raise GraphError where arms have been stopped that only a reset lets go on."""
        if self.client.latched:
            raise GraphError(f"the arms are stopped: {self.state}; smp reset leaves it once the causes are gone")

    @property
    def led(self) -> bool:
        """Whether somebody leads the arms."""
        return self.told is not None and time.monotonic() - self._told_s < _SILENT_S

    @property
    def unled(self) -> str:
        """Why nobody leads the arms."""
        if not self.client.count_publishers("teleop/command"):
            return f"no teleop node runs: start the graph with --teleop ({WHERE})"
        topics = ", ".join(joints.topic for joints in self.robot.leader_topics)
        return f"the leaders of robot '{self.robot.name}' are silent{f' ({topics})' if topics else ''}"

    def drain(self) -> None:
        """Handle all that has come meanwhile."""
        idle = 0
        for _ in range(_MOST_AT_ONCE):
            before = self._heard.total()
            self.client.spin(0.0)
            idle = 0 if self._heard.total() > before else idle + 1
            if idle == _IDLE:
                return

    def wait(self, condition: Callable[[], bool], wait_s: float, what: Callable[[], str]) -> None:
        """Handle what comes until `condition` holds.

        Raises:
            ConfigError: what comes is of another robot.
            GraphError: the condition did not hold within `wait_s` [s].
        """
        end = time.monotonic() + wait_s
        while not condition():
            self._require_fit()
            if time.monotonic() > end:
                raise GraphError(f"waited {wait_s:g} s for {what()}")
            self.client.spin(0.05)
        self._require_fit()

    def _require_fit(self) -> None:
        if self._misfit:
            raise ConfigError(
                f"{self._misfit}, robot '{self.robot.name}' has others: name the robot that the graph was started "
                "with (--robot.robot, --teleop.robot)"
            )

    def _lacking(self, before: Mapping[str, int]) -> str:
        """Return why there is no whole set since so many messages of each topic."""
        silent = [topic for topic in self._parts if self._heard[topic] == before.get(topic, 0)]
        if not silent:
            return "its parts come with different stamps, smp top says more"
        if len(silent) == len(self._parts):
            return f"nothing comes ({WHERE})"
        return f"nothing comes on {', '.join(silent)}: does the graph run robot '{self.robot.name}'? smp top says more"

    def _end(self) -> None:
        if Link._open is self:
            Link._open = None
            atexit.unregister(self._end)
            self._block.__exit__(None, None, None)

    def _hear(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        def heard(message: Any) -> None:
            self._heard[topic] += 1
            callback(message)

        self.client.create_subscription(kind, topic, heard, qos.OBSERVATION)

    def _on_image(self, camera: str, message: Image) -> None:
        frame = wire.frame(message)
        if frame.image.shape[:2] != self._sizes[camera]:
            height, width = frame.image.shape[:2]
            self._misfit = f"camera '{camera}' of the graph gives {width} x {height} px"
        self._take(self._assembler.push_image(camera, frame.stamp_ns, frame.image))

    def _on_joints(self, message: JointState) -> None:
        if tuple(message.name) != self.robot.joint_names:
            self._misfit = f"the graph's joints are {', '.join(message.name)}"
            return
        self._take(self._assembler.push_joints(wire.whole_robot(message, self.robot.joint_names)))

    def _on_told(self, message: JointState) -> None:
        self.told, self._told_s = wire.teleop_command(message, self.robot), time.monotonic()

    def _take(self, aligned: AlignedSet | None) -> None:
        self._seen = aligned or self._seen
