"""`smp eval`: closed-loop success in lockstep, without ROS."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import console, progress, task_names, write_json


def evaluate(
    policy: Annotated[str, typer.Option(help="Shipped model, or a path to a checkpoint folder.")] = "smp_aloha",
    tasks: Annotated[str, typer.Option(help="Comma-separated tasks, or all that it was trained to do.")] = "all",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes per task.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the layouts; never met in training.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    swap_images: Annotated[bool, typer.Option(help="Control: show the policy another episode's layout.")] = False,
    into_card: Annotated[bool, typer.Option(help="Write the result into the checkpoint's card.")] = False,
    robot: Annotated[str, typer.Option(help="Robot in config/robots.")] = "aloha",
) -> None:
    """Run a policy in the simulator and report its success with 95 % intervals."""
    from smp_bringup.bench.evaluate import Job, run, summary
    from smp_bringup.pipeline import build_policy
    from smp_bringup.policy.checkpoint import find_model
    from smp_bringup.robot import load_robot

    folder = find_model(policy)
    names = task_names(tasks, folder)
    build_policy(folder, load_robot(robot))  # what is wrong with it is said here, once, before any process starts
    jobs = [Job(name, robot, folder, seed, i, swap_images) for name in names for i in range(episodes)]
    results = []
    with progress() as bar:
        line = bar.add_task("evaluating", total=len(jobs), note="")
        for result in run(jobs, workers):
            results.append(result)
            bar.update(line, advance=1, note=f"{sum(r.success for r in results)} succeeded")
    report = {"policy": policy, "seed": seed, "swap_images": swap_images, **summary(results)}
    _print(report)
    write_json(json, report)
    if into_card:
        from smp_bringup.training.save import add_evaluation

        add_evaluation(folder, report)


def _print(report: dict) -> None:  # type: ignore[type-arg]
    from rich.table import Table

    table = Table(
        "task",
        "success",
        "95 % interval",
        "median time [s]",
        title=f"{report['policy']}, seed {report['seed']}",
    )
    for name, row in {**report["tasks"], "all": report["all"]}.items():
        low, high = row["interval"]
        share = f"{row['successes']}/{row['episodes']}"
        table.add_row(name, share, f"{low:.2f} - {high:.2f}", str(row["median_time_s"] or "-"))
    console.print(table)
    stages = ", ".join(f"{k} {v['p50']} / {v['p99']}" for k, v in report["stage_ms"].items())
    console.print(f"active experts {report['active_experts']['mean']}; inference p50 / p99 [ms]: {stages}")
