"""`smp replay`: the deployed pipeline over bags, before any arm moves."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import console, write_json


def replay(
    bag: Annotated[Path, typer.Argument(help="Bag folder or file.")],
    model: Annotated[str, typer.Option(help="Shipped model, or a path to a checkpoint folder.")] = "smp_aloha",
    seed: Annotated[int, typer.Option(min=0, help="Of the policy's noise.")] = 0,
    robot: Annotated[str | None, typer.Option(help="Robot, where the bag carries none.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the result here.")] = None,
) -> None:
    """Show what the policy would have done at every instant of a bag, against what the operator did."""
    from rich.table import Table

    from smp_bringup.pipeline import build_policy
    from smp_bringup.policy.checkpoint import find_model
    from smp_bringup.replay.reader import open_bag
    from smp_bringup.replay.run import replay as run
    from smp_bringup.robot import load_robot

    opened = open_bag(bag)
    body = load_robot(robot) if robot else opened.robot()
    result = run(opened, build_policy(find_model(model), body), body, seed)
    arms = result.per_arm(body)
    table = Table("arm", "joints RMSE [rad]", "gripper RMSE [mm]", title=f"{bag.name}, {len(result.chunks)} chunks")
    for name, row in arms.items():
        table.add_row(name, f"{row['joint_rmse_rad']:.4f}", f"{row['gripper_rmse_m'] * 1e3:.2f}")
    console.print(table)
    active = sum(len(g.active) for g in result.gates) / max(1, len(result.gates))
    console.print(f"active experts {active:.2f}; error by step [rad]: {_row(result.per_step(body))}")
    data = {"bag": str(bag), "model": model, "chunks": len(result.chunks), "arms": arms}
    write_json(json, {**data, "per_step_rad": result.per_step(body), "active_experts": {"mean": active}})


def _row(values: list[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
