"""When arms were stopped by something: faults, emergency stops, holds by a check, a command node that fell silent."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from smp_bringup.bag.metadata import METADATA
from smp_bringup.safety.modes import Mode
from smp_bringup.types import Severity, nanoseconds

ESTOP, FAULT, SILENT, HOLD = "estop", "fault", "silent", "hold"
"""Kinds of stops, the gravest first."""
_GRAVITY = (HOLD, SILENT, FAULT, ESTOP)
STOPS = "out/stops"
"""Their folder, unless another is named: beside the data, which is trained on."""
STOPPED = "stopped"
"""Key in the metadata of a stop's bag: its kind."""
AFTER_S = 2.0
"""So much of what follows is told too: how the arms came to rest, and what a hold became."""
_LONGEST_S = 10.0
"""A hold that goes on is told after so long."""
_QUIET_S = 30.0
"""After a hold was told no other one is, for so long: its story has it."""
_SILENT_S = 1.0
"""The command node says its mode ten times a second."""
_ENDED_S = 0.25
"""The same where the graph ends: a command node that was silent before is no longer asked to end."""
_NAME = re.compile(r"\d{8}_\d{6}(_\d+)?_(estop|fault|hold|silent)")
_ARMED = {mode.value for mode in Mode if mode.armed}
_FOLLOWS = {mode.value for mode in Mode if mode.follows}
_LATCHED = {mode.value for mode in Mode if mode.latched}


@dataclass(frozen=True)
class Stop:
    """One stop, as the command node said it."""

    kind: str
    at_ns: int
    """By the clock of the bag."""
    mode: str
    """Before it."""
    check: str = ""
    reason: str = ""
    reasons: str = ""

    def notes(self) -> dict[str, str]:
        """Return what goes into the metadata of its bag."""
        return {
            STOPPED: self.kind,
            "stopped_ns": str(self.at_ns),
            "stopped_mode": self.mode,
            "stopped_check": self.check,
            "stopped_reason": self.reason,
            "stopped_reasons": self.reasons,
        }


class StopWatch:
    """Hears what the command node says of itself; gives each stop once, when enough of what follows was heard."""

    def __init__(self) -> None:
        self._mode = ""
        self._kind: str | None = None
        """What is so now; None before anything was heard: a stop that was there before us was not seen."""
        self._heard_ns = self._told_ns = -nanoseconds(_QUIET_S)
        self._pending: Stop | None = None
        self._since_ns = self._ended_ns = 0

    @property
    def pending(self) -> bool:
        """Whether a stop waits to be given."""
        return self._pending is not None

    def hear(self, said: Mapping[str, str], log_ns: int, steady_ns: int) -> None:
        """Take a state of the command node, heard at a time of the bag's clock and of a steady one."""
        mode, before = said.get("mode", ""), self._kind
        if mode not in _LATCHED:
            self._mode = mode
        self._kind, self._heard_ns = _kind(mode, said.get("severity", "")), steady_ns
        if self._kind and before is not None and self._kind != before:
            words = [said.get(key, "") for key in ("check", "reason", "reasons")]
            self._take(Stop(self._kind, log_ns, self._mode or mode, *words), before, steady_ns)
        if self._kind != HOLD and before == HOLD:
            self._ended_ns = steady_ns

    def due(self, log_ns: int, steady_ns: int, ending: bool = False) -> Stop | None:
        """Return the stop that is to be told now, if any; at the end of the graph, the one that waits."""
        quiet_ns = steady_ns - self._heard_ns
        if (
            self._kind in ("", HOLD)
            and self._mode in _ARMED
            and quiet_ns > nanoseconds(_ENDED_S if ending else _SILENT_S)
        ):
            reason = f"the command node said nothing for {quiet_ns / 1e9:.1f} s while the arms were armed"
            self._take(Stop(SILENT, log_ns - quiet_ns, self._mode, reason=reason), self._kind, steady_ns)
            self._kind = SILENT
        if self._pending is None or not (ending or self._enough(steady_ns)):
            return None
        stop, self._pending, self._told_ns = self._pending, None, steady_ns
        return stop

    def _take(self, stop: Stop, before: str, steady_ns: int) -> None:
        """Begin to wait for what follows, or learn that what waits has become graver."""
        if before in (ESTOP, FAULT):  # latched: one stop until it is reset
            return
        if self._pending is not None:
            if _GRAVITY.index(stop.kind) > _GRAVITY.index(self._pending.kind):
                graver = replace(stop, mode=self._pending.mode)
                self._pending, self._since_ns = graver, steady_ns
            return
        if stop.kind == HOLD and steady_ns - self._told_ns < nanoseconds(_QUIET_S):
            return
        self._pending, self._since_ns, self._ended_ns = stop, steady_ns, steady_ns

    def _enough(self, steady_ns: int) -> bool:
        if self._pending is not None and self._pending.kind == HOLD:
            if steady_ns - self._since_ns > nanoseconds(_LONGEST_S):
                return True
            return self._kind != HOLD and steady_ns - self._ended_ns > nanoseconds(AFTER_S)
        return steady_ns - self._since_ns > nanoseconds(AFTER_S)


def _kind(mode: str, severity: str) -> str:
    """Return the kind of stop that a state is; nothing where the arms do what they are asked to."""
    if mode in _LATCHED:
        return mode
    held = severity in Severity.__members__ and Severity[severity] >= Severity.HOLD
    return HOLD if mode in _FOLLOWS and held else ""


def stop_folders(out: Path) -> list[Path]:
    """Return the bags of stops in a folder, the oldest first; none where there is no such folder."""
    try:
        found = [path for path in out.iterdir() if _NAME.fullmatch(path.name) and not path.is_symlink()]
    except OSError:
        return []
    return sorted(path for path in found if (path / METADATA).is_file())


def make_room(out: Path, kept: int) -> None:
    """Remove the oldest stops but `kept`; holds go before faults. OSError where one cannot be removed."""
    folders = stop_folders(out)
    by_worth = sorted(folders, key=lambda path: (not path.name.endswith(HOLD), path.name))
    for path in by_worth[: max(0, len(folders) - kept)]:
        shutil.rmtree(path)
