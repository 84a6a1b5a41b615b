"""Episodes of a policy through the running graph in real time."""

from collections.abc import Callable, Sequence

from smp_bringup.bench.report import Film
from smp_bringup.client.graph_client import GraphClient, graph_client
from smp_bringup.client.monitor import Monitor
from smp_bringup.launcher import Graph
from smp_bringup.robot import Robot
from smp_bringup.sim.seeds import evaluation_seed

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
    with graph_client() as client:
        monitor = Monitor(client, robot, replan_s)
        films = []
        for task in tasks:
            for episode in range(episodes):
                film = Film(task, evaluation_seed(seed, episode), False, 0.0)
                _one(client, monitor, graph, film, status)
                films.append(film)
        client.accepts("disarm")  # refused where the last episode ended in a fault: those arms are stopped already
        return films, monitor.summary()


def _one(client: GraphClient, monitor: Monitor, graph: Graph, film: Film, status: Status) -> None:
    client.start_episode(film.task, film.seed, "policy", graph.check)
    monitor.film(film)
    begun_s = float(client.sim_state["time_s"])
    budget_s = float(client.sim_state["budget_s"])

    def over() -> bool:
        film.time_s = float(client.sim_state["time_s"]) - begun_s
        film.success = client.sim_state["success"] == "1"
        return film.success or film.time_s > budget_s or client.command_state["mode"] == "fault"

    def check() -> None:
        graph.check()
        status(film, client, monitor)

    client.wait(over, 2 * budget_s + 5, f"the end of {film.task}", check)
    monitor.end()
    film.account = [] if film.success else _account(client, monitor, budget_s)


def _account(client: GraphClient, monitor: Monitor, budget_s: float) -> list[str]:
    """Return in words why an episode that is over failed."""
    command = client.command_state
    end = f"fault: {command['reason']}" if command["mode"] == "fault" else f"its time budget of {budget_s:g} s"
    held = [f"{check.replace('_', ' ')} held the arms: {reason}" for check, reason in monitor.held.items()]
    lines = [f"ended by {end}", client.sim_state["touched"], client.sim_state["lacks"], *held]
    return [line for line in lines if line] + ["no safety check held the arms"] * (not held)
