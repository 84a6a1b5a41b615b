"""`smp bench sync`: our aligner and message_filters on the same streams, sound and poisoned."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import console, write_json
from smp_bringup.output import try_file


def sync(
    bag: Annotated[Path | None, typer.Option(help="Bag to feed; without it, a simulated demonstration.")] = None,
    task: Annotated[str, typer.Option(help="Task of the simulated demonstration.")] = "transfer_cube",
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation and of the jitter.")] = 1,
    latency: Annotated[float, typer.Option(min=0, max=1, help="A frame arrives so long after its stamp [s].")] = 0.06,
    jitter: Annotated[float, typer.Option(min=0, max=0.015, help="Exposures lie so far around nominal [s].")] = 0.01,
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
) -> None:
    """Feed both aligners the same messages and compare pairs, skew, joint error and time."""
    from rich.table import Table

    from smp_bringup.bench.sync import POISONS, measure, naive_errors, recorded, simulated
    from smp_bringup.cli.show import task_names
    from smp_bringup.errors import InstallError
    from smp_bringup.pipeline import build_sync
    from smp_bringup.robot import load_robot
    from smp_bringup.sync.base import AbstractAligner

    try_file(json)
    task_names(task)
    loaded = load_robot(robot)
    makers: dict[str, Callable[[], AbstractAligner]] = {"interpolating": lambda: build_sync(loaded)}
    try:
        from smp_bringup.nodes.filters_aligner import MessageFiltersAligner

        MessageFiltersAligner(loaded)
        makers["message_filters"] = lambda: MessageFiltersAligner(loaded)
    except (ImportError, InstallError) as missing:
        console.print(f"without message_filters: {missing}")
    streams = recorded(loaded, bag) if bag else simulated(loaded, task, seed, latency, jitter)
    report: dict[str, object] = {"messages": len(streams.events), "possible_pairs": streams.possible}
    title = "skew p99; joint error p50 / max against the truth; time per message"
    table = Table("streams", "aligner", "pairs", "skew [ms]", "error [mrad]", "us", title=title)
    for poison in POISONS:
        for name, make in makers.items():
            result = measure(make, loaded, streams, poison)
            report[f"{poison}/{name}"] = result
            table.add_row(poison, name, *_cells(result))
    if streams.truth is not None:
        for name, error in naive_errors(loaded, streams).items():
            report[name] = {"joint_error_mrad": error}
            table.add_row("sound", name, "", "", f"{error['p50']} / {error['max']}", "")
    console.print(table)
    write_json(json, report)


def _cells(result: dict) -> tuple[str, ...]:  # type: ignore[type-arg]
    error = result.get("joint_error_mrad")
    return (
        f"{100 * result['pairs_fraction']:.1f} %",
        str(result["skew_ms"]["p99"]),
        f"{error['p50']} / {error['max']}" if error else "",
        str(result["us_per_message"]),
    )
