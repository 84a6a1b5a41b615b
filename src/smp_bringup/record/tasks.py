"""Which task the next episode shows: several of them in a queue, each so many times."""

import re
from dataclasses import dataclass

from smp_bringup.bag.episode import slug
from smp_bringup.documents import shown
from smp_bringup.errors import ConfigError

_COUNT_AND_COMMA = re.compile(r"(\*\s*\d+\s*),")
"""Such a comma parts two tasks; any other belongs to the words of one."""
_COUNTED = re.compile(r"^(?P<task>.*\S)\s*\*\s*(?P<count>\d+)$")


@dataclass
class Entry:
    """One task of a queue."""

    task: str
    wanted: int | None
    """Episodes to keep; None without end."""
    kept: int = 0

    @property
    def done(self) -> bool:
        """Whether it has as many episodes as wanted."""
        return self.wanted is not None and self.kept >= self.wanted


class TaskQueue:
    """Tasks in order, e.g. "transfer_cube*20, fold the towel*5"; without a count a task goes on without end.

    A comma that follows no count is part of a task's words: "press the left button, then the other one".
    """

    def __init__(self, text: str) -> None:
        """Read `text`; raises ConfigError for one that names no task or asks for none of it."""
        self.text = text
        self.entries = [_entry(part.strip()) for part in _COUNT_AND_COMMA.sub(r"\1\n", text).split("\n")]

    @property
    def current(self) -> Entry | None:
        """The first task that is not done, or None at the end."""
        return next((entry for entry in self.entries if not entry.done), None)

    def kept(self, task: str, count: int = 1) -> None:
        """Count an episode of a task, or (-1) take one back."""
        entry = next((e for e in self.entries if e.task == task), None)
        if entry is not None:
            entry.kept = max(0, entry.kept + count)

    def skip(self) -> None:
        """Be done with the present task."""
        if self.current is not None:
            self.current.wanted = self.current.kept

    def __str__(self) -> str:
        return ", ".join(f"{e.task} {e.kept}/{'-' if e.wanted is None else e.wanted}" for e in self.entries)


def _entry(part: str) -> Entry:
    match = _COUNTED.match(part)
    task, count = (match["task"], int(match["count"])) if match else (part, None)
    if not task or task[0] == "," or count == 0:
        raise ConfigError(f"task queue: '{shown(part)}' must be a task, or a task*count with a count of at least 1")
    slug(task)  # raises for a name that no folder can have
    return Entry(task, count)
