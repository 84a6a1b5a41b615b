"""`smp export`: the ONNX models of a checkpoint made anew from its weights."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import console
from smp_bringup.output import try_folder


def export(
    policy: Annotated[str, typer.Argument(help="Shipped model, or a path to a checkpoint folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the new checkpoint; it replaces another one.")],
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
) -> None:
    """Export a trained policy again: what a newer version computes quicker, older checkpoints then do, too."""
    from smp_bringup.policy.checkpoint import find_model
    from smp_bringup.robot import load_robot
    from smp_bringup.training.save import export_again

    folder, body = find_model(policy), load_robot(robot)
    try_folder(out)
    apart = export_again(folder, body, out)
    console.print(f"exported {out}; its chunks differ from those of '{policy}' by at most {apart:.1e}", soft_wrap=True)
