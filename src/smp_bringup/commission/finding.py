"""What is wrong with a robot's files or with its running graph, and what to do about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from smp_bringup.errors import one_line

_SHOWN = 4
"""Names that a line shows."""


class Level(IntEnum):
    """How bad a finding is."""

    WARN = 1
    """The robot can run; worth looking at."""
    ERROR = 2
    """Something will be refused, or hold the arms."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    level: Level
    about: str
    """What it concerns, e.g. "camera overview"."""
    found: str
    """What is wrong, and what was found."""
    todo: str
    """What to do."""

    @property
    def line(self) -> str:
        """All of it in one line."""
        return one_line(f"{self.about}: {self.found}: {self.todo}")


def error(about: str, found: str, todo: str) -> Finding:
    """Return what must be mended."""
    return Finding(Level.ERROR, about, found, todo)


def warning(about: str, found: str, todo: str) -> Finding:
    """Return what is worth looking at."""
    return Finding(Level.WARN, about, found, todo)


def fine(findings: Iterable[Finding]) -> bool:
    """Return whether nothing must be mended."""
    return all(finding.level < Level.ERROR for finding in findings)


def few(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
