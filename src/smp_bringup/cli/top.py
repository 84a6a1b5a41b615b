"""`smp top`: the running graph at a glance."""

from typing import Annotated

import typer

from smp_bringup.cli.show import NamespaceOption, console


def top(
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so long; without it, with Ctrl-C.")] = None,
    namespace: NamespaceOption = "/",
) -> None:
    """Show latencies, rates, skew, counters and warnings of the running nodes, twice a second; or why none is heard."""
    from rich.live import Live

    from smp_bringup.client.top import screens

    with Live(console=console, auto_refresh=False) as live:
        for screen in screens(seconds, namespace):
            live.update(screen, refresh=True)
