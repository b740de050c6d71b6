"""An attempt's answer as it arrives, piece by piece, and what the exchange machine is told of it."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from tokenway.dialects.base import Maker, WholeAnswer
from tokenway.dialects.openai_chat.passing import PassingChat
from tokenway.dialects.registry import FORMATS
from tokenway.edge import attempt as module
from tokenway.edge.attempt import AttemptReader
from tokenway.edge.doors import CHAT
from tokenway.exchange import events as e
from tokenway.metering.stamps import Stamps
from tokenway.model.catalog import Dialect, Endpoint, Operation
from tokenway.model.faults import Fault
from tokenway.upstream.base import Headers
from tokenway.wire.limits import ERROR_BODY

JSON = {b"content-type": b"application/json; charset=utf-8"}
STREAM = {b"content-type": b"text/event-stream"}
WHOLE = (
    b'{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":1}}'
)


class Told:
    """A relay that keeps what it is told, and a call that keeps what was asked of it."""

    def __init__(self) -> None:
        self.id = "gen-1"
        self.times = Stamps(0.0)
        self.door = CHAT
        self.form = FORMATS[Dialect.OPENAI_CHAT]
        self.events: list[Any] = []
        self.asked: list[str] = []

    def tell(self, event: e.Event) -> None:
        """Keeps it."""
        self.events.append(event)

    take_whole = tell

    @staticmethod
    def dice() -> float:
        """Always the same."""
        return 0.5

    @staticmethod
    def may_retry(_now: float) -> bool:
        """There is a budget."""
        return True

    @staticmethod
    def shown_of(_reader: AttemptReader) -> e.Shown:
        """Nothing that could go on."""
        return e.Shown.OTHER

    def cancel(self) -> None:
        """The call is given up."""
        self.asked.append("cancel")

    def finish_early(self) -> None:
        """The rest of the framing is the connection's affair."""
        self.asked.append("finish early")


def reading(told: Told, *, stream: bool = False) -> AttemptReader:
    """An attempt whose request was sent."""
    made = AttemptReader(cast("Any", told), 1, told.form, PassingChat(1) if stream else None)
    made.call = cast("Any", told)
    made.upstream_opened()
    return made


def chunk(content: str = "", finish: str | None = None, more: str = "") -> bytes:
    """One event of a stream."""
    reason = "null" if finish is None else f'"{finish}"'
    delta = f'{{"content":"{content}"}}' if content else "{}"
    return f'data: {{"choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]{more}}}\n\n'.encode()


def failure(told: Told) -> e.UpstreamFailed:
    """The last event, which must be a failure."""
    event = told.events[-1]
    assert isinstance(event, e.UpstreamFailed)
    assert event.dice == 0.5
    return event


def test_a_whole_answer_ends_with_its_usage() -> None:
    """Body in two pieces; the machine hears of the opening and of the end."""
    told = Told()
    attempt = reading(told)
    attempt.upstream_head(200, Headers(JSON))
    attempt.upstream_body(WHOLE[:20])
    attempt.upstream_body(WHOLE[20:])
    attempt.upstream_end()
    end = told.events[-1]
    assert isinstance(end, e.UpstreamEnd)
    assert end.usage is not None
    assert (end.usage.input_tokens, end.usage.output_tokens, end.absurd) == (3, 1, False)
    assert attempt.body == WHOLE
    assert attempt.head_at <= attempt.first_byte_at


@pytest.mark.parametrize(
    ("status", "headers", "detail"),
    [
        (200, {b"content-type": b"text/html"}, "text/html"),
        (200, {}, "none"),
        (200, STREAM, "text/event-stream"),
        (204, JSON, "status 204"),
        (302, JSON, "status 302"),
    ],
)
def test_a_head_that_is_no_answer(status: int, headers: dict[bytes, bytes], detail: str) -> None:
    """Another type, or a success that is none: not the dialect, and the connection is given up."""
    told = Told()
    attempt = reading(told)
    attempt.upstream_head(status, Headers(headers))
    attempt.upstream_body(WHOLE)
    attempt.upstream_end()
    assert failure(told).fault is Fault.NOT_DIALECT
    assert detail in failure(told).detail
    assert told.asked == ["cancel"]


def test_json_where_a_stream_was_asked_is_no_answer() -> None:
    """And a stream's type in capitals is one."""
    told = Told()
    attempt = reading(told, stream=True)
    attempt.upstream_head(200, Headers(JSON))
    attempt.upstream_body(WHOLE)
    attempt.upstream_end()
    assert failure(told).fault is Fault.NOT_DIALECT
    told = Told()
    reading(told, stream=True).upstream_head(200, Headers({b"content-type": b"Text/Event-Stream;charset=UTF-8"}))
    assert isinstance(told.events[-1], e.UpstreamHead)


