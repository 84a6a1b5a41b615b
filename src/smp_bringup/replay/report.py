"""One HTML page of a replay to look at: figures, criteria, and every bag's timeline with its worst moments first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.page.parts import Card, Command, Figure, Page, Part, Section, Table, Verdicts, Words
from smp_bringup.page.pictures import (
    COUNT_WORDS,
    GATE_WORDS,
    colour,
    film,
    film_sheet,
    gate_axis,
    gate_legend,
    subplots,
    svg,
)
from smp_bringup.replay.batch import Replayed
from smp_bringup.replay.criteria import Criterion, unjudged
from smp_bringup.replay.families import FAMILIES, members
from smp_bringup.replay.metrics import COUNTS, executed, summarise
from smp_bringup.replay.run import ReplayResult
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray

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


def replay_page(
    title: str,
    told: Sequence[tuple[str, str]],
    replays: Sequence[Replayed],
    robots: Sequence[Robot],
    figures: Mapping[str, float],
    verdicts: Sequence[tuple[Criterion, float | None]],
    replan_s: float,
    next_steps: Sequence[Command],
) -> Page:
    """Return the page of a replay.

    Args:
        title: its headline.
        told: facts of the run.
        replays: one per bag, with film.
        robots: of the bags.
        figures: over all bags.
        verdicts: every criterion, with its figure where it failed.
        replan_s: period of the policy [s].
        next_steps: what to try.
    """
    results = [replayed.result for replayed in replays]
    order = sorted(range(len(replays)), key=lambda i: -summarise(replays[i].samples).get("joint_rmse", 0.0))
    bags = [_bag(results[i], robots[i], summarise(replays[i].samples), replan_s) for i in order]
    failed = sum(value is not None for _, value in verdicts)
    asked = f"{failed} of {len(verdicts)} criteria failed." if verdicts else "No criterion was asked for."
    return Page(
        title,
        f"{asked} What the policy would have done in {len(replays)} bags, against what the operator did.",
        told,
        [
            Section("Gates", [Verdicts(_criteria(verdicts, figures))] if verdicts else []),
            Section("Worst moments", _worst(results, robots)),
            Section("Figures over all bags", [spread_table(figures), _counts(figures)]),
            Section("Gate by phase of the task", _phases(figures)),
            Section("Bags, the worst first", bags),
            Section("Next", next_steps),
        ],
    )


def spread_table(figures: Mapping[str, float]) -> Table:
    """Return the figures with their distributions as a table."""
    rows = []
    for name in _SHOWN:
        if f"{name}_mean" in figures:
            rmse = figures.get(f"{name}_rmse")
            spread = [f"{figures[f'{name}_{word}']:.4g}" for word in _SPREADS]
            rows.append((name, "" if rmse is None else f"{rmse:.4g}", *spread))
    return Table(("figure", "rmse", *_SPREADS), rows)


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


def _criteria(
    verdicts: Sequence[tuple[Criterion, float | None]], figures: Mapping[str, float]
) -> list[tuple[str, str, str]]:
    rows = []
    for criterion, value in verdicts:
        why = unjudged(criterion, figures)
        word = f"not judged, {why}" if why else "pass" if value is None else f"FAIL ({value:.4g})"
        rows.append((f"fails if {criterion}", "" if why else "yes" if value is None else "no", word))
    return rows


def _worst(results: Sequence[ReplayResult], robots: Sequence[Robot]) -> list[Part]:
    moments = worst_moments(results, robots)
    if not moments:
        return [Words(["No demonstration, or no joint that turns, to compare."])]
    rows = [
        (f"{results[m.bag].task} / {results[m.bag].name}", f"{m.time_s:.2f}", f"{m.error:.3f}", m.joint, f"{m.off:.3f}")
        for m in moments
    ]
    table = Table(("bag", "at [s]", "rms error [rad]", "farthest joint", "by [rad]"), rows)
    pictures = [(m.time_s, results[m.bag].film[m.index][1]) for m in moments if results[m.bag].film]
    if not pictures:
        return [table]
    return [table, film(*film_sheet(pictures), "what the camera saw at these moments, in their order")]


def _counts(figures: Mapping[str, float]) -> Table:
    return Table(("count", "total"), [(name, f"{figures[name]:.0f}") for name in COUNTS if name in figures])


def _phases(figures: Mapping[str, float]) -> list[Part]:
    head = "active_experts_mean/"
    rows = []
    for name in (key.removeprefix(head) for key in figures if key.startswith(head)):
        values = [figures[f"{figure}_mean/{name}"] for figure in ("active_experts", "gate_flip", "kept_mass")]
        rows.append((name, *(f"{value:.3f}" for value in values)))
    usage = [(k.removeprefix("usage_mean/"), f"{v:.3f}") for k, v in figures.items() if k.startswith("usage_mean/")]
    phases = Table(("phase", "active experts", "flips per chunk", "kept mass"), rows)
    return [phases, Table(("share of the mass", "mean"), usage)]


def _bag(result: ReplayResult, robot: Robot, figures: Mapping[str, float], replan_s: float) -> Card:
    rmse = figures.get("joint_rmse", float("nan"))
    parts: list[Part] = []
    if result.film:
        start = result.film[0][0]
        frames = [((stamp - start) / 1e9, image) for stamp, image in result.film]
        parts.append(film(*film_sheet(frames), "the reference camera over the bag"))
    parts.append(_timeline(result, robot, replan_s))
    if result.setpoints.events:
        start = result.chunks[0].stamp_ns
        rows = [(f"{(e.stamp_ns - start) / 1e9:.2f}", e.severity, e.check, e.reason) for e in result.setpoints.events]
        parts.append(Table(("at [s]", "severity", "check", "reason"), rows[:50], "Safety"))
    return Card(f"{result.task} / {result.name}", "", f"joint rmse {rmse:.4f} rad", parts)


def _timeline(result: ReplayResult, robot: Robot, replan_s: float) -> Figure:
    """Return one picture: each arm's joints by family, the error, the gate; safety events as red lines."""
    rows = [(arm, name, mine) for arm in robot.arms for name in FAMILIES if (mine := _of_arm(robot, arm, name))]
    start = result.chunks[0].stamp_ns
    figure, axes = subplots(len(rows) + 2, 1.5)
    stamps, predicted = executed(result, replan_s)
    time_s, told_s = (stamps - start) / 1e9, (result.leader_ns - start) / 1e9
    for axis, (arm, name, mine) in zip(axes, rows, strict=False):
        _pair(axis, told_s, result.leader[:, mine], time_s, predicted[:, mine])
        axis.set_ylabel(f"{arm.name} {_AXES[name]}")
    chunks_s = [_seconds(result, k) for k in range(len(result.chunks))]
    axes[-2].plot(chunks_s, _chunk_errors(result, robot), color=colour(7))
    axes[-2].set(ylabel="error [rad]")
    weight = np.array([g.weight for g in result.gates])
    gate_axis(axes[-1], chunks_s, weight, [len(g.active) for g in result.gates])
    for axis in axes:
        for event in result.setpoints.events:
            axis.axvline((event.stamp_ns - start) / 1e9, color=colour(6), alpha=0.5, linewidth=1)
    axes[-1].set(xlabel="time [s]", xlim=(0, max(chunks_s[-1], 1e-6)))
    names = [f"joint {k + 1} of an arm, from its base" for k in range(max(len(mine) for _, _, mine in rows))]
    legend = [*((colour(k), name) for k, name in enumerate(names)), *gate_legend(weight)]
    text = (
        "Solid: demonstrated, dashed: predicted, an upright red line: a safety check. Below: how far the chunks are "
        "from the demonstration, and the gate. "
    )
    return Figure(
        svg(figure, "predicted and demonstrated joints, error, gate, safety"),
        f"{text}{GATE_WORDS} {COUNT_WORDS}",
        legend,
    )


def _of_arm(robot: Robot, arm: Arm, name: str) -> list[int]:
    """Return the joints of an arm that are of a family."""
    part, mask = robot.arm_slices[arm.name], members(robot, name)
    return [j for j in range(*part.indices(robot.dof)) if mask[j]]


def _pair(axis: object, told_s: FloatArray, told: FloatArray, time_s: FloatArray, predicted: FloatArray) -> None:
    for k in range(predicted.shape[1]):
        if len(told_s):
            axis.plot(told_s, told[:, k], color=colour(k), linewidth=1)  # type: ignore[attr-defined]
    for k in range(predicted.shape[1]):
        axis.plot(time_s, predicted[:, k], "--", color=colour(k), linewidth=1)  # type: ignore[attr-defined]


def _chunk_errors(result: ReplayResult, robot: Robot) -> FloatArray:
    squares = result.error[..., robot.turning] ** 2
    counted = np.isfinite(squares).sum(axis=(1, 2))
    return np.asarray(np.sqrt(np.nansum(squares, axis=(1, 2)) / np.maximum(counted, 1)))
