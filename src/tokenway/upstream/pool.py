"""Pools of connections to upstreams: constant time for acquire, release and removal, no task while one is idle.

Idle connections stand in a dict used as an ordered set. Its end is the most recently used one, which is
taken first (the others age out); any one can be taken out without a search; from its beginning the
sweep finds the expired ones.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from tokenway.aio.tasks import Tasks
from tokenway.model.faults import Fault
from tokenway.upstream.base import Reader
from tokenway.upstream.call import Call
from tokenway.upstream.http1 import Connection
from tokenway.upstream.transport import Dial, DialFailure, Origin, dial, parse_base_url, system_trust

__all__ = ["Call", "Pool", "Pools"]

_STOPPING = "The gateway is stopping."
DISTRUST = 300.0
"""Seconds for which no connection to an origin is used twice, since it sent a response that nobody had asked for.

One that comes a moment later, when the connection has its next request, cannot be told from the answer to that."""


class Pool:
    """The connections to one origin."""

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        *,
        connect_timeout: float = 5.0,
        max_idle: int = 256,
        idle_seconds: float = 60.0,
        ssl_context_factory: Callable[[], ssl.SSLContext] = system_trust,
        dialer: Dial = dial,
    ) -> None:
        """Makes no connection yet.

        `connect_timeout` (seconds) bounds name look-up, connect and TLS handshake together; the factory is
        called at the first dial of an `https` origin.
        """
        self.origin = origin
        self.connect_timeout = connect_timeout
        self._loop = loop
        self.tasks = tasks
        self._max_idle = max_idle
        self._idle_seconds = idle_seconds
        self._ssl_context_factory = ssl_context_factory
        self._ssl_context: ssl.SSLContext | None = None
        self._dialer = dialer
        self._idle: dict[Connection, None] = {}
        self._connections: set[Connection] = set()
        self._dialing: dict[Call, asyncio.Task[None]] = {}
        self._empty: asyncio.Future[None] | None = None
        self._closed = False
        self._trusted_from = 0.0

    @property
    def idle(self) -> int:
        """Connections that wait for a call."""
        return len(self._idle)

    @property
    def open_connections(self) -> int:
        """All connections, idle or not; dials under way are not counted."""
        return len(self._connections)

    def open(self, request: bytes | list[bytes | memoryview], reader: Reader) -> Call:
        """Sends `request` (head and body, complete) and has `reader` told of the answer.

        With an idle connection the request is written before this returns. The parts of a list are
        written in order; large ones are not joined. Raises nothing: a failure goes to the reader, later.
        """
        call = Call(self, reader, request)
        idle = self._idle
        while idle:
            connection, _ = idle.popitem()
            if connection.is_usable:
                call.reused = True
                connection.start(call)
                return call
            # It is closed, or will be when the loop has read what waits there, and knows what that is.
        self._start_dial(call)
        return call

    def sweep(self, now: float) -> None:
        """Closes what has been idle for too long; `now` is the loop's time in seconds."""
        expired: list[Connection] = []
        for connection in self._idle:
            if now - connection.idle_since < self._idle_seconds:
                break
            expired.append(connection)
        for connection in expired:
            connection.abort()

    async def close(self) -> None:
        """Fails the calls under way, closes all connections and waits until the sockets are gone."""
        self._closed = True
        for call, task in list(self._dialing.items()):
            task.cancel()
            call.fail(Fault.CONNECT, _STOPPING)
        await asyncio.gather(*self._dialing.values(), return_exceptions=True)
        self._dialing.clear()
        for connection in list(self._connections):
            connection.stop(_STOPPING)
        if self._connections:
            self._empty = self._loop.create_future()
            await self._empty

    # ── What connections and calls ask for (call.Owner) ─────────────────────────────────────────

    def released(self, connection: Connection) -> None:
        """Takes a clean connection back, or closes it when there are enough."""
        now = self._loop.time()
        if self._closed or len(self._idle) >= self._max_idle or now < self._trusted_from:
            connection.abort()
            return
        connection.idle_since = now
        self._idle[connection] = None

    def forget(self, connection: Connection) -> None:
        """Takes an idle connection out, wherever it stands."""
        self._idle.pop(connection, None)

    def opened(self, connection: Connection) -> None:
        """Counts a connection."""
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        """Counts it no more."""
        self._connections.discard(connection)
        if self._empty is not None and not self._connections and not self._empty.done():
            self._empty.set_result(None)

    def distrust(self) -> None:
        """No connection is used again for a while: the next such response would come on one that serves a call."""
        self._trusted_from = self._loop.time() + DISTRUST
        for connection in list(self._idle):
            connection.abort()

    def redial(self, call: Call) -> None:
        """A pooled connection was closed before a byte of the answer: once more, on a fresh one."""
        call.reused = False
        self._start_dial(call)

    def hang_up(self, call: Call) -> None:
        """Cancels the dial of a call that nobody waits for."""
        task = self._dialing.pop(call, None)
        if task is not None:
            task.cancel()

    # ── Dialing ──────────────────────────────────────────────────────────────────────────────────

    def _start_dial(self, call: Call) -> None:
        if self._closed:
            self._loop.call_soon(call.fail, Fault.CONNECT, _STOPPING)
            return
        self._dialing[call] = self.tasks.start(f"dial {self.origin}", self._dial(call))

    async def _dial(self, call: Call) -> None:
        """Connects and starts the call; what was connected for a cancelled call is closed."""
        connection = Connection(self)
        try:
            context = self._context() if self.origin.scheme == "https" else None
            await self._dialer(self.origin, lambda: connection, timeout=self.connect_timeout, context=context)
        except DialFailure as failure:
            call.fail(failure.fault, failure.detail)
            return
        except BaseException:
            connection.discard()
            call.fail(Fault.CONNECT, f"No connection to {self.origin}.")
            raise
        finally:
            self._dialing.pop(call, None)
        if call.reader is None or not connection.is_usable:
            connection.abort()
            call.fail(Fault.RESET, "The upstream closed the connection without an answer.")
            return
        connection.start(call)

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = self._ssl_context_factory()
        return self._ssl_context


