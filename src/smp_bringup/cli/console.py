"""`smp console`: the running graph as a page in the browser."""

from typing import Annotated

import typer

from smp_bringup.cli.show import NamespaceOption
from smp_bringup.cli.show import console as terminal
from smp_bringup.errors import InstallError


def console(
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
    namespace: NamespaceOption = "/",
    bind: Annotated[str, typer.Option(help="Address to listen on; others than this machine's own need --token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8480,
    token: Annotated[
        str, typer.Option(envvar="SMP_CONSOLE_TOKEN", help="That browsers must bring; without it a random one.")
    ] = "",
) -> None:
    """Show cameras, joints, modes and reasons of a running graph in a browser, and ask what its services can do."""
    try:
        from smp_bringup.console.run import serve
    except ModuleNotFoundError as missing:
        if missing.name not in ("starlette", "uvicorn", "websockets"):
            raise
        raise InstallError(
            f"smp console needs {missing.name}: make setup, or pip install 'smp_bringup[console]'"
        ) from None
    from smp_bringup.names import full_namespace
    from smp_bringup.robot import load_robot

    body = load_robot(robot, full_namespace(namespace))
    serve(body, namespace, bind, port, token, lambda line: terminal.print(line, soft_wrap=True, highlight=False))
