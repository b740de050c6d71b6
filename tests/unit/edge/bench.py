"""A worker's state over scripted upstreams, and clients without sockets, so that a test decides what comes when.

Real are the protocol, relays, pools, connections and parsers; scripted are the transports at both ends. The bench
with real sockets at both ends is `inside.Inside`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from tests.unit.edge.broker import Broker
from tokenway.aio.tasks import Tasks
from tokenway.edge.cold import make_app
from tokenway.edge.protocol import EdgeProtocol
from tokenway.edge.state import EdgeState
from tokenway.metering.ledger import Record, Settled
from tokenway.model.catalog import Endpoint, Model, Price, Provider
from tokenway.model.limits import Limit, Measure, Scope
from tokenway.model.money import Rate
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.upstream.mock import MockNetwork
from tokenway.upstream.pool import Pool, Pools
from tokenway.upstream.transport import Origin

KEY = b"sk-alice"
BUDGET = "budget"
"""The limit of alice's key, where it has one."""
ENDPOINT = Endpoint("p", "up", Price(Rate(1_000_000_000), Rate(3_000_000_000)))
"""1000 nano-dollars a token in, 3000 a token out."""


def snapshot(budget: int | None = None, **more: Any) -> Snapshot:
    """One key, one provider `p` and one model `m`; the other fields as given."""
    limits = {} if budget is None else {BUDGET: Limit(BUDGET, Scope.KEY, "k1", Measure.USD, budget)}
    principal = Principal("k1", "alice", "default", limits=tuple(limits))
    fields: dict[str, Any] = {
        "version": 1,
        "providers": {"p": Provider("p", "http://upstream/v1", api_keys=(Secret("sk-up"),))},
        "models": {"m": Model("m", (ENDPOINT,))},
        "aliases": {},
        "keys": {sha256(KEY).hexdigest(): principal},
        "max_retries": 0,
        "limits": limits,
    }
    return Snapshot(**(fields | more))


class Books:
    """A journal in memory."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, record: Record) -> None:
        """Keeps a record."""
        self.records.append(record)

    @property
    def settled(self) -> list[Settled]:
        """The settlements."""
        return [record for record in self.records if isinstance(record, Settled)]


async def no_answer(_what: str, _principal: Principal, _subject: str) -> bytes | None:
    """The control process, which nobody asks here."""
    raise AssertionError("nobody asks")


class ScriptedPools(Pools):
    """Real pools, every origin of which is the same scripted network."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tasks: Tasks, network: MockNetwork) -> None:
        super().__init__(loop, tasks)
        self._network = network

    def _make(self, origin: Origin) -> Pool:
        return Pool(origin, self._loop, self.tasks, dialer=self._network)


class Client(asyncio.Transport):
    """A client's end: what was written to it, and whether it is read from, half closed or closed."""

    def __init__(self, protocol: EdgeProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = b""
        self.is_paused = False
        self.is_half_closed = False
        self.is_closed = False

    def send(self, *requests: bytes) -> None:
        """Each of these arrives as one read."""
        for data in requests:
            self.protocol.data_received(data)

    def lose(self, error: Exception | None = None) -> None:
        """The connection ends, from whichever side."""
        self.is_closed = True
        self.protocol.connection_lost(error)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keeps it."""
        self.written += data

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Keeps them."""
        self.write(b"".join(list_of_data))

    def pause_reading(self) -> None:
        """The gateway reads no more."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """It reads again."""
        self.is_paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The client reads at once unless a test says otherwise."""

    def can_write_eof(self) -> bool:
        """As plain sockets can."""
        return True

    def write_eof(self) -> None:
        """The gateway says nothing more."""
        self.is_half_closed = True

    def is_closing(self) -> bool:
        """Whether either side has ended the connection."""
        return self.is_closed

    def close(self) -> None:
        """The gateway ends the connection."""
        self.is_closed = True

    def abort(self) -> None:
        """The gateway cuts the connection."""
        self.is_closed = True

    @property
    def statuses(self) -> list[int]:
        """The statuses of the answers, in order."""
        return [int(part[:3]) for part in self.written.split(b"HTTP/1.1 ")[1:]]


class Bench:
    """A worker's state with what surrounds it."""

    def __init__(self, tasks: Tasks, network: MockNetwork, what: Snapshot) -> None:
        self.network = network
        self.books = Books()
        loop = asyncio.get_running_loop()
        self.broker = Broker(loop.call_soon)
        pools = ScriptedPools(loop, tasks, network)
        self.state = EdgeState(loop, pools, self.books, no_answer, tell=self.broker.tell)
        self.broker.serve(self.state.admission, what.limits)
        self.state.adopt(what)
        self.clients: list[Client] = []
        self.server_state = ServerState()
        self.config = Config(
            app=cast("Any", make_app(self.state)),
            ws="none",
            loop="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        self.config.load()

    def connect(self) -> Client:
        """A new client connection."""
        client = Client(EdgeProtocol(self.state, self.config, self.server_state, {}))
        client.protocol.connection_made(client)
        self.clients.append(client)
        return client


@asynccontextmanager
async def bench(*script: Any, what: Snapshot | None = None) -> AsyncIterator[Bench]:
    """A bench whose upstream follows a script (`upstream.mock`); at the end nothing may have failed or be open."""
    errors: list[BaseException] = []
    tasks = Tasks(lambda _name, error: errors.append(error))
    made = Bench(tasks, MockNetwork(*script), what or snapshot())
    yield made
    for client in made.clients:
        if client.protocol in made.state.connections:
            client.lose()
    await made.state.pools.close()
    await tasks.close()
    assert errors == []
    assert made.state.open == set()
    assert made.state.streams == 0
    assert made.state.connections == set()


def request(body: bytes = b'{"model":"m","messages":[]}', path: bytes = b"/v1/chat/completions", **more: str) -> bytes:
    """A request by alice, whole; `more` is headers, with `_` for `-`."""
    lines = [b"POST %b HTTP/1.1" % path, b"host: gateway", b"authorization: Bearer " + KEY]
    lines += [f"{name.replace('_', '-')}: {value}".encode() for name, value in more.items()]
    if "content_length" not in more and "transfer_encoding" not in more:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])


STREAMED = b'{"model":"m","messages":[],"stream":true}'
"""The body of a request for a stream."""


def answer(body: bytes, status: bytes = b"200 OK", content_type: bytes = b"application/json") -> bytes:
    """An upstream's whole answer."""
    return b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (status, content_type, len(body), body)


WHOLE = (
    b'{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}'
)
"""Costs 25 000 nano-dollars at `ENDPOINT`."""

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str = "", finish: str = "null", usage: str = "") -> bytes:
    """An event of a stream."""
    choices = "[]" if usage else f'[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":{finish}}}]'
    more = f',"usage":{usage}' if usage else ""
    return f'data: {{"id":"c","object":"chat.completion.chunk","choices":{choices}{more}}}\n\n'.encode()


USAGE = event(usage='{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}')
DONE = b"data: [DONE]\n\n"
TAIL = chunk(event(finish='"stop"')) + chunk(USAGE) + chunk(DONE) + LAST_CHUNK
"""How a stream ends that had text before."""
