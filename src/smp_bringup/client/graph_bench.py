"""The real nodes under load, measured from outside: latencies by header stamps, losses, CPU and memory."""

import os
from collections import Counter
from pathlib import Path

from smp_bringup.client.graph_client import START_S, GraphClient, graph_client
from smp_bringup.client.listener import Listener
from smp_bringup.client.load import Load
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.robot import Robot, load_robot
from smp_bringup.stats import percentiles

_WARM_S = 3.0
_MATCH_S = 1.0
"""Publishers and subscribers have found each other so long after the graph shows them; what is said before is lost."""
_COUNTING = ("load", "sync", "policy")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def measure(load: Load, seconds: float, aligner: str, log: Path) -> dict[str, object]:
    """Start the graph, run it for `seconds` and return the figures; raises GraphError when it does not come up."""
    robot = str(load.robot)
    graph = (
        NodeSpec("load", {"robot": robot}, package="smp_bringup.client"),
        NodeSpec("sync", {"robot": robot, "aligner": aligner}),
        NodeSpec("command", {"robot": robot}),
        NodeSpec("policy", {"robot": robot, "model": str(load.model)}),
    )
    with Graph(graph, log) as running, graph_client("smp_bench") as client:
        return _run(client, running, load_robot(robot), seconds)


def _run(client: GraphClient, graph: Graph, robot: Robot, seconds: float) -> dict[str, object]:
    ear = _Counting(client, robot)
    topics = [f"observation/{camera.name}" for camera in robot.cameras]
    client.wait(lambda: bool(client.command_state), START_S, "the command node", graph.check)
    heard = lambda: all(client.count_subscribers(topic) for topic in topics)  # noqa: E731
    client.wait(heard, START_S, "the policy", graph.check)
    client.spin_for(_MATCH_S, graph.check)
    client.set_bool("load/run", True)
    client.follow("policy", graph.check, once=lambda: client.command_state["chunk_stamp_ns"] != "0")
    client.spin_for(_WARM_S, graph.check)
    ear.begin()
    pids = {name: process.pid for name, process in graph.processes.items()}
    first = {name: _usage(pid) for name, pid in pids.items()}
    client.spin_for(seconds, graph.check)
    last = {name: _usage(pid) for name, pid in pids.items()}
    ear.end()
    client.set_bool("load/run", False)
    ear.reports.clear()
    # Two reports after the last message: the first may have been under way when it was counted.
    client.wait(lambda: all(ear.reports[name] >= 2 for name in _COUNTING), START_S, "the last counts", graph.check)
    return {**ear.summary(), **_usages(first, last, seconds)}


def _usage(pid: int) -> tuple[float, float]:
    """Return CPU time [s] and resident memory [MB] of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE / 1e6


def _usages(first: dict[str, tuple[float, float]], last: dict[str, tuple[float, float]], seconds: float) -> dict:
    return {
        "cpu": {name: round((last[name][0] - first[name][0]) / seconds, 3) for name in last},
        "rss_mb": {name: round(last[name][1], 1) for name in last},
        "rss_growth_mb": {name: round(last[name][1] - first[name][1], 1) for name in last},
    }


class _Counting(Listener):
    """A listener that also counts holds, and keeps what the nodes count over their whole life."""

    def __init__(self, client: GraphClient, robot: Robot) -> None:
        super().__init__(client, robot)
        self._robot = robot
        self.reports: Counter[str] = Counter()
        """Reports of each node on /diagnostics since they were last cleared."""
        self._counters: dict[str, dict[str, str]] = {}
        self._trips, self._held = 0, False

    def summary(self) -> dict[str, object]:
        """Return latencies, pairs, losses and the command loop."""
        sync, policy = self._counters.get("sync", {}), self._counters.get("policy", {})
        sent, reference = self._counters.get("load", {}), self._robot.cameras[0].name
        pairs = int(sync.get("pairs", 0))
        streams = [c.name for c in self._robot.cameras] + [a.name for a in self._robot.arms]
        late = percentiles([gap - self._robot.control_period_s * 1e3 for gap in self.gaps_ms])
        lost = {name: int(sent.get(f"published/{name}", 0)) - int(sync.get(f"received/{name}", 0)) for name in streams}
        lost["observation"] = pairs - int(sync.get("withheld", 0)) - int(policy.get("observations", 0))
        largest = max(self.gaps_ms, default=0.0)
        return {
            "latency_ms": self.latencies(),
            "skew_ms": percentiles(self.skew_ms),
            "pairs_fraction": round(pairs / max(1, int(sent.get(f"published/{reference}", 0))), 4),
            "lost": lost,
            "command": {"late_p99_ms": late["p99"], "late_max_ms": late["max"], "max_gap_ms": largest},
            "trips": self._trips,
        }

    def on_command_state(self, stamp: int, values: dict[str, str]) -> None:
        """As of a listener; also count how often the arms were held."""
        super().on_command_state(stamp, values)
        held = values["severity"] not in ("PASS", "WARN", "LIMIT")
        self._trips += self.listening and held and not self._held
        self._held = held

    def on_diagnostics(self, node: str, values: dict[str, str]) -> None:
        """As of a listener; also keep the counts of every node."""
        super().on_diagnostics(node, values)
        self._counters[node] = values
        self.reports[node] += 1
