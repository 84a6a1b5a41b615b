"""`smp arm`, `smp hold` and their kind: one request to the command node of a running graph, and its own answer."""

from collections.abc import Callable

import typer

from smp_bringup.cli.estop import stop
from smp_bringup.cli.show import NamespaceOption
from smp_bringup.errors import one_line
from smp_bringup.verbs import REQUESTS, Request

_WAIT_S = 5.0
"""A graph that runs is found within a tenth of a second; on a loaded machine it takes longer."""


def verbs() -> dict[str, Callable[..., None]]:
    """Return every verb by its name."""
    return {name: _request(asked) for name, asked in REQUESTS.items()} | {"estop": estop, "status": status}


def _request(asked: Request) -> Callable[..., None]:
    def verb(namespace: NamespaceOption = "/") -> None:
        from smp_bringup.client.answers import Refused
        from smp_bringup.client.graph_client import graph_client

        with graph_client("smp_operate", namespace) as client:
            try:
                name, value = f"command/{asked.service}", asked.value
                said = client.trigger(name, _WAIT_S) if value is None else client.set_bool(name, value, _WAIT_S)
            except Refused as refusal:  # not an error of ours: an answer
                print(one_line(refusal.answer))
                raise typer.Exit(1) from None
        print(one_line(said))

    verb.__doc__ = f"{asked.text} Exit code 1: it refused; 2: no graph answered."
    return verb


def estop(namespace: NamespaceOption = "/") -> None:
    """Stop both arms now and latch: smp release, then smp reset leave it. Exit code 2: no graph answered."""
    stop(namespace)


def status(namespace: NamespaceOption = "/") -> None:
    """Print mode and reason of the command node, and the last stop. Exit code 1: latched; 2: no graph answered."""
    from smp_bringup.client.answers import WHERE
    from smp_bringup.client.graph_client import graph_client
    from smp_bringup.client.last_stop import last_stop

    with graph_client("smp_operate", namespace) as client:
        client.wait(lambda: bool(client.command_state), _WAIT_S, f"the command node ({WHERE})")
        state, latched = client.command_state, client.latched
        last = last_stop(client)
    print(one_line(": ".join(filter(None, (state["mode"], state["reasons"])))))
    if last:
        print(one_line(f"last stop: {last} (smp why)"))
    if latched:
        raise typer.Exit(1)
