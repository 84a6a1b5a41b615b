"""One HTML page to look at: a film strip per episode, and the gate over time."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from smp_bringup.types import ImageArray

matplotlib.use("Agg")

from matplotlib import pyplot

_STRIP = 10
"""Images of one strip."""
_GAP_PX = 4

_STYLE = """
body{font:15px/1.4 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}
img{max-width:100%;display:block;margin:.3em 0} table{border-collapse:collapse} td,th{padding:.2em .8em;
border-bottom:1px solid #ddd;text-align:left} h3{margin:1.2em 0 .2em} .no{color:#b00020} .yes{color:#0a7d32}
"""


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
) -> None:
    """Write the page; every picture is inside it."""
    parts = [f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{_STYLE}</style>"]
    parts.append(f"<h1>{html.escape(title)}</h1>")
    for header, rows in tables:
        parts.append(_table(header, rows))
    for film in films:
        word = '<span class="yes">success</span>' if film.success else '<span class="no">failure</span>'
        parts.append(f"<h3>{html.escape(film.task)}, seed {film.seed}: {word} after {film.time_s:.1f} s</h3>")
        parts.append(_image(strip(film.frames), "film strip"))
        if film.gate:
            parts.append(_image(gate_picture(film), "gate over time"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts), encoding="utf-8")


def strip(frames: Sequence[ImageArray]) -> bytes:
    """Return some frames of an episode, evenly spaced, side by side, as a PNG."""
    chosen = np.linspace(0, len(frames) - 1, min(_STRIP, len(frames))).round().astype(int)
    buffer = io.BytesIO()
    framed = [np.pad(frames[i], ((0, 0), (0, _GAP_PX), (0, 0)), constant_values=255) for i in chosen]
    Image.fromarray(np.concatenate(framed, axis=1)).save(buffer, "PNG")
    return buffer.getvalue()


def gate_picture(film: Film) -> bytes:
    """Return the gate's weights over time, stacked, with the number of active experts, as a PNG."""
    figure, axis = pyplot.subplots(figsize=(10, 2.2))
    weights = np.array(film.gate)
    labels = [f"expert {i}" for i in range(weights.shape[1])]
    axis.stackplot(film.gate_time_s, weights.T, labels=labels, colors=[f"C{i % 10}" for i in range(weights.shape[1])])
    axis.set(xlabel="time [s]", ylabel="gate", ylim=(0, 1), xlim=(film.gate_time_s[0], film.gate_time_s[-1] + 1e-6))
    right = axis.twinx()
    right.step(film.gate_time_s, film.active, color="black", where="post")
    right.set(ylabel="active experts", ylim=(0, weights.shape[1] + 0.5))
    axis.legend(loc="center left", bbox_to_anchor=(1.07, 0.5), fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90, bbox_inches="tight")
    pyplot.close(figure)
    return buffer.getvalue()


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table><br>"


def _image(png: bytes, text: str) -> str:
    return f'<img alt="{text}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
