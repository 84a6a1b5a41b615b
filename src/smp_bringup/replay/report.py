"""One HTML page of a replay to look at: figures, criteria, and every bag's timeline with its worst moments first."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from smp_bringup.arm import Arm
from smp_bringup.output import write_text
from smp_bringup.page import figure_png, gate_axis, page, picture, strip, table
from smp_bringup.replay.batch import Replayed
from smp_bringup.replay.criteria import Criterion, unjudged
from smp_bringup.replay.families import FAMILIES, members
from smp_bringup.replay.metrics import COUNTS, executed, summarise
from smp_bringup.replay.run import ReplayResult
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray, ImageArray

matplotlib.use("Agg")

from matplotlib import pyplot

_WORST = 8
"""Moments that open the page."""
_APART_S = 0.4
"""Two moments of one bag closer than this are one."""
_SPREADS = ("mean", "p50", "p90", "p99", "max")
_AXES = {"joint": "[rad]", "gripper": "gripper [m]", "slide": "slide [m]", "rate": "[m/s, rad/s]"}
_SHOWN = (
    "joint",
    "gripper",
    "slide",
    "rate",
    "gripper_timing_s",
    "seam_rad",
    "seam_m",
    "velocity_ratio",
    "acceleration_ratio",
    "jerk_ratio",
    "limited_rad",
    "limited_m",
    "skew_ms",
    "active_experts",
    "kept_mass",
    "gate_flip",
    "inference_ms",
)


@dataclass(frozen=True)
class Moment:
    """An instant at which the policy disagrees with the operator."""

    bag: int
    index: int
    """Of the chunk."""
    time_s: float
    error: float
    """RMS over the chunk's arm joints [rad]."""
    joint: str
    """The joint that is farthest off."""
    off: float
    """How far, at most over the chunk [rad]."""


def write_report(
    path: Path,
    title: str,
    replays: Sequence[Replayed],
    robots: Sequence[Robot],
    figures: Mapping[str, float],
    verdicts: Sequence[tuple[Criterion, float | None]],
    replan_s: float,
) -> None:
    """Write the page.

    Args:
        path: of the HTML file.
        title: its headline.
        replays: one per bag, with film.
        robots: of the bags.
        figures: over all bags.
        verdicts: every criterion, with its figure where it failed.
        replan_s: period of the policy [s].
    """
    results = [replayed.result for replayed in replays]
    parts = [_criteria(verdicts, figures), "<h2>Worst moments</h2>", _worst(results, robots)]
    parts += ["<h2>Figures over all bags</h2>", spread_table(figures), _counts(figures)]
    parts += ["<h2>Gate by phase of the task</h2>", _phases(figures), "<h2>Bags</h2>"]
    order = sorted(range(len(replays)), key=lambda i: -summarise(replays[i].samples).get("joint_rmse", 0.0))
    for i in order:
        parts += _bag(results[i], robots[i], summarise(replays[i].samples), replan_s)
    write_text(path, page(title, parts))


def spread_table(figures: Mapping[str, float]) -> str:
    """Return the figures with their distributions as a table."""
    rows = []
    for name in _SHOWN:
        if f"{name}_mean" in figures:
            rmse = figures.get(f"{name}_rmse")
            spread = [f"{figures[f'{name}_{word}']:.4g}" for word in _SPREADS]
            rows.append((name, "" if rmse is None else f"{rmse:.4g}", *spread))
    return table(("figure", "rmse", *_SPREADS), rows)


def worst_moments(results: Sequence[ReplayResult], robots: Sequence[Robot]) -> list[Moment]:
    """Return the chunks that are farthest from the demonstration, the worst first, apart from each other."""
    moments = []
    for i, (result, robot) in enumerate(zip(results, robots, strict=True)):
        arms = np.flatnonzero(robot.turning)
        for k, error in enumerate(result.error[..., arms]):
            if np.isfinite(error).any():
                off = np.nanmax(np.abs(error), axis=0)
                worst = int(off.argmax())
                moments.append(
                    Moment(
                        i,
                        k,
                        _seconds(result, k),
                        float(np.sqrt(np.nanmean(error**2))),
                        robot.joints[arms[worst]].name,
                        float(off[worst]),
                    )
                )
    chosen: list[Moment] = []
    for moment in sorted(moments, key=lambda m: -m.error):
        if all(m.bag != moment.bag or abs(m.time_s - moment.time_s) > _APART_S for m in chosen):
            chosen.append(moment)
    return chosen[:_WORST]


def _seconds(result: ReplayResult, chunk: int) -> float:
    return (result.chunks[chunk].stamp_ns - result.chunks[0].stamp_ns) / 1e9


def _criteria(verdicts: Sequence[tuple[Criterion, float | None]], figures: Mapping[str, float]) -> str:
    if not verdicts:
        return ""
    cells = []
    for criterion, value in verdicts:
        why = unjudged(criterion, figures)
        word = f"not judged, {why}" if why else "pass" if value is None else f"FAIL ({value:.4g})"
        style = "yes" if value is None else "no"
        cells.append(f'<li>fails if {html.escape(str(criterion))}: <span class="{style}">{word}</span></li>')
    return f"<h2>Gates</h2><ul>{''.join(cells)}</ul>"


