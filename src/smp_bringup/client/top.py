"""What the nodes say about themselves, gathered for a terminal: latencies, rates, skew, counters, warnings."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from statistics import median

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rich.console import Group
from rich.table import Table
from rich.text import Text

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import graph_client
from smp_bringup.client.link import Link, link
from smp_bringup.client.nobody import why_silent
from smp_bringup.errors import one_line
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import first_status, status_values

_SILENT_S = 2.5
"""A node that says nothing for so long is marked."""
_WAYS = 20
"""The way to the policy is the median of so many screens: no two seconds have the same observations."""
_TIMES = ("age_ms/", "stamp_to_chunk_ms/", "inference_ms/", "queue_age_ms/")


class Top:
    """The newest report of every node, and how old it is."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[dict[str, str], str, float]] = {}
        self._observation = self._last_stop = ""
        self._ways: deque[Link] = deque(maxlen=_WAYS)

    def on_diagnostics(self, message: DiagnosticArray, node_of: Callable[[str], str], now_s: float) -> None:
        """Take a report of /diagnostics; `node_of` says which node of ours a status is of, if any."""
        for status in message.status:
            if name := one_line(node_of(status.name)):
                values = {one_line(pair.key): one_line(pair.value) for pair in status.values}
                self._reports[name] = values, one_line(status.message), now_s

    def on_observation_state(self, message: DiagnosticArray) -> None:
        """Take /observation/state."""
        status = first_status(message)
        word = {DiagnosticStatus.OK: "", DiagnosticStatus.WARN: "WARN "}.get(status.level, "INVALID ")
        self._observation = word + one_line(status.message)

    @property
    def heard(self) -> bool:
        """Whether any node of the graph has said anything."""
        return bool(self._reports or self._observation)

    def on_blackbox_state(self, message: DiagnosticArray) -> None:
        """Take /blackbox/state."""
        self._last_stop = one_line(status_values(message).get("last", ""))

    def view(self, command: dict[str, str], now_s: float) -> Group:
        """Return the whole screen."""
        head = Text(
            f"mode {command.get('mode', '?')}  {command.get('severity', '')} {command.get('reason', '')}".rstrip()
        )
        parts: list[Text | Table] = [head]
        if self._last_stop:
            parts.append(Text(f"last stop: {self._last_stop} (smp why)"))
        if self._observation:
            parts.append(Text(self._observation, style="bold red"))
        reports = (self._reports.get(name, ({}, "", 0.0))[0] for name in ("sync", "policy", "command"))
        if way := link(*reports):
            self._ways.append(way)
        if self._ways:
            round_trip, clock = (median(values) for values in zip(*self._ways, strict=True))
            parts.append(Text(f"to the policy and back {round_trip:.1f} ms, its clock {clock:+.1f} ms"))
        times = Table("node", "time", "p50 [ms]", "p99 [ms]", "max [ms]")
        rates = Table("node", "stream", "rate [Hz]", "skew [ms]")
        counts = Table("node", "counter", "value")
        for name, (values, warning, heard_s) in sorted(self._reports.items()):
            if now_s - heard_s > _SILENT_S:
                parts.append(Text(f"{name} has been silent for {now_s - heard_s:.0f} s", style="bold red"))
            if warning:
                parts.append(Text(f"{name}: {warning}", style="bold red"))
            _fill(name, values, times, rates, counts)
        return Group(*parts, times, rates, counts)


def _fill(name: str, values: dict[str, str], times: Table, rates: Table, counts: Table) -> None:
    for key, value in values.items():
        if key.endswith("/p50") and key.startswith(_TIMES):
            stem = key.removesuffix("/p50")
            times.add_row(name, stem, value, values.get(f"{stem}/p99", ""), values.get(f"{stem}/max", ""))
        elif key.startswith("rate_hz/"):
            stream = key.removeprefix("rate_hz/")
            rates.add_row(name, stream, value, values.get(f"skew_ms/{stream}", ""))
        elif not key.startswith((*_TIMES, "skew_ms/", "warning", "error")):
            counts.add_row(name, key, value)


def screens(seconds: float | None, namespace: str) -> Iterator[Group]:
    """Yield the screen of the graph in `namespace` twice a second, for `seconds` or until interrupted.

    Raises:
        GraphError: nothing was heard in all of `seconds`.
    """
    top = Top()
    with graph_client("smp_top", namespace) as client:

        def hear(message: DiagnosticArray) -> None:
            top.on_diagnostics(message, client.node_of, time.monotonic())

        client.create_subscription(DiagnosticArray, "/diagnostics", hear, 50)
        client.create_subscription(DiagnosticArray, "observation/state", top.on_observation_state, qos.STATE)
        client.create_subscription(DiagnosticArray, "blackbox/state", top.on_blackbox_state, qos.STATE)
        start = shown = time.monotonic()
        while seconds is None or time.monotonic() - start < seconds:
            client.spin(0.1)
            if time.monotonic() - shown >= 0.5:
                shown = time.monotonic()
                if top.heard or client.command_state:
                    yield top.view(client.command_state, shown)
                elif seconds is None and shown - start > _SILENT_S:
                    yield Group(Text(why_silent(client), style="bold red"))
        if not (top.heard or client.command_state):
            raise GraphError(why_silent(client))
