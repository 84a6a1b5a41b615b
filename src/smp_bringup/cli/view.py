"""`smp view`: a bag or the running graph in Rerun."""

from math import inf
from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import NamespaceOption, console
from smp_bringup.errors import ConfigError, InstallError
from smp_bringup.output import try_file


def view(
    bag: Annotated[Path | None, typer.Argument(help="Bag to show.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Show the running graph instead.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write an .rrd file instead of opening a window.")] = None,
    robot: Annotated[str | None, typer.Option(help="Robot, where the bag carries none; of --live [aloha].")] = None,
    description: Annotated[str, typer.Option(help="URDF or MJCF, where the robot file names none.")] = "",
    namespace: NamespaceOption = "/",
    seconds: Annotated[float, typer.Option(min=0.1, help="Of --live, then it ends [until Ctrl-C].")] = inf,
) -> None:
    """Show cameras, arms, joints, the gate, each chunk as a ribbon and safety events in Rerun, on this machine only."""
    if (bag is not None) is live:
        raise ConfigError("smp view shows a bag or, with --live, the running graph: name one of the two")
    try:
        from smp_bringup.view.run import view_bag, view_live
    except ModuleNotFoundError as missing:
        if missing.name not in ("rerun", "rerun_cli"):
            raise
        raise InstallError("smp view needs rerun-sdk: make view, or pip install 'smp_bringup[view]'") from None
    from smp_bringup.robot import load_robot

    try_file(save)
    if bag is not None:
        lines = view_bag(bag, load_robot(robot) if robot else None, description, save)
    else:
        from smp_bringup.client.heard import heard
        from smp_bringup.names import full_namespace

        root = load_robot(robot or "aloha")
        here = load_robot(robot or "aloha", full_namespace(namespace))
        lines = view_live(root, description, save, heard(here, root, namespace, seconds))
    for line in lines:
        console.print(line, soft_wrap=True)
