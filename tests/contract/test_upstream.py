"""One suite for the real pool against a server on loopback and for the pool over scripted connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from tests.contract.upstreams import REQUEST, Heard, until
from tests.fake_provider import FakeProvider, Script
from tokenway.aio.tasks import Tasks
from tokenway.model.faults import Fault
from tokenway.upstream.mock import Ending, MockNetwork
from tokenway.upstream.pool import Pool
from tokenway.upstream.transport import parse_base_url
from tokenway.wire import limits

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """What an upstream sends to one request, and what the reader has to hear."""

    name: str
    sent: bytes
    body: bytes = b""
    status: int = 200
    fault: Fault | None = None
    kept: bool = True
    """Whether the connection is used again."""
    closes: bool = False
    """The upstream closes when it has sent everything."""
    request: bytes = field(default=REQUEST, repr=False)


GOOD = [
    Case("a content length", OK, b"{}"),
    Case("an empty body", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    Case("a body of line ends", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
    Case("chunks", CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc"),
    Case("chunks that hold line ends", CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    Case("chunk extensions", CHUNKED + b"2;a=b\r\nab\r\n0\r\n\r\n", b"ab"),
    Case("trailers", CHUNKED + b"2\r\nab\r\n0\r\nx-sum: 9\r\n\r\n", b"ab"),
    Case("an interim answer first", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + OK, b"{}"),
    Case("204", b"HTTP/1.1 204 No Content\r\n\r\n", status=204),
    Case("304 with a length", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", status=304),
    Case("an error status", b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 1\r\n\r\nx", b"x", 503),
    Case("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", kept=False, request=b"HEAD / HTTP/1.1\r\n\r\n"),
    Case("until close", b"HTTP/1.1 200 OK\r\n\r\nabc", b"abc", kept=False, closes=True),
    Case("HTTP/1.0 until close", b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc", kept=False, closes=True),
    Case("HTTP/1.0 with a length", b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc", b"abc", kept=False),
    Case("Connection: close", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\na", b"a", kept=False),
]

BAD = [
    Case("no HTTP", b"SSH-2.0-OpenSSH_9.9\r\n", fault=Fault.FRAMING),
    Case("a page of nothing", b"\r\n\r\n" + OK, fault=Fault.FRAMING),
    Case("HTTP/2", b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n", fault=Fault.FRAMING),
    Case("bare LF", b"HTTP/1.1 200 OK\ncontent-length: 0\n\n", fault=Fault.FRAMING),
    Case("a folded line", b"HTTP/1.1 200 OK\r\na: b\r\n c\r\ncontent-length: 0\r\n\r\n", fault=Fault.FRAMING),
    Case("a space in a name", b"HTTP/1.1 200 OK\r\na : b\r\ncontent-length: 0\r\n\r\n", fault=Fault.FRAMING),
    Case("two lengths", OK.replace(b"\r\n\r\n", b"\r\ncontent-length: 3\r\n\r\n"), fault=Fault.FRAMING),
    Case("two equal lengths", OK.replace(b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n"), fault=Fault.FRAMING),
    Case("a length with a sign", OK.replace(b": 2", b": +2"), fault=Fault.FRAMING),
    Case(
        "a length and a coding", OK.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n"), fault=Fault.FRAMING
    ),
    Case("a coding and a length", CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n"), fault=Fault.FRAMING),
    Case("another coding", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", fault=Fault.FRAMING),
    Case("two codings", CHUNKED.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: identity\r\n\r\n"), fault=Fault.FRAMING),
    Case("a chunk size in prose", CHUNKED + b"two\r\nab\r\n0\r\n\r\n", fault=Fault.FRAMING),
    Case("a chunk size too large", CHUNKED + b"f" * 20 + b"\r\nab", fault=Fault.FRAMING),
    Case("a chunk longer than it says", CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", b"ab", fault=Fault.FRAMING),
    Case("a switch of protocols", b"HTTP/1.1 101 Go\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", fault=Fault.FRAMING),
    Case("status 99", b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n", fault=Fault.FRAMING),
    Case("an endless head", b"HTTP/1.1 200 OK\r\nx: " + b"y" * (limits.RESPONSE_HEAD + 9), fault=Fault.FRAMING),
    Case("endless interim answers", b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000, fault=Fault.FRAMING),
    Case("endless trailers", CHUNKED + b"0\r\n" + b"x: y\r\n" * 20_000, fault=Fault.FRAMING),
    Case("an endless chunk extension", CHUNKED + b"2;" + b"y" * (limits.RESPONSE_HEAD + 9), fault=Fault.FRAMING),
    Case("silence and a close", b"", fault=Fault.RESET, closes=True),
    Case("half a head", b"HTTP/1.1 200 OK\r\ncontent-le", fault=Fault.RESET, closes=True),
    Case("a short body", OK.replace(b": 2", b": 3"), b"{}", fault=Fault.RESET, closes=True),
    Case("chunks without an end", CHUNKED + b"2\r\nab\r\n", b"ab", fault=Fault.RESET, closes=True),
]

SURPLUS = [
    Case("one letter", OK + b"x", b"{}", fault=Fault.FRAMING),
    Case("a line end", OK + b"\r\n", b"{}", fault=Fault.FRAMING),
    Case("a line feed", OK + b"\n", b"{}", fault=Fault.FRAMING),
    Case("a line end after chunks", CHUNKED + b"1\r\na\r\n0\r\n\r\n\r\n", b"a", fault=Fault.FRAMING),
    Case("a body after 204", b"HTTP/1.1 204 No Content\r\n\r\nabc", status=204, fault=Fault.FRAMING),
    Case("a line end after an empty body", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n\r\n", fault=Fault.FRAMING),
    Case("a body after HEAD", OK, request=b"HEAD / HTTP/1.1\r\n\r\n", fault=Fault.FRAMING),
    Case(
        "bytes after a close",
        OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + b"x",
        b"{}",
        fault=Fault.FRAMING,
    ),
]

UNASKED = [
    Case("behind a length", OK + OK, b"{}"),
    Case("behind chunks", CHUNKED + b"1\r\na\r\n0\r\n\r\n" + OK, b"a"),
]


class Upstream:
    """A pool and a way to say what the other side does."""

    pool: Pool

    def on_connection(self, *answers: Sequence[bytes | Ending]) -> None:
        """What the next connection answers to its requests, one by one; the pieces are separate reads."""
        raise NotImplementedError


class Real(Upstream):
    """The fake provider on a socket."""

    def __init__(self, provider: FakeProvider, pool: Pool) -> None:
        self.pool = pool
        self._provider = provider

    def on_connection(self, *answers: Sequence[bytes | Ending]) -> None:
        """Queues raw scripts."""
        for answer in answers:
            pieces = [piece for piece in answer if isinstance(piece, bytes)]
            ending = {Ending.CLOSE: "close", Ending.RESET: "rst", None: ""}[
                next((piece for piece in answer if isinstance(piece, Ending)), None)
            ]
            # An empty `raw` sends nothing, but it is an answer of its own making.
            self._provider.queue(Script(raw=b"", pieces=tuple(pieces), hang_up=ending))


class Mock(Upstream):
    """Scripted connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tasks: Tasks) -> None:
        self._network = MockNetwork()
        self.pool = self._network.pool(loop, tasks)

    def on_connection(self, *answers: Sequence[bytes | Ending]) -> None:
        """Appends a connection to the script."""
        self._network.add(answers)


