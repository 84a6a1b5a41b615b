"""`smp replay`: the deployed pipeline over bags, before any arm moves."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smp_bringup.action.seam import DEFAULT_SEAM, SEAMS
from smp_bringup.cli.show import console, progress, write_json
from smp_bringup.errors import UnknownNameError
from smp_bringup.output import try_file, try_folder
from smp_bringup.paths import FLAGSHIP

if TYPE_CHECKING:
    from smp_bringup.replay.batch import Replayed, ReplayJob
    from smp_bringup.replay.criteria import Criterion

_PRINTED = (
    "joint_rmse",
    "joint_p99",
    "gripper_rmse",
    "gripper_share_rmse",
    "slide_rmse",
    "rate_rmse",
    "gripper_timing_s_p90",
    "gripper_missed",
    "gripper_spurious",
    "seam_rad_p99",
    "velocity_ratio_p99",
    "acceleration_ratio_p99",
    "jerk_ratio_p99",
    "limited_rad_p99",
    "limited_m_p99",
    "interventions",
    "held_cycles",
    "refused_chunks",
    "deadline_misses",
    "skew_ms_p99",
    "active_experts_mean",
    "gate_flip_mean",
    "kept_mass_mean",
    "inference_ms_p50",
    "log_anomalies",
    "sync_refused",
)


def replay(
    bags: Annotated[list[Path], typer.Argument(help="Bags, or folders of bags.")],
    model: Annotated[
        str, typer.Option(help="Shipped model, a path to a checkpoint folder, or lerobot:PATH.")
    ] = FLAGSHIP,
    compare: Annotated[str | None, typer.Option(help="Second model: show what changes from the first.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the policy's noise.")] = 0,
    robot: Annotated[str | None, typer.Option(help="Robot, where the bags carry none.")] = None,
    safety: Annotated[str, typer.Option(help="Settings in config/safety, or a path [the robot's].")] = "",
    seam: Annotated[str, typer.Option(help="How chunks are joined: latest, blend, inpaint or prefix.")] = DEFAULT_SEAM,
    fail_if: Annotated[list[str] | None, typer.Option(help="Criterion, e.g. 'joint_rmse>0.05': exit code 1.")] = None,
    criteria: Annotated[str | None, typer.Option(help="Criteria in config/criteria, or a path: exit code 1.")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for a page to look at.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write every figure here.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    allow_missing: Annotated[bool, typer.Option(help="Score bags without leaders too, by all but the error.")] = False,
) -> None:
    """Show what the policy would have done at every instant of bags, against what the operator did."""
    from smp_bringup.bag.tree import bag_folders
    from smp_bringup.policy.checkpoint import find_model
    from smp_bringup.replay.batch import ReplayJob, check_bags
    from smp_bringup.replay.criteria import load_criteria, parse_criterion
    from smp_bringup.replay.run import ReplaySettings
    from smp_bringup.robot import load_robot

    if seam not in SEAMS:
        raise UnknownNameError("seam", seam, SEAMS)
    wanted = [parse_criterion(text) for text in fail_if or ()] + (load_criteria(criteria) if criteria else [])
    try_file(json)
    try_folder(report)
    try_file(report and report / "report.html")
    found = [folder for bag in bags for folder in ([bag] if bag.is_file() else bag_folders(bag))]
    body = load_robot(robot) if robot else None
    film = report is not None
    settings = ReplaySettings(seed=seed, safety=safety, seam=seam, film=film, allow_missing=allow_missing)
    jobs = [ReplayJob(bag, find_model(model), body, settings) for bag in found]
    check_bags(jobs)
    if compare is not None:
        _compare(jobs, model, compare, workers, json)
        return
    replays = _run(jobs, workers, model)
    failed = _judge(replays, wanted, model, report, json)
    if failed:
        raise typer.Exit(1)


def _run(jobs: "Sequence[ReplayJob]", workers: int, name: str) -> "list[Replayed]":
    from time import perf_counter

    from smp_bringup.replay.batch import run

    start, out = perf_counter(), []
    with progress() as bar:
        line = bar.add_task(f"replaying {name}", total=len(jobs), note="")
        for replayed in run(jobs, workers):
            out.append(replayed)
            bar.update(line, advance=1, note=replayed.result.name)
    spent, covered = perf_counter() - start, sum(r.duration_s for r in out)
    digest = sha256("".join(r.result.digest for r in out).encode()).hexdigest()
    console.print(f"{len(out)} bags, {covered:.1f} s in {spent:.1f} s ({covered / spent:.1f} times real time)")
    console.print(f"actions {digest[:16]}")
    return out


def _judge(
    replays: "Sequence[Replayed]", criteria: "Sequence[Criterion]", model: str, report: Path | None, json: Path | None
) -> bool:
    """Print, write and criterion the figures over all bags; return whether a criterion fails."""
    from rich.table import Table

    from smp_bringup.replay.criteria import failing, unjudged
    from smp_bringup.replay.metrics import pooled, summarise

    figures = summarise(pooled(r.samples for r in replays))
    table = Table("figure", "value", title=model)
    for name in _PRINTED:
        if name in figures:
            table.add_row(name, f"{figures[name]:.5g}")
    console.print(table)
    failed = dict(failing(criteria, figures))
    for criterion in criteria:
        if why := unjudged(criterion, figures):
            console.print(f"fails if {criterion}: not judged, {why}", style="dim", soft_wrap=True)
            continue
        word = f"FAIL: {failed[criterion]:.5g}" if criterion in failed else "pass"
        console.print(f"fails if {criterion}: {word}", style="red" if criterion in failed else "green")
    each = {str(r.job.bag): {"actions": r.result.digest, **summarise(r.samples)} for r in replays}
    write_json(json, {"model": model, "figures": figures, "failed": [str(g) for g in failed], "bags": each})
    if report is not None:
        _page(
            replays,
            figures,
            [(criterion, failed.get(criterion)) for criterion in criteria],
            model,
            report / "report.html",
        )
    return bool(failed)


def _page(
    replays: "Sequence[Replayed]",
    figures: Mapping[str, float],
    verdicts: "Sequence[tuple[Criterion, float | None]]",
    model: str,
    path: Path,
) -> None:
    from smp_bringup.bag.reader import open_bag
    from smp_bringup.page.facts import facts
    from smp_bringup.page.parts import Command, write_page
    from smp_bringup.pipeline import build_policy
    from smp_bringup.policy.checkpoint import find_model
    from smp_bringup.replay.batch import robot_of
    from smp_bringup.replay.report import replay_page

    robots = [robot_of(open_bag(r.job.bag), r.job) for r in replays]
    replan_s = build_policy(find_model(model), robots[0]).config.replan_s
    title, told = f"Replay of {model} over {len(replays)} bags", facts(model, date.today().isoformat(), sys.argv[1:])
    if any(value is not None for _, value in verdicts):
        text = "No arm should follow this policy yet. Record more of what the worst moments show:"
        steps = [Command("smp up --teleop --record data/demos", text)]
    else:
        text = "Then on the robot, with a hand at the stop (docs/your_robot.md):"
        steps = [Command(f"smp up --model {shlex.quote(model)}", text)]
    write_page(path, replay_page(title, told, replays, robots, figures, verdicts, replan_s, steps))
    console.print(f"report: {path}")


def _compare(jobs: "Sequence[ReplayJob]", first: str, second: str, workers: int, json: Path | None) -> None:
    from dataclasses import replace

    from rich.table import Table

    from smp_bringup.policy.checkpoint import find_model
    from smp_bringup.replay.compare import as_json, differences

    model = find_model(second)
    one = _run(jobs, workers, first)
    two = _run([replace(job, model=model) for job in jobs], workers, second)
    rows = differences([r.samples for r in one], [r.samples for r in two])
    table = Table("figure, mean over bags", first, second, "change", "95 % interval", "", title=f"{len(jobs)} bags")
    for row in rows:
        interval = f"{row.low:+.4g} to {row.high:+.4g}"
        table.add_row(row.name, f"{row.first:.4g}", f"{row.second:.4g}", f"{row.change:+.4g}", interval, row.word)
    console.print(table)
    write_json(json, {"first": first, "second": second, "bags": len(jobs), "differences": as_json(rows)})
