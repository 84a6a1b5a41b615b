"""Pieces of the HTML pages that reports are: one file, pictures inside it, nothing fetched."""

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_STYLE = """
body{font:15px/1.4 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}
img{max-width:100%;display:block;margin:.3em 0} table{border-collapse:collapse} td,th{padding:.2em .8em;
border-bottom:1px solid #ddd;text-align:left} h3{margin:1.2em 0 .2em} .no{color:#b00020} .yes{color:#0a7d32}
"""


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole page."""
    name = html.escape(title)
    head = f"<!doctype html><meta charset=utf-8><title>{name}</title><style>{_STYLE}</style><h1>{name}</h1>"
    return "\n".join([head, *parts])


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table; every cell is escaped."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table><br>"


def picture(png: bytes, text: str) -> str:
    """Return an image that stands in the page itself."""
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def strip(frames: "Sequence[np.ndarray]", count: int = 10, gap_px: int = 4) -> bytes:
    """Return some images (H, W, 3), evenly spaced, side by side, as a PNG."""
    import numpy as np
    from PIL import Image

    chosen = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    framed = [np.pad(frames[i], ((0, 0), (0, gap_px), (0, 0)), constant_values=255) for i in chosen]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(framed, axis=1)).save(buffer, "PNG")
    return buffer.getvalue()


def figure_png(figure: Any, dpi: int = 90) -> bytes:
    """Return a matplotlib figure as a PNG, and close it."""
    from matplotlib import pyplot

    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, bbox_inches="tight")
    pyplot.close(figure)
    return buffer.getvalue()


def gate_axis(axis: Any, time_s: Sequence[float], weight: "np.ndarray", active: Sequence[int]) -> None:
    """Draw a gate's weights (N, K) over time, stacked, with the number of active experts."""
    experts = weight.shape[1]
    labels = [f"expert {i}" for i in range(experts)]
    axis.stackplot(time_s, weight.T, labels=labels, colors=[f"C{i % 10}" for i in range(experts)])
    axis.set(ylabel="gate", ylim=(0, 1), xlim=(time_s[0], time_s[-1] + 1e-6))
    right = axis.twinx()
    right.step(time_s, active, color="black", where="post")
    right.set(ylabel="active experts", ylim=(0, experts + 0.5))
    axis.legend(loc="center left", bbox_to_anchor=(1.07, 0.5), fontsize=7)
