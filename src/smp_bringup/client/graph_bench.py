"""The real nodes under load, measured from outside: latencies by header stamps, losses, CPU and memory."""

import os
import time
from collections import Counter
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState

from smp_bringup import wire
from smp_bringup.client.graph_client import GraphClient, GraphError
from smp_bringup.client.load import Load
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import status_values
from smp_bringup.robot import Robot, load_robot
from smp_bringup.stats import percentiles

_START_S = 60.0
_WARM_S = 3.0
_MATCH_S = 1.0
"""Publishers and subscribers have found each other so long after the graph shows them; what is said before is lost."""
_COUNTING = ("load", "sync", "policy")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
STAGES = ("stamp_to_observation", "observation_to_chunk", "observation_to_action_framework", "stamp_to_command")


def measure(load: Load, seconds: float, aligner: str, log: Path) -> dict[str, object]:
    """Start the graph, run it for `seconds` and return the figures; raises GraphError when it does not come up."""
    robot = str(load.robot)
    graph = (
        NodeSpec("load", {"robot": robot}, room="client"),
        NodeSpec("sync", {"robot": robot, "aligner": aligner}),
        NodeSpec("command", {"robot": robot}),
        NodeSpec("policy", {"robot": robot, "model": str(load.model)}),
    )
    with Graph(graph, log) as running:
        rclpy.init()
        client = GraphClient("graph_bench")
        try:
            return _run(client, running, load_robot(robot), seconds)
        finally:
            client.destroy_node()
            rclpy.try_shutdown()


def _run(client: GraphClient, graph: Graph, robot: Robot, seconds: float) -> dict[str, object]:
    ear = _Ear(client, robot)
    client.wait(lambda: bool(client.command_state), _START_S, "the command node", graph.check)
    topics = [f"/observation/{camera.name}" for camera in robot.cameras]
    heard = lambda: all(client.count_subscribers(topic) for topic in topics)  # noqa: E731
    client.wait(heard, _START_S, "the policy", graph.check)
    _spin(client, graph, _MATCH_S)
    client.set_bool("/load/run", True)
    client.wait(lambda: _follows(client), _START_S, "the first command", graph.check)
    _spin(client, graph, _WARM_S)
    ear.listening = True
    pids = {name: process.pid for name, process in graph.processes.items()}
    first = {name: _usage(pid) for name, pid in pids.items()}
    _spin(client, graph, seconds)
    last = {name: _usage(pid) for name, pid in pids.items()}
    ear.listening = False
    client.set_bool("/load/run", False)
    ear.reports.clear()
    # Two reports after the last message: the first may have been under way when it was counted.
    client.wait(lambda: all(ear.reports[name] >= 2 for name in _COUNTING), _START_S, "the last counts", graph.check)
    return {**ear.summary(robot), **_usages(first, last, seconds)}


def _follows(client: GraphClient) -> bool:
    """Return whether a chunk is followed; arms for it, and again after a fault of the first moments."""
    mode = client.command_state["mode"]
    try:
        if mode == "fault":
            client.trigger("/command/reset")
        elif mode == "disarmed":
            client.trigger("/command/arm")
        elif mode == "hold":
            client.trigger("/command/use_policy")
    except GraphError:
        return False
    return client.command_state["chunk_stamp_ns"] != "0"


