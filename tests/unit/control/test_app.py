"""The control listener over a real socket."""

from __future__ import annotations

import asyncio
import http.client
import signal
import socket
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from tokenway.aio.tasks import Tasks
from tokenway.control.app import make_app, serve_control


class Reply(NamedTuple):
    """An answer of the listener."""

    status: int
    content_type: str
    body: bytes


class Control:
    """A running control listener; `figures` is what it shows."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.figures = b"tokenway_requests_total 1\n"

    async def get(self, path: str, method: str = "GET") -> Reply:
        """Asks it in a thread of its own, because it runs in this loop."""
        return await asyncio.to_thread(self._get, path, method)

    def _get(self, path: str, method: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers["content-type"], answer.read())
        finally:
            connection.close()


@pytest.fixture
async def control() -> AsyncIterator[Control]:
    """A listener on a port that the system chose."""
    failures: list[BaseException] = []
    tasks = Tasks(lambda _name, error: failures.append(error))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = Control(listener.getsockname()[1])
        tasks.spawn("control", serve_control(make_app(lambda: running.figures), listener))
        yield running
        await tasks.close()
    assert failures == []


async def test_the_figures_are_shown_as_they_are_at_the_moment(control: Control) -> None:
    """Prometheus' content type, and nothing kept from an earlier look."""
    first = await control.get("/metrics")
    control.figures = b"tokenway_requests_total 2\n"
    second = await control.get("/metrics")
    assert first == (200, "text/plain; version=0.0.4; charset=utf-8", b"tokenway_requests_total 1\n")
    assert second.body == b"tokenway_requests_total 2\n"


async def test_the_front_page_says_what_there_is(control: Control) -> None:
    """Each path that it names answers; this one has no control API."""
    page = await control.get("/")
    paths = [line.split()[0] for line in page.body.decode().splitlines() if line.startswith("/")]
    assert paths == ["/api/docs", "/metrics", "/health/live"]
    assert [(await control.get(path)).status for path in paths[1:]] == [200, 200]


async def test_there_is_nothing_for_callers_of_models(control: Control) -> None:
    """Models are served by the public listener only."""
    assert (await control.get("/v1/models")).status == 404
    assert (await control.get("/metrics", "POST")).status == 405


async def test_signals_stay_with_the_gateway(control: Control) -> None:
    """The server would take SIGTERM for itself and end before the workers have drained."""
    assert (await control.get("/health/live")).body == b"ok\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
