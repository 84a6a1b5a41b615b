"""`smp run`: the policy of a running graph, for a while."""

import signal
from collections.abc import Mapping
from typing import Annotated

import typer

from smp_bringup.cli.show import NamespaceOption, console


def run(
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Run so long; without it, until Ctrl-C.")] = None,
    task: Annotated[str, typer.Option(help="What is done, for the label of a recorder that runs.")] = "",
    namespace: NamespaceOption = "/",
) -> None:
    """Arm, follow the policy, disarm; exit code 1 if the command node did not go on to the end."""
    from rich.live import Live
    from rich.text import Text

    from smp_bringup.client.graph_client import graph_client
    from smp_bringup.client.run import run_policy

    asked: list[int] = []
    with (
        graph_client("smp_run", namespace) as client,
        Live(console=console, auto_refresh=False, transient=True) as live,
    ):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda given, _: asked.append(given))  # the arms come to rest before we leave

        def say(state: Mapping[str, str], now: float) -> None:
            words = f"{now:5.1f} s  {state['mode']}  {state['severity']} {state['reason']}".rstrip()
            live.update(Text(words), refresh=True)

        ended = run_policy(client, task, seconds, lambda: bool(asked), say)
    console.print(f"{'done' if ended.well else 'ended'} after {ended.seconds:.1f} s: {ended.why}", soft_wrap=True)
    if not ended.well:
        raise typer.Exit(1)