def _worst(results: Sequence[ReplayResult], robots: Sequence[Robot]) -> str:
    moments = worst_moments(results, robots)
    if not moments:
        return "<p>No demonstration, or no joint that turns, to compare.</p>"
    rows = [
        (f"{results[m.bag].task} / {results[m.bag].name}", f"{m.time_s:.2f}", f"{m.error:.3f}", m.joint, f"{m.off:.3f}")
        for m in moments
    ]
    pictures = [results[m.bag].film[m.index][1] for m in moments if results[m.bag].film]
    film = picture(_row(pictures), "what the camera saw at these moments, in their order") if pictures else ""
    return film + table(("bag", "at [s]", "rms error [rad]", "farthest joint", "by [rad]"), rows)


def _row(images: Sequence[ImageArray]) -> bytes:
    small = [np.asarray(Image.fromarray(image).resize((128, 128))) for image in images]
    return strip(small, count=len(small))


def _counts(figures: Mapping[str, float]) -> str:
    return table(("count", "total"), [(name, f"{figures[name]:.0f}") for name in COUNTS if name in figures])


def _phases(figures: Mapping[str, float]) -> str:
    head = "active_experts_mean/"
    rows = []
    for name in (key.removeprefix(head) for key in figures if key.startswith(head)):
        values = [figures[f"{figure}_mean/{name}"] for figure in ("active_experts", "gate_flip", "kept_mass")]
        rows.append((name, *(f"{value:.3f}" for value in values)))
    usage = [(k.removeprefix("usage_mean/"), f"{v:.3f}") for k, v in figures.items() if k.startswith("usage_mean/")]
    phases = table(("phase", "active experts", "flips per chunk", "kept mass"), rows)
    return phases + table(("share of the mass", "mean"), usage)


def _bag(result: ReplayResult, robot: Robot, figures: Mapping[str, float], replan_s: float) -> list[str]:
    rmse = figures.get("joint_rmse", float("nan"))
    parts = [f"<h3>{html.escape(result.task)} / {html.escape(result.name)}: joint rmse {rmse:.4f} rad</h3>"]
    if result.film:
        parts.append(picture(strip([image for _, image in result.film]), "the reference camera over the bag"))
    parts.append(picture(_timeline(result, robot, replan_s), "predicted and demonstrated joints, error, gate, safety"))
    if result.setpoints.events:
        start = result.chunks[0].stamp_ns
        rows = [(f"{(e.stamp_ns - start) / 1e9:.2f}", e.severity, e.check, e.reason) for e in result.setpoints.events]
        parts.append(table(("at [s]", "severity", "check", "reason"), rows[:50]))
    return parts


def _timeline(result: ReplayResult, robot: Robot, replan_s: float) -> bytes:
    """Return one picture: each arm's joints by family, the error, the gate; safety events as red lines."""
    rows = [(arm, name, mine) for arm in robot.arms for name in FAMILIES if (mine := _of_arm(robot, arm, name))]
    count = len(rows) + 2
    start = result.chunks[0].stamp_ns
    figure, axes = pyplot.subplots(count, 1, figsize=(11, 2.0 * count), sharex=True)
    stamps, predicted = executed(result, replan_s)
    time_s, told_s = (stamps - start) / 1e9, (result.leader_ns - start) / 1e9
    for axis, (arm, name, mine) in zip(axes, rows, strict=False):
        _pair(axis, told_s, result.leader[:, mine], time_s, predicted[:, mine])
        axis.set_ylabel(f"{arm.name} {_AXES[name]}")
        axis.legend([robot.joints[j].name for j in mine], loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=7)
    chunks_s = [_seconds(result, k) for k in range(len(result.chunks))]
    axes[-2].plot(chunks_s, _chunk_errors(result, robot), color="black")
    axes[-2].set(ylabel="error [rad]")
    gate_axis(axes[-1], chunks_s, np.array([g.weight for g in result.gates]), [len(g.active) for g in result.gates])
    for axis in axes:
        for event in result.setpoints.events:
            axis.axvline((event.stamp_ns - start) / 1e9, color="red", alpha=0.5, linewidth=1)
    axes[0].set_title("solid: demonstrated, dashed: predicted, red: safety", fontsize=9, loc="left")
    axes[-1].set(xlabel="time [s]", xlim=(0, max(chunks_s[-1], 1e-6)))
    return figure_png(figure, dpi=75)


def _of_arm(robot: Robot, arm: Arm, name: str) -> list[int]:
    """Return the joints of an arm that are of a family."""
    part, mask = robot.arm_slices[arm.name], members(robot, name)
    return [j for j in range(*part.indices(robot.dof)) if mask[j]]


def _pair(axis: object, told_s: FloatArray, told: FloatArray, time_s: FloatArray, predicted: FloatArray) -> None:
    for k in range(predicted.shape[1]):
        if len(told_s):
            axis.plot(told_s, told[:, k], color=f"C{k}", linewidth=1)  # type: ignore[attr-defined]
    for k in range(predicted.shape[1]):
        axis.plot(time_s, predicted[:, k], "--", color=f"C{k}", linewidth=1)  # type: ignore[attr-defined]


def _chunk_errors(result: ReplayResult, robot: Robot) -> FloatArray:
    squares = result.error[..., robot.turning] ** 2
    counted = np.isfinite(squares).sum(axis=(1, 2))
    return np.asarray(np.sqrt(np.nansum(squares, axis=(1, 2)) / np.maximum(counted, 1)))
