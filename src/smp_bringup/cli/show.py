"""What several verbs print: progress bars, task lists, JSON files."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from smp_bringup.errors import OutputError
from smp_bringup.output import write_text


class Track(StrEnum):
    """What a policy sees beside the joints."""

    CAMERA = "camera"
    STATE = "state"


NamespaceOption = Annotated[str, typer.Option("--namespace", help="Of the running graph's nodes, e.g. robot1.")]

console = Console(markup=False)  # units stand in square brackets


def progress(show: bool = True, long_note: bool = False) -> Progress:
    """Return a progress bar with counts and times, or one that is not shown; all of it fits into 80 columns.

    Args:
        show: whether it is seen.
        long_note: leaves 33 columns to a note, at the cost of the bar's width and the time that has passed.
    """
    passed = () if long_note else (TimeElapsedColumn(),)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=8 if long_note else 20),
        MofNCompleteColumn(),
        *passed,
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not show,
    )


def task_names(wanted: str, model: Path | None = None) -> list[str]:
    """Return the tasks of a comma-separated list of tasks and groups.

    "all" are those that `model` was trained to do, or the eight of benchmark v1.

    Raises:
        UnknownNameError: a task is not known.
    """
    from smp_bringup.tasks import GROUPS, TASKS, expanded

    everything = list(GROUPS["all"])
    if model is not None:
        from smp_bringup.policy.checkpoint import trained_tasks

        everything = trained_tasks(model) or everything
    names = everything if wanted == "all" else list(expanded(name.strip() for name in wanted.split(",")))
    for name in names:
        TASKS[name]  # raises for an unknown name
    return names


def write_json(path: Path | None, data: object) -> None:
    """Write a result as JSON, if a file was asked for; where that fails, print it, so that it is not lost.

    Raises:
        OutputError: the file cannot be written.
    """
    if path is None:
        return
    text = json.dumps(data, indent=1) + "\n"
    try:
        write_text(path, text)
    except OutputError:
        print(text, end="")
        raise


def show_quality(name: str, notes: Mapping[str, str]) -> None:
    """Print the verdict on an episode: one coloured word, then a line for each reason."""
    word = notes["quality"]
    colour = {"keep": "green", "warn": "yellow", "reject": "red"}[word]
    line = Text(f"{word:<7}", f"bold {colour}").append(f"{name} ({notes['duration_s']} s)", "default")
    console.print(line, soft_wrap=True)
    for reason in filter(None, notes["reasons"].split("; ")):
        console.print(f"        {reason}", style="red" if reason.startswith("reject") else "yellow", soft_wrap=True)
