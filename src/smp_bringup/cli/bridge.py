"""`smp bridge`: the running graph in Foxglove."""

from typing import Annotated

import typer

from smp_bringup.cli.show import NamespaceOption, console


def bridge(
    bind: Annotated[str, typer.Option(help="Address to listen on; others than 127.0.0.1 let other machines look.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="To listen on; 0: any that is free.")] = 8765,
    namespace: NamespaceOption = "/",
) -> None:
    """Show the topics of the running graph to Foxglove; it can look, and do nothing else."""
    from smp_bringup.client.bridge import served

    for line in served(bind, port, namespace):
        console.print(line, soft_wrap=True)
