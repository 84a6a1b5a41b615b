"""Runs the console: a thread that watches the graph, one that hears its answers, and the server between them."""

import asyncio
import json
import re
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from smp_bringup.client.asker import ASKABLE, NAMES, Asker
from smp_bringup.client.console_watch import Watch
from smp_bringup.client.graph_client import GraphClient, graph_client
from smp_bringup.client.previews import Cameras
from smp_bringup.console.door import Door
from smp_bringup.console.library import Library
from smp_bringup.console.models import Models
from smp_bringup.console.server import News, Page
from smp_bringup.console.shelves import routes
from smp_bringup.errors import ConfigError, OutputError
from smp_bringup.names import full_namespace
from smp_bringup.record.story import arms_of
from smp_bringup.robot import Robot

_PERIOD_S, _ALONE_S = 0.1, 0.5
"""Between two looks at the graph while a browser is there, and while none is [s]."""
_SHORTEST = 16
_RESTING = ("", "disarmed")
"""Modes in which no arm is armed; the first where no graph is heard."""
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{_SHORTEST},200}}")
_OPENED = "whoever reaches this address and has the token sees the cameras and moves the robot; it is not encrypted"
_LARGEST_MESSAGE = 8192
"""A browser says no more at once [bytes]."""


def require_token(bind: str, token: str) -> bool:
    """Return whether only this machine reaches an address.

    Raises:
        ConfigError: it is no address, or others reach it and the token is none that they could not guess.
    """
    try:
        loopback = ip_address(bind).is_loopback
    except ValueError:
        raise ConfigError(f"--bind {bind!r} must be an address of this machine, e.g. 127.0.0.1 or 0.0.0.0") from None
    if token and not _TOKEN.fullmatch(token):
        raise ConfigError(f"--token must be {_SHORTEST} or more letters, digits, - and _, not to be guessed")
    if not loopback and not token:
        raise ConfigError(
            f"--bind {bind} lets other machines move the robot: choose a --token of {_SHORTEST} or more characters, "
            "or keep 127.0.0.1 and come through an SSH tunnel"
        )
    return loopback


def serve(
    robot: Robot, namespace: str, shown: "Shown", bind: str, port: int, token: str, say: Callable[[str], None]
) -> None:
    """Serve the console of a graph until a signal ends it.

    Args:
        robot: with full names of its topics.
        namespace: of the graph.
        shown: what lies on the disk.
        bind: address to listen on.
        port: 0 takes a free one.
        token: that browsers must bring; empty: a random one.
        say: gets lines for the user.

    Raises:
        ConfigError: see `require_token`.
        OutputError: the port is not free.
        SmpError: see `graph_client`.
    """
    loopback, token = require_token(bind, token), token or secrets.token_urlsafe(24)
    with _listening(bind, port) as listening, graph_client("smp_console", namespace) as client:
        port = listening.getsockname()[1]
        asker = Asker(full_namespace(namespace))
        library = Library(shown.data, shown.stops)
        try:
            parts = _Console(robot, client, asker, library, shown)
            app = Door(parts.page.application(), token, port, loopback)
            say(f"console of {robot.name}: {_address(bind, port, token)}")
            if not loopback:
                say(_OPENED)
            asyncio.run(parts.run(app, listening))
        finally:
            asker.close()
            library.close()


@dataclass(frozen=True)
class Shown:
    """What of the disk is shown."""

    data: Path
    """Folder of episodes."""
    stops: Path
    runs: Path
    """Folder in which `smp train` leaves its runs."""
    robot: str
    """As the user named it."""


class _Console:
    """What watches the graph, and what browsers get of it."""

    def __init__(self, robot: Robot, client: GraphClient, asker: Asker, library: Library, shown: "Shown") -> None:
        self._watch, self._cameras = Watch(client, robot), Cameras(client, robot)
        self._asker, self._library, self._news = asker, library, News()
        self._mode = ""
        self._models = Models(shown.runs, shown.robot, library, lambda: self._mode in _RESTING)
        drawn = _drawn(robot, client.get_namespace())
        self.page = Page(drawn, NAMES, asker, self._cameras, self._news, routes(library, self._models))

    async def run(self, app: ASGIApp, listening: socket.socket) -> None:
        """Serve until a signal comes, or the watching fails."""
        settings = uvicorn.Config(
            app,
            lifespan="off",
            log_level="warning",
            access_log=False,  # addresses carry the token
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=_LARGEST_MESSAGE,
            ws_per_message_deflate=False,  # JPEG does not shrink
            timeout_graceful_shutdown=1,
        )
        server, ending = _Server(settings), threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, server.end)
        watching = asyncio.create_task(asyncio.to_thread(self._look, asyncio.get_running_loop(), ending))
        watching.add_done_callback(server.end)
        await server.serve(sockets=[listening])
        ending.set()
        self._models.close()
        await watching

    def _look(self, loop: asyncio.AbstractEventLoop, ending: threading.Event) -> None:
        while not ending.wait(_PERIOD_S if self._news.browsers else _ALONE_S):
            self._cameras.look()
            state = self._watch.look()
            self._mode = str(state["mode"])
            state |= {"log": list(self._asker.log), "marks": self._library.version, "trial": self._models.trial}
            figures = self._watch.figures
            text, drawn = json.dumps(state), json.dumps(figures.drawn())
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._news.publish, text, drawn, figures.version)


class _Server(uvicorn.Server):
    """A server whose signals are ours: its own would be raised again once it has ended."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield

    def end(self, *_: object) -> None:
        """Take no more requests, and return."""
        self.should_exit = True


def _drawn(robot: Robot, namespace: str) -> dict[str, object]:
    """Return what the page draws of a robot."""
    return {
        "name": robot.name,
        "namespace": namespace,
        "arms": arms_of(robot),
        "cameras": [camera.name for camera in robot.cameras],
        "verbs": {name: asked.text for name, asked in ASKABLE.items()},
    }


def _address(bind: str, port: int, token: str) -> str:
    host = socket.gethostname() if ip_address(bind).is_unspecified else f"[{bind}]" if ":" in bind else bind
    return f"http://{host}:{port}/?token={token}"


def _listening(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        return socket.create_server((bind, port), family=family)
    except OSError as error:
        raise OutputError(f"cannot listen on {bind} port {port} ({error.strerror}): choose another --port") from None
