"""Requests, chunks and makers that several tests of the dialect use."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import structs

from tokenway.dialects.base import Maker
from tokenway.dialects.gemini.frames import Frames
from tokenway.dialects.gemini.reader import Reader
from tokenway.dialects.gemini.request import GeminiRequest, parse
from tokenway.dialects.gemini.writer import Writer
from tokenway.model.catalog import Operation
from tokenway.model.event import Answer, Event, fold, unfold
from tokenway.model.request import Media, Message, Part, Request

HELLO = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


def request(body: object = None, *, array: bool = False, stream: bool = True) -> GeminiRequest:
    """A caller's request; `array` is whether it wants its stream as a JSON array."""
    found = parse(Operation.CHAT, json.dumps(HELLO if body is None else body).encode(), "gemini-2.5-flash", stream)
    found.array = array
    return found


def neutral(body: object) -> Request:
    """The neutral form of a request."""
    return request(body, stream=False).neutral()


def parts_of(messages: Iterable[Message]) -> list[Part]:
    """Every part of some messages, without the places they were read from."""
    return [
        structs.replace(part, place="") if isinstance(part, Media) else part
        for message in messages
        for part in message.parts
    ]


def maker(*, array: bool = False) -> Maker:
    """What a writer knows of an exchange."""
    return Maker("gen-1", "asked", 1700000000, request(array=array))


def chunk(*parts: object, **candidate: object) -> bytes:
    """An event with one candidate that has these parts and members."""
    found = {"content": {"parts": list(parts), "role": "model"}, **candidate}
    return event({"candidates": [found], "modelVersion": "gemini-2.5-flash", "responseId": "r1"})


def event(response: object) -> bytes:
    """A response as an event, spaced as Google spaces it."""
    return b"data: " + json.dumps(response).encode() + b"\n\n"


def events(pieces: Iterable[bytes]) -> list[Event]:
    """The neutral events of a stream that comes in these pieces."""
    frames, reader = Frames(), Reader()
    found: list[Event] = []
    for piece in pieces:
        for frame in frames.feed(piece):
            found += reader.read(frame)
    for frame in frames.rest():
        found += reader.read(frame)
    return [*found, *reader.end()]


def read_stream(pieces: Iterable[bytes]) -> Answer:
    """The answer that a stream amounts to."""
    return fold(events(pieces))


def written(answer: Answer, *, array: bool = False) -> bytes:
    """An answer as a stream."""
    writer = Writer(maker(array=array))
    return b"".join([writer.write(each) for each in unfold(answer)]) + writer.tail(b"", b"")


def chunks(stream: bytes) -> list[dict[str, object]]:
    """The responses in a stream of events."""
    return [json.loads(each.removeprefix(b"data: ")) for each in stream.split(b"\n\n") if each]


def content(answer: Answer) -> Sequence[object]:
    """What an answer says: everything but who made it and when."""
    return [answer.choices, answer.metered]


def raw(value: object) -> msgspec.Raw:
    """A value as raw JSON."""
    return msgspec.Raw(msgspec.json.encode(value))
