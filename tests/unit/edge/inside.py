"""A worker's inside within the test's own loop: real sockets, real pools, the journal a list."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from hashlib import sha256
from types import TracebackType
from typing import Any, Self

import msgspec
from uvicorn.server import ServerState

from tests.e2e.gateway import KEY
from tests.e2e.raw import Raw
from tests.fake_provider import FakeProvider
from tests.unit.edge.broker import Broker
from tokenway.aio.tasks import Tasks
from tokenway.edge.protocol import EdgeProtocol
from tokenway.edge.server import _server_config
from tokenway.edge.state import EdgeState
from tokenway.metering.ledger import Record, Reserved, Settled
from tokenway.model.catalog import Endpoint, Model, Price, Provider
from tokenway.model.money import Rate
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.model.worker import WorkerOptions
from tokenway.store.base import StoreError
from tokenway.upstream.pool import Pools

PRICE = Price(Rate(1_000_000_000), Rate(2_000_000_000))
"""1000 nano-dollars for a token in, 2000 for one out."""


def snapshot(base_url: str, **changes: Any) -> Snapshot:
    """One key and one model, `mock`, at one provider; `changes` replace fields."""
    whole = Snapshot(
        1,
        {"lab": Provider("lab", base_url, api_keys=(Secret("sk-lab"),))},
        {"mock": Model("mock", (Endpoint("lab", "fake", PRICE),))},
        {},
        {sha256(KEY.encode()).hexdigest(): Principal("k1", "ci", "default")},
    )
    return msgspec.structs.replace(whole, **changes)


class ListJournal:
    """A journal in memory; `fails` decides which records cannot be written."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.fails: Callable[[Record], bool] = lambda _record: False

    def append(self, record: Record) -> None:
        """Keeps it, or raises StoreError."""
        if self.fails(record):
            raise StoreError("no space left on device")
        self.records.append(record)

    @property
    def reserved(self) -> list[Reserved]:
        """The reservations."""
        return [record for record in self.records if isinstance(record, Reserved)]

    @property
    def settled(self) -> list[Settled]:
        """The settlements."""
        return [record for record in self.records if isinstance(record, Settled)]


class Inside:
    """What a worker is made of, listening on loopback while its `async with` block runs."""

    def __init__(self, provider: FakeProvider, **changes: Any) -> None:
        self.provider = provider
        self.journal = ListJournal()
        self.asked: list[tuple[str, str, str]] = []
        self.answers: dict[str, bytes | None] = {}
        """What the control process would answer, by question."""
        self.failures: list[object] = []
        self._tasks = Tasks(lambda _name, error: self.failures.append(error))
        self._changes = changes

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: self.failures.append(context))
        self.pools = Pools(loop, self._tasks)
        self.broker = Broker(loop.call_soon)
        self.state = EdgeState(loop, self.pools, self.journal, self._ask, tell=self.broker.tell)
        what = snapshot(self.provider.base_url, **self._changes)
        self.state.adopt(what)
        self.broker.serve(self.state.admission, what.limits)
        self.state.date = b"date: now\r\n"
        config = _server_config(WorkerOptions(1, "journals", "control.sock"), self.state)
        self.server_state = ServerState()
        make = functools.partial(EdgeProtocol, self.state, config, self.server_state, {})
        self._server = await loop.create_server(make, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await self.pools.close()
        await self._tasks.close()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        if error is None:
            assert self.failures == []
            assert self.state.open == set()
            assert self.state.streams == 0

    async def _ask(self, what: str, principal: Principal, subject: str) -> bytes | None:
        self.asked.append((what, principal.key_id, subject))
        return self.answers.get(what)

    def client(self) -> Raw:
        """A connection to it, as a context manager."""
        return Raw(self.port)

    def connections(self) -> list[EdgeProtocol]:
        """The client connections that are open."""
        return [each for each in self.state.connections if isinstance(each, EdgeProtocol)]

    async def connection(self) -> EdgeProtocol:
        """The only client connection, as soon as it is there."""
        await turns(lambda: len(self.connections()) == 1)
        return self.connections()[0]


async def turns(condition: Callable[[], bool]) -> None:
    """Lets the loop turn until it is so."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it looks at many kinds of state
            await asyncio.sleep(0.001)
