"""What recording costs: the command loop of the simulated graph under teleoperation, without and with a recorder."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import graph_client
from smp_bringup.client.listener import Listener
from smp_bringup.graph import NO_MODEL, build_graph
from smp_bringup.launcher import Graph
from smp_bringup.robot import load_robot


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
            model=NO_MODEL,
            sim=True,
            task=task,
            teleop=True,
            record=str(out) if recording else "",
            recording=settings,
        )
        with Graph(graph, Path(own) / "graph.log") as running:
            heard = _teleoperate(running, robot, task, seconds, recording)
        size = sum(file.stat().st_size for file in out.rglob("*.mcap"))
    return {
        "rate_hz": heard.rate_hz,
        "gap_p99_ms": float(np.percentile(heard.gaps_ms, 99)),
        "gap_max_ms": max(heard.gaps_ms),
        "written_mb_s": size / 1e6 / seconds,
    }


def _teleoperate(graph: Graph, robot: str, task: str, seconds: float, recording: bool) -> Listener:
    """Run one teleoperated episode; return what was heard of the first arm's commands; raises GraphError if nothing."""
    body = load_robot(robot)
    with graph_client("smp_bench") as client:
        listener = Listener(client, body)
        client.start_episode(task, 1, "teleop", graph.check)
        if recording:
            client.trigger("recorder/start")
        client.trigger("sim/operate")
        listener.begin()
        end = float(client.sim_state["time_s"]) + seconds
        client.wait(lambda: float(client.sim_state["time_s"]) > end, 4 * seconds + 30, "the time", graph.check)
        listener.end()
        if recording:
            with suppress(GraphError):  # a full disk has ended the episode already
                client.trigger("recorder/stop")
        if not listener.gaps_ms:
            raise GraphError(f"no command with a stamp was heard on {body.arms[0].command_topic}")
        return listener