@pytest.mark.parametrize(
    ("body", "text", "code", "is_kept"),
    [
        (b'{"error":{"message":"too many","code":"rate"}}', "too many", "rate", True),
        (b'{"error":{"message":"odd code","code":429}}', "odd code", "", True),
        (b'{"error":"just text"}', "just text", "", False),
        (b'{"detail":"elsewhere"}', "elsewhere", "", False),
        (b"<html>", "", "", False),
        (b"", "", "", False),
        (b"[" * 100_000, "", "", False),
    ],
)
def test_an_error_status_is_read_for_what_it_says(body: bytes, text: str, code: str, is_kept: bool) -> None:
    """Message and code; the body is kept for the caller only if it is an error of this dialect."""
    told = Told()
    attempt = reading(told)
    attempt.upstream_head(429, Headers(JSON))
    if body:
        attempt.upstream_body(body)
    attempt.upstream_end()
    failed = failure(told)
    assert (failed.fault, failed.status, failed.detail, failed.code) == (Fault.STATUS, 429, text, code)
    assert failed.body == (body if is_kept else b"")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({b"retry-after": b"3"}, 3.0),
        ({b"retry-after": b"0.5"}, 0.5),
        ({b"retry-after-ms": b"250", b"retry-after": b"9"}, 0.25),
        ({b"retry-after-ms": b"soon", b"retry-after": b"9"}, 9.0),
        ({b"retry-after": b"Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({b"retry-after": b"Wed, 21 Oct 2026 07:28:10 GMT", b"date": b"Wed, 21 Oct 2026 07:28:00 GMT"}, 10.0),
        ({b"retry-after": b"-1"}, None),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b"inf"}, None),
        ({}, None),
    ],
)
def test_a_pause_is_believed_if_it_is_one(headers: dict[bytes, bytes], seconds: float | None) -> None:
    """Milliseconds before seconds; a date by the answer's own; nonsense counts as none given."""
    told = Told()
    attempt = reading(told)
    attempt.upstream_head(503, Headers(headers))
    attempt.upstream_end()
    assert failure(told).retry_after == seconds


@pytest.mark.parametrize(("value", "advice"), [(b"true", True), (b"False", False), (b"maybe", None), (None, None)])
def test_the_providers_advice_about_retries(value: bytes | None, advice: bool | None) -> None:
    """`x-should-retry` is passed on to the machine when it is a yes or a no."""
    told = Told()
    attempt = reading(told)
    attempt.upstream_head(500, Headers({} if value is None else {b"x-should-retry": value}))
    attempt.upstream_end()
    assert failure(told).should_retry is advice


