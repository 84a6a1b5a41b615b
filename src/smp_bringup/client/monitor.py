"""What a demo measures from outside: latencies from header stamps, rates, skew, the gate."""

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from smp_bringup import wire
from smp_bringup.bench.report import Film
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import status_values
from smp_bringup.robot import Robot
from smp_bringup.stats import percentiles
from smp_bringup.types import nanoseconds

_FRAME_PERIOD_NS = nanoseconds(0.2)


class Monitor:
    """Listens to a graph on a client's node; takes samples between `begin` and `end` only."""

    def __init__(self, node: Node, robot: Robot, replan_s: float) -> None:
        self._node, self._replan_ms = node, replan_s * 1e3
        self._film: Film | None = None
        self._start_ns = self._last_frame_ns = 0
        self._observed_ns: dict[int, int] = {}
        self._last_command_ns: int | None = None
        self._last_followed = ""
        self.latency_ms: dict[str, list[float]] = {
            name: [] for name in ("stamp_to_observation", "observation_to_chunk", "stamp_to_command")
        }
        self.skew_ms: list[float] = []
        self.active: list[int] = []
        self.gaps_ms: list[float] = []
        self.deadline_misses = 0
        camera, arm = robot.cameras[0], robot.arms[0]
        node.create_subscription(JointState, "/observation/joint_states", self._on_observation, qos.OBSERVATION)
        node.create_subscription(JointState, "/policy/gate", self._on_gate, qos.OBSERVATION)
        node.create_subscription(DiagnosticArray, "/command/state", self._on_command_state, qos.STATE)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        node.create_subscription(Image, camera.topic, self._on_frame, qos.SENSOR)
        if arm.command_interface == "joint_state":
            node.create_subscription(JointState, arm.command_topic, self._on_command, qos.RECORD)

    def begin(self, film: Film) -> None:
        """Start an episode, whose pictures and gate go into `film`."""
        self._start_ns, self._last_frame_ns = now_ns(self._node), 0
        self._observed_ns.clear()
        self._last_command_ns, self._last_followed = None, "0"
        self._film = film

    def end(self) -> None:
        """Stop taking samples."""
        self._film = None

    def summary(self) -> dict[str, object]:
        """Return the figures of all episodes."""
        mean_gap = sum(self.gaps_ms) / len(self.gaps_ms) if self.gaps_ms else 0.0
        skew = percentiles(self.skew_ms)
        return {
            "latency_ms": {name: percentiles(values) for name, values in self.latency_ms.items()},
            "sync_skew_ms": skew,
            "active_experts": {"mean": round(sum(self.active) / max(1, len(self.active)), 3)},
            "deadline_misses": self.deadline_misses,
            "command": {
                "rate_hz": round(1e3 / mean_gap, 2) if mean_gap else 0.0,
                "max_gap_ms": round(max(self.gaps_ms, default=0.0), 2),
            },
        }

    def _on_observation(self, message: JointState) -> None:
        if self._film is None:
            return
        stamp, now = wire.stamp_ns(message.header.stamp), now_ns(self._node)
        self._observed_ns[stamp] = now
        self.latency_ms["stamp_to_observation"].append((now - stamp) / 1e6)

    def _on_gate(self, message: JointState) -> None:
        if self._film is None:
            return
        stamp = wire.stamp_ns(message.header.stamp)
        if stamp not in self._observed_ns:
            return
        self.latency_ms["observation_to_chunk"].append((now_ns(self._node) - self._observed_ns[stamp]) / 1e6)
        values = dict(zip(message.name, message.position, strict=True))
        self.deadline_misses += values["latency_ms"] > self._replan_ms
        self.active.append(int(values["active_count"]))
        self._film.gate_time_s.append((stamp - self._start_ns) / 1e9)
        self._film.gate.append([v for k, v in values.items() if k.startswith("weight/")])
        self._film.active.append(int(values["active_count"]))

    def _on_command_state(self, message: DiagnosticArray) -> None:
        """Take the time from an observation to the first command that follows its chunk."""
        followed = status_values(message)["chunk_stamp_ns"]
        if self._film is None or followed in ("0", self._last_followed):
            return
        self._last_followed = followed
        late_ns = wire.stamp_ns(message.header.stamp) - int(followed)
        self.latency_ms["stamp_to_command"].append(late_ns / 1e6)

    def _on_command(self, message: JointState) -> None:
        if self._film is None:
            return
        stamp = wire.stamp_ns(message.header.stamp)
        if self._last_command_ns is not None:
            self.gaps_ms.append((stamp - self._last_command_ns) / 1e6)
        self._last_command_ns = stamp

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        if self._film is not None and message.status[0].name.endswith(": sync"):
            values = status_values(message)
            self.skew_ms += [float(v) for k, v in values.items() if k.startswith("skew_ms/")]

    def _on_frame(self, message: Image) -> None:
        stamp = wire.stamp_ns(message.header.stamp)
        if self._film is not None and stamp - self._last_frame_ns >= _FRAME_PERIOD_NS:
            self._film.frames.append(wire.frame(message).image)
            self._last_frame_ns = stamp
