"""Latencies and rates over the last two minutes, from what the nodes say of themselves once a second."""

from collections import deque
from collections.abc import Mapping

from smp_bringup.client.link import link

_POINTS = 120
_NONE = "0.0"
"""A median of nothing: of a second in which nothing came."""
_RATE = "rate_hz/"
_SHOWN = (
    ("sync", "age_ms/observation/p50", "camera to observation", "ms"),
    ("policy", "inference_ms/p50", "inference", "ms"),
    ("policy", "stamp_to_chunk_ms/p50", "camera to chunk", "ms"),
    ("command", "late_p99_ms", "command cycle late, p99", "ms"),
)
"""Node, key, name on the page, unit."""

Series = dict[tuple[str, str], deque[float]]


class Figures:
    """The newest report of every node, and series of what is drawn."""

    def __init__(self) -> None:
        self.reports: dict[str, tuple[dict[str, str], float]] = {}
        """By node: what it said, and when [s]."""
        self.version = 0
        """Counts the reports: what is drawn has changed when it has."""
        self._series: Series = {}
        self._cycles: tuple[float, float] | None = None

    def take(self, node: str, values: dict[str, str], stamp_s: float, now_s: float) -> None:
        """Take the report of a node of `stamp_s` [s] by the clock of messages, heard at `now_s` [s]."""
        self.reports[node] = values, now_s
        self.version += 1
        for of, key, name, unit in _SHOWN:
            if of == node and values.get(key, _NONE) != _NONE:
                self._add(name, unit, values[key])
        if node == "sync":
            for key, value in values.items():
                if key.startswith(_RATE):
                    self._add(f"rate of {key.removeprefix(_RATE)}", "Hz", value)
        if node == "command":
            self._commanded(values, stamp_s)
            self._linked()

    def drawn(self) -> list[dict[str, object]]:
        """Return every series: name, unit, values."""
        return [{"name": name, "unit": unit, "values": list(row)} for (name, unit), row in self._series.items()]

    def _add(self, name: str, unit: str, value: str | float) -> None:
        try:
            number = round(float(value), 3)
        except ValueError:
            return
        if abs(number) < float("inf"):
            self._series.setdefault((name, unit), deque(maxlen=_POINTS)).append(number)

    def _commanded(self, values: Mapping[str, str], stamp_s: float) -> None:
        """Add the rate of commands between two reports of one process."""
        try:
            cycles = float(values["cycles"])
        except (KeyError, ValueError):
            return
        before, self._cycles = self._cycles, (cycles, stamp_s)
        if before and cycles >= before[0] and stamp_s > before[1]:
            self._add("rate of commands", "Hz", (cycles - before[0]) / (stamp_s - before[1]))

    def _linked(self) -> None:
        way = link(*(self.reports.get(name, ({}, 0.0))[0] for name in ("sync", "policy", "command")))
        if way:
            self._add("to the policy and back", "ms", way.round_trip_ms)
