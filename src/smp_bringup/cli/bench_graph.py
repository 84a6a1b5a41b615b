"""`smp bench graph`: the running graph under a standard load."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import console, write_json
from smp_bringup.output import try_file


def graph(
    load: Annotated[str, typer.Option(help="std: two cameras of 640x480 at 30 Hz; max: three.")] = "std",
    seconds: Annotated[float, typer.Option(min=1, help="Length of the measurement.")] = 120.0,
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
    log: Annotated[Path | None, typer.Option(help="Write what the nodes print here.")] = None,
) -> None:
    """Run sync, policy and command under load and print latencies, losses, CPU and memory."""
    from smp_bringup.client.graph_bench import measure
    from smp_bringup.client.load import LOADS, prepare
    from smp_bringup.errors import UnknownNameError
    from smp_bringup.launcher import importable

    if load not in LOADS:
        raise UnknownNameError("load", load, LOADS)
    try_file(json)
    try_file(log)
    with tempfile.TemporaryDirectory() as folder:
        files = prepare(load, Path(folder))
        where = log or Path(folder) / "graph.log"
        report: dict = {"load": load, "seconds": seconds}  # type: ignore[type-arg]
        report |= measure(files, seconds, "interpolating", where)
        _print("interpolating", report)
        if importable("message_filters"):
            report["message_filters"] = measure(files, seconds, "message_filters", where)
            _print("message_filters", report["message_filters"])
        else:
            console.print("without message_filters: it has no wheel and comes with an installed ROS 2")
    write_json(json, report)


def _print(title: str, report: dict) -> None:  # type: ignore[type-arg]
    from rich.table import Table

    stages = Table("stage", "p50 [ms]", "p99 [ms]", "max [ms]", title=title)
    for name, values in {**report["latency_ms"], "skew": report["skew_ms"]}.items():
        stages.add_row(name, *(f"{values[key]:.2f}" for key in ("p50", "p99", "max")))
    console.print(stages)
    nodes = Table("node", "cores", "memory [MB]", "growth [MB]")
    for name, cores in report["cpu"].items():
        nodes.add_row(name, f"{cores:.2f}", f"{report['rss_mb'][name]:.0f}", f"{report['rss_growth_mb'][name]:+.1f}")
    console.print(nodes)
    command, lost = report["command"], ", ".join(f"{name} {count}" for name, count in report["lost"].items())
    console.print(
        f"pairs {100 * report['pairs_fraction']:.2f} %; lost: {lost}; trips {report['trips']}; "
        f"command late p99 {command['late_p99_ms']:.2f} ms, largest gap {command['max_gap_ms']:.1f} ms"
    )
