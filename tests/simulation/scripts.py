"""What a simulated provider does with one attempt: its bytes, its faults, and what it charges.

A script is drawn from a seed before the attempt begins. It is a list of steps (connect, head, pieces of the
body, an end or a failure, each after a pause) and, for a stream, the list of items that its bytes are made of, from
which `tests.simulation.oracle` works out what a reader must have made of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from tests.simulation.bodies import Shape, draw_usage, items_of, whole_body
from tests.simulation.clock import pick
from tests.simulation.voices.base import Voice, drawn_parts
from tests.simulation.voices.base import items_of as told_items
from tokenway.model.catalog import Operation
from tokenway.model.faults import Fault
from tokenway.model.usage import Usage
from tokenway.wire.limits import ERROR_BODY

EVENT_STREAM = b"text/event-stream; charset=utf-8"
JSON = b"application/json"

Step = tuple[float, str, Any]
"""A pause in seconds, then `open`, `head` (status, headers), `body` (bytes), `end` or `fail` (fault, detail)."""


@dataclass(slots=True)
class Item:
    """One event of a stream, as the provider means it."""

    kind: str
    """`comment`, `chunk`, `usage` (no choices), `done`, `error`, `garbage`, or `junk` (after the end mark)."""
    data: bytes
    index: int | str = 0
    """The choice that it adds to; where the answer has one, what it adds: text, a thought, a call."""
    text: str = ""
    """What it adds for a reader to see."""
    finishes: bool = False
    told: bool = False
    """Whether it carries a count."""
    usage: Usage | None = None
    """The count; None when there is none that can be believed."""
    held: bool = False
    """Whether a stream that stays in its dialect may keep it back until its end."""
    visible: bool = False
    """Whether a reader sees something though it adds no text."""
    is_thought: bool = False
    """Whether its text is a thought, where `index` does not say so."""
    is_odd: bool = False
    """Whether nothing is gone on with behind it: an event of a kind to come, the end of a text."""


@dataclass(slots=True)
class Script:
    """One attempt's treatment."""

    name: str
    steps: list[Step] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    status: int = 200
    """200 only when head and type are those of an answer."""
    told: bool = False
    usage: Usage | None = None
    """The count in an answer that does not stream, like an item's."""
    answer: bytes = b""
    """The whole body of an answer that does not stream and is well-formed; empty otherwise."""
    said: dict[str, str] = field(default_factory=dict)
    """What that answer says, by kind, where the answer may be translated."""
    retry_after: float | None = None
    should_retry: bool | None = None
    code: str = ""
    error_body: bytes = b""
    """An error in the caller's dialect that came with an error status."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What of the request decides about the answer."""

    operation: Operation
    stream: bool
    choices: int
    voice: Voice | None = None
    """The provider's dialect, where the callers' may be another; None in the histories that are all of chat."""
    prefix: str = ""
    """The text that is to be gone on with."""
    attempt: int = 1
    """Which attempt it is: what it says can be told from what the others say."""
    trials: tuple[str, ...] = ()
    """Faults that what is to be seen here is about: they come more often than others."""


STATUSES = (400, 401, 402, 403, 404, 408, 409, 422, 429, 429, 500, 500, 501, 502, 503, 503, 504, 529, 204, 301)
_OTHER_BODIES = (
    *(b"", b"<html>no</html>", b'{"error": "text"}', b"[1]", b'{"error":{"message":"\xff"}}', b"[" * 5_000),
    b"x" * (ERROR_BODY + 1),
)
_ERROR_CODES = ("", "", "rate_limit_exceeded", "insufficient_quota", "context_length_exceeded")


