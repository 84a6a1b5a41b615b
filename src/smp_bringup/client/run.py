"""Runs the policy of a running graph for a while: `smp run`."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import START_S, GraphClient
from smp_bringup.safety.modes import Mode

_SAID_S = 0.2
_REST_S = 10.0
_LABEL_S = 3.0
"""A recorder that runs is found within this."""
_PHASES = {"arm": "arming", "use_policy": "asking for the policy"}
"""What is said before a request."""
_ON = {
    Mode.POLICY.value: "following the policy again",
    Mode.TELEOP.value: "the operator took over",
    Mode.HOLD.value: "held: waits for the policy, or the operator",
}
"""Modes in which a run goes on, and what is said when one begins."""


class Ended(NamedTuple):
    """How a run ended."""

    well: bool
    """Whether its time was up, or somebody asked it to stop."""
    why: str
    seconds: float
    """From when the policy was followed [s]."""


class Said(NamedTuple):
    """Who hears what goes on."""

    phase: Callable[[str], None]
    """Gets each phase as it begins."""
    state: Callable[[str, float], None]
    """Gets mode and reasons of the command node, and the time [s], several times a second."""


def run_policy(client: GraphClient, task: str, seconds: float | None, stopped: Callable[[], bool], say: Said) -> Ended:
    """Arm, follow the policy, and hold after `seconds` or when `stopped`; a stop or a disarming ends it, too.

    An operator may hold, take over and give back: the run goes on, and ends without taking the arms from them.

    Args:
        client: of the graph.
        task: what is done, for a policy that is told and the label of a recorder that runs; may be empty.
        seconds: to run [s]; None until stopped.
        stopped: whether somebody asks to stop.
        say: who hears of it.

    Raises:
        GraphError: the policy does not know the task, the graph did not come so far, or the arms did not come to rest.

    A command node that is latched is left to who looked at why.
    """
    if task:
        client.set_parameters("policy", START_S, task=task)  # before an arm moves; loading an encoder takes its time
        with suppress(GraphError):  # no recorder runs
            client.set_parameters("recorder", _LABEL_S, task=task)
    try:
        _follow(client, say)
    except GraphError as error:
        if not client.latched:
            raise
        return Ended(False, str(error), 0.0)
    say.phase("following the policy" + (f" for {seconds:g} s" if seconds else ""))
    begun, said, why, led = time.monotonic(), 0.0, "", Mode.POLICY.value
    while not why:
        client.spin(0.05)
        now, state = time.monotonic() - begun, client.command_state
        if now - said >= _SAID_S:
            said = now
            say.state(": ".join(filter(None, (state["mode"], state["reasons"]))), now)
        if state["mode"] not in _ON:
            return Ended(False, f"{state['mode']}: {state['reasons'] or 'asked by somebody else'}", now)
        if state["mode"] != led:
            led = state["mode"]
            say.phase(_ON[led])
        if stopped():
            why = "stopped"
        elif seconds is not None and now >= seconds:
            why = "the time is up"
    return Ended(True, f"{why}; {_leave(client, say)}", now)


def _follow(client: GraphClient, say: Said) -> None:
    """Bring the command node to follow the policy, and say each request once."""
    asked = ""

    def before(request: str) -> None:
        nonlocal asked
        if request != asked:
            asked = request
            say.phase(_PHASES[request])

    fresh = lambda: client.command_state["chunk_stamp_ns"] != "0"  # noqa: E731
    client.follow(Mode.POLICY.value, before=before, once=fresh, reset=False)


def _leave(client: GraphClient, say: Said) -> str:
    """Let the arms come to rest and hold them there, unless an operator leads them; return which."""
    if client.command_state["mode"] == Mode.TELEOP.value:
        return "the operator goes on"
    say.phase("coming to rest")
    client.trigger("command/hold")
    client.wait(lambda: client.command_state["mode"] == Mode.HOLD.value, _REST_S, "the arms to hold")
    return "the arms hold"
