"""Episodes of a policy through the running graph in real time."""

from collections.abc import Callable, Sequence

import rclpy

from smp_bringup.bench.report import Film
from smp_bringup.client.graph_client import GraphClient
from smp_bringup.client.monitor import Monitor
from smp_bringup.launcher import Graph
from smp_bringup.robot import Robot
from smp_bringup.sim.seeds import evaluation_seed

_START_S = 30.0

Status = Callable[[Film, GraphClient, Monitor], None]


def run_live(
    graph: Graph, robot: Robot, replan_s: float, tasks: Sequence[str], episodes: int, seed: int, status: Status
) -> tuple[list[Film], dict[str, object]]:
    """Run the episodes one after the other; return their films, and what was measured.

    Args:
        graph: started.
        robot: that runs.
        replan_s: period of the policy, its deadline [s].
        tasks: in order.
        episodes: per task.
        seed: of the layouts, never met in training.
        status: called often while an episode runs.
    """
    rclpy.init()
    client = GraphClient()
    monitor = Monitor(client, robot, replan_s)
    films = []
    try:
        client.wait(lambda: bool(client.sim_state and client.command_state), _START_S, "the graph", graph.check)
        client.wait(lambda: client.count_publishers("/policy/chunk") > 0, _START_S, "the policy", graph.check)
        for task in tasks:
            for episode in range(episodes):
                film = Film(task, evaluation_seed(seed, episode), False, 0.0)
                _one(client, monitor, graph, film, status)
                films.append(film)
        client.trigger("/command/disarm")
        return films, monitor.summary()
    finally:
        client.destroy_node()
        rclpy.try_shutdown()


def _one(client: GraphClient, monitor: Monitor, graph: Graph, film: Film, status: Status) -> None:
    client.start_episode(film.task, film.seed, "policy")
    monitor.begin(film)
    budget_s = float(client.sim_state["budget_s"])
    begun_s = float(client.sim_state["time_s"])

    def over() -> bool:
        film.time_s = float(client.sim_state["time_s"]) - begun_s
        film.success = client.sim_state["success"] == "1"
        return film.success or film.time_s > budget_s or client.command_state["mode"] == "fault"

    def check() -> None:
        graph.check()
        status(film, client, monitor)

    client.wait(over, 2 * budget_s + 5, f"the end of {film.task}", check)
    monitor.end()
