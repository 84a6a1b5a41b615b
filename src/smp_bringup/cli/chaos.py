"""`smp chaos`: faults injected into the running command node, and how long it takes to react."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import console, progress, write_json
from smp_bringup.output import held_alone, try_file, try_folder


def chaos(
    seed: Annotated[int, typer.Option(min=0, help="Of times, joints and values.")] = 0,
    faults: Annotated[str, typer.Option(help="Comma-separated ids, or all; F29 starts the whole graph.")] = "all",
    scale: Annotated[float, typer.Option(min=0.001, max=100, help="Repeat every fault so many times as often.")] = 1.0,
    load: Annotated[int, typer.Option(min=0, max=64, help="Busy processes beside it.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the logs.")] = Path("out/chaos"),
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
    safety: Annotated[str, typer.Option(help="Settings in config/safety, or a path.")] = "default",
) -> None:
    """Break arms, sources and processes around the command node; exit code 1 if a bound is missed."""
    from rich.table import Table

    from smp_bringup.launcher import require_ros

    require_ros()
    from smp_bringup.chaos.run import Plan, busy, run_chaos

    try_file(json)
    try_folder(out)
    plan = Plan(robot, _names(faults, robot), out, safety=safety, seed=seed, scale=scale, fifo=True)
    table = Table("id", "fault", "bound [ms]", "p50 [ms]", "max [ms]", "n", "pass")
    rows = []
    try:
        with held_alone(out, "chaos"), busy(load), progress() as bar:
            task = bar.add_task("", note="")

            def show(name: str, done: int, total: int) -> None:
                bar.update(task, description=name, completed=done, total=total)

            for row in run_chaos(plan, show):
                rows.append(row)
                write_json(json, [each.as_json() for each in rows])  # whatever comes after, this is not lost
                figures = (f"{row.bound_ms:.0f}", f"{row.p50_ms:.1f}", f"{row.max_ms:.1f}", str(row.n))
                table.add_row(row.id, row.what, *figures, "yes" if row.passed else "NO")
                console.print(f"{row.id} {'passed' if row.passed else 'FAILED'} ({row.max_ms:.1f} ms) {row.note}")
    finally:
        if rows:
            console.print(table)
    if not all(row.passed for row in rows):
        raise typer.Exit(1)


def _names(faults: str, robot: str) -> list[str]:
    """Return the faults that are asked for; "all" is all that this robot can have, and what it cannot is said."""
    from smp_bringup.chaos.faults import FAULTS
    from smp_bringup.chaos.kills import KILLS, require_simulated
    from smp_bringup.chaos.run import NORMAL
    from smp_bringup.errors import ConfigError, UnknownNameError
    from smp_bringup.robot import load_robot

    known = [*FAULTS, NORMAL, KILLS]
    if faults != "all":
        names = [name.strip() for name in faults.split(",")]
        for name in names:
            if name not in known:
                raise UnknownNameError("fault", name, known)
        return names
    body = load_robot(robot)
    try:
        require_simulated(body)
    except ConfigError as error:
        console.print(f"all but {KILLS}: {error}", style="yellow")
        known.remove(KILLS)
    return known
