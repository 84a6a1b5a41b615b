"""Draws docs/images/v1_*.png, a picture a study: python tools/study_pictures.py docs/results/v1_main.json ..."""

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib import pyplot

IMAGES = Path("docs/images")


def curves(rows: dict[str, dict[str, Any]]) -> dict[str, list[tuple[float, str]]]:
    """Return per name its numbers and rows, where all rows are called NAME_NUMBER and a name has several."""
    found: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        name, _, number = row.rpartition("_")
        if not name or not number.replace(".", "", 1).isdigit():
            return {}
        found.setdefault(name, []).append((float(number), row))
    return found if len(rows) > len(found) else {}


def draw(name: str, report: dict[str, Any]) -> None:
    """Draw success with its interval, each training seed as a dot, and against what differs or what is run."""
    rows = report["rows"]
    found = curves(rows)
    alike = len({tuple(x for x, _ in points) for points in found.values()}) <= 1
    figure = pyplot.figure(figsize=(13, 0.9 + 0.42 * max(6, len(rows))), layout="constrained")
    figure.suptitle(report["text"])
    left, right = figure.subfigures(1, 2)
    _bars(left.subplots(), rows)
    if found and alike:
        axes = right.subplots()
        for label, points in found.items():
            _curve(axes, rows, [x for x, _ in points], points, label)
        axes.legend()
        axes.set(xlabel="number behind a row's name")
    elif found:
        for axes, (label, points) in zip(right.subplots(len(found)), found.items(), strict=True):
            _curve(axes, rows, [f"{x:g}" for x, _ in points], points, label)  # evenly apart, whatever the numbers
            axes.set(xlabel=label)
    else:
        _run(right.subplots(), rows)
    figure.savefig(IMAGES / f"{name}.png", dpi=90)


def _bars(axes: Any, rows: dict[str, dict[str, Any]]) -> None:
    for y, row in enumerate(reversed(rows.values())):
        rate, (low, high) = row["all"]["rate"], row["all"]["interval"]
        axes.barh(y, rate, color="C0", alpha=0.5, xerr=[[rate - low], [high - rate]], capsize=3)
        axes.plot(list(row["training_seeds"].values()), [y] * len(row["training_seeds"]), "k.", markersize=5)
    axes.set_yticks(range(len(rows)), list(reversed(rows)))
    axes.set(xlabel="success, mean over tasks (dots: training seeds)", xlim=(0, 1))


def _curve(
    axes: Any, rows: dict[str, dict[str, Any]], x: list[Any], points: list[tuple[float, str]], label: str
) -> None:
    every = [rows[row]["all"] for _, row in points]
    low, high = zip(*((e["rate"] - e["interval"][0], e["interval"][1] - e["rate"]) for e in every), strict=True)
    axes.errorbar(x, [e["rate"] for e in every], [low, high], capsize=3, label=label)
    axes.set(ylabel="success", ylim=(0, 1))


def _run(axes: Any, rows: dict[str, dict[str, Any]]) -> None:
    for i, (label, row) in enumerate(rows.items()):
        rate, (low, high) = row["all"]["rate"], row["all"]["interval"]
        text = f"{label} ({row['active_experts']['mean']:.1f})"
        mark = "osD^v"[i // 10 % 5]  # another one where the ten colours begin again
        millions = row["parameters"]["active"] / 1e6
        axes.errorbar(millions, rate, [[rate - low], [high - rate]], fmt=mark, capsize=3, label=text)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    axes.set(xlabel="parameters run for a chunk [M]", ylabel="success", title="(mean number of active experts)")


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        draw(path.stem, json.loads(path.read_text(encoding="utf-8")))
