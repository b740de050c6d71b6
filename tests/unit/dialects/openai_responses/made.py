"""Streams, requests and clients that the tests of this dialect are made of."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

import httpx2
import openai

from tokenway.dialects.base import Maker
from tokenway.dialects.openai_responses.reader import Reader
from tokenway.dialects.openai_responses.request import ResponsesRequest, parse
from tokenway.dialects.openai_responses.writer import Writer
from tokenway.model.catalog import Operation
from tokenway.model.errors import Problem, Refusal
from tokenway.model.event import Event
from tokenway.model.request import Request
from tokenway.wire.sse import DataFrames

USAGE: dict[str, Any] = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 16,
}
"""3 uncached, 4 read from the cache, 2 written to it; 2 of text, 5 of reasoning."""


def asked(**members: Any) -> ResponsesRequest:
    """A caller's request with these members."""
    return parse(Operation.CHAT, json.dumps({"model": "m", "input": "hi", **members}).encode(), "", False)


def neutral(**members: Any) -> Request:
    """The neutral form of a request with these members."""
    return asked(**members).neutral()


def problem_of(**members: Any) -> Problem:
    """What the caller of a request with these members is told."""
    try:
        neutral(**members)
    except Refusal as refusal:
        return refusal.problem
    raise AssertionError("the request was taken")


def maker(**members: Any) -> Maker:
    """What a writer knows of the exchange `gen-7`."""
    return Maker("gen-7", "m", 1700000000, asked(**members))


def event(kind: str, **members: Any) -> bytes:
    """One server-sent event."""
    data = json.dumps({"type": kind, **members}, separators=(",", ":"), ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def response(status: str = "completed", *output: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A response object as an upstream sends it."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000001,
        "model": "up",
        "status": status,
        "error": None,
        "incomplete_details": None,
        "output": list(output),
        "usage": USAGE,
        **members,
    }


def stream(*events: tuple[str, dict[str, Any]], end: dict[str, Any] | None = None) -> bytes:
    """A stream with these events between `response.created` and the end, all numbered."""
    last = end or response()
    all_of_them = [
        ("response.created", {"response": response("in_progress", usage=None)}),
        *events,
        (f"response.{last['status']}", {"response": last}),
    ]
    return b"".join(
        event(kind, sequence_number=number, **members) for number, (kind, members) in enumerate(all_of_them)
    )


def message(*contents: dict[str, Any]) -> dict[str, Any]:
    """A message item."""
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": list(contents)}


def said(text: str, **members: Any) -> dict[str, Any]:
    """A text of a message."""
    return {"type": "output_text", "text": text, "annotations": [], **members}


def text_events(*deltas: str, index: int = 0) -> list[tuple[str, dict[str, Any]]]:
    """The events of a message with one text."""
    place = {"item_id": "msg_1", "output_index": index, "content_index": 0}
    full = "".join(deltas)
    return [
        ("response.output_item.added", {"output_index": index, "item": {**message(), "status": "in_progress"}}),
        ("response.content_part.added", {**place, "part": said("")}),
        *(("response.output_text.delta", {**place, "delta": delta, "logprobs": []}) for delta in deltas),
        ("response.output_text.done", {**place, "text": full, "logprobs": []}),
        ("response.content_part.done", {**place, "part": said(full)}),
        ("response.output_item.done", {"output_index": index, "item": message(said(full))}),
    ]


def frames(sent: bytes) -> list[bytes]:
    """The data of each event."""
    framing = DataFrames()
    return [frame for frame in itertools.chain(framing.feed(sent), framing.rest()) if frame]


def decoded(sent: bytes) -> list[dict[str, Any]]:
    """Each event as an object."""
    return [json.loads(frame) for frame in frames(sent)]


def kinds(sent: bytes) -> list[str]:
    """The types of the events, without what they all begin with."""
    return [each["type"].removeprefix("response.") for each in decoded(sent)]


def read_all(sent: bytes) -> list[Event]:
    """The neutral events of a stream."""
    reader = Reader()
    return [each for frame in frames(sent) for each in reader.read(frame)] + list(reader.end())


def written(events: Iterable[Event], **members: Any) -> bytes:
    """The stream that a writer makes of these events for a request with these members."""
    writer = Writer(maker(**members))
    return b"".join([writer.write(each) for each in events]) + writer.tail(b"", b"")


def client(body: bytes, *, is_stream: bool, status: int = 200) -> openai.OpenAI:
    """The SDK's client, to which every call is answered with this body."""
    kind = "text/event-stream" if is_stream else "application/json"

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": kind}, content=body)

    transport = httpx2.MockTransport(answer)
    return openai.OpenAI(
        api_key="k", base_url="http://gateway/v1", max_retries=0, http_client=httpx2.Client(transport=transport)
    )
