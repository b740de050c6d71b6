"""One connection to the fake provider: requests in, bytes out, and the ways to end it badly."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

_HEAD_END = b"\r\n\r\n"


class Gone(Exception):
    """The script closed the connection: the request's treatment ends here."""


class Link(asyncio.Protocol):
    """The bytes of one connection, to be read and written by one coroutine."""

    def __init__(self, on_open: Callable[[Link], None]) -> None:
        self._on_open = on_open
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None
        """The coroutine that serves the connection."""
        self.gone = asyncio.Event()
        self.served = 0
        """Requests read so far."""
        self.idle = False
        """Whether all requests are answered and another is awaited."""

    @property
    def is_writable(self) -> bool:
        """Whether the client reads as fast as it is written to."""
        return self._writable.is_set()

    # ── the event loop ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tells the provider."""
        self.transport = transport  # type: ignore[assignment]  # a stream protocol is given a Transport
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Keeps the bytes for the coroutine."""
        self._buffer += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops whatever the script is waiting for: a provider stops generating, too."""
        self.gone.set()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It caught up."""
        self._writable.set()

    # ── the script's side ──

    async def read_head(self) -> bytes:
        """The next request's head without the empty line."""
        self.idle = not self._buffer
        while (end := self._buffer.find(_HEAD_END)) < 0:
            await self._more()
        self.idle = False
        self.served += 1
        head = bytes(self._buffer[:end])
        del self._buffer[: end + len(_HEAD_END)]
        return head

    async def read_exactly(self, size: int) -> bytes:
        """`size` bytes of a body."""
        while len(self._buffer) < size:
            await self._more()
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return body

    async def send(self, data: bytes, drip: int = 0, gap: float = 0.0) -> None:
        """Writes, in pieces of `drip` bytes where that is not 0, and waits while the client does not read.

        Between two pieces `gap` seconds pass.

        There are two turns of the loop before each write: in the first, a client in the same loop reads what
        was written last, so that it gets each write by itself.
        """
        for start in range(0, len(data), drip or len(data) or 1):
            await asyncio.sleep(gap if start else 0)
            await asyncio.sleep(0)
            await self._writable.wait()
            if self.transport is None or self.transport.is_closing():
                raise Gone
            self.transport.write(data[start : start + drip] if drip else data)

    def close(self) -> None:
        """Closes after what was written has been sent."""
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """Closes with a TCP reset."""
        if self.transport is not None:
            peer = self.transport.get_extra_info("socket")
            if peer is not None and peer.family != socket.AF_UNIX:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    async def _more(self) -> None:
        self._news.clear()
        await self._news.wait()
