"""What a running graph says, message by message, with topics named as in the root namespace, as in bags."""

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from smp_bringup.client.graph_client import graph_client
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns, steady_ns
from smp_bringup.nodes.camera_messages import camera_type
from smp_bringup.nodes.messages import COMMAND_TYPES, state_type
from smp_bringup.robot import Robot
from smp_bringup.types import NS_PER_S

_MOST_WAITING = 4096
"""Messages that wait for a slow listener; then the oldest are dropped, and the graph does not notice."""


def heard(here: Robot, root: Robot, namespace: str, seconds: float) -> Iterator[tuple[str, int, Any]]:
    """Yield topic, time of hearing [ns] and message of cameras, joints, commands, chunks, gate and command states.

    Args:
        here: the robot with its topics in `namespace`.
        root: the same robot with its topics in the root namespace, which name what is yielded.
        namespace: of the graph.
        seconds: after which it ends [s].
    """
    waiting: deque[tuple[str, int, Any]] = deque(maxlen=_MOST_WAITING)
    with graph_client("smp_view", namespace) as client:

        def take(name: str, message: Any) -> None:
            waiting.append((name, now_ns(client), message))

        for (topic, kind, profile), (name, _, _) in zip(_topics(here), _topics(root), strict=True):
            client.create_subscription(kind, topic, partial(take, name if name[0] == "/" else f"/{name}"), profile)
        end_ns = steady_ns() + seconds * NS_PER_S
        while steady_ns() < end_ns:
            client.spin(0.05)
            while waiting:
                yield waiting.popleft()


def _topics(robot: Robot) -> list[tuple[str, type, QoSProfile]]:
    """Return names, types and profiles: best effort where a driver speaks, so that nobody waits for who looks."""
    cameras = [(camera.topic, camera_type(camera), qos.SENSOR) for camera in robot.cameras]
    states = [(joints.topic, state_type(joints.arms[0]), qos.SENSOR) for joints in robot.state_topics]
    commands = [
        (joints.topic, COMMAND_TYPES[joints.arms[0].command_interface], qos.SENSOR) for joints in robot.command_topics
    ]
    ours = [
        ("policy/chunk", JointTrajectory, qos.LATEST),
        ("policy/gate", JointState, qos.OBSERVATION),
        ("command/state", DiagnosticArray, qos.STATE),
    ]
    return [*cameras, *states, *commands, *ours]
