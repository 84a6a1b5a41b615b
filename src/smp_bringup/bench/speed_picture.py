"""The picture of `smp bench policy`: where the time of a chunk goes, and how much of it is reading the weights."""

import io
from collections.abc import Sequence

import matplotlib

from smp_bringup.bench.episodes import STAGES
from smp_bringup.bench.speed import Measured

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot


def picture(rows: Sequence[Measured], title: str) -> bytes:
    """Return a PNG: per row the median of each stage, a tick at p99 of the whole, a mark at the memory floor."""
    figure, axes = pyplot.subplots(figsize=(10, 1.4 + 0.34 * len(rows)), layout="constrained")
    places = np.arange(len(rows))[::-1]
    left = np.zeros(len(rows))
    for stage in STAGES:
        width = np.array([float(np.median(row.stage_ms[stage])) for row in rows])
        axes.barh(places, width, left=left, label=stage, alpha=0.75)
        left += width
    axes.plot([np.percentile(row.total_ms, 99) for row in rows], places, "k|", markersize=9, label="p99 of the whole")
    floors = [(row.floor_ms, y) for row, y in zip(rows, places, strict=True) if row.floor_ms]
    if floors:
        axes.plot(*zip(*floors, strict=True), "rd", markersize=4, label="reading its weights")
    axes.set_yticks(places, [f"{row.contender.name}, {row.steps} steps" for row in rows])
    most = max(1.6 * float(left.max()), max((floor for floor, _ in floors), default=0.0))
    axes.set(xlabel="one chunk [ms], medians of the stages", xlim=(0, most), title=title)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90, bbox_inches="tight")
    pyplot.close(figure)
    return buffer.getvalue()
