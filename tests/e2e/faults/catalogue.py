"""The catalogue: what a provider can do wrong, and what a caller of it must see.

Each row is tried by OpenAI's own client and by a caller of another dialect, whole and streamed, against a model that
has nobody else (*alone*) and against one with a fallback (*backed*). What they see:

    sees      alone                                            backed
    ANSWER    the whole answer at the first try                the same
    AGAIN     the whole answer at the second try               the fallback's answer
    ERROR     an error of the row's status before any text     the fallback's answer
    REFUSAL   the same error                                   the same error: nobody else is asked
    BROKEN    what came, then an error inside the stream       what came, and behind it the fallback's answer
    LATE      504 when the exchange's time is up               the same, or the fallback's answer

An answer costs what it says, and everything else costs its caller nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final

from tests.fake_provider import Reply, Script, UsageMode
from tests.fake_provider.reply import Counts, Said

PROMPT: Final = 5
"""What every prompt here counts."""
FOUR: Final = "w0 w1 w2 w3 "
MIB: Final = 1024 * 1024
SPARE: Final = Script(text="spare", prompt=PROMPT)
"""How the fallback answers."""


class Sees(Enum):
    """What a caller sees; the table above says more."""

    ANSWER = auto()
    AGAIN = auto()
    ERROR = auto()
    REFUSAL = auto()
    BROKEN = auto()
    LATE = auto()


@dataclass(frozen=True)
class Row:
    """One fault. `whole` and `stream` say what is seen of an answer in that form; None where the fault has no such."""

    name: str
    script: Script
    whole: Sees | None
    stream: Sees | None
    text: str = FOUR
    """The whole answer, or for BROKEN what surely came of it."""
    status: int = 502
    translated: int = 0
    """The status for a caller of another dialect, where it is not the same."""
    attempts: int = 2
    """How many tries there are where nobody else can be asked; two are the most here."""
    tokens: int | None = 4
    """What of the answer is counted and charged; None for no usage that can be believed."""
    fallback: str = "fake"
    """The model's name at the fallback, which selects another treatment there."""
    in_time: bool = True
    """Whether the fault is seen while there is time for another try: what is slow moves until the time is up."""

    @property
    def slug(self) -> str:
        """The name as a part of models' names."""
        return self.name.replace(" ", "-").replace(",", "")


def both(name: str, script: Script, sees: Sees, **more: Any) -> Row:
    """A fault that is the same in both forms."""
    return Row(name, script, sees, sees, **more)


def whole(name: str, script: Script, sees: Sees, **more: Any) -> Row:
    """A fault of an answer that does not stream."""
    return Row(name, script, sees, None, **more)


def stream(name: str, script: Script, sees: Sees, **more: Any) -> Row:
    """A fault of a stream."""
    return Row(name, script, None, sees, **more)


# -- bytes that no well-behaved script says ------------------------------------------------------------------

JSON_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ERROR_HEAD: Final = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n%b\r\n\r\n"
PACKED_HEAD: Final = JSON_HEAD + b"content-encoding: %b\r\ncontent-length: %d\r\n\r\n"
HTML: Final = b"<!doctype html><html><body>Welcome to the captive portal</body></html>"