def draw_script(rng: Random, ask: Ask, health: float) -> Script:
    """A treatment: a good answer with the probability `health`, else one of many bad ones."""
    chance = rng.random
    pace = pick(rng, (0.001, 0.02, 0.3))
    steps: list[Step] = []
    name = _draw_name(rng, ask, health)
    script = Script(name, steps)
    if name == "refuse":
        steps.append((chance() * 3, "fail", (Fault.CONNECT, "connection refused")))
        return script
    if name == "tls":
        steps.append((chance() * 3, "fail", (Fault.TLS, "certificate verify failed")))
        return script
    if name == "unreachable":
        return script
    pooled = chance() < 0.5
    steps.append((0.0 if pooled else chance() * pace * 10, "open", pooled))
    if name == "stall before head":
        return script
    if name == "reset before head":
        steps.append((chance() * pace, "fail", (Fault.RESET, "the connection was closed")))
        return script
    if name in {"status", "no prefill"}:
        _status(rng, script, pace, ask.voice)
        return script
    if name in {"page", "json for a stream", "strange stream"}:
        _page(rng, script, pace, ask)
        return script
    streamed = EVENT_STREAM if ask.voice is None else ask.voice.stream_type
    headers = {b"content-type": streamed if ask.stream else JSON}
    if chance() < 0.1:
        headers |= pick(rng, _TOLD)
    late = 5.0 if name == "late" else 0.0
    steps.append((chance() * (late or pace * 10), "head", (200, headers)))
    if ask.voice is not None and not ask.stream:
        _spoken_answer(rng, script, ask.voice, pace, ask.attempt)
    elif ask.stream:
        _stream(rng, script, ask, pace)
    else:
        _answer(rng, script, ask, pace)
    return script


def _draw_name(rng: Random, ask: Ask, health: float) -> str:
    """How an attempt goes."""
    chance = rng.random
    name = "well" if chance() < health else pick(rng, _faults(ask))
    if ask.trials and chance() < 0.4:
        name = pick(rng, ask.trials)
    return "no prefill" if ask.prefix and chance() < 0.1 else name


_TOLD = (
    {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"0",
        b"x-ratelimit-reset-requests": b"1s",
    },
    {b"anthropic-ratelimit-tokens-remaining": b"5", b"anthropic-ratelimit-tokens-reset": b"2030-01-01T00:00:00Z"},
    {b"ratelimit": b'"a";r=0;t=30', b"retry-after": b"soon"},
)
"""What answers tell of a provider's limits."""

STREAM_FAULTS = (
    *("refuse", "tls", "unreachable", "stall before head", "reset before head", "status", "status", "page"),
    *(
        "garbage",
        "empty",
        "not a chunk",
        "reset after head",
        "stall before text",
        "stall",
        "drip",
        "cut",
        "cut by reset",
    ),
    *("no finish", "no done", "no done, reset", "error first", "error later", "twice done", "only done", "talks on"),
)
ANSWER_FAULTS = (
    *("refuse", "tls", "unreachable", "stall before head", "reset before head", "status", "status", "page"),
    *("garbage", "empty", "reset after head", "stall", "cut", "cut by reset", "error with 200"),
)


MIXED_FAULTS = (*STREAM_FAULTS, "json for a stream", "strange stream")


def _faults(ask: Ask) -> tuple[str, ...]:
    """What may go wrong with an answer to this."""
    if not ask.stream:
        return ANSWER_FAULTS
    return STREAM_FAULTS if ask.voice is None else MIXED_FAULTS


def _status(rng: Random, script: Script, pace: float, voice: Voice | None) -> None:
    """An error status (or one that is no answer), with or without advice and a body."""
    chance = rng.random
    status = script.status = pick(rng, STATUSES) if script.name == "status" else 400
    headers: dict[bytes, bytes] = {b"content-type": JSON}
    _advise(rng, script, headers)
    kind = chance()
    if kind < 0.5 and voice is not None:
        spoken, code = voice.error(rng)
        body = msgspec.json.encode(spoken)
        if status >= 400:
            script.code, script.error_body = code, body
    elif kind < 0.5:
        error: dict[str, object] = {"message": "no", "type": "server_error"}
        code = pick(rng, _ERROR_CODES)
        if code:
            error["code"] = code
        body = msgspec.json.encode({"error": error})
        if status >= 400:
            script.code, script.error_body = code, body
    else:
        body = pick(rng, _OTHER_BODIES)
        if len(body) > ERROR_BODY:
            script.name = "status, large"
    script.steps.append((chance() * pace, "head", (status, headers)))
    if body:
        script.steps += [(chance() * pace, "body", piece) for piece in _pieces(rng, body)]
    how = chance()
    if how < 0.1:
        script.steps.append((chance() * pace, "fail", (Fault.RESET, "the connection was closed")))
        script.name = "status, reset"
    elif how < 0.15:
        script.name = "status, stall"
    else:
        script.steps.append((chance() * pace, "end", None))


