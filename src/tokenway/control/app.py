"""The control listener: the control API, metrics and health; it is not for callers of models."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import Server

if TYPE_CHECKING:
    import socket

_INDEX = """\
Tokenway, control listener

/api/docs      the control API, and its description for programs: /api/openapi.json
/metrics       figures for Prometheus
/health/live   whether this process answers
"""
_API = "/api"
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def make_app(metrics: Callable[[], bytes], api: ASGIApp | None = None) -> ASGIApp:
    """The application; `metrics` gives the text for Prometheus, `api` is what is served under `/api`."""

    async def index(_request: Request) -> Response:
        return PlainTextResponse(_INDEX)

    async def live(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def show_metrics(_request: Request) -> Response:
        return Response(metrics(), media_type=_METRICS_TYPE)

    rest = Starlette(routes=[Route("/", index), Route("/metrics", show_metrics), Route("/health/live", live)])
    if api is None:
        return rest

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        # By hand, because a mounted application is not asked for paths with a line break, and answers as one.
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{_API}/"):
            await api({**scope, "root_path": scope.get("root_path", "") + _API}, receive, send)
        else:
            await rest(scope, receive, send)

    return both


class ControlServer(Server):
    """uvicorn's server without its own signal handling: the gateway decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals alone."""
        yield


async def serve_control(app: ASGIApp, listener: socket.socket) -> None:
    """Serves until it is cancelled."""
    config = Config(app=app, loop="none", lifespan="off", ws="none", log_config=None, access_log=False)
    server = ControlServer(config)
    try:
        await server.serve(sockets=[listener])
    finally:
        for each in getattr(server, "servers", ()):
            each.close()  # else the loop goes on to listen at the socket, or at the next one with its number
