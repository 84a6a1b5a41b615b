"""`smp bench phases`: whether the experts of a mixture follow the phases of the tasks."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import console, progress, task_names, write_json
from smp_bringup.output import try_file


def phases(
    policy: Annotated[str, typer.Option(help="Shipped model of the state track, or a checkpoint folder.")],
    tasks: Annotated[str, typer.Option(help="Comma-separated tasks, v2, or all that it was trained to do.")] = "all",
    episodes: Annotated[int, typer.Option(min=1, help="Demonstrations per task, on layouts never trained on.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the layouts.")] = 0,
    variation: Annotated[str, typer.Option(help="ordinary, wide (benchmark v1) or held_out.")] = "wide",
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
    robot: Annotated[str, typer.Option(help="Robot in config/robots.")] = "aloha",
) -> None:
    """Run the scripted operator with the policy looking on; print how much its heaviest expert tells of the phase."""
    from rich.table import Table

    from smp_bringup.bench.phases import agreement, walk
    from smp_bringup.policy.checkpoint import find_model, load_policy
    from smp_bringup.robot import load_robot
    from smp_bringup.sim.seeds import evaluation_seed
    from smp_bringup.sim.world import World
    from smp_bringup.tasks import TASKS

    try_file(json)
    folder = find_model(policy)
    model, names = load_policy(folder, load_robot(robot)), task_names(tasks, folder)
    rows: dict[str, dict[str, float]] = {}
    with progress() as bar:
        line = bar.add_task("looking on", total=len(names) * episodes, note="")
        for name in names:
            world = World(TASKS[name](variation), load_robot(robot))
            walks = []
            for episode in range(episodes):
                walks.append(walk(world, model, evaluation_seed(seed, episode)))
                bar.update(line, advance=1, note=name)
            told, chance = agreement(walks)
            rows[name] = {"told": round(told, 4), "chance": round(chance, 4)}
    table = Table("task", "told of the phase", "by chance", title=f"{policy}: the heaviest expert")
    for name, row in rows.items():
        table.add_row(name, f"{row['told']:.2f}", f"{row['chance']:.2f}")
    console.print(table)
    write_json(json, {"policy": policy, "seed": seed, "episodes": episodes, "variation": variation, "tasks": rows})
