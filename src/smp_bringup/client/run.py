"""Runs the policy of a running graph for a while: `smp run`."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from smp_bringup.client.graph_client import GraphClient, GraphError
from smp_bringup.safety.modes import Mode

_SAID_S = 0.2
_REST_S = 10.0
_LABEL_S = 3.0
"""A recorder that runs is found within this."""


class Ended(NamedTuple):
    """How a run ended."""

    well: bool
    """Whether its time was up, or somebody asked it to stop."""
    why: str
    seconds: float
    """For so long the policy was followed [s]."""


def run_policy(
    client: GraphClient,
    task: str,
    seconds: float | None,
    stopped: Callable[[], bool],
    say: Callable[[Mapping[str, str], float], None],
) -> Ended:
    """Arm, follow the policy, and disarm after `seconds`, when `stopped`, or when the command node leaves the mode.

    Args:
        client: of the graph.
        task: what is done, for the label of a recorder that runs; may be empty.
        seconds: to run [s]; None until stopped.
        stopped: whether somebody asks to stop.
        say: gets the command node's state and the time [s], several times a second.

    Raises:
        GraphError: the graph did not come so far, or the arms did not come to rest.

    A command node that is latched is left to who looked at why.
    """
    if task:
        with suppress(GraphError):  # no recorder runs
            client.set_parameters("recorder", _LABEL_S, task=task)
    try:
        client.follow(Mode.POLICY.value, once=lambda: client.command_state["chunk_stamp_ns"] != "0", reset=False)
    except GraphError as error:
        if not client.latched:
            raise
        return Ended(False, str(error), 0.0)
    begun, said, why = time.monotonic(), 0.0, ""
    while not why:
        client.spin(0.05)
        now = time.monotonic() - begun
        state = client.command_state
        if now - said >= _SAID_S:
            said = now
            say(state, now)
        if state["mode"] != Mode.POLICY.value:
            return _ended(client, Ended(False, f"{state['mode']}: {state['reason'] or 'asked by somebody else'}", now))
        if stopped():
            why = "stopped"
        elif seconds is not None and now >= seconds:
            why = "the time is up"
    return _ended(client, Ended(True, why, now))


def _ended(client: GraphClient, ended: Ended) -> Ended:
    """Bring the arms to rest, unless they are latched and must be reset by who looked at them."""
    if not client.latched:
        client.trigger("command/disarm")
        client.wait(lambda: client.command_state["mode"] == Mode.DISARMED.value, _REST_S, "the arms to rest")
    return ended