def _advise(rng: Random, script: Script, headers: dict[bytes, bytes]) -> None:
    """`retry-after` in one of its forms, and `x-should-retry`."""
    advice = rng.random()
    if advice < 0.25:
        seconds = pick(rng, (0, 1, 3, 29, 31, 100))
        headers[b"retry-after"] = b"%d" % seconds
        script.retry_after = float(seconds)
    elif advice < 0.35:
        headers[b"retry-after-ms"] = b"1500"
        headers[b"retry-after"] = b"2"
        script.retry_after = 1.5
    elif advice < 0.45:
        headers[b"retry-after"] = pick(rng, (b"soon", b"-1", b"nan", b"Wed, 21 Oct 2015 07:28:00 GMT"))
    advice = rng.random()
    if advice < 0.2:
        script.should_retry = advice < 0.1
        headers[b"x-should-retry"] = b"true" if script.should_retry else b"false"


def _page(rng: Random, script: Script, pace: float, ask: Ask) -> None:
    """A success of another type: a page, a whole answer where a stream was asked for, another dialect's stream."""
    script.status = 0
    kind, body = pick(rng, (b"text/html", b"")), b"<html>welcome</html>"
    if script.name == "json for a stream" and ask.voice is not None:
        kind, body = JSON, ask.voice.whole(ask.voice.teller(rng), [("text", "Hello")])[0]
    elif script.name == "strange stream" and ask.voice is not None:
        kind = b"application/x-ndjson" if ask.voice.is_binary else b"application/vnd.amazon.eventstream"
    script.steps.append((rng.random() * pace, "head", (200, {b"content-type": kind})))
    script.steps.append((rng.random() * pace, "body", body))
    script.steps.append((rng.random() * pace, "end", None))


def _stream(rng: Random, script: Script, ask: Ask, pace: float) -> None:
    """A stream, whole or broken somewhere."""
    name = script.name
    chance = rng.random
    if ask.voice is not None:
        echo = _echo(rng, ask.prefix) if ask.prefix else []
        items = told_items(rng, ask.voice.teller(rng), name, ask.attempt, echo)
        script.items = [Item(*fields) for fields in items]
    else:
        shape = Shape(rng, ask.choices, legacy=ask.operation is Operation.COMPLETION)
        shape.attempt, shape.echo = ask.attempt, _echo(rng, ask.prefix) if ask.prefix else []
        script.items = [Item(*fields) for fields in items_of(rng, shape, name)]
    body = b"".join([item.data for item in script.items])
    last: Step | None = (chance() * pace, "end", None)
    if name in {"cut", "cut by reset"}:
        body = body[: int(len(body) * chance())]
    elif name == "reset after head":
        body = b""
    elif name in {"stall before text", "stall"}:
        first = next((n for n, item in enumerate(script.items) if item.text), 0)
        count = rng.randint(0, first) if name == "stall before text" else rng.randint(first + 1, len(script.items) - 1)
        body = b"".join([item.data for item in script.items[:count]])
        last = None
    if name in {"cut by reset", "reset after head", "no done, reset"}:
        last = (chance() * pace, "fail", (pick(rng, (Fault.RESET, Fault.FRAMING)), "the connection was closed"))
    elif name == "well" and chance() < 0.2:
        last = None  # keep-alive: after the end mark nothing has to come
    slow = pick(rng, (0.5, 2.0, 8.0, 40.0)) if name == "drip" else 0.0
    fast = pick(rng, (0, 1, 3)) if slow else 0
    pieces = _pieces(rng, body)
    if name == "crawl":  # well up to its first text, and then an event at a time
        slow = pick(rng, (0.3, 1.0, 2.0))
        fast = 1 + next((n for n, item in enumerate(script.items) if item.text), 0)
        pieces = [item.data for item in script.items if item.data]
    first = next((n for n, item in enumerate(script.items) if item.text), 0) if name == "late text" else -1
    if first >= 0:  # begun well, but nothing to read
        pieces = [b"".join(item.data for item in script.items[:first]), *(item.data for item in script.items[first:])]
        pieces, first = [piece for piece in pieces if piece], min(first, 1)
    for number, piece in enumerate(pieces):
        if number == first:
            script.steps.append((chance() * 6.0, "body", piece))
            continue
        script.steps.append((chance() * (slow if slow and number >= fast else pace), "body", piece))
    if last is not None:
        script.steps.append(last)


