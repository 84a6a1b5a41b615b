"""One HTML page to look at: a film strip per episode, and the gate over time."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np

from smp_bringup.output import write_text
from smp_bringup.page import figure_png, gate_axis, page, picture, strip, table
from smp_bringup.types import ImageArray

matplotlib.use("Agg")

from matplotlib import pyplot


@dataclass
class Film:
    """What one episode looked like."""

    task: str
    seed: int
    success: bool
    time_s: float
    frames: list[ImageArray] = field(default_factory=list)
    """Overview images (H, W, 3), in order."""
    gate_time_s: list[float] = field(default_factory=list)
    gate: list[list[float]] = field(default_factory=list)
    """K weights at each chunk."""
    active: list[int] = field(default_factory=list)


def write_report(
    path: Path,
    title: str,
    tables: Sequence[tuple[Sequence[str], Sequence[Sequence[object]]]],
    films: Sequence[Film],
    note: str = "",
) -> None:
    """Write the page, with a note above its tables; every picture is inside it."""
    parts = [f"<p>{html.escape(note)}</p>"] if note else []
    parts += [table(header, rows) for header, rows in tables]
    for film in films:
        word = '<span class="yes">success</span>' if film.success else '<span class="no">failure</span>'
        parts.append(f"<h3>{html.escape(film.task)}, seed {film.seed}: {word} after {film.time_s:.1f} s</h3>")
        parts.append(picture(strip(film.frames), "film strip"))
        if film.gate:
            parts.append(picture(gate_picture(film), "gate over time"))
    write_text(path, page(title, parts))


def gate_picture(film: Film) -> bytes:
    """Return the gate's weights over time, stacked, with the number of active experts, as a PNG."""
    figure, axis = pyplot.subplots(figsize=(10, 2.2))
    gate_axis(axis, film.gate_time_s, np.array(film.gate), film.active)
    axis.set(xlabel="time [s]")
    return figure_png(figure)
