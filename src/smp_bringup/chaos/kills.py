"""The whole graph with the simulated robot: its processes are killed, and the arms must be held."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import rclpy

from smp_bringup.chaos.ear import Ear
from smp_bringup.chaos.output_law import Violation
from smp_bringup.client.graph_client import GraphClient, GraphError
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.robot import Robot

_START_S, _QUIET_S = 60.0, 0.3
_FAILURES = 10
"""So many graphs may not come so far as to follow a policy, on a machine that is too busy for them."""


def kill_policies(
    robot: Robot, repeats: int, log: Path, progress: Callable[[int, int], None]
) -> tuple[list[float], Ear, list[Violation]]:
    """Kill the policy process again and again while it is followed.

    Returns:
        The time from each kill to rest [ms], and what was heard of the commands.
    """
    rclpy.init()
    client = GraphClient("smp_chaos")
    ear, took = Ear(client, robot), list[float]()
    try:
        failed = 0
        while len(took) < repeats:
            progress(len(took), repeats)
            _drain(client, ear)
            ear.restart(another_robot=True)
            client.command_state, client.sim_state = {}, {}
            with Graph(build_graph(sim=True, task="lift_tray"), log) as graph:
                try:
                    _begin(client, graph)
                except GraphError:  # a machine too busy to bring up the graph in time may let it fault before
                    failed += 1
                    if failed > _FAILURES:
                        raise
                    continue
                client.wait(lambda: ear.speed > 0.1, 20.0, "speed", graph.check)
                took.append(_kill(client, ear, graph))
        return took, ear, ear.judge()
    finally:
        client.destroy_node()
        rclpy.try_shutdown()


def _drain(client: GraphClient, ear: Ear) -> None:
    """Hear what a graph that has ended still said: it must not be taken for what the next one says."""
    heard = -1
    while heard != ear.heard:
        heard, end = ear.heard, time.monotonic() + _QUIET_S
        while time.monotonic() < end:
            client.spin(0.01)


def _begin(client: GraphClient, graph: Graph) -> None:
    client.wait(lambda: bool(client.sim_state and client.command_state), _START_S, "the graph", graph.check)
    client.wait(lambda: client.count_publishers("/policy/chunk") > 0, _START_S, "the policy", graph.check)
    client.start_episode("lift_tray", 2, "policy")


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