def _echo(rng: Random, prefix: str) -> list[str]:
    """What a provider says of the text that it was given before it goes on: nothing, some, or all of it, in pieces."""
    kind = rng.random()
    if kind > 0.4:
        return []
    said = prefix[: int(len(prefix) * rng.random())] if kind > 0.25 else prefix
    if kind < 0.1:
        said += pick(rng, (" ", "\n", "\n\n "))
    at = int(len(said) * rng.random())
    return [piece for piece in (said[:at], said[at:]) if piece]


def _answer(rng: Random, script: Script, ask: Ask, pace: float) -> None:
    """An answer in one object, whole or broken somewhere."""
    name = script.name
    chance = rng.random
    count = draw_usage(rng)
    body = whole_body(rng, ask.operation, count.text)
    last: Step | None = (chance() * pace, "end", None)
    if name == "garbage":
        body = pick(
            rng,
            (
                b"<html>",
                b"[]",
                b"{}",
                b"1",
                b'{"object":"list"}',
                b"\xff\xfe",
                b'{"choices":5}',
                b'{"choices":[],"usage":{"\xff":1}}'[:-1],
                b'{"choices":["\xff"]}',
            ),
        )
    elif name in {"empty", "reset after head"}:
        body = b""
    elif name == "error with 200":
        body = pick(rng, (b'{"error":{"message":"no"}}', b'{"error":"no","choices":[]}'))
    elif name in {"cut", "cut by reset", "stall"}:
        body = body[: int((len(body) - 1) * chance())]
    else:
        script.answer, script.told, script.usage = body, count.told, count.usage
    if name in {"cut by reset", "reset after head"}:
        last = (chance() * pace, "fail", (Fault.RESET, "the connection was closed"))
    elif name == "stall":
        last = None
    for piece in _pieces(rng, body):
        script.steps.append((chance() * pace, "body", piece))
    if last is not None:
        script.steps.append(last)


_NO_ANSWERS = (b"<html>", b"[]", b"{}", b"1", b"\xff\xfe", b"null", b'"text"')


def _spoken_answer(rng: Random, script: Script, voice: Voice, pace: float, attempt: int) -> None:
    """An answer in one object of a provider's dialect, whole or broken somewhere."""
    name, chance = script.name, rng.random
    parts = [(kind, "".join(texts)) for kind, texts in drawn_parts(rng, attempt=attempt)]
    body, count = voice.whole(voice.teller(rng), parts)
    last: Step | None = (chance() * pace, "end", None)
    if name == "garbage":
        body = pick(rng, _NO_ANSWERS)
    elif name in {"empty", "reset after head"}:
        body = b""
    elif name == "error with 200":
        body = pick(rng, voice.bad_answers)
    elif name in {"cut", "cut by reset", "stall"}:
        body = body[: int((len(body) - 1) * chance())]
    else:
        script.answer, script.told, script.usage = body, count.told, count.usage
        script.said = {kind: text for kind, text in parts if text}
    if name in {"cut by reset", "reset after head"}:
        last = (chance() * pace, "fail", (Fault.RESET, "the connection was closed"))
    elif name == "stall":
        last = None
    script.steps += [(chance() * pace, "body", piece) for piece in _pieces(rng, body)]
    if last is not None:
        script.steps.append(last)


def _pieces(rng: Random, body: bytes) -> list[bytes]:
    """The body as reads bring it: whole, in a few large pieces, in small ones, or (when short) byte by byte."""
    how = rng.random()
    size = len(body)
    if how < 0.25 or size < 2:
        return [body] if body else []
    if how < 0.3 and size < 400:
        return [body[at : at + 1] for at in range(size)]
    cuts = sorted({int(rng.random() * size) for _ in range(pick(rng, (1, 3, 8, 20)))} | {0, size})
    return [body[cuts[n] : cuts[n + 1]] for n in range(len(cuts) - 1)]
