"""What several verbs print: progress bars, task lists, JSON files."""

import json
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(markup=False)  # units stand in square brackets


def progress() -> Progress:
    """Return a progress bar with counts and times."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console,
    )  # fmt: skip


def task_names(wanted: str) -> list[str]:
    """Return the tasks of a comma-separated list, or all of them; an unknown one raises UnknownNameError."""
    from smp_bringup.tasks import TASKS

    names = list(TASKS) if wanted == "all" else [name.strip() for name in wanted.split(",")]
    for name in names:
        TASKS[name]  # raises for an unknown name
    return names


def write_json(path: Path | None, data: object) -> None:
    """Write a result as JSON, if a file was asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
