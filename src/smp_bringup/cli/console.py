"""`smp console`: the running graph as a page in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import NamespaceOption
from smp_bringup.cli.show import console as terminal
from smp_bringup.errors import InstallError
from smp_bringup.record.stops import STOPS


def console(
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
    namespace: NamespaceOption = "/",
    bind: Annotated[str, typer.Option(help="Address to listen on; others than this machine's own need --token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8480,
    data: Annotated[Path, typer.Option(help="Folder of bags for the pages Record and Data.")] = Path("data"),
    runs: Annotated[Path, typer.Option(help="Folder of runs of smp train for the page Models.")] = Path("runs"),
    stops: Annotated[Path, typer.Option(help="Folder of stops for the page Why, as smp up --blackbox names it.")] = (
        Path(STOPS)
    ),
    token: Annotated[
        str, typer.Option(envvar="SMP_CONSOLE_TOKEN", help="That browsers must bring; without it a random one.")
    ] = "",
) -> None:
    """Show a running graph, episodes and stops in a browser, and ask what the graph's services can do."""
    try:
        from smp_bringup.console.run import Shown, serve
    except ModuleNotFoundError as missing:
        if missing.name not in ("starlette", "uvicorn", "websockets"):
            raise
        raise InstallError(
            f"smp console needs {missing.name}: make setup, or pip install 'smp_bringup[console]'"
        ) from None
    from smp_bringup.names import full_namespace
    from smp_bringup.robot import load_robot

    body = load_robot(robot, full_namespace(namespace))
    shown = Shown(data, stops, runs, robot)
    serve(body, namespace, shown, bind, port, token, lambda line: terminal.print(line, soft_wrap=True, highlight=False))
