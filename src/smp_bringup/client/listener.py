"""The one listener to a running graph: stamps become latencies, skew between streams, and gaps between commands."""

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState

from smp_bringup.client.graph_client import GraphClient
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import first_status, status_values
from smp_bringup.robot import Robot
from smp_bringup.stats import percentiles
from smp_bringup.wire import stamp_ns

STAGES = ("stamp_to_observation", "observation_to_chunk", "observation_to_action_framework", "stamp_to_command")
"""The third is what is left of the way from an observation to its command without the policy's own stages."""
_DEPTH = 50
"""Every report counts, not only the newest."""


class Listener:
    """Listens on a client's node; takes samples between `begin` and `end` only."""

    def __init__(self, client: GraphClient, robot: Robot) -> None:
        """Subscribe to everything small; commands are those of the first arm."""
        self.listening = False
        self.latency_ms: dict[str, list[float]] = {stage: [] for stage in STAGES}
        self.skew_ms: list[float] = []
        """Between the streams of one observation, as the sync node says."""
        self.gaps_ms: list[float] = []
        """Between the stamps of consecutive commands."""
        self._age_ms: dict[int, float] = {}
        self._model_ms: dict[int, float] = {}
        """By stamp of an observation: how old it was when heard, and what the stages of the policy took for it."""
        self._followed = 0
        self._last_command_ns: int | None = None
        self._subscribe(client, robot)

    def _subscribe(self, client: GraphClient, robot: Robot) -> None:
        def hear_observation(message: JointState) -> None:
            self.on_observation(stamp_ns(message.header.stamp), now_ns(client))

        def hear_gate(message: JointState) -> None:
            self.on_gate(stamp_ns(message.header.stamp), dict(zip(message.name, message.position, strict=True)))

        def hear_state(message: DiagnosticArray) -> None:
            self.on_command_state(stamp_ns(message.header.stamp), status_values(message))

        def hear_diagnostics(message: DiagnosticArray) -> None:
            if node := client.node_of(first_status(message).name):
                self.on_diagnostics(node, status_values(message))

        def hear_command(message: JointState) -> None:
            self.on_command(stamp_ns(message.header.stamp))

        client.create_subscription(JointState, "observation/joint_states", hear_observation, qos.OBSERVATION)
        client.create_subscription(JointState, "policy/gate", hear_gate, qos.OBSERVATION)
        client.create_subscription(DiagnosticArray, "command/state", hear_state, _DEPTH)
        client.create_subscription(DiagnosticArray, "/diagnostics", hear_diagnostics, _DEPTH)
        arm = robot.arms[0]
        if arm.command_interface == "joint_state":  # the others carry no stamp
            client.create_subscription(JointState, arm.command_topic, hear_command, qos.RECORD)

    def begin(self) -> None:
        """Take samples from now on, of observations that are heard from now on."""
        self._age_ms.clear()
        self._model_ms.clear()
        self._last_command_ns, self.listening = None, True

    def end(self) -> None:
        """Take no more samples."""
        self.listening = False

    def latencies(self) -> dict[str, dict[str, float]]:
        """Return p50, p99 and max of each stage [ms]."""
        return {stage: percentiles(values) for stage, values in self.latency_ms.items()}

    @property
    def rate_hz(self) -> float:
        """Commands a second, 0 where there were none."""
        return 1e3 * len(self.gaps_ms) / sum(self.gaps_ms) if self.gaps_ms else 0.0

    def on_observation(self, stamp: int, now: int) -> None:
        """Take an observation stamped at `stamp` [ns] that is heard at `now` [ns]."""
        if self.listening:
            self._age_ms[stamp] = (now - stamp) / 1e6
            self.latency_ms["stamp_to_observation"].append(self._age_ms[stamp])

    def on_gate(self, stamp: int, values: dict[str, float]) -> None:
        """Take what the policy says of the chunk of an observation stamped at `stamp` [ns]."""
        if self.listening and stamp in self._age_ms:
            self._model_ms[stamp] = sum(value for name, value in values.items() if name.startswith("stage_ms/"))
            self.latency_ms["observation_to_chunk"].append(values["latency_ms"] - self._age_ms[stamp])

    def on_command_state(self, stamp: int, values: dict[str, str]) -> None:
        """Take a state of the command node of `stamp` [ns]: the first that names a chunk is of its first command."""
        followed = int(values["chunk_stamp_ns"])
        fresh, self._followed = followed not in (0, self._followed), followed or self._followed
        if not (self.listening and fresh):
            return
        delay_ms = (stamp - followed) / 1e6
        self.latency_ms["stamp_to_command"].append(delay_ms)
        if followed in self._model_ms:
            share = delay_ms - self._age_ms[followed] - self._model_ms[followed]
            self.latency_ms["observation_to_action_framework"].append(share)

    def on_diagnostics(self, node: str, values: dict[str, str]) -> None:
        """Take the report of a node."""
        if self.listening and node == "sync":
            self.skew_ms += [float(value) for key, value in values.items() if key.startswith("skew_ms/")]

    def on_command(self, stamp: int) -> None:
        """Take a command of `stamp` [ns]."""
        if self.listening:
            if self._last_command_ns is not None:
                self.gaps_ms.append((stamp - self._last_command_ns) / 1e6)
            self._last_command_ns = stamp
