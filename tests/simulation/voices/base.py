"""What every dialect of the simulation has: a teller that makes a stream of it, and an ear that judges one.

A *teller* spells one answer: pieces of text, thoughts and a tool call in between the dialect's own marks. `items_of`
plays it in the way that a fault's name says, the same way for all dialects. An *ear* reads what a caller got, strictly
and to the letter of the dialect: it raises `MalformedError` for anything that is not the beginning of one valid stream.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Final, NamedTuple

from tests.simulation.bodies import MARKS, NO_COUNT, TEXTS, Count, Fields
from tests.simulation.client import MalformedError, load
from tests.simulation.clock import pick
from tokenway.model.catalog import Dialect
from tokenway.model.usage import Usage

TEXT: Final = "text"
THOUGHT: Final = "thought"
CALL: Final = "call"
CALL_ID: Final = "call_1"
CALL_NAME: Final = "look"
ARGUMENTS: Final = ('{"q":', '"x', 'y"', "}")
"""The pieces of the only tool call's arguments; compact, so that every dialect spells them alike."""
SOUNDS: Final = (*TEXTS, "event: error", '"finishReason":"STOP"', '"message_stop"', "response.completed", ": ping")
"""Text that a reader that looks for marks could take for one."""
HUGE: Final = 10**9


class Numbers(NamedTuple):
    """The tokens of one answer; `cached` is part of `prompt`, `reasoning` of `output`."""

    prompt: int
    cached: int
    output: int
    reasoning: int

    def usage(self, output: int | None = None) -> Usage:
        """As buckets; with another output where the count is one in between."""
        if output is None:
            text, reasoning = self.output - self.reasoning, self.reasoning
        else:
            text, reasoning = output, 0
        return Usage(
            input_uncached=self.prompt - self.cached, cache_read=self.cached, output_text=text, reasoning=reasoning
        )


def draw_numbers(rng: Random) -> Numbers:
    """Tokens."""
    prompt, output = int(rng.random() * 5000), int(rng.random() * 900)
    return Numbers(prompt, int(prompt * rng.random()), output, int(output * rng.random()))


class Asked(NamedTuple):
    """A caller's request: what its path says, and its body."""

    body: dict[str, Any]
    model: str
    stream: bool
    query: bytes = b""


@dataclass(slots=True)
class Heard:
    """What a caller has understood of an answer."""

    texts: dict[str, str] = field(default_factory=dict)
    ending: str = ""
    """`whole` or `error`; empty while more must come."""
    last_at: int = 0
    """Where the last event begins."""
    usage: tuple[Any, Any] | None = None
    """Tokens in and out, where they were told."""
    cost: Any = None

    def add(self, key: str, text: str) -> None:
        """More text of a kind."""
        if text:
            self.texts[key] = self.texts.get(key, "") + text


def need(what: bool, why: str) -> None:
    """Raises where a rule of the dialect is broken."""
    if not what:
        raise MalformedError(why)


