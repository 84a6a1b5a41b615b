"""`smp demo`: the shipped policy on the simulated robot, through the real graph, in real time."""

import shlex
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smp_bringup.cli.show import console, task_names, write_json
from smp_bringup.output import try_file, try_folder
from smp_bringup.paths import FLAGSHIP

if TYPE_CHECKING:
    from smp_bringup.bench.report import Film
    from smp_bringup.page.parts import Command

_REMARK = "\n## What solves the tasks\n"
"""Section of a model card that a reader of the demo has to know."""


def demo(
    task: Annotated[str, typer.Option(help="Comma-separated tasks, or all that the model was trained to do.")] = "all",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes per task.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the layouts; never met in training.")] = 0,
    model: Annotated[str, typer.Option(help="Shipped model, or a path to a checkpoint folder.")] = FLAGSHIP,
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report and the log.")] = Path("out/demo"),
    robot: Annotated[str, typer.Option(help="Robot in config/robots.")] = "aloha",
) -> None:
    """Start simulator, sync, policy and command as processes, run every task, and write a report."""
    from rich.live import Live

    from smp_bringup.bench.report import demo_page
    from smp_bringup.graph import build_graph
    from smp_bringup.launcher import Graph
    from smp_bringup.page.facts import facts
    from smp_bringup.page.parts import Table, write_page
    from smp_bringup.pipeline import build_policy
    from smp_bringup.policy.checkpoint import find_model
    from smp_bringup.robot import load_robot

    folder, body = find_model(model), load_robot(robot)
    names = task_names(task, folder)
    replan_s = build_policy(folder, body).config.replan_s
    try_file(json)
    try_folder(out)
    try_file(out / "report.html")
    graph = build_graph(robot=robot, model=str(folder), sim=True, task=names[0], seed=seed)
    with Graph(graph, out / "graph.log") as running, Live(console=console, transient=True) as live:
        from smp_bringup.client.demo import run_live

        films, figures = run_live(
            running,
            body,
            replan_s,
            names,
            episodes,
            seed,
            lambda film, client, monitor: live.update(_line(film, monitor.active, client.command_state)),
        )
    tasks = _counts(films)
    tables = [
        (("task", "success", "95 % interval", "median time [s]"), _task_rows(tasks)),
        (("figure", "p50", "p99", "longest"), _time_rows(figures)),
        (("figure", "value"), _other_rows(figures)),
    ]
    for header, rows in tables:
        _print(header, rows)
    remark = _remark(folder)
    if remark:
        console.print(remark, markup=False, highlight=False)
    write_json(json, {"model": model, "seed": seed, "tasks": tasks, **figures})
    log = out / "graph.log"
    told = facts(model, date.today().isoformat(), sys.argv[1:], robot=robot, log=str(log))
    shown = [Table(header, rows) for header, rows in tables]
    write_page(out / "report.html", demo_page(f"smp demo: {model}", told, shown, films, remark, _next(model, log)))
    console.print(f"report: {out / 'report.html'}")


def _remark(folder: Path) -> str:
    """Return what the model card says of where the policy's success comes from; nothing if it has no such section."""
    from smp_bringup.manifest import read_checked
    from smp_bringup.policy.checkpoint import CARD

    card = read_checked(folder).get(CARD, b"").decode("utf-8", "replace")
    return " ".join(card.partition(_REMARK)[2].partition("\n## ")[0].split())


def _line(film: "Film", active: Sequence[int], command: dict[str, str]) -> str:
    experts = active[-1] if active else 0
    return (
        f"{film.task}  seed {film.seed}  {film.time_s:5.1f} s  active experts {experts}  "
        f"{command.get('mode', '')} {command.get('reason', '')}"
    )


def _counts(films: "Sequence[Film]") -> dict[str, dict[str, Any]]:
    from statistics import median

    from smp_bringup.stats import wilson

    out: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(film.task for film in films):
        mine = [film for film in films if film.task == name]
        times = [film.time_s for film in mine if film.success]
        low, high = wilson(len(times), len(mine))
        out[name] = {
            "episodes": len(mine),
            "successes": len(times),
            "interval": [round(low, 3), round(high, 3)],
            "median_time_s": round(median(times), 2) if times else None,
        }
    return out


def _next(model: str, log: Path) -> "list[Command]":
    from smp_bringup.page.parts import Command

    named = shlex.quote(model)
    return [
        Command(f"smp eval --policy {named} --episodes 10", "How often does it succeed? Ten layouts of each task:"),
        Command("smp up --sim", "Drive the simulated robot yourself (smp console in another terminal shows it):"),
        Command(f"grep -E 'WARN|ERROR' {shlex.quote(str(log))}", "What the nodes said while it ran:"),
        Command(
            f"smp replay data/demos --model {named} --criteria default --report out/replay",
            "On your robot, before any arm moves: replay bags of yours.",
        ),
    ]


def _task_rows(tasks: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    from smp_bringup.page.facts import interval_words

    rows: list[tuple[str, ...]] = []
    for name, row in tasks.items():
        interval = interval_words(row["interval"], row["episodes"])
        rows.append((name, f"{row['successes']}/{row['episodes']}", interval, str(row["median_time_s"] or "-")))
    return rows


def _time_rows(figures: dict[str, Any]) -> list[tuple[str, ...]]:
    named = {**figures["latency_ms"], "sync_skew": figures["sync_skew_ms"]}
    return [(f"{name.replace('_', ' ')} [ms]", *(f"{row[k]:.1f}" for k in row)) for name, row in named.items()]


def _other_rows(figures: dict[str, Any]) -> list[tuple[str, ...]]:
    command = figures["command"]
    return [
        ("command rate [Hz]", f"{command['rate_hz']:.1f}"),
        ("longest gap between commands [ms]", f"{command['max_gap_ms']:.1f}"),
        ("active experts, mean", f"{figures['active_experts']['mean']:.2f}"),
        ("deadline misses", str(figures["deadline_misses"])),
    ]


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    console.print(table)
