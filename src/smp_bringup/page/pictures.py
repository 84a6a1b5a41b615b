"""Drawings and films of report pages: SVG that takes the page's colours, and frames in one WebP."""

import base64
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smp_bringup.page.parts import Figure, Film

if TYPE_CHECKING:
    import numpy as np

COLOURS = ("#2a7de1", "#d1622b", "#1f9d68", "#b14fc5", "#a8841a", "#1d9aa8", "#d0495c", "#6f7d8c")
"""Of lines and bands; each stands out from a white page and from a dark one."""
_INK = "#010203"
"""Stands for the colour of the page's text while matplotlib draws."""
_MOST_FRAMES = 24
_QUALITY = 60
_LEAST_SHARE = 0.03
"""An expert that carries less has no line of its own in a legend."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "smp",
    "font.size": 8,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.linewidth": 1.2,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
}


def subplots(rows: int = 1, height_in: float = 1.9) -> tuple[Any, Any]:
    """Return a figure of one column that is legible on a phone too, and its axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(_STYLE):
        return pyplot.subplots(rows, 1, figsize=(5.2, height_in * rows), sharex=True, layout="constrained")


def svg(figure: Any, label: str) -> str:
    """Return a figure of `subplots` as SVG to stand in a page, and close it; `label` is for who does not see it."""
    import matplotlib
    from matplotlib import pyplot

    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = (
        re.sub(r' (?:xmlns(?::xlink)?|version|width|height)="[^"]*"', "", text[: (end := text.index(">"))]) + text[end:]
    )
    text = re.sub(r' id="[a-z]+[0-9a-z]*_[0-9]+"', "", text)
    text = text.replace(_INK, "currentColor").replace("xlink:href", "href")
    escaped = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg", f'<svg role="img" aria-label="{escaped}"', 1)


def gate_axis(axis: Any, time_s: Sequence[float], weight: "np.ndarray", active: Sequence[int]) -> None:
    """Draw a gate's weights (N, K) over time, stacked, with the number of active experts."""
    import matplotlib

    experts = weight.shape[1]
    axis.stackplot(time_s, weight.T, colors=[colour(i) for i in range(experts)], alpha=0.85)
    axis.set(ylabel="share of the weight", ylim=(0, 1), xlim=(time_s[0], time_s[-1] + 1e-6))
    with matplotlib.rc_context(_STYLE):
        right = axis.twinx()
    right.spines["right"].set_visible(True)
    right.step(time_s, active, color=_INK, where="post")
    right.set(ylabel="experts computed", ylim=(0, experts + 0.5))


def gate_figure(time_s: Sequence[float], weight: "np.ndarray", active: Sequence[int]) -> Figure:
    """Return a gate's weights (N, K) over time as a figure that explains itself."""
    figure, axis = subplots()
    gate_axis(axis, time_s, weight, active)
    axis.set(xlabel="time [s]")
    return Figure(svg(figure, "weight of each expert over time"), "The gate over time", gate_legend(weight))


GATE_WORDS = (
    "An expert is a small part of the policy that has learned some of the motions. The gate looks at each observation "
    "and says how much every expert counts: the larger a colour's share, the more that expert shapes the motion. Few "
    "colours at a time mean that the policy has split the task among its experts."
)
COUNT_WORDS = "The line is how many experts were computed; those with too little weight are skipped, which saves time."


def gate_legend(weight: "np.ndarray") -> list[tuple[str, str]]:
    """Return the colours of the experts of a gate (N, K) that carry anything, and how much."""
    mean = weight.mean(axis=0)
    shown = [i for i in range(len(mean)) if mean[i] >= _LEAST_SHARE]
    legend = [(colour(i), f"expert {i}: {100 * mean[i]:.0f} % of all weight") for i in shown]
    rest = (COLOURS[-1], f"{len(mean) - len(shown)} more with under {100 * _LEAST_SHARE:.0f} % each")
    return [*legend, rest] if len(shown) < len(mean) else legend


def colour(index: int) -> str:
    """Return the colour of a line or band by its number."""
    return COLOURS[index % len(COLOURS)]


def film_sheet(frames: "Sequence[tuple[float, np.ndarray]]") -> tuple[bytes, list[float]]:
    """Return frames (H, W, 3) with their times [s] as one WebP, at most `_MOST_FRAMES` of them, and their times."""
    import numpy as np
    from PIL import Image

    chosen = np.unique(np.linspace(0, len(frames) - 1, min(_MOST_FRAMES, len(frames))).round().astype(int))
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate([frames[i][1] for i in chosen])).save(buffer, "WEBP", quality=_QUALITY)
    return buffer.getvalue(), [round(float(frames[i][0]), 2) for i in chosen]


def film(sheet: bytes, time_s: Sequence[float], text: str) -> Film:
    """Return a film of what `film_sheet` gave."""
    from PIL import Image

    with Image.open(io.BytesIO(sheet)) as picture:
        width, height = picture.size
    return Film(base64.b64encode(sheet).decode(), time_s, width, height // len(time_s), text)