class Teller:
    """Spells one answer in one dialect. The base is for dialects of server-sent events."""

    NAMED: ClassVar[bool] = False
    """Whether events carry their type as a name."""
    HAS_END: ClassVar[bool] = True
    """Whether an event marks the end."""
    END_ALONE: ClassVar[bool] = False
    """Whether that event is a whole answer in itself."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.end_line = pick(rng, ("\n", "\n", "\n", "\r\n", "\r"))
        self.lead = pick(rng, ("data: ", "data: ", "data: ", "data:"))
        self.gap = pick(rng, ("", "", " "))
        kind = rng.random()
        self.numbers = draw_numbers(rng) if kind > 0.1 else None
        """None where the provider counts nothing."""
        self.is_absurd = kind > 0.9
        self.open = ""
        """The kind of the open part."""
        self.parts = -1
        self.said: dict[str, str] = {}
        self.sealed: list[tuple[str, str]] = []
        """The parts so far: kind and text."""

    # -- what dialects spell ------------------------------------------------------------------------------

    def start(self) -> list[Fields]:
        """What comes before the first part."""
        raise NotImplementedError

    def opening(self, kind: str) -> list[Fields]:
        """A part begins."""
        raise NotImplementedError

    def piece(self, kind: str, text: str) -> Fields:
        """More of the open part."""
        raise NotImplementedError

    def closing(self, kind: str) -> list[Fields]:
        """The open part is over."""
        raise NotImplementedError

    def finish(self) -> list[Fields]:
        """Why the answer ended, where that stands apart from its end."""
        raise NotImplementedError

    def end(self) -> list[Fields]:
        """The end mark."""
        raise NotImplementedError

    def error(self) -> Fields:
        """An error in the stream."""
        raise NotImplementedError

    def unknown(self) -> Fields:
        """An event of a kind to come."""
        raise NotImplementedError

    def strange(self) -> Fields:
        """A first event that is none of this dialect."""
        return ("garbage", self.event("", pick(self.rng, ("{}", '{"status":"ok"}', '{"usage":null}'))))

    def ping(self) -> Fields:
        """Nothing, to keep the connection alive."""
        return ("comment", f": ping{self.end_line}{self.end_line}".encode())

    def garbage(self) -> Fields:
        """Bytes that are no event of any dialect."""
        text = pick(self.rng, ("<html>", "{", "[]", '{"id":1', '{"choices":5', "\ufffd", '"text"', "17"))
        return ("garbage", self.event("", text).replace("\ufffd".encode(), b"\xff"))

    # -- helpers ------------------------------------------------------------------------------------------

    def event(self, name: str, text: str) -> bytes:
        """One event."""
        line = self.end_line
        named = f"event: {name}{line}" if self.NAMED and name else ""
        return f"{named}{self.lead}{text}{line}{line}".encode()

    def data(self, value: Any) -> str:
        """A value as JSON, in this provider's spacing."""
        return json.dumps(value, separators=(f",{self.gap}", f":{self.gap}"), ensure_ascii=self.gap == "")

    def part(self, kind: str, texts: list[str]) -> Iterator[Fields]:
        """A whole part."""
        self.open = kind
        self.parts += 1
        yield from self.opening(kind)
        for text in texts:
            yield self.piece(kind, text)
        self.sealed.append((kind, "".join(texts)))
        yield from map(odd, self.closing(kind))
        self.open = ""


_PLAIN: Final = (None, b"", 0, "", False, False, None, False, False, False)


def odd(fields: Fields) -> Fields:
    """An item behind which nothing is gone on with."""
    return (*fields, *_PLAIN[len(fields) :], True)


def marked(rng: Random, attempt: int) -> str:
    """Some text, which often tells the attempt that says it."""
    sound = pick(rng, SOUNDS)
    return f"{MARKS[attempt]}{sound}" if rng.random() < 0.5 else sound


def drawn_parts(rng: Random, *, can_call: bool = True, attempt: int = 1) -> list[tuple[str, list[str]]]:
    """What an answer says: a thought perhaps, some text, perhaps a call."""
    chance = rng.random
    parts = []
    if chance() < 0.25:
        parts.append((THOUGHT, [marked(rng, attempt) for _ in range(pick(rng, (1, 2)))]))
    if chance() < 0.85 or not can_call:
        parts.append((TEXT, [marked(rng, attempt) for _ in range(pick(rng, (1, 2, 3, 8)))]))
    if can_call and (chance() < 0.2 or not parts or parts[-1][0] == THOUGHT):
        parts.append((CALL, list(ARGUMENTS)))
    return parts


def _only_done(teller: Teller) -> list[Fields]:
    """An end without an answer; where that says all of it, or there is none, nothing that can be read."""
    if teller.END_ALONE or not teller.HAS_END:
        return [teller.garbage()]
    return [("garbage", item[1]) for item in teller.end()[-1:]]


_LONELY: Final[dict[str, Callable[[Teller], list[Fields]]]] = {
    "empty": lambda _: [],
    "garbage": lambda teller: [teller.garbage()],
    "not a chunk": lambda teller: [teller.strange()],
    "only done": _only_done,
    "error first": lambda teller: [teller.error()],
}
"""Streams of one event, or none."""