def chunked(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


MUCH: Final = chunked(b" " * 50_000)


def event(**choice: Any) -> bytes:
    """One event of a chat stream, as a chunk of the body."""
    choices = [{"index": 0, "delta": {}, "finish_reason": None} | choice]
    data = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return chunked(b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n")


def refusal(code: str, message: str) -> bytes:
    """An error of OpenAI's, by its code."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return json.dumps({"error": error}).encode()


def answer(finish: str) -> bytes:
    """A whole chat answer of the four words that ends for that reason."""
    message = {"role": "assistant", "content": FOUR}
    usage = {"prompt_tokens": PROMPT, "completion_tokens": 4, "total_tokens": PROMPT + 4}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    data = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(data).encode()


TOO_LONG: Final = refusal("context_length_exceeded", "This model's maximum context length is 8192 tokens.")
FILTERED: Final = refusal("content_filter", "The prompt triggered the content management policy.")
DONE: Final = chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"
FINISHED: Final = (STREAM_HEAD, event(delta={"content": FOUR}), event(finish_reason="stop"))
"""A stream up to its reason to stop, without an end."""
SPELLED: Final = (
    chunked(b"\xef\xbb\xbf: a mark of the order of bytes, and a comment\n\nretry: 1000\nid: 1\n\n"),
    chunked(b'event: message\nid: 2\ndata:{"choices":[{"index":0,\ndata:"delta":{"content":"w0 w1 "}}]}\n\n'),
    chunked(b'data:  {"choices" : [ {"index" : 0, "delta" : {"content" : "w2 w3 "}} ]} \r\n\r\n'),
    chunked(b'data: {"choices" : [ {"index" : 0, "delta" : {}, "finish_reason" : "stop"} ]}\n\n'),
)
"""The same as the standard allows it too: fields that nobody needs, data in two lines, spaces where JSON has none."""

# -- the catalogue -------------------------------------------------------------------------------------------

STATUSES: Final = (
    both("429 once with a pause", Script(status=429, retry_after="1", times=1), Sees.AGAIN),
    both("429 once without a pause", Script(status=429, times=1), Sees.AGAIN),
    both("429 always", Script(status=429, retry_after="0"), Sees.ERROR, status=429),
    both("429 for an hour", Script(status=429, retry_after="3600"), Sees.ERROR, status=429, attempts=1),
    both("500 once", Script(status=500, times=1), Sees.AGAIN),
    both("500 always", Script(status=500), Sees.ERROR, status=500, translated=502),
    both("503 once", Script(status=503, times=1), Sees.AGAIN),
    both("503 always", Script(status=503), Sees.ERROR, status=503, translated=529),
    both("408 once", Script(status=408, times=1), Sees.AGAIN),
    both("401", Script(status=401), Sees.ERROR, status=401, attempts=1),
    both("403", Script(status=403), Sees.ERROR, status=403, attempts=1),
    both("404", Script(status=404), Sees.ERROR, status=404, attempts=1),
    both("a context that is too long", Script(status=400, body=TOO_LONG), Sees.ERROR, status=400, attempts=1),
    both("a prompt that is filtered", Script(status=400, body=FILTERED), Sees.REFUSAL, status=400),
    both("a mistake of the caller", Script(status=400, error="no such parameter"), Sees.REFUSAL, status=400),
    whole("an answer that is filtered", Script(body=answer("content_filter")), Sees.ANSWER),
    stream(
        "a stream that is filtered",
        Script(pieces=(*FINISHED[:2], event(finish_reason="content_filter"), DONE)),
        Sees.ANSWER,
        tokens=None,
    ),
)

NO_ANSWERS: Final = (
    both("204", Script(status=204), Sees.ERROR),
    both("304", Script(raw=b"HTTP/1.1 304 Not Modified\r\n\r\n", close=True), Sees.ERROR),
    *(
        both(f"{status} to elsewhere", Script(status=status, location="http://127.0.0.1:1/v1"), Sees.ERROR)
        for status in (301, 302, 307, 308)
    ),
    both("200 of HTML", Script(body=HTML, content_type="text/html"), Sees.ERROR),
    both("200 of HTML called JSON", Script(body=HTML, content_type="application/json"), Sees.ERROR),
    both("200 of HTML called a stream", Script(body=HTML, content_type="text/event-stream"), Sees.ERROR),
    both("200 of text", Script(body=b"ok", content_type="text/plain"), Sees.ERROR),
    both("200 of nothing", Script(body=b"", content_type="application/json"), Sees.ERROR),
    both("200 without a type", Script(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"), Sees.ERROR),
    both("an empty object", Script(body=b"{}"), Sees.ERROR),
    both("a list", Script(body=b"[]"), Sees.ERROR),
    both("another dialect", Script(body=b'{"type":"message","content":[{"type":"text","text":"hi"}]}'), Sees.ERROR),
    both("an error object in a 200", Script(error="the model is on fire"), Sees.ERROR),
    stream("an error as the first event", Script(error="the model is on fire", error_after=0), Sees.ERROR),
    stream("a malformed first event", Script(malformed=0), Sees.ERROR),
    stream("a stream of nothing", Script(raw=STREAM_HEAD + b"0\r\n\r\n"), Sees.ERROR),
    stream("a stream that only ends", Script(raw=STREAM_HEAD + DONE), Sees.ERROR),
    stream("a stream of no JSON", Script(raw=STREAM_HEAD + chunked(b"data: hello\n\n") + b"0\r\n\r\n"), Sees.ERROR),
    whole("a finish without a choice", Script(body=b'{"object":"chat.completion"}'), Sees.ERROR),
)

CONNECTIONS: Final = (
    both("no answer at all", Script(reset="request"), Sees.ERROR),
    both("a reset before the head", Script(reset="rst"), Sees.ERROR),
    both("half a head", Script(reset="head"), Sees.ERROR),
    both("a close behind the head", Script(reset="body"), Sees.ERROR),
    both("a reset behind the head", Script(reset="body", cut_how="rst"), Sees.ERROR),
    both("a reset once", Script(reset="rst", times=1), Sees.AGAIN),
    both("no HTTP", Script(raw=b"hello, this is not HTTP\r\n\r\n", hang_up="close"), Sees.ERROR),
    both("SSH", Script(raw=b"SSH-2.0-OpenSSH_9.2\r\n", hang_up="close"), Sees.ERROR),
    whole("a body that is too short", Script(length_delta=10), Sees.ERROR),
    whole("a body that is too long", Script(length_delta=-10), Sees.ERROR),
    both("two lengths", Script(raw=JSON_HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"), Sees.ERROR),
    both(
        "a length and chunks",
        Script(raw=JSON_HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        Sees.ERROR,
    ),
    both("a broken chunk", Script(raw=STREAM_HEAD + b"zz\r\ndata: x\n\n\r\n"), Sees.ERROR),
    both("a huge head", Script(raw=b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n"), Sees.ERROR),
    both("an endless head", Script(raw=b"HTTP/1.1 200 OK\r\n", endless=b"x-more: and more\r\n" * 50), Sees.ERROR),
    both("endless hints", Script(raw=b"", endless=b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 50), Sees.ERROR),
    both(
        "a switch of protocols",
        Script(raw=b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        Sees.ERROR,
    ),
    both(
        "an error without end",
        Script(raw=ERROR_HEAD % b"transfer-encoding: chunked", endless=MUCH),
        Sees.ERROR,
        status=503,
        translated=529,
    ),
    both("a compression that is broken", Script(raw=PACKED_HEAD % (b"gzip", 2) + b"\x1f\x8b"), Sees.ERROR),
    both("a compression that nobody knows", Script(raw=PACKED_HEAD % (b"br", 2) + b"\x1f\x8b"), Sees.ERROR),
)

ODD_ANSWERS: Final = (
    both("hints before the answer", Script(interim=3), Sees.ANSWER),
    both("a body until the close", Script(until_close=True), Sees.ANSWER),
    both("a close that is announced", Script(close=True), Sees.ANSWER),
    both("a close that is not", Script(hang_up="close"), Sees.ANSWER),
    both("a compression that nobody asked for", Script(packed="gzip"), Sees.ANSWER),
    both("a compression byte by byte", Script(packed="gzip", drip=1), Sees.ANSWER),
    both("byte by byte", Script(drip=1, text="Grüße, 世界 🙂"), Sees.ANSWER, text="Grüße, 世界 🙂", tokens=11),
    stream("lines that end in CR LF", Script(crlf=True), Sees.ANSWER),
    stream("lines that end in CR", Script(cr=True), Sees.ANSWER),
    stream("CR LF byte by byte", Script(crlf=True, drip=1), Sees.ANSWER),
    stream("CR byte by byte", Script(cr=True, drip=1), Sees.ANSWER),
    stream("comments between the events", Script(comments=True), Sees.ANSWER),
    stream("no choices in the first event", Script(empty_first=True), Sees.ANSWER),
    both(
        "an event of 4 MB",
        Script(reply=Reply((Said("x" * 4 * MIB, 4 * MIB),), counts=Counts(PROMPT, text=4))),
        Sees.ANSWER,
        text="x" * 4 * MIB,
    ),
    stream("no end mark", Script(done=0), Sees.ANSWER),
    stream("a close behind the finish", Script(pieces=FINISHED, hang_up="close"), Sees.ANSWER, tokens=None),
    stream("a reset behind the finish", Script(pieces=(*FINISHED, b""), hang_up="rst"), Sees.ANSWER, tokens=None),
    stream("events in odd spelling", Script(pieces=(STREAM_HEAD, *SPELLED, DONE)), Sees.ANSWER, tokens=None),
    stream("two end marks", Script(done=2), Sees.ANSWER),
    both("no usage", Script(usage=UsageMode.NONE), Sees.ANSWER, tokens=None),
    both("usage too early", Script(usage=UsageMode.EARLY), Sees.ANSWER),
    both("usage in every event", Script(usage=UsageMode.EVERY), Sees.ANSWER),
    both("usage beyond belief", Script(usage=UsageMode.ABSURD), Sees.ANSWER, tokens=None),
    both("usage below nothing", Script(usage=UsageMode.NEGATIVE), Sees.ANSWER, tokens=None),
    both("a slow first token", Script(delay=0.4), Sees.ANSWER),
)

SIXTY: Final = Script(chunks=60, gap=0.005, usage=UsageMode.EVERY, prompt=PROMPT)


def words(count: int) -> str:
    """So many of the made-up words."""
    return "".join(f"w{number} " for number in range(count))


def _half_a_character(end: bytes) -> tuple[bytes, ...]:
    """A stream that stops within the two bytes of a character, and how it ends."""
    last = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": "ü"}}]}, ensure_ascii=False).encode()
    return STREAM_HEAD, event(delta={"content": "Gr"}), chunked(last[: last.index("ü".encode()) + 1]) + end


BREAKS: Final = (
    *(
        stream(f"a cut after 40 of 60, {name}", replace(SIXTY, cut=40, cut_how=how), Sees.BROKEN, text=words(kept))
        # A reset may destroy what was sent right before it.
        for name, how, kept in (("closed", "close", 40), ("reset", "rst", 1), ("ended", "end", 40))
    ),
    stream("a cut inside an event", replace(SIXTY, cut=40, cut_inside=20), Sees.BROKEN, text=words(40)),
    stream("a cut inside a character", Script(pieces=_half_a_character(b""), hang_up="close"), Sees.BROKEN, text="Gr"),
    stream("an end inside a character", Script(pieces=_half_a_character(b"0\r\n\r\n")), Sees.BROKEN, text="Gr"),
    stream(
        "a cut that the fallback cannot continue",
        replace(SIXTY, cut=40),
        Sees.BROKEN,
        text=words(40),
        fallback="no-prefill",
    ),
    stream("an error after 20 of 60", replace(SIXTY, error_after=20, error="no memory"), Sees.BROKEN, text=words(20)),
    stream("a malformed event after 20 of 60", replace(SIXTY, malformed=20), Sees.BROKEN, text=words(19)),
    stream("a broken chunk in a stream", Script(pieces=(*FINISHED[:2], b"zz\r\n")), Sees.BROKEN),
    stream("an end mark behind half an answer", Script(pieces=(*FINISHED[:2], DONE), gap=0.05), Sees.BROKEN),
    stream("an event without end", Script(pieces=FINISHED[:2], endless=chunked(b"data: " * 20_000)), Sees.BROKEN),
)

BODY: Final = answer("stop")

SLOW: Final = (
    both("silence", Script(delay=600), Sees.LATE),
    stream("a stall after 20 of 60", replace(SIXTY, stall=20), Sees.BROKEN, text=words(20)),
    Row("a first token that is too late", Script(delay=2.5), Sees.ANSWER, Sees.ERROR, status=504),
    stream("silence behind the head", Script(stall=0), Sees.ERROR, status=504),
    whole("silence within the body", Script(raw=JSON_HEAD + b"content-length: 999\r\n\r\n" + BODY[:50]), Sees.LATE),
    Row("a byte a second", Script(drip=1, drip_gap=1.0), Sees.LATE, Sees.ERROR, status=504),
    stream("a byte a second after a word", Script(pieces=FINISHED[:2], endless=chunked(b"x"), gap=0.5), Sees.BROKEN),
    Row(
        "an error whose body never comes",
        Script(raw=ERROR_HEAD % b"content-length: 99"),
        Sees.LATE,
        Sees.ERROR,
        status=504,
    ),
    both("a head of a line a second", Script(raw=b"HTTP/1.1 200 OK\r\n", endless=b"x-a: b\r\n", gap=0.5), Sees.LATE),
    stream(
        "comments and no word",
        Script(pieces=(STREAM_HEAD,), endless=chunked(b": still thinking\n\n"), gap=0.1),
        Sees.ERROR,
        status=504,
    ),
    stream(
        "a collapse that ends in time",
        Script(chunks=8, slow_after=5, slow_gap=0.5),
        Sees.ANSWER,
        text=words(8),
        tokens=8,
    ),
    stream("a pause behind the finish", Script(pieces=FINISHED), Sees.ANSWER, tokens=None),
    stream("a collapse", replace(SIXTY, slow_after=20, slow_gap=0.6), Sees.BROKEN, text=words(20), in_time=False),
)

QUICK: Final = (*STATUSES, *NO_ANSWERS, *CONNECTIONS, *ODD_ANSWERS, *BREAKS)
ROWS: Final = (*QUICK, *SLOW)