@pytest.fixture(params=["socket", "mock"])
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[Upstream]:
    """A pool to talk to, closed afterwards; no task may have failed."""
    loop = asyncio.get_running_loop()
    errors: list[BaseException] = []
    tasks = Tasks(lambda _name, error: errors.append(error))
    if request.param == "mock":
        mock = Mock(loop, tasks)
        yield mock
        await mock.pool.close()
    else:
        async with FakeProvider() as provider:
            pool = Pool(parse_base_url(provider.base_url)[0], loop, tasks)
            yield Real(provider, pool)
            await pool.close()
        assert provider.errors == []
    assert errors == []
    assert len(tasks) == 0


def named(cases: list[Case]) -> pytest.MarkDecorator:
    """Runs a test for each case, under the case's name."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


async def ask(upstream: Upstream, case: Case, size: int) -> Heard:
    """Plays a case with reads of at most `size` bytes; what is endless comes in larger ones."""
    size = max(size, len(case.sent) // 50)
    pieces: list[bytes | Ending] = [case.sent[start : start + size] for start in range(0, len(case.sent), size)]
    upstream.on_connection([*pieces, Ending.CLOSE] if case.closes else pieces)
    heard = Heard()
    heard.call = upstream.pool.open(case.request, heard)
    await heard.over()
    return heard


@pytest.mark.parametrize("size", [1_000_000, 7, 1])
@named(GOOD)
async def test_a_good_answer_is_heard_whole_however_it_is_cut(upstream: Upstream, case: Case, size: int) -> None:
    """The reader hears opened, head, body and end, in this order, with the same bytes for any sizes of reads."""
    heard = await ask(upstream, case, size)
    assert heard.fault is None, heard.detail
    assert heard.calls[:2] == ["opened", "head"]
    assert heard.calls[-1] == "end"
    assert set(heard.calls[2:-1]) <= {"body"}
    assert (heard.status, heard.body) == (case.status, case.body)


@named(GOOD)
async def test_a_connection_is_used_again_exactly_when_its_answer_allows_it(upstream: Upstream, case: Case) -> None:
    """After an answer with a clean end the next call runs on the same connection, else on a new one."""
    answer: list[bytes | Ending] = [case.sent, Ending.CLOSE] if case.closes else [case.sent]
    if case.kept:
        upstream.on_connection(answer, [OK])
    else:
        upstream.on_connection(answer)
        upstream.on_connection([OK])
    first = Heard()
    upstream.pool.open(case.request, first)
    await first.over()
    assert upstream.pool.idle == (1 if case.kept else 0)
    second = Heard()
    call = upstream.pool.open(REQUEST, second)
    await second.over()
    assert (second.status, second.body) == (200, b"{}")
    assert call.reused is case.kept


@pytest.mark.parametrize("size", [1_000_000, 7])
@named(BAD)
async def test_a_bad_answer_fails_once_and_its_connection_is_closed(upstream: Upstream, case: Case, size: int) -> None:
    """The reader hears one failure with the right fault and no end, and nothing is kept."""
    heard = await ask(upstream, case, size)
    assert heard.fault is case.fault, heard.detail
    assert heard.calls.count("failed") == 1
    assert heard.calls[-1] == "failed"
    assert case.body.startswith(heard.body)
    assert heard.detail.endswith(".")
    assert upstream.pool.idle == 0


@named(SURPLUS)
async def test_bytes_beyond_the_answer_make_it_a_failure(upstream: Upstream, case: Case) -> None:
    """An answer that is followed by anything in the same read is heard to its end and then fails."""
    heard = await ask(upstream, case, 1_000_000)
    assert heard.fault is case.fault
    assert heard.calls[-1] == "failed"
    assert "end" not in heard.calls
    assert heard.body == case.body
    assert upstream.pool.idle == 0


@named(UNASKED)
async def test_a_response_nobody_asked_for_is_heard_by_nobody(upstream: Upstream, case: Case) -> None:
    """It begins in the read that completes an answer: that one is whole, and the next call has a fresh connection."""
    upstream.on_connection([case.sent])
    upstream.on_connection([OK])
    first, second = Heard(), Heard()
    upstream.pool.open(case.request, first)
    await first.over()
    assert (first.calls[-1], first.body) == ("end", case.body)
    assert upstream.pool.idle == 0
    call = upstream.pool.open(REQUEST, second)
    await second.over()
    assert (second.calls[-1], second.body, call.reused) == ("end", b"{}", False)


@pytest.mark.parametrize("ending", list(Ending))
async def test_a_stale_connection_is_replaced_without_the_reader_noticing(upstream: Upstream, ending: Ending) -> None:
    """A pooled connection that the upstream ends before any byte of the answer costs the caller nothing."""
    upstream.on_connection([OK], [ending])
    upstream.on_connection([OK])
    first, second = Heard(), Heard()
    upstream.pool.open(REQUEST, first)
    await first.over()
    call = upstream.pool.open(REQUEST, second)
    assert call.reused
    await second.over()
    assert second.calls == ["opened", "head", "body", "end"]
    assert not call.reused


async def test_a_connection_that_ends_twice_is_a_failure(upstream: Upstream) -> None:
    """The invisible second try is the only one: when the fresh connection ends too, the reader hears it."""
    upstream.on_connection([OK], [Ending.CLOSE])
    upstream.on_connection([Ending.CLOSE])
    first, second = Heard(), Heard()
    upstream.pool.open(REQUEST, first)
    await first.over()
    upstream.pool.open(REQUEST, second)
    await second.over()
    assert second.fault is Fault.RESET


async def test_an_answer_that_began_is_never_asked_for_again(upstream: Upstream) -> None:
    """One byte of an answer on a pooled connection, and its loss is the caller's to know."""
    upstream.on_connection([OK], [b"H", Ending.CLOSE])
    first, second = Heard(), Heard()
    upstream.pool.open(REQUEST, first)
    await first.over()
    upstream.pool.open(REQUEST, second)
    await second.over()
    assert second.fault is Fault.RESET


