"""Answers as the parser finds them: every cut, every garbage, and what the reader is told."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.upstreams import REQUEST, Heard, until
from tokenway.aio.tasks import Tasks
from tokenway.model.faults import Fault
from tokenway.upstream import http1
from tokenway.upstream.mock import Ending, MockNetwork, MockTransport
from tokenway.upstream.pool import Pool
from tokenway.wire import limits

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM = CHUNKED + b"7\r\nd\xc3\xa9ja: \r\n3;x=y\r\n\r\n1\r\n0\r\nx-sum: 1\r\n\r\n"
PLAIN = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"
BODIES = {STREAM: "déja: ".encode() + b"\r\n1", PLAIN: b"hello\n"}


async def hear(tasks: Tasks, *pieces: bytes | Ending) -> tuple[Heard, Pool]:
    """One call, answered with these reads."""
    pool = MockNetwork([pieces]).pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    heard.call = pool.open(REQUEST, heard)
    await heard.over()
    return heard, pool


@pytest.mark.parametrize("answer", [STREAM, PLAIN], ids=["chunked", "length"])
async def test_every_cut_in_two_is_heard_the_same(tasks: Tasks, answer: bytes) -> None:
    """Wherever a read ends, the reader hears the same head and the same payload."""
    for cut in range(1, len(answer)):
        heard, pool = await hear(tasks, answer[:cut], answer[cut:])
        assert (heard.status, heard.body, heard.calls[-1]) == (200, BODIES[answer], "end"), cut
        await pool.close()


async def test_one_read_is_one_call(tasks: Tasks) -> None:
    """Three chunks in one socket read come to the reader as one piece, head and end in the same turn."""
    heard, pool = await hear(tasks, CHUNKED + b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")
    assert heard.calls == ["opened", "head", "body", "end"]
    assert heard.pieces == [b"abc"]
    await pool.close()


async def test_header_names_are_lower_case_and_trailers_are_not_headers(tasks: Tasks) -> None:
    """The reader finds `content-type` however it was written, and no trailer among the fields."""
    heard, pool = await hear(tasks, STREAM)
    assert heard.headers.get(b"content-type") == b"text/event-stream"
    assert heard.headers.get(b"x-sum") is None
    await pool.close()


async def test_of_repeated_fields_the_first_counts(tasks: Tasks) -> None:
    """A field that comes twice, also in other letters, is known by its first value."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: a\r\ncontent-type: b\r\ncontent-length: 0\r\n\r\n"
    heard, pool = await hear(tasks, answer)
    assert heard.headers.get(b"content-type") == b"a"
    assert len(heard.headers) == 3
    await pool.close()


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("cut", [1_000_000, 4_000])
async def test_a_head_may_be_as_large_as_its_bound(tasks: Tasks, extra: int, cut: int) -> None:
    """Names and values of exactly the bound pass and one byte more fails, in one read or in many."""
    known = len(b"content-length" + b"0" + b"x")
    value = b"y" * (limits.RESPONSE_HEAD - known + extra)
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: " + value + b"\r\n\r\n"
    heard, pool = await hear(tasks, *(answer[at : at + cut] for at in range(0, len(answer), cut)))
    assert heard.fault is (Fault.FRAMING if extra else None)
    await pool.close()


async def test_many_small_chunks_whose_heads_come_alone_are_no_abuse(tasks: Tasks) -> None:
    """Reads without payload are bounded between payloads, not over a whole stream."""
    pieces = [piece for _ in range(25_000) for piece in (b"1\r\n", b"a\r\n")]
    heard, pool = await hear(tasks, CHUNKED, *pieces, b"0\r\n\r\n")
    assert heard.fault is None
    assert len(heard.body) == 25_000
    await pool.close()


async def test_an_end_too_short_to_be_judged_is_not_trusted(tasks: Tasks) -> None:
    """A last read of two bytes could be surplus: the answer is whole, but its connection is not kept."""
    answer = CHUNKED + b"1\r\na\r\n0\r\n\r\n"
    heard, pool = await hear(tasks, answer[:-2], answer[-2:])
    assert heard.calls[-1] == "end"
    assert pool.idle == 0
    await pool.close()


ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n",
    "chunks": CHUNKED + b"6\r\nhello\n\r\n0\r\n\r\n",
    "trailer": CHUNKED + b"6\r\nhello\n\r\n0\r\nx-sum: 1\r\n\r\n",
    "close": b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\nhello\n",
    "nothing": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("behind", [PLAIN, STREAM, PLAIN[:11], PLAIN[:-1]], ids=["whole", "stream", "line", "part"])
