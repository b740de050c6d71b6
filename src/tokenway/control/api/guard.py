"""What holds for every request before its route is known: bounded bodies, and headers that browsers obey."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tokenway.control.api.problems import Problem

BODY_MAX: Final = 2 * 1024 * 1024
"""Bytes of a request: a configuration of thousands of models fits."""

HEADERS: Final = {
    "cache-control": "no-store",
    # The manual has styles of its own and nothing else.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}
_TOO_LARGE: Final = f"the body is larger than {BODY_MAX} bytes"


class Guard:
    """ASGI middleware around the API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        length = Headers(scope=scope).get("content-length", "0")
        if not length.isascii() or not length.isdecimal() or int(length[:20]) > BODY_MAX:
            await Problem(413, _TOO_LARGE).response()(scope, receive, guarded_send)
            return
        received = 0

        async def guarded_receive() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > BODY_MAX:
                    raise HTTPException(413, _TOO_LARGE)
            return message

        await self._app(scope, guarded_receive, guarded_send)