@pytest.mark.parametrize("where", ["opened", "head", "body"])
async def test_after_cancel_in_a_callback_nothing_is_heard(upstream: Upstream, where: str) -> None:
    """A reader that cancels while it is being told something hears nothing more, and nothing is kept."""
    upstream.on_connection([CHUNKED, b"1\r\na\r\n0\r\n\r\n"])
    heard = Heard()
    heard.cancel_in = where
    heard.call = upstream.pool.open(REQUEST, heard)
    await heard.until(where)
    await upstream.pool.close()
    assert heard.calls[-1] == where
    assert not heard.is_over
    assert upstream.pool.open_connections == 0


async def test_cancel_before_anything_happened_is_silent(upstream: Upstream) -> None:
    """A call that is cancelled while its connection is being made is never heard of."""
    heard = Heard()
    call = upstream.pool.open(REQUEST, heard)
    call.cancel()
    call.cancel()
    await upstream.pool.close()
    assert heard.calls == []


async def test_the_handle_of_a_finished_call_does_nothing(upstream: Upstream) -> None:
    """Cancel, pause and finish on an old handle leave the connection's next call alone."""
    upstream.on_connection([OK], [OK])
    first, second = Heard(), Heard()
    old = upstream.pool.open(REQUEST, first)
    await first.over()
    upstream.pool.open(REQUEST, second)
    old.cancel()
    old.pause()
    old.finish_early()
    await second.over()
    assert second.calls == ["opened", "head", "body", "end"]