def _spin(client: GraphClient, graph: Graph, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        client.spin(min(left, 0.05))
        graph.check()


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


class _Ear:
    """Listens to everything small."""

    def __init__(self, client: GraphClient, robot: Robot) -> None:
        self._client, self._period_ms = client, robot.control_period_s * 1e3
        self.listening = False
        self.reports: Counter[str] = Counter()
        """Reports of each node on /diagnostics since they were last cleared."""
        self._heard: dict[int, float] = {}
        self._model: dict[int, float] = {}
        self._stages: dict[str, list[float]] = {stage: [] for stage in STAGES}
        self._skew_ms: list[float] = []
        self._counters: dict[str, dict[str, str]] = {}
        self._command_ns: list[int] = []
        self._followed, self._trips, self._last = "0", 0, "PASS"
        arm = robot.arms[0]
        client.create_subscription(JointState, "/observation/joint_states", self._on_observation, qos.OBSERVATION)
        client.create_subscription(JointState, "/policy/gate", self._on_gate, qos.OBSERVATION)
        client.create_subscription(DiagnosticArray, "/command/state", self._on_state, 50)
        client.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)
        client.create_subscription(JointState, arm.command_topic, self._on_command, qos.RECORD)

    def summary(self, robot: Robot) -> dict[str, object]:
        """Return latencies, pairs, losses and the command loop; counts are over the whole life of the nodes."""
        sync, policy = self._counters.get("sync", {}), self._counters.get("policy", {})
        sent, reference = self._counters.get("load", {}), robot.cameras[0].name
        pairs = int(sync.get("pairs", 0))
        streams = [c.name for c in robot.cameras] + [a.name for a in robot.arms]
        gaps = [(b - a) / 1e6 for a, b in zip(self._command_ns, self._command_ns[1:], strict=False)]
        late = percentiles([gap - self._period_ms for gap in gaps])
        lost = {name: int(sent.get(f"published/{name}", 0)) - int(sync.get(f"received/{name}", 0)) for name in streams}
        lost["observation"] = pairs - int(sync.get("withheld", 0)) - int(policy.get("observations", 0))
        return {
            "latency_ms": {stage: percentiles(values) for stage, values in self._stages.items()},
            "skew_ms": percentiles(self._skew_ms),
            "pairs_fraction": round(pairs / max(1, int(sent.get(f"published/{reference}", 0))), 4),
            "lost": lost,
            "command": {"late_p99_ms": late["p99"], "late_max_ms": late["max"], "max_gap_ms": max(gaps, default=0.0)},
            "trips": self._trips,
        }

    def _on_observation(self, message: JointState) -> None:
        stamp = wire.stamp_ns(message.header.stamp)
        age_ms = (now_ns(self._client) - stamp) / 1e6
        self._heard[stamp] = age_ms
        if self.listening:
            self._stages["stamp_to_observation"].append(age_ms)

    def _on_gate(self, message: JointState) -> None:
        stamp = wire.stamp_ns(message.header.stamp)
        values = dict(zip(message.name, message.position, strict=True))
        self._model[stamp] = sum(value for name, value in values.items() if name.startswith("stage_ms/"))
        if self.listening and stamp in self._heard:
            self._stages["observation_to_chunk"].append(values["latency_ms"] - self._heard[stamp])

    def _on_state(self, message: DiagnosticArray) -> None:
        values = status_values(message)
        if self.listening:
            holds = values["severity"] not in ("PASS", "LIMIT")
            self._trips += holds and self._last in ("PASS", "LIMIT")
        self._last = values["severity"]
        followed = values["chunk_stamp_ns"]
        if followed in ("0", self._followed):
            return
        self._followed, stamp = followed, int(followed)
        delay_ms = (wire.stamp_ns(message.header.stamp) - stamp) / 1e6
        if self.listening:
            self._stages["stamp_to_command"].append(delay_ms)
            if stamp in self._heard and stamp in self._model:
                share = delay_ms - self._heard[stamp] - self._model[stamp]
                self._stages["observation_to_action_framework"].append(share)

    def _on_command(self, message: JointState) -> None:
        if self.listening:
            self._command_ns.append(wire.stamp_ns(message.header.stamp))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        name, values = message.status[0].name.removeprefix("smp_bringup: "), status_values(message)
        self._counters[name] = values
        self.reports[name] += 1
        if self.listening and name == "sync":
            self._skew_ms += [float(v) for k, v in values.items() if k.startswith("skew_ms/")]
