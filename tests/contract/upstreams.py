"""What tests of upstream calls share: a reader and a pool that keep what they hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tokenway.model.faults import Fault
from tokenway.upstream.base import Headers
from tokenway.upstream.call import Call
from tokenway.upstream.http1 import Connection

REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{}"


class Owner:
    """An owner that keeps which of its methods were called."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def released(self, connection: Connection) -> None:
        """Keeps it."""
        self.asked.append("released")

    def forget(self, connection: Connection) -> None:
        """Keeps it."""
        self.asked.append("forget")

    def opened(self, connection: Connection) -> None:
        """Keeps it."""
        self.asked.append("opened")

    def closed(self, connection: Connection) -> None:
        """Keeps it."""
        self.asked.append("closed")

    def distrust(self) -> None:
        """Keeps it."""
        self.asked.append("distrust")

    def redial(self, call: Call) -> None:
        """Keeps it."""
        self.asked.append("redial")

    def hang_up(self, call: Call) -> None:
        """Keeps it."""
        self.asked.append("hang_up")


class Heard:
    """A reader that keeps every call it gets, and lets a test wait for one."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        """The names of the calls, in order, without their `upstream_`."""
        self.is_over = False
        """Whether the end or the failure was heard."""
        self.status = 0
        self.headers = Headers({})
        self.pieces: list[bytes] = []
        self.fault: Fault | None = None
        self.detail = ""
        self.call: Call | None = None
        self.cancel_in = ""
        """The callback in which the reader cancels its call."""
        self.finish_after = b""
        """Bytes after which the reader finishes early."""
        self._news = asyncio.Event()

    @property
    def body(self) -> bytes:
        """All payload so far."""
        return b"".join(self.pieces)

    def upstream_opened(self) -> None:
        """Keeps it."""
        self._heard("opened")

    def upstream_head(self, status: int, headers: Headers) -> None:
        """Keeps status and headers."""
        self.status, self.headers = status, headers
        self._heard("head")

    def upstream_body(self, data: bytes) -> None:
        """Keeps the piece, and finishes early where the test said so."""
        self.pieces.append(data)
        self._heard("body")
        if self.finish_after and self.finish_after in self.body and self.call is not None:
            self.call.finish_early()

    def upstream_end(self) -> None:
        """Keeps it."""
        self._heard("end")

    def upstream_answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Head, piece and end."""
        self.upstream_head(status, headers)
        self.upstream_body(body)
        self.upstream_end()

    def upstream_failed(self, fault: Fault, detail: str) -> None:
        """Keeps what went wrong."""
        self.fault, self.detail = fault, detail
        self._heard("failed")

    async def until(self, name: str) -> None:
        """Waits until the named call has come."""
        while name not in self.calls:
            self._news.clear()
            await self._news.wait()

    async def over(self) -> None:
        """Waits for the end or the failure."""
        while not self.is_over:
            self._news.clear()
            await self._news.wait()

    def _heard(self, name: str) -> None:
        self.calls.append(name)
        self.is_over = self.is_over or name in {"end", "failed"}
        self._news.set()
        if name == self.cancel_in and self.call is not None:
            self.call.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop turn until the condition holds; the test's time-out is the bound."""
    while not condition():  # noqa: ASYNC110 - the condition belongs to objects that announce nothing
        await asyncio.sleep(0)
