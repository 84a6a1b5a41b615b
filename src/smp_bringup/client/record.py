"""Recording demonstrations through the running graph: the scripted operator teleoperates in real time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticArray

from smp_bringup.client.graph_client import GraphClient, graph_client
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import status_values
from smp_bringup.sim.demonstration import TAIL_S
from smp_bringup.sim.seeds import demonstration_seed

_STATE_S = 10.0


class LiveEpisode(NamedTuple):
    """One episode, recorded and judged."""

    task: str
    success: bool
    said: str
    """By the recorder when it closed the bag."""
    state: Mapping[str, str]
    """Of the recorder then: the verdict and the queue."""


def record_live(graph: Graph, tasks: Sequence[str], episodes: int, seed: int, namespace: str) -> Iterator[LiveEpisode]:
    """Record episodes one after the other; each task is a queue of so many."""
    state: dict[str, str] = {}
    with graph_client(namespace=namespace) as client:
        client.create_subscription(
            DiagnosticArray, "recorder/state", lambda message: state.update(status_values(message)), qos.STATE
        )
        for task in tasks:
            for episode in range(episodes):
                layout = demonstration_seed(seed, episode)
                said, success = record_episode(client, graph, task, layout, f"{task}*{episodes}")
                _wait_said(client, graph, state, said)
                yield LiveEpisode(task, success, said, dict(state))


def _wait_said(client: GraphClient, graph: Graph, state: Mapping[str, str], said: str) -> None:
    """Wait until the recorder's state is the one that follows what it said."""
    client.wait(lambda: state.get("said") == said, _STATE_S, "the verdict", graph.check)


def record_episode(client: GraphClient, graph: Graph, task: str, seed: int, queue: str = "") -> tuple[str, bool]:
    """Record one episode of the operator; return what the recorder said, and success.

    Args:
        client: of the graph.
        graph: started.
        task: that the operator does.
        seed: of the layout.
        queue: of the recorder; the task without end, if empty.
    """
    client.start_episode(task, seed, "teleop", graph.check)
    client.set_parameters("recorder", task=queue or task)
    client.trigger("recorder/start")
    client.trigger("sim/operate")
    budget_s = float(client.sim_state["budget_s"])
    begun_s = float(client.sim_state["time_s"])

    def over() -> bool:
        succeeded = client.sim_state["success"] == "1"
        return succeeded or float(client.sim_state["time_s"]) - begun_s > budget_s

    client.wait(over, 2 * budget_s + 5, f"the end of {task}", graph.check)
    success = client.sim_state["success"] == "1"
    end_s = float(client.sim_state["time_s"]) + TAIL_S
    client.wait(lambda: float(client.sim_state["time_s"]) >= end_s, 5.0, "the tail", graph.check)
    client.set_bool("recorder/success", success)
    return client.trigger("recorder/stop"), success
