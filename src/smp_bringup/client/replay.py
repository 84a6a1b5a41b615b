"""The live nodes over a bag at real time, heard from outside: chunks, and what safety said."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from smp_bringup import wire
from smp_bringup.camera import Camera
from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import replay_graph
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import chunk_from_msg, status_values
from smp_bringup.robot import Robot
from smp_bringup.types import ActionChunk

_START_S = 90.0
"""The player gives up sooner, and says for what it waited."""


@dataclass
class Heard:
    """What the live nodes said over a bag."""

    chunks: list[ActionChunk] = field(default_factory=list)
    observations: dict[int, dict[str, NDArray[Any]]] = field(default_factory=dict)
    """By stamp: image (h, w, 3) of each camera, and "joints" (J,) [rad], grippers [m]."""
    modes: list[str] = field(default_factory=list)
    """Of the command node, in order, without repetition."""
    state: str = ""
    exit_code: int | None = None
    """Of the player, which ends by itself."""


def replay_live(
    bag: Path, model: str, robot_name: str, robot: Robot, log: Path, duration_s: float, **settings: str | float
) -> Heard:
    """Run the graph of `replay.launch.py` over a bag of `duration_s` and return what it said.

    `settings` go to `replay_graph`: seam "latest" with a long deadline makes every chunk a function of its
    observation alone.
    """
    heard = Heard()

    def on_state(message: DiagnosticArray) -> None:
        heard.state = status_values(message)["state"]

    def on_command(message: DiagnosticArray) -> None:
        mode = status_values(message)["mode"]
        if mode not in heard.modes[-1:]:
            heard.modes.append(mode)

    def on_chunk(message: JointTrajectory) -> None:
        heard.chunks.append(chunk_from_msg(message, robot.joint_names, robot.action_period_s))

    def on_image(camera: Camera, message: Image) -> None:
        seen = wire.depth_frame(message) if camera.depth else wire.frame(message)
        heard.observations.setdefault(seen.stamp_ns, {})[camera.name] = seen.image

    def on_joints(message: JointState) -> None:
        heard.observations.setdefault(wire.stamp_ns(message.header.stamp), {})["joints"] = np.array(message.position)

    graph = replay_graph(bag=str(bag), robot=robot_name, model=model, **settings)  # type: ignore[arg-type]
    with Graph(graph, log) as running, graph_client("smp_replay") as client:
        client.create_subscription(JointTrajectory, "policy/chunk", on_chunk, qos.LATEST)
        for camera in robot.cameras:
            topic = f"observation/{camera.name}"
            client.create_subscription(Image, topic, partial(on_image, camera), qos.OBSERVATION)
        client.create_subscription(JointState, "observation/joint_states", on_joints, qos.OBSERVATION)
        client.create_subscription(DiagnosticArray, "command/state", on_command, qos.STATE)
        client.create_subscription(DiagnosticArray, "replay/state", on_state, qos.STATE)
        client.wait(lambda: heard.state in ("playing", "finished"), _START_S, "the player", running.check)
        client.wait(lambda: heard.state == "finished", duration_s + _START_S, "the end of the bag")
        heard.exit_code = running.processes["replay"].wait(_START_S)
    return heard
