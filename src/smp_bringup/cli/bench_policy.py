"""`smp bench policy`: what a chunk costs, stage by stage, sparse against dense and against diffusion policies."""

import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smp_bringup.cli.show import console, progress, write_json
from smp_bringup.errors import ConfigError, UnknownNameError
from smp_bringup.output import try_file, write_bytes

if TYPE_CHECKING:
    from smp_bringup.bench.speed import Contender, Measured
    from smp_bringup.robot import Robot


def policy(
    size: Annotated[str, typer.Option(help="Of the networks of random weights: tiny, small or paper.")] = "small",
    policies: Annotated[
        str, typer.Option("--policy", help="Comma-separated shipped models or checkpoint folders, instead of a size.")
    ] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda, or cpu_torch: the engine of the GPU without one.")] = "cpu",
    steps: Annotated[int, typer.Option(min=0, help="Of the sampler [as configured].")] = 0,
    int8: Annotated[int, typer.Option(min=0, help="Mixtures once more, their experts rounded, in so many steps.")] = 0,
    experts_mb: Annotated[float, typer.Option(min=0, help="Memory for experts of each policy [MB]; 0: all.")] = 0.0,
    rounds: Annotated[int, typer.Option(min=2, help="Every policy runs once a round.")] = 300,
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the result here (PNG).")] = None,
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
) -> None:
    """Measure one chunk of several policies in one interleaved run: time a stage, ratios, share of the memory floor."""
    from smp_bringup.bench.speed import SIZES, linearity, measure, ratios
    from smp_bringup.policy.engines import require_device
    from smp_bringup.robot import load_robot

    for file in (json, picture):
        try_file(file)
    if size not in SIZES:
        raise UnknownNameError("size", size, SIZES)
    require_device(device)
    if int8 and (policies or device != "cpu"):
        raise ConfigError(f"--int8 {int8} is for the networks of a size on the CPU: leave out --policy, and --device")
    body = load_robot(robot)
    with tempfile.TemporaryDirectory() as folder, progress() as bar:
        line = bar.add_task("writing policies", total=None, note="")
        rows = _rows(policies, size, Path(folder), body, steps, int8, lambda name: bar.update(line, note=name))
        bar.remove_task(line)
        line = bar.add_task("measuring", total=rounds, note="")
        found = measure(rows, body, device, rounds, lambda n: bar.update(line, completed=n), experts_mb)
    against, costs = ratios(found), linearity(found)
    report = {
        "size": policies or size,
        "device": device,
        "experts_mb": experts_mb,
        "machine": f"{platform.machine()}, {_cores()} cores",
        "rounds": rounds,
        "rows": {row.contender.name: {**row.report(), "against": against[row.contender.name]} for row in found},
        "linear": costs,
    }
    _print(found, against)
    for row in found:
        if row.stall_ms:
            told = row.report()
            share, waited = 100 * told["stalled"], told["stall_ms"]["p50"]
            console.print(f"{row.contender.name}: {share:.0f} % of chunks waited for experts, {waited:.1f} ms (p50)")
    for kind, cost in costs.items():
        once, each = cost["ms_without"], cost["ms_per_expert"]
        console.print(f"{kind}: {once:.2f} ms and {each:.3f} an expert, R^2 {cost['r2']}")
    write_json(json, report)
    if picture is not None:
        from smp_bringup.bench.speed_picture import picture as drawn

        write_bytes(picture, drawn(found, f"{policies or size}, {found[0].engine}"))


def _rows(
    policies: str, size: str, folder: Path, robot: "Robot", steps: int, int8: int, said: "Callable[[str], None]"
) -> "list[Contender]":
    from smp_bringup.bench.speed import Contender, contenders
    from smp_bringup.policy.checkpoint import find_model

    rows = []
    if policies:
        changes = (f"denoise_steps={steps}",) if steps else ()
        return [Contender(name.strip(), find_model(name.strip()), changes) for name in policies.split(",")]
    for row in contenders(size, folder, robot, steps, int8):
        said(row.name)
        rows.append(row)
    return rows


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _print(rows: "list[Measured]", against: dict[str, dict[str, float]]) -> None:
    from rich.table import Table

    from smp_bringup.bench.episodes import STAGES

    heads = ("policy", "S", "p10", "p50", "p99", "enc", "rt", "exp", "dec", "mem", "all", "dpA", "dpT")
    table = Table(title=f"one chunk [ms], {rows[0].engine}", box=None, padding=(0, 0, 0, 1), pad_edge=False)
    for head in heads:
        table.add_column(head, no_wrap=True, overflow="crop")
    table.caption = (
        "S steps; enc, rt, exp, dec: medians of encode, route, experts, decode; then p10 as a share: reading its "
        "weights of it (mem), it of all experts (all), of diffusion as large as what runs (dpA), as all (dpT)"
    )
    for row in rows:
        told, ratio = row.report(), against[row.contender.name]
        total, stages = told["total_ms"], [f"{told['stage_ms'][name]['p50']:.2f}" for name in STAGES]
        shares = [told.get("of_floor"), *(ratio.get(name) for name in ("dense", "diffusion_active", "diffusion_total"))]
        cells = ["-" if share is None else f"{share:.2f}" for share in shares]
        sizes = (row.contender.name, str(row.steps), *(f"{total[key]:.2f}" for key in ("p10", "p50", "p99")))
        table.add_row(*sizes, *stages, *cells)
    console.print(table)
