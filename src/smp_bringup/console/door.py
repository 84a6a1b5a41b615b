"""Who is let in: the token, compared in constant time, and the names under which the console may be asked."""

import hmac
import socket
from ipaddress import ip_address
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PARAMETER = "token"


class Door:
    """Around the application: every request and every websocket passes here, or gets a 403."""

    def __init__(self, inner: ASGIApp, token: str, port: int, loopback: bool) -> None:
        self._inner, self._token, self._port, self._loopback = inner, token.encode(), port, loopback
        self._cookie = f"smp_console_{port}"
        """Browsers share cookies between the ports of a host."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it; nothing else of ASGI is used here."""
        if scope["type"] not in ("http", "websocket"):
            await self._inner(scope, receive, send)
            return
        headers, given = Headers(scope=scope), parse_qs(scope["query_string"].decode("latin-1")).get(_PARAMETER, [""])
        if why := self._stranger(headers, scope["type"] == "websocket" or scope["method"] != "GET"):
            await _refuse(why, scope, receive, send)
        elif given[0] and scope["type"] == "http" and scope["path"] == "/" and self._right(given[0]):
            await self._welcome()(scope, receive, send)
        elif self._right(cookie_parser(headers.get("cookie", "")).get(self._cookie, "")):
            await self._inner(scope, receive, _with_headers(send))
        else:
            await _refuse("wrong or missing token: open the address that smp console printed", scope, receive, send)

    def _right(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token)

    def _welcome(self) -> Response:
        """Move the token from the address, which histories keep, to a cookie that no script and no other site reads."""
        response = RedirectResponse("/", status_code=303, headers=_HEADERS)
        response.set_cookie(self._cookie, self._token.decode(), httponly=True, samesite="strict")
        return response

    def _stranger(self, headers: Headers, origin_needed: bool) -> str:
        """Return why a request is not of our page; a site that points its own name here says that name as Host."""
        host = headers.get("host", "")
        name, _, port = host.rpartition(":")
        if port != str(self._port) or not self._is_ours(name.strip("[]").lower()):
            return "the console is not asked for under this name: use the address that smp console printed"
        origin = headers.get("origin")
        if origin != f"http://{host}" and (origin or origin_needed):
            return "another site asks: open the console in a window of its own"
        return ""

    def _is_ours(self, name: str) -> bool:
        if name == "localhost":
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return not self._loopback and name == socket.gethostname().lower()
        return address.is_loopback or not self._loopback


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sent


async def _refuse(why: str, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()  # its request to connect
        await send({"type": "websocket.close", "code": 1008, "reason": why})  # before it is accepted: a 403
    else:
        await PlainTextResponse(f"{why}\n", status_code=403, headers=_HEADERS)(scope, receive, send)
