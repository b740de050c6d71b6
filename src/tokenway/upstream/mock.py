r"""Scripted connections: a pool over canned bytes, with the real parser and the real pool but no socket.

A script is a list with one entry for each dial: either the failure of that dial, or the answers that
its connection gives, one for each request written to it. An answer is a list of pieces: bytes, which
arrive as one socket read each, and at most one `Ending`. Requests beyond the script stay unanswered.

    network = MockNetwork([[b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"hi"]])
    call = network.pool(loop, tasks).open(b"GET / HTTP/1.1\r\n\r\n", reader)
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from typing import TypeAlias

from tokenway.aio.tasks import Tasks
from tokenway.upstream.pool import Pool
from tokenway.upstream.transport import DialFailure, Origin


class Ending(Enum):
    """How the upstream ends a connection."""

    CLOSE = auto()
    RESET = auto()


Answer: TypeAlias = Sequence[bytes | Ending]
Connected: TypeAlias = Sequence[Answer]


class MockTransport(asyncio.Transport):
    """One scripted connection. `feed` plays pieces at any time, also while it is idle."""

    def __init__(self, protocol: asyncio.Protocol, answers: Connected) -> None:
        super().__init__()
        self.requests: list[bytes] = []
        self._protocol = protocol
        self._answers = deque(answers)
        self._pieces: deque[bytes | Ending] = deque()
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self._closed = False
        self._scheduled = False
        protocol.connection_made(self)

    def feed(self, pieces: Iterable[bytes | Ending]) -> None:
        """Lets the upstream send: each piece arrives in a turn of the loop of its own."""
        self._pieces.extend(pieces)
        self._schedule()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Takes one whole request and begins the next answer."""
        self.requests.append(bytes(data))
        if self._answers:
            self.feed(self._answers.popleft())

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """The same for a request in parts."""
        self.write(b"".join(list_of_data))

    def pause_reading(self) -> None:
        """Holds the pieces back."""
        self._paused = True

    def resume_reading(self) -> None:
        """Lets them come again."""
        self._paused = False
        self._schedule()

    def is_closing(self) -> bool:
        """Whether either side has ended the connection."""
        return self._closed

    def get_write_buffer_size(self) -> int:
        """Nothing ever waits to be written."""
        return 0

    def abort(self) -> None:
        """Ends the connection from our side."""
        self._end(None)

    close = abort

    def _schedule(self) -> None:
        if self._pieces and not (self._scheduled or self._paused or self._closed):
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        if self._paused or self._closed:
            return
        piece = self._pieces.popleft()
        if isinstance(piece, bytes):
            self._protocol.data_received(piece)
        elif piece is Ending.CLOSE:
            self._protocol.eof_received()
            self._end(None)
        else:
            self._end(ConnectionResetError())
        self._schedule()

    def _end(self, error: Exception | None) -> None:
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self._protocol.connection_lost, error)


class MockNetwork:
    """Dials by script (`transport.Dial`)."""

    def __init__(self, *script: Connected | DialFailure) -> None:
        self.transports: list[MockTransport] = []
        """The connections made so far."""
        self.dials: list[tuple[Origin, float, ssl.SSLContext | None]] = []
        """What was asked of each dial: origin, timeout in seconds, TLS context."""
        self._script = deque(script)

    async def __call__(
        self,
        origin: Origin,
        protocol: Callable[[], asyncio.Protocol],
        /,
        *,
        timeout: float,
        context: ssl.SSLContext | None,
    ) -> None:
        """Makes the next scripted connection; beyond the script one that stays silent. Raises its DialFailure."""
        self.dials.append((origin, timeout, context))
        scripted = self._script.popleft() if self._script else []
        if isinstance(scripted, DialFailure):
            raise scripted
        self.transports.append(MockTransport(protocol(), scripted))

    def add(self, *script: Connected | DialFailure) -> None:
        """Appends to the script."""
        self._script.extend(script)

    @property
    def requests(self) -> list[bytes]:
        """All that was written, in the order of the connections."""
        return [request for transport in self.transports for request in transport.requests]

    def pool(self, loop: asyncio.AbstractEventLoop, tasks: Tasks) -> Pool:
        """A pool over this network."""
        return Pool(Origin("http", "mock", 80), loop, tasks, dialer=self)
