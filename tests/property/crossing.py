"""One dialect's bytes through the neutral form into another's, without the edge: what a gateway does, step by step."""

from __future__ import annotations

import json
from typing import Any, Final

from tokenway.dialects.base import CallerRequest, Maker, Upstream
from tokenway.dialects.registry import FORMATS
from tokenway.model.catalog import Capabilities, Dialect, Operation
from tokenway.model.event import Answer, Event, fold, unfold
from tokenway.model.request import Request, Written

IN_PATH: Final = frozenset({Dialect.GEMINI, Dialect.BEDROCK})
"""The dialects whose path names the model and asks for the stream."""
UPSTREAM: Final = Upstream("upstream-model", Capabilities(vision=True))
HELLO: Final[dict[Dialect, dict[str, Any]]] = {
    Dialect.OPENAI_CHAT: {"messages": [{"role": "user", "content": "hi"}]},
    Dialect.OPENAI_RESPONSES: {"input": "hi"},
    Dialect.ANTHROPIC: {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    Dialect.GEMINI: {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    Dialect.BEDROCK: {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
}
"""The shortest request of each dialect."""


def parsed(dialect: Dialect, body: bytes, *, model: str = "m", stream: bool = False) -> CallerRequest:
    """A caller's request; the model and the stream are given where the path has them."""
    if dialect in IN_PATH:
        return FORMATS[dialect].parse(Operation.CHAT, body, model, stream)
    return FORMATS[dialect].parse(Operation.CHAT, body, "", False)


def asked(dialect: Dialect, *, stream: bool = False) -> CallerRequest:
    """The shortest request, as a caller sends it who wants to know the usage."""
    body = dict(HELLO[dialect])
    if dialect not in IN_PATH:
        body |= {"model": "m", "stream": stream}
    if dialect is Dialect.OPENAI_CHAT and stream:
        body["stream_options"] = {"include_usage": True}
    return parsed(dialect, json.dumps(body).encode(), stream=stream)


def neutral(caller: Dialect, body: dict[str, Any]) -> Request:
    """A caller's request in the neutral form."""
    if caller not in IN_PATH:
        body = {"model": "m"} | body
    return parsed(caller, json.dumps(body).encode()).neutral()


def crossed(caller: Dialect, body: dict[str, Any], upstream: Dialect, to: Upstream = UPSTREAM) -> Written:
    """A caller's request as an upstream of another dialect gets it."""
    return FORMATS[upstream].write_request(neutral(caller, body), to)


def maker(dialect: Dialect, *, stream: bool = False) -> Maker:
    """What a writer of answers knows of an exchange."""
    return Maker("gen-1", "m", 1_700_000_000, asked(dialect, stream=stream))


def events_of(dialect: Dialect, pieces: list[bytes]) -> list[Event]:
    """The neutral events of a stream that comes in these pieces."""
    form = FORMATS[dialect]
    framing, reader = form.framing(), form.reader()
    events: list[Event] = []
    for piece in pieces:
        for frame in framing.feed(piece):
            if frame:
                events += reader.read(frame)
    for frame in framing.rest():
        events += reader.read(frame)
    return [*events, *reader.end()]


def read(dialect: Dialect, body: bytes, *, stream: bool = False) -> Answer:
    """An answer in the neutral form."""
    return fold(events_of(dialect, [body])) if stream else FORMATS[dialect].read_answer(body)


def told(answer: Answer, dialect: Dialect, *, stream: bool = False) -> bytes:
    """A neutral answer as a caller of a dialect gets it."""
    form = FORMATS[dialect]
    if not stream:
        return form.write_answer(answer, maker(dialect))
    writer = form.writer(maker(dialect, stream=True))
    return b"".join([*map(writer.write, unfold(answer)), writer.tail(b"", b"")])
