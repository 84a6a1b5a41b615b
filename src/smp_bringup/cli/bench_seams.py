"""`smp bench seams`: how chunks join when inference takes its time, in lockstep with injected delays."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import console, progress, task_names, write_json
from smp_bringup.output import try_file
from smp_bringup.paths import FLAGSHIP


def seams(
    policy: Annotated[str, typer.Option(help="Shipped model, or a path to a checkpoint folder.")] = FLAGSHIP,
    kinds: Annotated[str, typer.Option(help="Comma-separated seams, and synchronous.")] = (
        "synchronous,latest,blend,inpaint"
    ),
    delays_ms: Annotated[str, typer.Option(help="Comma-separated delays of inference [ms].")] = "0,50,100,200,300",
    tasks: Annotated[str, typer.Option(help="Comma-separated tasks, or all.")] = (
        "transfer_cube,lift_tray,press_two_buttons"
    ),
    episodes: Annotated[int, typer.Option(min=1, help="Episodes per seam, delay and task.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the layouts; never met in training.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
) -> None:
    """Compare seams: success, jump of the setpoint at a new chunk, jerk, and time at a standstill."""
    from smp_bringup.action.seam import SEAMS
    from smp_bringup.bench.seams import SYNCHRONOUS, SeamJob, run, summary
    from smp_bringup.errors import UnknownNameError
    from smp_bringup.policy.checkpoint import find_model
    from smp_bringup.robot import load_robot

    try_file(json)
    wanted = [kind.strip() for kind in kinds.split(",")]
    for kind in wanted:
        if kind not in (*SEAMS, SYNCHRONOUS):
            raise UnknownNameError("seam", kind, (*SEAMS, SYNCHRONOUS))
    delays = [_delay_s(text) for text in delays_ms.split(",")]
    folder, body = find_model(policy), load_robot(robot)
    cells = [(kind, delay) for kind in wanted for delay in delays]
    jobs = [
        SeamJob(kind, delay, task, body, folder, seed, i)
        for kind, delay in cells
        for task in task_names(tasks)
        for i in range(episodes)
    ]
    results: dict[tuple[str, float], list] = {cell: [] for cell in cells}  # type: ignore[type-arg]
    with progress() as bar:
        line = bar.add_task("seams", total=len(jobs), note="")
        for job, result in run(jobs, workers):
            results[job.seam, job.delay_s].append(result)
            bar.update(line, advance=1, note=f"{job.seam}, {job.delay_s * 1e3:.0f} ms")
    cells_of = {f"{kind}/{delay * 1e3:.0f}": summary(done) for (kind, delay), done in results.items()}
    _print(cells_of)
    write_json(json, {"policy": policy, "seed": seed, "tasks": task_names(tasks), **cells_of})


def _print(cells: dict) -> None:  # type: ignore[type-arg]
    from rich.table import Table

    table = Table("seam", "delay [ms]", "success", "jump p50 / p99 / max [mrad]", "jerk RMS", "pause [s/min]")
    for name, cell in cells.items():
        jump = cell["seam_jump_mrad"]
        jumps = f"{jump['p50']:.1f} / {jump['p99']:.0f} / {jump['max']:.0f}"
        success = f"{cell['successes']}/{cell['episodes']}"
        table.add_row(*name.split("/"), success, jumps, str(cell["jerk_rms"]), str(cell["pause_s_per_minute"]))
    console.print(table)


def _delay_s(text: str) -> float:
    from smp_bringup.errors import ConfigError

    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise ConfigError(f"a delay must be a number in [0, 1000] ms, got '{text}'")
    return value / 1e3