async def test_a_response_behind_an_answer_reaches_nobody(tasks: Tasks, kind: str, behind: bytes) -> None:
    """The answer is whole, however the reads were cut before its end; the connection with it is not used again."""
    answer = ANSWERS[kind]
    for cut in range(len(answer)):
        pieces = [answer[:cut], answer[cut:] + behind] if cut else [answer + behind]
        heard, pool = await hear(tasks, *pieces)
        assert (heard.fault, heard.calls[-1]) == (None, "end"), cut
        assert heard.body == (b"" if kind.startswith("no") else b"hello\n")
        assert heard.status == (204 if kind == "no body" else 200)
        assert pool.idle == 0
        await until(lambda pool=pool: pool.open_connections == 0)  # type: ignore[misc]


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("behind", [b"x", b"\r\nx", b"HTTX/1.1 200 OK\r\n\r\n", b"HTTP/2 200\r\n\r\n"])
async def test_other_bytes_behind_an_answer_are_a_fault(tasks: Tasks, kind: str, behind: bytes) -> None:
    """A body that is longer than its length is no answer."""
    heard, pool = await hear(tasks, ANSWERS[kind] + behind)
    assert heard.fault is Fault.FRAMING
    await until(lambda: pool.open_connections == 0)


async def test_a_finished_stream_with_a_response_behind_it_closes_its_connection(tasks: Tasks) -> None:
    """The reader has what it wanted; the next call does not get the rest."""
    answers = [[CHUNKED + b"6\r\n[DONE]\r\n0\r\n\r\n" + PLAIN]], [[ANSWERS["length"]]]
    pool = MockNetwork(*answers).pool(asyncio.get_running_loop(), tasks)
    heard, other = Heard(), Heard()
    heard.finish_after = b"[DONE]"
    heard.call = pool.open(REQUEST, heard)
    await heard.until("body")
    assert heard.calls == ["opened", "head", "body"]
    other.call = pool.open(REQUEST, other)
    await other.over()
    assert (other.body, other.call.reused) == (b"hello\n", False)
    await pool.close()


