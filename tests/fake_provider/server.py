"""The fake provider itself: it accepts, records, chooses a script and plays it."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fake_provider import scripts
from tests.fake_provider.cases import CASES
from tests.fake_provider.connection import Gone, Link
from tests.fake_provider.play import Play, Received
from tests.fake_provider.scripts import Bill, Script
from tokenway.aio.tasks import Tasks


class FakeProvider:
    """Listens on loopback while its `async with` block runs."""

    def __init__(
        self,
        default: Script = Script(),  # noqa: B008 - immutable
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        unix: Path | None = None,
        cases: Mapping[str, Script] = CASES,
    ) -> None:
        """`default` treats requests for which nothing else was said; `cases` are the models that have a script."""
        self.default = default
        self.requests: list[Received] = []
        self.links: list[Link] = []
        """Every connection ever accepted; `gone` says whether it is closed."""
        self.errors: list[BaseException] = []
        """Bugs of a script or of the fake; empty after a good test."""
        self._host, self._port, self._tls, self._unix = host, port, tls, unix
        self._cases = cases
        self._asked: Counter[str] = Counter()
        self._queue: deque[Script] = deque()
        self._tasks = Tasks(lambda _name, error: self.errors.append(error))
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def up(self) -> None:
        """Listens, after `down` at the same port again."""
        loop = asyncio.get_running_loop()
        # A client that has dropped its connection never says goodbye, and TLS would wait for that.
        goodbye = 0.5 if self._tls else None
        if self._unix is None:
            self._server = await loop.create_server(
                self._make_link, self._host, self._port, ssl=self._tls, backlog=4096, ssl_shutdown_timeout=goodbye
            )
            self._port = self._server.sockets[0].getsockname()[1]
        else:
            self._server = await loop.create_unix_server(self._make_link, str(self._unix), ssl=self._tls)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        await self._tasks.close()
        await self._drop()

    async def down(self) -> None:
        """Crashes: every connection is reset, and whoever connects is refused until `up`."""
        if self._server is not None:
            self._server.close()
        for link in self.links:
            if not link.gone.is_set():
                link.reset()
        await self._drop()

    async def _drop(self) -> None:
        for link in self.links:
            if link.transport is not None:
                link.transport.abort()
                await link.gone.wait()
        if self._server is not None:
            await self._server.wait_closed()

    # ── for tests ──

    @property
    def base_url(self) -> str:
        """What a configuration calls `base_url` for OpenAI's dialects: it ends in `/v1`."""
        if self._unix is not None:
            return f"unix:{self._unix}:/v1"
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}/v1"

    @property
    def origin(self) -> str:
        """The base URL of the other dialects, whose paths begin with their version or with `/model`."""
        return self.base_url.removesuffix("/v1")

    @property
    def port(self) -> int:
        """The port that was bound."""
        return self._port

    @property
    def bill(self) -> Bill:
        """All that would be charged."""
        return sum((request.bill for request in self.requests), Bill())

    @property
    def open_links(self) -> int:
        """Connections that are open now."""
        return sum(not link.gone.is_set() for link in self.links)

    def queue(self, *more: Script) -> None:
        """Scripts for the next requests, in order, whatever their model is called."""
        self._queue.extend(more)

    async def received(self, count: int) -> Received:
        """Waits until `count` requests have come in all, and returns the last of them."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def send_stray(self, data: bytes) -> int:
        """Writes `data` on every idle connection; returns to how many."""
        idle = [link for link in self.links if link.idle and not link.gone.is_set()]
        for link in idle:
            await link.send(data)
        return len(idle)

    async def close_idle(self) -> int:
        """Closes every idle connection, as servers do after their keep-alive time; returns how many."""
        idle = [link for link in self.links if link.idle and not link.gone.is_set()]
        for link in idle:
            link.close()
            await link.gone.wait()
        return len(idle)

    # ── serving ──

    def _make_link(self) -> Link:
        return Link(self._accept)

    def _accept(self, link: Link) -> None:
        self.links.append(link)
        link.task = self._tasks.start("fake provider", self._serve(link))

    async def _serve(self, link: Link) -> None:
        """Answers the requests of one connection; cancelled when the client leaves."""
        try:
            while True:
                request = await self._receive(link, await link.read_head())
                await self._answer(link, request, self._choose(request))
        except Gone:
            return
        finally:
            link.close()

    async def _answer(self, link: Link, request: Received, script: Script) -> None:
        """Plays the script to one request. Raises Gone when it ends the connection."""
        try:
            await Play(link, request, script).run()
            request.complete = True
        finally:
            request.over.set()
        if script.stray:
            await asyncio.sleep(script.stray_after)
            await link.send(script.stray)

    async def _receive(self, link: Link, head: bytes) -> Received:
        line, *rest = head.decode("latin-1").split("\r\n")
        method, path, _ = line.split(" ")
        headers = [(name.lower(), value.strip()) for name, _, value in (entry.partition(":") for entry in rest)]
        size = next((int(value) for name, value in headers if name == "content-length"), 0)
        body = await link.read_exactly(size)
        request = Received(link, method, path, headers, body, link.served > 1)
        async with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        return request

    def _choose(self, request: Received) -> Script:
        if self._queue:
            return self._queue.popleft()
        model = request.ask.model
        script = scripts.read(model, self.default, self._cases)
        self._asked[model] += 1
        return self.default if 0 < script.times < self._asked[model] else script
