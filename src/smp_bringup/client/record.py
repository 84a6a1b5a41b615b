"""Recording demonstrations through the running graph: the scripted operator teleoperates in real time."""

from collections.abc import Iterator, Sequence

from smp_bringup.client.graph_client import GraphClient, graph_client
from smp_bringup.launcher import Graph
from smp_bringup.sim.demonstration import TAIL_S
from smp_bringup.sim.seeds import demonstration_seed


def record_live(graph: Graph, tasks: Sequence[str], episodes: int, seed: int) -> Iterator[tuple[str, str, bool]]:
    """Record episodes one after the other; yield task, what the recorder said, and success."""
    with graph_client() as client:
        for task in tasks:
            for episode in range(episodes):
                yield task, *record_episode(client, graph, task, demonstration_seed(seed, episode))


def record_episode(client: GraphClient, graph: Graph, task: str, seed: int) -> tuple[str, bool]:
    """Record one episode of the operator; return what the recorder said, and success."""
    client.start_episode(task, seed, "teleop", graph.check)
    client.set_parameters("recorder", task=task)
    client.trigger("/recorder/start")
    client.trigger("/sim/operate")
    budget_s = float(client.sim_state["budget_s"])
    begun_s = float(client.sim_state["time_s"])

    def over() -> bool:
        succeeded = client.sim_state["success"] == "1"
        return succeeded or float(client.sim_state["time_s"]) - begun_s > budget_s

    client.wait(over, 2 * budget_s + 5, f"the end of {task}", graph.check)
    success = client.sim_state["success"] == "1"
    end_s = float(client.sim_state["time_s"]) + TAIL_S
    client.wait(lambda: float(client.sim_state["time_s"]) >= end_s, 5.0, "the tail", graph.check)
    client.set_bool("/recorder/success", success)
    return client.trigger("/recorder/stop"), success