def items_of(rng: Random, teller: Teller, name: str, attempt: int = 1, echo: Sequence[str] = ()) -> list[Fields]:
    """The events of a stream that goes the way `name` says; `echo` is said in front of its text."""
    lonely = _LONELY.get(name)
    if lonely is not None:
        return lonely(teller)
    items = [teller.ping() for _ in range(pick(rng, (0, 0, 0, 0, 1, 2)))]
    items += teller.start()
    is_long = name == "crawl"
    parts = [(TEXT, [marked(rng, attempt) for _ in range(8)])] if is_long else drawn_parts(rng, attempt=attempt)
    for kind, texts in parts:
        if kind == TEXT:
            texts[:0] = echo
        items += teller.part(kind, texts)
        if rng.random() < 0.15:
            items.append(teller.ping())
        if rng.random() < 0.15 and not is_long:
            items.append(odd(teller.unknown()))
    if name == "error later":
        keep = rng.randint(1, len(items))
        return [*items[:keep], teller.error(), *items[keep:]]
    if name == "no finish":
        return items
    items += teller.finish()
    if name not in {"no done", "no done, reset"}:
        items += teller.end()
        if name in {"twice done", "talks on"} and teller.HAS_END:
            after = teller.end()[-1] if name == "twice done" else teller.piece(TEXT, "more")
            items.append(("junk", after[1]))
    return items


class Voice:
    """One dialect on both sides."""

    dialect: Dialect
    stream_type: bytes = b"text/event-stream"
    teller: type[Teller]
    bad_answers: ClassVar[tuple[bytes, ...]] = ()
    """Errors with status 200, and what is no answer of this dialect."""
    turns: ClassVar[str] = "messages"
    """The name of a conversation's turns."""
    tells_cost: ClassVar[bool] = False
    hears_arrays: ClassVar[bool] = False
    """Whether a caller may ask for a stream as one array."""
    says_calls_whole: ClassVar[bool] = False
    """Whether a call is said in one piece."""
    is_binary: ClassVar[bool] = False
    """Whether a stream is not text: then no event counts that lacks a byte."""
    ends_with_body: ClassVar[bool] = False
    """Whether only the end of its body ends a stream."""

    def request(self, rng: Random, text: str, *, stream: bool) -> Asked:
        """A caller's request."""
        raise NotImplementedError

    def asked(self, head: bytes, body: dict[str, Any]) -> tuple[str, str, bool]:
        """What a provider was asked: the model, the text, whether it streams."""
        raise NotImplementedError

    def prefix(self, request: bytes) -> str:
        """The text that a provider is asked to go on with; empty where it is not."""
        body = load(request)
        turn = (body.get("messages") or [{}])[-1]
        return _text_of(turn["content"]) if turn.get("role") == "assistant" else ""

    def whole(self, teller: Any, parts: list[tuple[str, str]]) -> tuple[bytes, Count]:
        """An answer that does not stream."""
        raise NotImplementedError

    def error(self, rng: Random) -> tuple[dict[str, Any], str]:
        """The body of an error answer, and its code where the gateway goes by it."""
        raise NotImplementedError

    def hear(self, body: bytes, query: bytes) -> Heard:
        """What the caller understands of a stream, perhaps an unfinished one."""
        raise NotImplementedError

    def hear_whole(self, body: bytes) -> Heard:
        """What the caller understands of an answer in one object."""
        raise NotImplementedError

    def hear_error(self, body: bytes) -> None:
        """Raises where a body is no error of this dialect."""
        raise NotImplementedError


def _text_of(content: str | list[dict[str, Any]]) -> str:
    """The text of one turn that has nothing else."""
    if isinstance(content, str):
        return content
    [part] = content
    need(part.keys() <= {"type", "text"}, f"more than a text to go on with: {part}")
    return str(part["text"])


BLANK: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")


def events(body: bytes) -> Iterator[tuple[int, str, str]]:
    """Each event with data: where it begins, its name and its data; half an event is malformed."""
    at = 0
    for match in BLANK.finditer(body):
        name, data = "", []
        for line in re.split("\r\n|\n|\r", body[at : match.start()].decode()):
            member, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if member == "data":
                data.append(value)
            elif member == "event":
                name = value
            else:
                need(not member, f"a line that is none of an event: {line!r}")
        if data:
            yield at, name, "\n".join(data)
        at = match.end()
    need(at == len(body), "half an event at the end")


def compact(value: Any) -> str:
    """Decoded arguments, spelled as `ARGUMENTS` are."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def told(count: Usage | None, *, given: bool) -> Count:
    """A count whose text stands elsewhere."""
    return Count("x", told=True, usage=count) if given else NO_COUNT
