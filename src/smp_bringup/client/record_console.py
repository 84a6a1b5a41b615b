"""Recording from the terminal: keys in, the recorder's state and verdict out."""

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from diagnostic_msgs.msg import DiagnosticArray

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import GraphClient, graph_client
from smp_bringup.client.take_over import TakeOver
from smp_bringup.errors import SmpError
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import status_values
from smp_bringup.verbs import RECORDING

KEYS = {
    " ": "start, or stop as a success",
    "f": "stop as a failure",
    "t": "take over from the policy, once the leaders are near; give back",
    "h": "hold",
    "d": "discard the open episode, or the last one",
    "n": "next task of the queue",
    "q": "quit",
}
_REQUESTS = {" ": "success", "f": "failure", "d": "discard", "n": "next"}
_START_S = 30.0


@contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """Give a function that returns the key that was pressed, or nothing; raises SmpError without a terminal."""
    if not sys.stdin.isatty():
        raise SmpError("--keys needs a terminal: use the services of /recorder, or a pedal on /recorder/pedal")
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        # Read past Python's buffer: of two keys that came together the second would wait there for a third.
        fd = sys.stdin.fileno()
        yield lambda: os.read(fd, 1).decode(errors="replace") if select.select([fd], [], [], 0)[0] else ""
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def run_console(show: Callable[[Mapping[str, str], str], None], namespace: str) -> None:
    """Drive the running recorder in `namespace` until q is pressed.

    Args:
        show: gets the recorder's state and what the last key did, several times a second.
        namespace: of its graph.

    Raises:
        GraphError: no recorder runs.
    """
    state: dict[str, str] = {}
    with graph_client("smp_keys", namespace) as client:
        client.create_subscription(
            DiagnosticArray, "recorder/state", lambda message: state.update(_fresh(state, message)), qos.STATE
        )
        what = "the recorder: start it with smp up --teleop --record FOLDER, or record.launch.py"
        client.wait(lambda: bool(state), _START_S, what)
        said, over = "", TakeOver(client)
        with keys() as pressed:
            while (key := pressed()) != "q":
                if key == "t":
                    said = over.ask()
                elif key == "h":
                    said = over.hold()
                elif key in KEYS:
                    said = _act(client, key, state)
                said = over.look() or said
                show({**state, "mode": client.command_state.get("mode", "")}, said)
                client.spin(0.1)


def _fresh(state: dict[str, str], message: DiagnosticArray) -> dict[str, str]:
    state.clear()
    return status_values(message)


def _act(client: GraphClient, key: str, state: Mapping[str, str]) -> str:
    """Do what a key asks for; return what the recorder says."""
    recording = state["recording"] == "True"
    try:
        said = ""
        for step in RECORDING["start" if key == " " and not recording else _REQUESTS[key]]:
            asked = step.service
            said = client.trigger(asked) if step.value is None else client.set_bool(asked, step.value)
        return said
    except GraphError as error:
        return str(error)