class Pools:
    """All pools of a worker, by origin."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        *,
        connect_timeout: float = 5.0,
        max_idle: int = 256,
        idle_seconds: float = 60.0,
        ssl_context_factory: Callable[[], ssl.SSLContext] = system_trust,
    ) -> None:
        """The arguments are those of `Pool`; all pools share one TLS context."""
        self._loop = loop
        self.tasks = tasks
        self._connect_timeout = connect_timeout
        self._max_idle = max_idle
        self._idle_seconds = idle_seconds
        self._ssl_context_factory = ssl_context_factory
        self._ssl_context: ssl.SSLContext | None = None
        self._by_url: dict[str, tuple[Pool, str]] = {}
        self._by_origin: dict[Origin, Pool] = {}

    def get(self, base_url: str) -> tuple[Pool, str]:
        """The pool of a base URL's origin and the URL's path prefix, such as `/v1`.

        Raises ConfigError for a URL that names no origin.
        """
        found = self._by_url.get(base_url)
        if found is None:
            origin, prefix = parse_base_url(base_url)
            pool = self._by_origin.get(origin)
            if pool is None:
                pool = self._by_origin[origin] = self._make(origin)
            found = self._by_url[base_url] = pool, prefix
        return found

    @property
    def connect_timeout(self) -> float:
        """Seconds that a dial may take; setting it applies to all pools and to later dials."""
        return self._connect_timeout

    @connect_timeout.setter
    def connect_timeout(self, seconds: float) -> None:
        self._connect_timeout = seconds
        for pool in self._by_origin.values():
            pool.connect_timeout = seconds

    def sweep(self, now: float) -> None:
        """Closes connections that have been idle for too long; call it every few seconds with the loop's time."""
        for pool in self._by_origin.values():
            pool.sweep(now)

    async def close(self) -> None:
        """Closes all pools; calls under way fail."""
        await asyncio.gather(*(pool.close() for pool in self._by_origin.values()))

    def _make(self, origin: Origin) -> Pool:
        return Pool(
            origin,
            self._loop,
            self.tasks,
            connect_timeout=self._connect_timeout,
            max_idle=self._max_idle,
            idle_seconds=self._idle_seconds,
            ssl_context_factory=self._context,
        )

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = self._ssl_context_factory()
        return self._ssl_context
