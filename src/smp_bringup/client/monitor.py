"""What a demo shows and measures of its episodes: pictures, the gate, and the figures of the graph."""

from sensor_msgs.msg import CompressedImage, Image

from smp_bringup import wire
from smp_bringup.bench.report import Film
from smp_bringup.client.graph_client import GraphClient
from smp_bringup.client.listener import Listener
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.camera_messages import camera_type
from smp_bringup.robot import Robot
from smp_bringup.safety.modes import Mode
from smp_bringup.stats import percentiles
from smp_bringup.types import Severity, nanoseconds

_FRAME_PERIOD_NS = nanoseconds(0.2)
_DRIVEN = (Mode.POLICY.value, Mode.FAULT.value)


class Monitor(Listener):
    """A listener that also fills the film of each episode."""

    def __init__(self, client: GraphClient, robot: Robot, replan_s: float) -> None:
        super().__init__(client, robot)
        self._client, self._replan_ms = client, replan_s * 1e3
        self._film: Film | None = None
        self._start_ns = self._last_frame_ns = 0
        self.active: list[int] = []
        """Active experts of every chunk."""
        self.deadline_misses = 0
        self.held: dict[str, str] = {}
        """Of this episode: each safety check that held the arms, and why it did so last."""
        camera = robot.cameras[0]
        client.create_subscription(camera_type(camera), camera.topic, self._on_frame, qos.SENSOR)

    def film(self, film: Film) -> None:
        """Begin an episode, whose pictures and gate go into `film` until `end`."""
        self._film, self._start_ns, self._last_frame_ns = film, now_ns(self._client), 0
        self.held = {}
        self.begin()

    def summary(self) -> dict[str, object]:
        """Return the figures of all episodes."""
        return {
            "latency_ms": self.latencies(),
            "sync_skew_ms": percentiles(self.skew_ms),
            "active_experts": {"mean": round(sum(self.active) / max(1, len(self.active)), 3)},
            "deadline_misses": self.deadline_misses,
            "command": {
                "rate_hz": round(self.rate_hz, 2),
                "max_gap_ms": round(max(self.gaps_ms, default=0.0), 2),
            },
        }

    def on_gate(self, stamp: int, values: dict[str, float]) -> None:
        """As of a listener; the gate of an observation of this episode goes into its film."""
        super().on_gate(stamp, values)
        if self.listening and self._film is not None and stamp >= self._start_ns:
            active = int(values["active_count"])
            self.deadline_misses += values["latency_ms"] > self._replan_ms
            self.active.append(active)
            self._film.gate_time_s.append((stamp - self._start_ns) / 1e9)
            self._film.gate.append([value for name, value in values.items() if name.startswith("weight/")])
            self._film.active.append(active)

    def on_command_state(self, stamp: int, values: dict[str, str]) -> None:
        """As of a listener; what holds the arms while a policy drives belongs to the episode."""
        super().on_command_state(stamp, values)
        if self.listening and values["mode"] in _DRIVEN and Severity[values["severity"]] >= Severity.HOLD:
            self.held[values["check"]] = values["reason"]

    def _on_frame(self, message: Image | CompressedImage) -> None:
        stamp = wire.stamp_ns(message.header.stamp)
        if self.listening and self._film is not None and stamp - self._last_frame_ns >= _FRAME_PERIOD_NS:
            self._film.frames.append((max(0.0, (stamp - self._start_ns) / 1e9), wire.frame(message).image))
            self._last_frame_ns = stamp
