"""`smp bench study`: policies trained and judged against each other."""

import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from smp_bringup.cli.show import console, progress, write_json
from smp_bringup.output import try_file, try_folder


def study(
    name: Annotated[str, typer.Argument(help="Study in config/studies, or a path to a YAML file.")],
    bags: Annotated[Path, typer.Option(help="Folder of demonstrations of the state track.")] = Path("data/demos"),
    out: Annotated[Path, typer.Option(help="Models and episodes are kept here, and found again.")] = Path("out/study"),
    seeds: Annotated[int | None, typer.Option(min=1, help="Only the first so many training seeds [all].")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; each trains in one thread.")] = 2,
) -> None:
    """Train every row of a study with every seed, evaluate all on the same layouts, and print the table."""
    from smp_bringup.bench.study import Evaluation, cells, load_study, train

    try_file(json)
    try_folder(out)
    wanted = load_study(name)
    wanted = replace(wanted, seeds=wanted.seeds[:seeds])
    all_cells = cells(wanted, bags, out)
    models = {cell.model for cell in all_cells}
    with progress() as bar:
        line = bar.add_task("training", total=len(models), completed=sum(m.exists() for m in models), note="")
        for model in train(all_cells, workers):
            bar.update(line, advance=1, note=model.parent.name)
        evaluation = Evaluation(wanted, all_cells, out)
        line = bar.add_task("evaluating", total=len(evaluation.missing), note="")
        for episode in evaluation.run(workers):
            bar.update(line, advance=1, note=f"{episode.task} {'succeeded' if episode.success else 'failed'}")
    report = {"study": name, "date": date.today().isoformat(), "cores": os.cpu_count(), **evaluation.report()}
    _print(report)
    write_json(json, report)


def _print(report: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("row", "success", "95 %", "seeds", "experts", "flips", "parameters", title=report["text"])
    for name, row in report["rows"].items():
        low, high = row["all"]["interval"]
        seeds = " ".join(f"{rate:.2f}" for rate in row["training_seeds"].values())
        active, total = row["parameters"]["active"] / 1e6, row["parameters"]["total"] / 1e6
        table.add_row(
            name,
            f"{row['all']['rate']:.3f}",
            f"{low:.2f}-{high:.2f}",
            seeds,
            f"{row['active_experts']['mean']:.2f}",
            f"{row['gate']['flip_rate']:.2f}",
            f"{active:.2f}/{total:.2f} M",
        )
    console.print(table)