async def test_what_comes_before_the_request_is_written_is_no_answer_to_it(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a pooled connection: the request goes over a fresh one, and what came is heard by nobody."""
    network = MockNetwork([[ANSWERS["length"]], [STREAM]], [[PLAIN.replace(b"hello\n", b"mine!\n")]])
    pool = network.pool(asyncio.get_running_loop(), tasks)
    first, second = Heard(), Heard()
    first.call = pool.open(REQUEST, first)
    await first.over()
    monkeypatch.setattr(network.transports[0], "get_write_buffer_size", lambda: 1)
    second.call = pool.open(REQUEST, second)
    assert second.call.reused
    await second.over()
    assert (second.body, second.calls) == (b"mine!\n", ["opened", "head", "body", "end"])
    assert [len(transport.requests) for transport in network.transports] == [2, 1]
    assert pool.open_connections == 1
    await pool.close()


async def test_a_refusal_before_the_request_is_written_is_heard(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a fresh connection nothing can be left of another answer."""
    monkeypatch.setattr(MockTransport, "get_write_buffer_size", lambda _: 1)
    heard, pool = await hear(tasks, b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
    assert (heard.status, pool.idle) == (413, 0)
    await pool.close()


async def test_a_reset_is_no_end_of_a_body_until_close(tasks: Tasks) -> None:
    """A body without a length ends with a close; a reset in its place is a failure."""
    heard, _ = await hear(tasks, b"HTTP/1.1 200 OK\r\n\r\nabc", Ending.RESET)
    assert heard.fault is Fault.RESET
    assert heard.body == b"abc"


async def test_a_finished_stream_that_never_ends_is_closed_after_its_second(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the end of the framing does not come, the connection is closed; the reader hears nothing."""
    monkeypatch.setattr(http1, "_FINISH_SECONDS", 0.001)
    pool = MockNetwork([[CHUNKED, b"6\r\n[DONE]\r\n"]]).pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    heard.finish_after = b"[DONE]"
    heard.call = pool.open(REQUEST, heard)
    await heard.until("body")
    assert pool.open_connections == 1
    await until(lambda: pool.open_connections == 0)
    assert heard.calls == ["opened", "head", "body"]


async def test_a_finished_stream_whose_end_came_in_time_is_left_alone(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timer of a stream that ended well does not close the connection under a later call."""
    monkeypatch.setattr(http1, "_FINISH_SECONDS", 0.01)
    network = MockNetwork([[CHUNKED, b"6\r\n[DONE]\r\n", b"0\r\n\r\n"]])
    pool = network.pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    heard.finish_after = b"[DONE]"
    heard.call = pool.open(REQUEST, heard)
    await until(lambda: pool.idle == 1)
    await asyncio.sleep(0.02)  # past the timer
    assert pool.idle == 1
    await pool.close()


async def test_finishing_a_paused_stream_reads_on(tasks: Tasks) -> None:
    """The end of the framing has to be read, so finishing lifts the reader's pause."""
    network = MockNetwork([[CHUNKED, b"6\r\n[DONE]\r\n", b"0\r\n\r\n"]])
    pool = network.pool(asyncio.get_running_loop(), tasks)

    class Pausing(Heard):
        def upstream_body(self, data: bytes) -> None:
            assert self.call is not None
            self.call.pause()
            super().upstream_body(data)

    heard = Pausing()
    heard.finish_after = b"[DONE]"
    heard.call = pool.open(REQUEST, heard)
    await until(lambda: pool.idle == 1)
    assert heard.calls == ["opened", "head", "body"]
    await pool.close()


@pytest.mark.parametrize("surplus", [b"", b"x"])
async def test_finishing_in_the_last_read_needs_no_wait(tasks: Tasks, surplus: bytes) -> None:
    """When the end of the framing came with the logical end, the connection is free at once, unless more came."""
    pool = MockNetwork([[CHUNKED + b"6\r\n[DONE]\r\n0\r\n\r\n" + surplus]]).pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    heard.finish_after = b"[DONE]"
    heard.call = pool.open(REQUEST, heard)
    await heard.until("body")
    assert pool.idle == (0 if surplus else 1)
    assert heard.calls == ["opened", "head", "body"]
    await pool.close()


async def test_finishing_a_body_until_close_closes_it(tasks: Tasks) -> None:
    """There is no framing to wait for: the connection ends at once."""
    pool = MockNetwork([[b"HTTP/1.1 200 OK\r\n\r\n[DONE]"]]).pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    heard.finish_after = b"[DONE]"
    heard.call = pool.open(REQUEST, heard)
    await until(lambda: heard.body != b"" and pool.open_connections == 0)
    assert not heard.is_over


async def test_a_reader_may_open_the_next_call_from_the_end_of_this_one(tasks: Tasks) -> None:
    """The connection is back in the pool before the reader hears of the end, so the next call reuses it."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na"
    network = MockNetwork([[answer], [answer]])
    pool = network.pool(asyncio.get_running_loop(), tasks)
    second = Heard()

    class Chained(Heard):
        def upstream_end(self) -> None:
            super().upstream_end()
            second.call = pool.open(REQUEST, second)

    pool.open(REQUEST, Chained())
    await second.over()
    assert second.call is not None
    assert second.call.reused
    assert len(network.transports) == 1
    await pool.close()


PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 204 \r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
        b"content-length: 3\r\n",
        b"transfer-encoding: chunked\r\n",
        b"connection: close\r\n",
        b"x: y\r\n",
        b"\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"abc",
        b"\n",
    ]
)


@given(answer=st.lists(PIECES | st.binary(max_size=8), max_size=12), cuts=st.lists(st.integers(1, 40), max_size=12))
def test_garbage_is_an_answer_or_a_failure_and_nothing_else(answer: list[bytes], cuts: list[int]) -> None:
    """Whatever an upstream sends before it closes, the reader hears one ending, in order, and no exception escapes."""
    sent = b"".join(answer)
    pieces: list[bytes | Ending] = []
    for cut in cuts:
        pieces, sent = [*pieces, sent[:cut]], sent[cut:]
    pieces = [piece for piece in (*pieces, sent) if piece]

    async def run() -> None:
        errors: list[BaseException] = []
        tasks = Tasks(lambda _name, error: errors.append(error))
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context["exception"]))
        heard, pool = await hear(tasks, *pieces, Ending.CLOSE)
        await pool.close()
        assert errors == []
        endings = [call for call in heard.calls if call in {"end", "failed"}]
        assert endings == heard.calls[-1:]
        assert heard.calls.count("head") <= 1
        if "body" in heard.calls:
            assert heard.calls.index("head") < heard.calls.index("body")

    asyncio.run(run())
