"""`smp run`: the policy of a running graph, for a while."""

import signal
from typing import Annotated

import typer

from smp_bringup.cli.show import NamespaceOption, console


def run(
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Run so long; without it, until Ctrl-C.")] = None,
    task: Annotated[str, typer.Option(help="What to do, in words or in config/tasks; labels a recorder, too.")] = "",
    namespace: NamespaceOption = "/",
) -> None:
    """Arm, follow the policy, hold; a line for each phase.

    Exit code 1: the command node did not go on to the end, and why is said; 2: no graph answered.
    """
    from rich.live import Live
    from rich.text import Text

    from smp_bringup.client.graph_client import graph_client
    from smp_bringup.client.run import Said, run_policy

    asked: list[int] = []
    with (
        graph_client("smp_run", namespace) as client,
        Live(console=console, auto_refresh=False, transient=True) as live,
    ):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda given, _: asked.append(given))  # the arms come to rest before we leave
        say = Said(
            lambda text: console.print(text, soft_wrap=True),
            lambda text, now: live.update(Text(f"{now:5.1f} s  {text}"), refresh=True),
        )
        ended = run_policy(client, task, seconds, lambda: bool(asked), say)
    console.print(f"{'done' if ended.well else 'ended'} after {ended.seconds:.1f} s: {ended.why}", soft_wrap=True)
    if not ended.well:
        raise typer.Exit(1)
