"""Episodes and stops over HTTP: lists, stories, pictures, and the marks that somebody sets."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from smp_bringup.config import parse_json
from smp_bringup.console.library import DATA, STOPS, Library, said
from smp_bringup.console.models import Models
from smp_bringup.errors import ConfigError, SmpError

_LONGEST_BODY = 1024
Handler = Callable[[Request], Awaitable[Response]]


def routes(library: Library, models: Models) -> Sequence[Route]:
    """Return what a server of ASGI answers of a library and of checkpoints."""

    async def entries(request: Request) -> Response:
        return JSONResponse(await library.entries(request.path_params["shelf"]))

    async def story(request: Request) -> Response:
        told = await library.story(request.path_params["shelf"], request.path_params["key"])
        return JSONResponse(told.told)

    async def still(request: Request) -> Response:
        asked = request.path_params
        stills = (await library.story(asked["shelf"], asked["key"])).stills.get(asked["camera"], ())
        if not asked["k"] < len(stills):
            return _refusal("no such picture", 404)
        return Response(stills[asked["k"]], media_type="image/jpeg")

    async def mark(request: Request) -> Response:
        asked = await _body(request)
        for what, value in asked.items():
            library.mark(request.path_params["key"], str(what), str(value))
        return JSONResponse({"done": True})

    async def checkpoints(_: Request) -> Response:
        return JSONResponse(models.entries())

    async def card(request: Request) -> Response:
        return JSONResponse(await models.card(request.path_params["key"]))

    async def compare(request: Request) -> Response:
        asked = await _body(request)
        models.compare(*(str(asked.get(key, "")) for key in ("episode", "first", "second")))
        return JSONResponse({"done": True})

    found = [("", entries), ("/{key}", story), ("/{key}/{camera}/{k:int}", still)]
    return [
        *(
            Route(f"/{shelf}{path}", _on(shelf, handler), methods=["GET"])
            for shelf in (DATA, STOPS)
            for path, handler in found
        ),
        Route("/mark/{key}", _on(DATA, mark), methods=["POST"]),
        Route("/models", _on(DATA, checkpoints), methods=["GET"]),
        Route("/models/{key}", _on(DATA, card), methods=["GET"]),
        Route("/compare", _on(DATA, compare), methods=["POST"]),
    ]


def _on(shelf: str, handler: Handler) -> Handler:
    """Return a handler of one shelf, whose errors are answers."""

    async def handle(request: Request) -> Response:
        request.path_params["shelf"] = shelf
        try:
            return await handler(request)
        except (SmpError, OSError) as error:
            return _refusal(said(error), 404)

    return handle


async def _body(request: Request) -> dict[str, Any]:
    """Return the small JSON object of a request; raises ConfigError for anything else."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_BODY:
            raise ConfigError(f"more than {_LONGEST_BODY} bytes")
    told = parse_json(body, "the request")
    if not isinstance(told, dict):
        raise ConfigError("no JSON object")
    return told


def _refusal(text: str, status: int) -> Response:
    return JSONResponse({"done": False, "text": text}, status_code=status)
