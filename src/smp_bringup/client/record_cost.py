"""What recording costs: the command loop of the simulated graph under teleoperation, without and with a recorder."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rclpy
from sensor_msgs.msg import JointState

from smp_bringup import wire
from smp_bringup.client.graph_client import GraphClient, GraphError
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.robot import load_robot

_START_S = 60.0


def recording_cost(
    robot: str, task: str, seconds: float, folder: Path | None = None, settings: str = "default"
) -> dict[str, dict[str, float]]:
    """Return rate [Hz] and gaps [ms] of the published commands without and with recording, and what was recorded.

    Args:
        robot: simulated.
        task: that the scripted operator shows.
        seconds: of each run.
        folder: for the bag, which is kept; None is a temporary one.
        settings: of the recorder, in config/recording or a path.
    """
    runs = (("without", False), ("with", True))
    return {word: _measure(robot, task, seconds, recording, folder, settings) for word, recording in runs}


def _measure(
    robot: str, task: str, seconds: float, recording: bool, folder: Path | None, settings: str
) -> dict[str, float]:
    with TemporaryDirectory() as own:
        out = folder or Path(own)
        graph = build_graph(
            robot=robot,
            model=None,
            sim=True,
            task=task,
            teleop=True,
            record=str(out) if recording else None,
            recording=settings,
        )
        with Graph(graph, Path(own) / "graph.log") as running:
            stamps = _commands(running, robot, task, seconds, recording)
        size = sum(file.stat().st_size for file in out.rglob("*.mcap"))
    gaps_ms = np.diff(stamps) / 1e6
    return {
        "rate_hz": float(1e3 / gaps_ms.mean()),
        "gap_p99_ms": float(np.percentile(gaps_ms, 99)),
        "gap_max_ms": float(gaps_ms.max()),
        "written_mb_s": size / 1e6 / seconds,
    }


def _commands(graph: Graph, robot: str, task: str, seconds: float, recording: bool) -> "np.ndarray":
    """Return the stamps of the first arm's commands over one teleoperated episode."""
    arm, stamps = load_robot(robot).arms[0], list[int]()
    rclpy.init()
    client = GraphClient("record_cost")
    try:
        client.create_subscription(
            JointState, arm.command_topic, lambda m: stamps.append(wire.stamp_ns(m.header.stamp)), qos.RECORD
        )
        client.wait(lambda: bool(client.sim_state and client.command_state), _START_S, "the graph", graph.check)
        client.start_episode(task, 1, "teleop")
        if recording:
            client.trigger("/recorder/start")
        client.trigger("/sim/operate")
        stamps.clear()
        end = float(client.sim_state["time_s"]) + seconds
        client.wait(lambda: float(client.sim_state["time_s"]) > end, 4 * seconds + 30, "the time", graph.check)
        taken = np.array(stamps, dtype=np.int64)
        if recording:
            with suppress(GraphError):  # a full disk has ended the episode already
                client.trigger("/recorder/stop")
        return taken
    finally:
        client.destroy_node()
        rclpy.try_shutdown()
