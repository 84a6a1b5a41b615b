"""The rows of `smp chaos`: what was measured, and whether that is enough; who heard nothing has not passed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from smp_bringup.stats import percentiles


@dataclass(frozen=True)
class Row:
    """What was measured of one fault or one law."""

    id: str
    what: str
    bound_ms: float
    p50_ms: float
    max_ms: float
    n: int
    """How much was heard; a row of nothing never passes."""
    passed: bool
    note: str = ""

    def __post_init__(self) -> None:
        if not self.n:
            object.__setattr__(self, "passed", False)
            object.__setattr__(self, "note", self.note or "heard nothing")

    def as_json(self) -> dict[str, object]:
        """Return the row with the keys of the report."""
        row = asdict(self)
        row["pass"] = row.pop("passed")
        return row


def timed(id: str, what: str, bound_ms: float, took_ms: Sequence[float], note: str = "") -> Row:
    """Return the row of times of which each must keep a bound; a time that is not finite is a reaction that failed.

    Args:
        id: of the row.
        what: was timed.
        bound_ms: of every time [ms].
        took_ms: measured [ms].
        note: why it has not passed whatever the times, or nothing.
    """
    finite = [ms for ms in took_ms if np.isfinite(ms)]
    missing, stats = len(took_ms) - len(finite), percentiles(finite)
    if missing and not note:
        note = f"{missing} of {len(took_ms)} failed"
    passed = not note and stats["max"] <= bound_ms
    return Row(id, what, bound_ms, stats["p50"], stats["max"], len(took_ms), passed, note)


def counted(id: str, what: str, count: int, n: int, note: str = "") -> Row:
    """Return the row of something that must never happen: it did `count` times in `n` messages."""
    return Row(id, what, 0, 0, count, n, not count, note)