async def test_a_finished_stream_keeps_its_connection_when_only_the_framing_is_missing(upstream: Upstream) -> None:
    """After `finish_early` the end of the chunks brings the connection back, and the reader hears no end."""
    sent = CHUNKED + b"6\r\n[DONE]\r\n" + b"0\r\n\r\n"
    cut = len(CHUNKED + b"6\r\n[DONE]\r\n")
    upstream.on_connection([sent[:cut], sent[cut:]], [OK])
    heard, second = Heard(), Heard()
    heard.finish_after = b"[DONE]"
    heard.call = upstream.pool.open(REQUEST, heard)
    await heard.until("body")
    await until(lambda: upstream.pool.idle == 1)
    assert heard.calls == ["opened", "head", "body"]
    assert upstream.pool.open(REQUEST, second).reused
    await second.over()


async def test_a_finished_stream_that_goes_on_is_closed(upstream: Upstream) -> None:
    """Payload after `finish_early` closes the connection, and the reader hears nothing of it."""
    sent = CHUNKED + b"6\r\n[DONE]\r\n"
    upstream.on_connection([sent, b"1\r\nx\r\n0\r\n\r\n"])
    heard = Heard()
    heard.finish_after = b"[DONE]"
    heard.call = upstream.pool.open(REQUEST, heard)
    await heard.until("body")
    await until(lambda: upstream.pool.open_connections == 0)
    assert heard.body == b"[DONE]"
    assert not heard.is_over
    assert upstream.pool.idle == 0


async def test_closing_the_pool_fails_the_calls_under_way(upstream: Upstream) -> None:
    """A call that waits for its answer hears that the gateway stops; a later one as well."""
    upstream.on_connection([b"HTTP/1.1 200 OK\r\n"])
    heard, late = Heard(), Heard()
    upstream.pool.open(REQUEST, heard)
    await heard.until("opened")
    await upstream.pool.close()
    assert heard.calls[-1] == "failed"
    upstream.pool.open(REQUEST, late)
    await late.over()
    assert late.fault is Fault.CONNECT
    assert upstream.pool.open_connections == 0