def test_too_much_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer beyond its bound fails; an error beyond its bound is told by what came first, once."""
    monkeypatch.setattr(module, "ANSWER", 100)
    told = Told()
    attempt = reading(told)
    attempt.upstream_head(200, Headers(JSON))
    attempt.upstream_body(b" " * 101)
    assert failure(told).fault is Fault.TOO_LARGE
    assert told.asked == ["cancel"]
    monkeypatch.setattr(module, "ERROR_BODY", 100)
    told = Told()
    attempt = reading(told)
    attempt.upstream_head(500, Headers(JSON))
    for _ in range(3):
        attempt.upstream_body(b" " * 60)
    failures = [event for event in told.events if isinstance(event, e.UpstreamFailed)]
    assert [(failed.fault, failed.status) for failed in failures] == [(Fault.STATUS, 500)]
    assert told.asked == ["cancel"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, JSON, WHOLE),
        (200, JSON, b"[]"),
        (200, JSON, b""),
        (200, {}, WHOLE),
        (200, STREAM, chunk("hi", "stop") + b"data: [DONE]\n\n"),
        (200, STREAM, chunk("hi", "stop") + b"data: [DONE]\n\n" * 2),
        (200, STREAM, chunk("hi")),
        (200, STREAM, b"data: nonsense\n\n" + chunk("hi")),
        (200, STREAM, b'data: {"error":{"message":"no"}}\n\n' + chunk("hi")),
        (429, JSON, b'{"error":{"message":"too many"}}'),
        (500, JSON, b" " * (ERROR_BODY + 1)),
        (302, {}, b""),
    ],
    ids=range(12),
)
def test_an_answer_in_one_call_says_what_it_says_in_pieces(
    stream: bool, status: int, headers: dict[bytes, bytes], body: bytes
) -> None:
    """Once, whatever it is."""
    at_once, in_pieces = Told(), Told()
    reading(at_once, stream=stream).upstream_answer(status, Headers(headers), body)
    attempt = reading(in_pieces, stream=stream)
    attempt.upstream_head(status, Headers(headers))
    if body:
        attempt.upstream_body(body)
    if not in_pieces.asked:  # the connection says no more to who has given it up
        attempt.upstream_end()
    ends = [
        [msgspec.structs.replace(event, at=0.0) for event in told.events if not isinstance(event, e.UpstreamHead)]
        for told in (at_once, in_pieces)
    ]
    assert ends[0] == ends[1]
    assert [type(event) for event in ends[0]].count(e.UpstreamEnd) + [type(event) for event in ends[0]].count(
        e.UpstreamFailed
    ) == 1
    assert at_once.asked == in_pieces.asked


def test_a_stream_goes_to_the_machine_until_it_is_spliced() -> None:
    """The first events as an event; after that straight to the caller; then the end with its usage."""
    told, written = Told(), list[bytes]()
    attempt = reading(told, stream=True)
    attempt.upstream_head(200, Headers(STREAM))
    attempt.upstream_body(chunk("a"))
    first = told.events[-1]
    assert isinstance(first, e.UpstreamBytes)
    assert first.data == chunk("a")
    attempt.splice(written.append)
    count = len(told.events)
    attempt.upstream_body(chunk("b"))
    attempt.upstream_body(chunk("c")[:10])
    attempt.upstream_body(chunk("c")[10:])
    assert b"".join(written) == chunk("b") + chunk("c")
    assert len(told.events) == count
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3}}\n\n'
    attempt.upstream_body(chunk(finish="stop") + usage + b"data: [DONE]\n\n")
    end = told.events[-1]
    assert isinstance(end, e.UpstreamEnd)
    assert end.usage is not None
    assert end.usage.output_tokens == 3
    assert told.asked == ["finish early"]
    attempt.release()


@pytest.mark.parametrize("is_watched", [False, True])
def test_bytes_are_told_where_all_of_them_were_counted(is_watched: bool) -> None:
    """From the first text on: what is not watched is not counted once it is spliced, and a part of it tells nothing."""
    told, written = Told(), list[bytes]()
    attempt = reading(told, stream=True)
    attempt.is_watched = is_watched
    attempt.upstream_head(200, Headers(STREAM))
    attempt.upstream_body(chunk())
    assert attempt.counted == 0
    attempt.upstream_body(chunk("a"))
    assert attempt.counted == len(chunk("a"))
    attempt.splice(written.append)
    attempt.upstream_body(chunk("b") * 9)
    assert attempt.counted == (10 * len(chunk("a")) if is_watched else 0)


@pytest.mark.parametrize("is_spliced", [False, True])
def test_an_error_in_a_stream_keeps_its_words(is_spliced: bool) -> None:
    """The connection is given up, and the event is kept for the caller."""
    told, written = Told(), list[bytes]()
    attempt = reading(told, stream=True)
    attempt.upstream_head(200, Headers(STREAM))
    if is_spliced:
        attempt.upstream_body(chunk("a"))
        attempt.splice(written.append)
    attempt.upstream_body(b'data: {"error":{"message":"out of memory"}}\n\n')
    failed = failure(told)
    assert (failed.fault, failed.detail) == (Fault.IN_BAND, "out of memory")
    assert b"out of memory" in failed.body
    assert told.asked == ["cancel"]


def test_a_stream_that_is_no_json_is_given_up() -> None:
    """After its first text too: a caller that skips what it cannot read would take the rest for the whole."""
    told, written = Told(), list[bytes]()
    attempt = reading(told, stream=True)
    attempt.upstream_head(200, Headers(STREAM))
    attempt.upstream_body(b"data: <html>\n\n")
    assert failure(told).fault is Fault.NOT_DIALECT
    assert told.asked == ["cancel"]
    attempt = reading(told, stream=True)
    attempt.upstream_head(200, Headers(STREAM))
    attempt.upstream_body(chunk("a"))
    attempt.splice(written.append)
    attempt.upstream_body(chunk("b") + b"data: <html>\n\n" + chunk("c"))
    assert written == [chunk("b")]
    assert failure(told).fault is Fault.IN_BAND
    assert told.asked == ["cancel"] * 2


def test_a_stream_without_an_end_mark_is_whole_if_it_had_finished() -> None:
    """By the connection's end or by its fault; before its finish both are failures."""
    for ending in ("end", "reset"):
        told = Told()
        attempt = reading(told, stream=True)
        attempt.upstream_head(200, Headers(STREAM))
        attempt.upstream_body(chunk("a") + chunk(finish="stop"))
        if ending == "end":
            attempt.upstream_end()
        else:
            attempt.upstream_failed(Fault.RESET, "")
        assert isinstance(told.events[-1], e.UpstreamEnd)
        told = Told()
        attempt = reading(told, stream=True)
        attempt.upstream_head(200, Headers(STREAM))
        attempt.upstream_body(chunk("a"))
        if ending == "end":
            attempt.upstream_end()
            assert failure(told).fault is Fault.CUT
        else:
            attempt.upstream_failed(Fault.RESET, "gone")
            assert (failure(told).fault, failure(told).detail) == (Fault.RESET, "gone")


