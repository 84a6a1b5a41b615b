"""The whole graph with the simulated robot: its processes are killed, and the arms must be held."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from smp_bringup.chaos.ear import Ear
from smp_bringup.client.graph_client import GraphClient, GraphError, graph_client
from smp_bringup.errors import ConfigError, SmpError
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.robot import Robot, load_robot

KILLS = "F29"
_MODEL, _TASK, _SEED = "smp_aloha", "lift_tray", 2
_QUIET_S = 0.3
_FAILURES = 10
"""So many graphs may not come so far as to follow a policy, on a machine that is too busy for them."""


def require_simulated(robot: Robot) -> None:
    """Raise ConfigError for a robot that is not simulated, or that the shipped policy was not trained for."""
    try:
        if not robot.simulation:
            raise ConfigError(f"robot '{robot.name}' has no simulation")
        build_policy(find_model(_MODEL), robot)
    except SmpError as error:
        raise ConfigError(f"{KILLS} kills {_MODEL} in the simulator: {error}; leave {KILLS} out of --faults") from None


def kill_policies(robot: str, repeats: int, log: Path, progress: Callable[[int, int], None]) -> tuple[list[float], Ear]:
    """Kill the policy process again and again while it is followed.

    Args:
        robot: name or YAML path of a robot that `require_simulated` takes.
        repeats: kills.
        log: of the graphs.
        progress: told of every kill.

    Returns:
        The time from each kill to rest [ms], and what was heard of the commands.
    """
    with graph_client("smp_chaos") as client:
        ear, took, failed = Ear(client, load_robot(robot)), list[float](), 0
        while len(took) < repeats:
            progress(len(took), repeats)
            _drain(client, ear)
            ear.killed(another_robot=True)
            client.command_state, client.sim_state = {}, {}
            with Graph(build_graph(robot=robot, model=_MODEL, sim=True, task=_TASK), log) as graph:
                try:
                    client.start_episode(_TASK, _SEED, "policy", graph.check)
                except GraphError:  # a machine too busy to bring up the graph in time may let it fault before
                    failed += 1
                    if failed > _FAILURES:
                        raise
                    continue
                client.wait(lambda: ear.speed > 0.1, 20.0, "speed", graph.check)
                took.append(_kill(client, ear, graph))
        return took, ear


def _drain(client: GraphClient, ear: Ear) -> None:
    """Hear what a graph that has ended still said: it must not be taken for what the next one says."""
    heard = -1
    while heard != ear.heard:
        heard = ear.heard
        client.spin_for(_QUIET_S)


def _kill(client: GraphClient, ear: Ear, graph: Graph) -> float:
    """Kill the policy process; return how long until the arms are told to stand still [ms]."""
    begun = time.monotonic()
    graph.processes["policy"].send_signal(signal.SIGKILL)
    client.wait(lambda: client.command_state["mode"] == "fault" and ear.still, 5.0, "the fault and rest")
    took = (time.monotonic() - begun) * 1e3
    ear.freeze()
    heard = ear.heard
    client.wait(lambda: ear.heard > heard + 30, 5.0, "more commands")
    ear.thaw()
    return took
