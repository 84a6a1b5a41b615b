"""What stands at the top of every report: what it is of, on which machine, and what made it."""

import os
import platform
import shlex
from collections.abc import Sequence
from pathlib import Path

FEWEST_FOR_INTERVAL = 5
"""Of fewer episodes an interval says no more than their count does."""


def facts(model: str, date: str, words: Sequence[str], **more: str) -> list[tuple[str, str]]:
    """Return names and values.

    Args:
        model: whose result it is.
        date: of the result.
        words: of the command line after `smp`.
        more: further facts by name; underlines become blanks.
    """
    told = [("model", model), ("date", date), ("machine", machine()), ("command", shlex.join(["smp", *words]))]
    return told + [(name.replace("_", " "), value) for name, value in more.items() if value]


def machine() -> str:
    """Return processor, cores, system and Python."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def interval_words(interval: Sequence[float], episodes: int) -> str:
    """Return a 95 % interval of a rate, or that the episodes are too few for one."""
    if episodes < FEWEST_FOR_INTERVAL:
        return f"needs {FEWEST_FOR_INTERVAL} episodes"
    return f"{interval[0]:.2f} - {interval[1]:.2f}"


def _processor() -> str:
    """Return the processor's own name where Linux tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