def test_what_was_counted_is_told_with_the_failure() -> None:
    """Running totals up to the cut; a count that cannot be believed is marked."""
    for tokens, expected in ((2, (2, False)), (-5, (None, True))):
        told = Told()
        attempt = reading(told, stream=True)
        attempt.upstream_head(200, Headers(STREAM))
        totals = f',"usage":{{"prompt_tokens":1,"completion_tokens":{tokens}}}'
        attempt.upstream_body(chunk("a", more=totals))
        attempt.upstream_failed(Fault.RESET, "")
        failed = failure(told)
        assert (failed.usage.output_tokens if failed.usage else None, failed.absurd) == expected


class Mistaken(PassingChat):
    """A stream whose reader has a mistake: in its first event, behind it, or at its end."""

    def __init__(self, at: str) -> None:
        super().__init__(1)
        self._mistake_at = at

    def feed(self, data: bytes, now: float) -> bytes:
        """Raises what code raises that did not think of something."""
        if self._mistake_at.encode() in data:
            raise KeyError("what a model said")
        return super().feed(data, now)

    def finish(self) -> bytes:
        """The same at the end."""
        if self._mistake_at == "end":
            raise IndexError("what a model said")
        return super().finish()


@pytest.mark.parametrize("at", ["one", "two", "end"])
def test_a_mistake_in_reading_a_stream_ends_it(at: str, caplog: pytest.LogCaptureFixture) -> None:
    """As an answer that is none; the log has the place, and nothing of what the model said."""
    told = Told()
    attempt = AttemptReader(cast("Any", told), 1, told.form, Mistaken(at))
    attempt.call, attempt.endpoint = cast("Any", told), Endpoint("p", "m")
    attempt.upstream_opened()
    attempt.upstream_head(200, Headers(STREAM))
    attempt.upstream_body(chunk("one"))
    if at != "one":
        attempt.splice(lambda _: None)
        attempt.upstream_body(chunk("two"))
    if at == "end":
        attempt.upstream_end()
    assert (failure(told).fault, failure(told).detail) == (Fault.NOT_DIALECT, "it could not be converted")
    assert told.asked == ["cancel"]
    _only_the_place(caplog)


def test_a_mistake_in_reading_an_answer_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    """The same of a whole one."""

    def mistaken(_operation: Operation, _body: bytes) -> WholeAnswer:
        raise TypeError("what a model said")

    told = Told()
    told.form = msgspec.structs.replace(told.form, read_whole=mistaken)
    attempt = reading(told)
    attempt.endpoint = Endpoint("p", "m")
    attempt.upstream_answer(200, Headers(JSON), WHOLE)
    assert failure(told).detail == "it could not be converted"
    _only_the_place(caplog)


def _only_the_place(caplog: pytest.LogCaptureFixture) -> None:
    [record] = caplog.records
    told = record.__dict__
    assert (told["endpoint"], told["exchange"]) == ("p/m", "gen-1")
    assert "test_attempt.py:" in told["mistake"]
    assert "what a model said" not in f"{record.getMessage()} {told['mistake']}"
    assert record.exc_info is None


@pytest.mark.parametrize("is_translated", [False, True])
@pytest.mark.parametrize("status", [200, 429])
def test_what_a_provider_tells_its_own_callers_goes_back_to_them(status: int, is_translated: bool) -> None:
    """Its limits and its id; a caller of another dialect would not know what to make of them."""
    told = Told()
    form = FORMATS[Dialect.ANTHROPIC]
    maker = Maker("gen-1", "m", 5, cast("Any", None)) if is_translated else None
    attempt = AttemptReader(cast("Any", told), 1, form, None, maker)
    attempt.is_crossing = is_translated
    head = Headers(
        JSON | {b"anthropic-ratelimit-requests-remaining": b" 7 ", b"request-id": b"req_1", b"set-cookie": b"c"}
    )
    attempt.upstream_head(status, head)
    expected = b"anthropic-ratelimit-requests-remaining: 7\r\nrequest-id: req_1\r\n"
    assert attempt.lines == (b"" if is_translated else expected)
