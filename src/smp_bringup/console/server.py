"""Page and websockets: what is so goes out at the pace at which a browser draws it, requests come in on their own."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from starlette.applications import Starlette
from starlette.responses import FileResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from smp_bringup.client.previews import VIEWS, Cameras
from smp_bringup.errors import one_line
from smp_bringup.page.parts import PALETTE
from smp_bringup.record.story_page import ASSETS

PAGE = Path(__file__).parent / "page"
_FILES = {
    "/": (PAGE / "index.html", "text/html"),
    "/console.css": (PAGE / "console.css", "text/css"),
    "/icon.svg": (PAGE / "icon.svg", "image/svg+xml"),
    "/palette.css": (PALETTE, "text/css"),
    "/story.css": (ASSETS / "story.css", "text/css"),
    "/story.js": (ASSETS / "story.js", "text/javascript"),
    **{
        f"/{name}.js": (PAGE / f"{name}.js", "text/javascript")
        for name in ("card", "console", "draw", "models", "record", "shelves")
    },
}
_MOST_OPEN = 32
"""Requests that one browser may have open."""


class Asking(Protocol):
    """Who carries requests to the graph."""

    async def ask(self, name: str, words: str = "") -> dict[str, object]:
        """Return the answer to a request."""


class News:
    """The newest state of the graph, written once for all browsers."""

    def __init__(self) -> None:
        self.text, self.number, self.drawn, self.version = "{}", 0, "[]", 0
        self.browsers = 0
        self._changed = asyncio.Event()

    def publish(self, text: str, drawn: str, version: int) -> None:
        """Take a new state, and what is drawn of its figures, which changes with `version`."""
        self.text, self.drawn, self.version, self.number = text, drawn, version, self.number + 1
        self._changed.set()
        self._changed.clear()

    async def after(self, number: int) -> None:
        """Wait for a state that is newer than `number`."""
        while self.number == number:
            await self._changed.wait()


class Page:
    """The application."""

    def __init__(
        self,
        robot: dict[str, object],
        names: set[str],
        asker: Asking,
        cameras: Cameras,
        news: News,
        more: Sequence[Route] = (),
    ) -> None:
        """Serve a robot.

        Args:
            robot: what the page draws of it, as JSON can say it.
            names: of the requests that the page may make.
            asker: sends them.
            cameras: that the page may look at.
            news: what is so.
            more: that is answered.
        """
        self._more = more
        self._robot, self._names, self._asker, self._cameras, self._news = robot, names, asker, cameras, news
        self._sources = {(camera.name, view) for camera in cameras.robot.cameras for view in VIEWS}

    def application(self) -> Starlette:
        """Return it for a server of ASGI."""
        files = [Route(path, _file(*what), methods=["GET"]) for path, what in _FILES.items()]
        return Starlette(
            routes=[*files, *self._more, WebSocketRoute("/live", self._live), WebSocketRoute("/ask", self._ask)]
        )

    async def _live(self, socket: WebSocket) -> None:
        """Send state and pictures each time the browser has drawn the last ones: a slow one gets fewer, never old."""
        await socket.accept()
        self._news.browsers += 1
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.send_text(json.dumps({"robot": self._robot}))
            await self._tell(socket)
        self._news.browsers -= 1

    async def _tell(self, socket: WebSocket) -> None:
        seen, drawn, shown = 0, 0, dict.fromkeys(self._sources, 0)
        while True:
            wanted = _looked_at(await socket.receive_text()) & self._sources
            for source in wanted:
                self._cameras.want(source)
            await self._news.after(seen)
            seen, parts = self._news.number, f'{{"state": {self._news.text}'
            if drawn != self._news.version:
                drawn, parts = self._news.version, f'{parts}, "figures": {self._news.drawn}'
            for camera, view in sorted(wanted):
                number, picture = self._cameras.picture((camera, view))
                if number != shown[camera, view]:
                    shown[camera, view] = number
                    await socket.send_bytes(f"{camera}\n".encode() + picture)
            await socket.send_text(parts + "}")

    async def _ask(self, socket: WebSocket) -> None:
        """Take requests, and answer each when it is answered: none waits for another."""
        await socket.accept()
        tasks: set[asyncio.Task[None]] = set()
        with suppress(WebSocketDisconnect, RuntimeError):
            while True:
                asked = await socket.receive_text()
                name, _, words = asked.partition("\n")
                if name in self._names and len(tasks) < _MOST_OPEN:
                    task = asyncio.create_task(self._answer(socket, name, words))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                else:
                    text = "too many requests are open" if name in self._names else "no such request"
                    await socket.send_json({"verb": one_line(name[:40]), "done": False, "text": text})

    async def _answer(self, socket: WebSocket, name: str, words: str) -> None:
        answer = await self._asker.ask(name, words)  # carried out also where its browser leaves
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.send_json(answer)


def _file(file: Path, kind: str) -> Callable[..., Response]:
    def send(_: object) -> Response:
        return FileResponse(file, media_type=kind)

    return send


def _looked_at(text: str) -> set[tuple[str, str]]:
    """Return what a browser says that it looks at: cameras and a view, separated by spaces; the view first."""
    view, *cameras = text[:4096].split() or [VIEWS[0]]
    return {(camera, view) for camera in cameras}
