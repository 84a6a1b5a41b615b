"""Looks at a running graph ten times a second, taking only the newest of every topic, and says what is so as data."""

import time
from collections.abc import Iterator
from math import isfinite
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState

from smp_bringup import wire
from smp_bringup.client import words
from smp_bringup.client.figures import Figures
from smp_bringup.client.graph_client import GraphClient
from smp_bringup.client.nobody import why_silent
from smp_bringup.errors import one_line
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import waiting
from smp_bringup.nodes.messages import COMMAND_TYPES, command_position, first_status, state_type, status_values
from smp_bringup.robot import JointTopic, Robot
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import FloatArray

_NEWEST = QoSProfile(reliability=ReliabilityPolicy.BEST_EFFORT, history=HistoryPolicy.KEEP_LAST, depth=1)
_REPORTS = 50
_GONE_S = 1.0
"""The command node says its mode ten times a second."""
_SILENT_S = 2.5
"""Others report once a second."""
_EXPLAIN_S = 2.0
_RECORDER = ("recording", "task", "queue", "said", "last", "seconds", "messages", "dropped", "quality", "reasons")
"""What the page shows of the recorder's state."""


class _Heard:
    """A topic whose newest message counts, and when that came."""

    def __init__(self, client: GraphClient, kind: type, topic: str, profile: QoSProfile) -> None:
        self._subscription: Subscription = client.create_subscription(kind, topic, lambda _: None, profile)
        self._at_s = -1e9
        self.message: Any = None

    def look(self, now_s: float) -> bool:
        """Take what came; return whether there was anything."""
        new = False
        for message, _ in waiting(self._subscription):
            self.message, self._at_s, new = message, now_s, True
        return new

    def since_s(self, now_s: float) -> float:
        """Return how long ago the last message came [s]."""
        return now_s - self._at_s


class Watch:
    """What a graph says; of one thread. Its client is never spun: what is not taken here is never decoded."""

    def __init__(self, client: GraphClient, robot: Robot) -> None:
        self._client, self._robot = client, robot
        self.figures = Figures()
        self._reports = client.create_subscription(DiagnosticArray, "/diagnostics", lambda _: None, _REPORTS)
        self._state, self._observation, self._recorder, self._blackbox, self._sim = (
            _Heard(client, DiagnosticArray, f"{name}/state", qos.STATE)
            for name in ("command", "observation", "recorder", "blackbox", "sim")
        )
        self._gate = _Heard(client, JointState, "policy/gate", _NEWEST)
        self._measured = [
            (joints, _Heard(client, state_type(joints.arms[0]), joints.topic, _NEWEST)) for joints in robot.state_topics
        ]
        self._commanded = [
            (joints, _Heard(client, COMMAND_TYPES[joints.arms[0].command_interface], joints.topic, _NEWEST))
            for joints in robot.command_topics
        ]
        self._why, self._explained_s = "", -1e9
        self._born_s = time.monotonic()

    def look(self) -> dict[str, object]:
        """Return what is so now, as JSON can say it."""
        now = time.monotonic()
        for heard in (self._state, self._observation, self._recorder, self._blackbox, self._sim, self._gate):
            heard.look(now)
        for _, heard in (*self._measured, *self._commanded):
            heard.look(now)
        self._hear_reports(now)
        alive = self._state.since_s(now) < _GONE_S
        state = _said(self._state) if alive else {}
        mode = one_line(state.get("mode", ""))
        gate = self._gate.message if self._gate.since_s(now) < _GONE_S else None
        recorder = _said(self._recorder) if self._recorder.since_s(now) < _GONE_S else None
        return {
            "alive": alive,
            "gone": "" if alive else self._gone(now),
            "mode": mode,
            "words": words.mode_words(mode),
            "severity": state.get("severity", ""),
            "reasons": [one_line(reason) for reason in state.get("reasons", "").split("; ") if reason],
            "notes": list(self._notes(now)) if alive else [],
            "measured": self._positions(self._measured, now),
            "commanded": self._positions(self._commanded, now),
            "gate": None if gate is None else words.gate(dict(zip(gate.name, gate.position, strict=False))),
            "recording": words.recording(recorder),
            "recorder": {key: one_line(recorder.get(key, "")) for key in _RECORDER} if recorder else None,
            "sim": words.simulated(_said(self._sim)) if self._sim.since_s(now) < _GONE_S else "",
            "last_stop": one_line(_said(self._blackbox).get("last", "")),
        }

    def _hear_reports(self, now_s: float) -> None:
        for message, _ in waiting(self._reports):
            try:
                node = self._client.node_of(first_status(message).name)
                stamp_s = wire.stamp_ns(message.header.stamp) / 1e9
            except Refusal:
                continue
            if node:
                self.figures.take(one_line(node), status_values(message), stamp_s, now_s)

    def _gone(self, now_s: float) -> str:
        """Return in words that no command node is heard, and why not."""
        if self._state.message is None and now_s - self._born_s < _SILENT_S:
            return "Looking for the graph."
        if now_s - self._explained_s > _EXPLAIN_S:  # it asks the middleware and the system
            self._why, self._explained_s = why_silent(self._client), now_s
        if self._state.message is None:
            return self._why
        return f"The command node has been silent for {self._state.since_s(now_s):.0f} s. {self._why}"

    def _notes(self, now_s: float) -> Iterator[str]:
        """Yield what else is to be known: what sync refuses, warnings of nodes, nodes that fell silent."""
        state = _said(self._observation)
        if state.get("reason"):
            yield f"{'observations' if state.get('valid') == '1' else 'INVALID observations'}: {state['reason']}"
        for node, (values, heard_s) in sorted(self.figures.reports.items()):
            if now_s - heard_s > _SILENT_S:
                yield f"{node} has been silent for {now_s - heard_s:.0f} s"
                continue
            for key in ("error", "warning"):
                if node != "command" and values.get(key):  # its reasons are said already
                    yield f"{node}: {one_line(values[key])}"
        warning = self.figures.reports.get("command", ({}, 0.0))[0].get("warning")
        if warning:
            yield f"command: {one_line(warning)}"

    def _positions(self, topics: list[tuple[JointTopic, _Heard]], now_s: float) -> list[float | None]:
        """Return the newest value of every joint (J,), None where nothing was said for a second."""
        values: list[float | None] = [None] * self._robot.dof
        for joints, heard in topics:
            if heard.since_s(now_s) > _GONE_S:
                continue
            try:
                said = _position(heard.message, joints)
            except (Refusal, LookupError, ValueError):  # sync and the command node name it
                continue
            for place, value in zip(joints.places.tolist(), said.tolist(), strict=True):
                values[place] = round(value, 4) if isfinite(value) else None
        return values


def _position(message: Any, joints: JointTopic) -> FloatArray:
    """Return what a message says of the joints (n,) of its topic."""
    if isinstance(message, tuple(COMMAND_TYPES.values())) and not isinstance(message, JointState):
        return command_position(message, joints)
    names, values, _ = wire.told(message)
    said = dict(zip(names, values, strict=True))
    return joints.joints.ours([said[name] for name in joints.names])


def _said(heard: _Heard) -> dict[str, str]:
    try:
        return {} if heard.message is None else status_values(heard.message)
    except Refusal:
        return {}
