"""Streams, written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from httpx2 import Client, MockTransport, Response
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk

from tests.unit.dialects.openai_chat.answers import ANSWER, FULL, PLAIN, apart, maker
from tokenway.dialects.base import Maker
from tokenway.dialects.openai_chat.stream_reader import Reader
from tokenway.dialects.openai_chat.stream_writer import make_writer
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Answer,
    Cited,
    Closed,
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    Opened,
    PartKind,
    Ping,
    Started,
    Whole,
    fold,
    unfold,
)
from tokenway.model.request import Foreign
from tokenway.model.usage import UNMETERED
from tokenway.wire.sse import DataFrames

END = b"data: [DONE]\n\n"


def write(events: Iterable[Event], who: Maker | None = None, cost: bytes = b"", extra: bytes = b"") -> bytes:
    """The stream for these events."""
    writer = make_writer(who or maker())
    return b"".join([writer.write(event) for event in events]) + writer.tail(cost, extra)


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream, decoded."""
    assert stream.endswith(END)
    return [json.loads(frame) for frame in DataFrames().feed(stream.removesuffix(END)) if frame]


def deltas(stream: bytes) -> list[dict[str, Any]]:
    """What the chunks of its first choice add."""
    found = [choice for chunk in chunks(stream) for choice in chunk["choices"] if choice["index"] == 0]
    return [choice["delta"] for choice in found]


def read(stream: bytes) -> Answer:
    """What our own reader makes of it."""
    reader = Reader()
    return fold(event for frame in DataFrames().feed(stream) if frame for event in reader.read(frame))


def test_a_plain_stream() -> None:
    """Byte by byte: role, text, finish, usage with its cost, end."""
    stream = write(unfold(PLAIN), cost=b'"cost":0.5', extra=b'"tokenway":{}')
    head = (
        b'data: {"id":"gen-1","object":"chat.completion.chunk","created":5,"model":"m","system_fingerprint":null,'
        b'"choices":['
    )
    open_end = b',"logprobs":null,"finish_reason":null}]}\n\n'
    usage = (
        b'{"prompt_tokens":22,"completion_tokens":29,"total_tokens":51,"prompt_tokens_details":{"cached_tokens":2,'
        b'"cache_write_tokens":3,"audio_tokens":7,"image_tokens":9},"completion_tokens_details":{"reasoning_tokens":6,'
        b'"audio_tokens":8,"image_tokens":10},"cost":0.5}'
    )
    assert stream == (
        head + b'{"index":0,"delta":{"role":"assistant","content":""}' + open_end + head
        + b'{"index":0,"delta":{"content":"a"}' + open_end + head
        + b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop","native_finish_reason":"stop"}]}\n\n' + head
        + b'],"usage":' + usage + b',"tokenway":{}}\n\n' + END
    )  # fmt: skip


def test_what_is_written_is_read_again() -> None:
    """The same parts, sources, probabilities, finish and usage."""
    assert apart(read(write(unfold(ANSWER), maker(choices=2)))) == apart(ANSWER)


def client(stream: bytes) -> OpenAI:
    """OpenAI's SDK, which gets this stream for an answer."""
    answer = Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    transport = MockTransport(lambda _request: answer)
    return OpenAI(api_key="k", base_url="http://gateway/v1", http_client=Client(transport=transport))


def test_openais_helper_adds_it_up() -> None:
    """Its state after the last chunk is the whole answer: no format or id doubled, lists in their order."""
    functions = tuple(part for part in FULL.parts if getattr(part, "custom", False) is False)
    answer = msgspec.structs.replace(ANSWER, choices=(msgspec.structs.replace(FULL, parts=functions),))
    stream = write(unfold(answer), cost=b'"cost":0.5')
    with client(stream).chat.completions.stream(model="m", messages=[]) as events:
        final = events.get_final_completion()
    message = final.choices[0].message
    assert message.content == "hello wörld"
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []] == [
        ("c1", "f", '{"a":1}')
    ]
    assert final.usage is not None
    assert (final.usage.total_tokens, final.usage.to_dict()["cost"]) == (51, 0.5)
    said = message.to_dict()
    assert said["reasoning_content"] == "thinksummore"
    assert said["reasoning_details"] == [
        {"type": "reasoning.text", "text": "think", "format": "anthropic-claude-v1", "index": 0, "signature": "sig"},
        {"type": "reasoning.encrypted", "data": "SEALED", "format": "anthropic-claude-v1", "index": 1},
        {"type": "reasoning.summary", "summary": "sum", "format": "openai-responses-v1", "id": "rs_1", "index": 2},
        {"type": "reasoning.encrypted", "data": "ENC", "format": "openai-responses-v1", "id": "rs_1", "index": 3},
        {"type": "reasoning.text", "text": "more", "index": 4},
    ]
    assert [each["url_citation"]["url"] for each in said["annotations"]] == ["http://u", "http://v"]  # type: ignore[attr-defined]
    assert final.choices[0].logprobs is not None


def test_openais_types_take_it() -> None:
    """Every chunk, strictly; a custom call is newer than the SDK's type of a delta."""
    for chunk in chunks(write(unfold(ANSWER), maker(choices=2))):
        choices = chunk["choices"]
        if not choices or "tool_calls" not in choices[0]["delta"]:
            ChatCompletionChunk.model_validate_json(json.dumps(chunk), strict=True)


def test_tool_calls_are_counted_among_themselves() -> None:
    """Not by their place among the parts."""
    events: list[Event] = [
        Started(),
        Opened(0, PartKind.TEXT),
        Added(0, "t"),
        Closed(0),
        Opened(1, PartKind.TOOL_CALL, "x", "f"),
        Added(1, "{"),
        Added(1, "}"),
        Closed(1),
        Opened(2, PartKind.TOOL_CALL, "y", "g"),
        Closed(2),
    ]
    assert deltas(write(events))[2:] == [
        {"tool_calls": [{"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {"tool_calls": [{"index": 1, "id": "y", "type": "function", "function": {"name": "g", "arguments": ""}}]},
    ]


def test_reasoning_says_its_format_once() -> None:
    """An SDK would append it to itself; both fields have the text."""
    events: list[Event] = [
        Started(),
        Opened(0, PartKind.REASONING, format="anthropic-claude-v1"),
        Added(0, "a"),
        Added(0, "b"),
        Closed(0, "sig", format="anthropic-claude-v1"),
    ]
    kind = "reasoning.text"
    assert deltas(write(events))[1:] == [
        {
            "reasoning_content": "a",
            "reasoning_details": [{"type": kind, "text": "a", "format": "anthropic-claude-v1", "index": 0}],
        },
        {"reasoning_content": "b", "reasoning_details": [{"type": kind, "text": "b", "index": 0}]},
        {"reasoning_details": [{"type": kind, "text": "", "signature": "sig", "index": 0}]},
    ]


def test_a_format_that_is_known_at_the_end_only() -> None:
    """It comes with the signature, also where there was no text at all."""
    late: list[Event] = [Started(), Opened(0, PartKind.REASONING), Added(0, "a"), Closed(0, "s", format="f")]
    empty: list[Event] = [Started(), Opened(0, PartKind.REASONING, format="f"), Closed(0, "s", format="f")]
    sealed = {"type": "reasoning.text", "text": "", "signature": "s", "index": 0, "format": "f"}
    assert deltas(write(late))[-1] == {"reasoning_details": [sealed]}
    assert deltas(write(empty))[-1] == {"reasoning_details": [sealed]}


def test_parts_that_are_mixed() -> None:
    """Each delta goes to its part, and its choice."""
    events: list[Event] = [
        Started(),
        Opened(0, PartKind.TEXT),
        Opened(0, PartKind.TEXT, choice=1),
        Added(0, "a"),
        Added(0, "x", 1),
        Added(0, "b"),
        Added(0, "y", 1),
        Finished(FinishReason.STOP, choice=1),
        Finished(FinishReason.STOP),
    ]
    answer = read(write(events, maker(choices=2)))
    assert [[getattr(part, "text", "") for part in choice.parts] for choice in answer.choices] == [["ab"], ["xy"]]


def test_every_choice_begins_with_its_role() -> None:
    """In their order, because SDKs add choices to a list."""
    first = chunks(write([Started()], maker(choices=2)))[:2]
    assert [(chunk["choices"][0]["index"], chunk["choices"][0]["delta"]["role"]) for chunk in first] == [
        (0, "assistant"),
        (1, "assistant"),
    ]


def test_citations_count_from_the_beginning_of_the_message() -> None:
    """Behind the text parts before theirs."""
    events: list[Event] = [
        Started(),
        Opened(0, PartKind.TEXT),
        Added(0, "äbc"),
        Closed(0),
        Opened(1, PartKind.TEXT),
        Added(1, "def"),
        Cited(1, "u", start=0, end=2),
    ]
    cited = {"url": "u", "title": "", "start_index": 3, "end_index": 5}
    assert deltas(write(events))[-1] == {"annotations": [{"type": "url_citation", "url_citation": cited, "index": 0}]}


def test_a_ping_is_a_comment() -> None:
    """Which no reader takes for a chunk, before the answer too."""
    assert make_writer(maker()).write(Ping()) == b": ping\n\n"


def test_a_fault_is_for_others_to_tell() -> None:
    """The end mark of the upstream, too, is not the caller's."""
    assert make_writer(maker()).write(Failed("m")) == b""
    assert make_writer(maker()).write(Ended()) == b""


def test_usage_is_for_who_asked() -> None:
    """Else the stream ends with the end mark alone."""
    stream = write(unfold(PLAIN), maker(usage=False), b'"cost":0.5', b'"tokenway":{}')
    assert b"usage" not in stream
    assert b"tokenway" not in stream


def test_no_count_is_null() -> None:
    """Nothing is made up, and nothing is added to nothing."""
    stream = write([Started(), Counted(UNMETERED)], cost=b'"cost":0.5', extra=b'"tokenway":{}')
    assert chunks(stream)[-1] == {
        "id": "gen-1",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "m",
        "system_fingerprint": None,
        "choices": [],
        "usage": None,
        "tokenway": {},
    }


def test_an_explanation_is_a_refusal() -> None:
    """Where the model refused without words of its own."""
    finish = Finished(FinishReason.CONTENT_FILTER, "refusal", detail="because")
    assert deltas(write([Started(), finish]))[1:] == [{"refusal": "because"}, {}]
    said: list[Event] = [Started(), Opened(0, PartKind.REFUSAL), Added(0, "no"), Closed(0), finish]
    assert deltas(write(said))[1:] == [{"refusal": "no"}, {}]


def test_another_vendors_part_is_left_out() -> None:
    """There is no place for it."""
    writer = make_writer(maker())
    writer.write(Started())
    assert writer.write(Whole(0, Foreign("server_tool_use", msgspec.Raw(b"{}")))) == b""


@pytest.mark.parametrize("event", [Added(0, "a"), Closed(0), Opened(0, PartKind.TEXT), Finished(FinishReason.STOP)])
def test_nothing_comes_before_the_beginning(event: Event) -> None:
    """An answer that has not begun has no parts and no end."""
    with pytest.raises(WireError):
        make_writer(maker()).write(event)


def test_a_delta_needs_its_part() -> None:
    """And an answer begins once."""
    writer = make_writer(maker())
    writer.write(Started())
    with pytest.raises(WireError):
        writer.write(Added(0, "a"))
    with pytest.raises(WireError):
        writer.write(Started())


def test_a_legacy_completion_streams_its_text() -> None:
    """In `text`; reasoning and calls have no place."""
    found = chunks(write(unfold(ANSWER), maker(Operation.COMPLETION, choices=2)))
    assert {chunk["object"] for chunk in found} == {"text_completion"}
    texts: dict[int, str] = {}
    for chunk in found:
        for choice in chunk["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
    assert texts == {0: "hello wörld", 1: "no"}
    assert found[-1]["usage"]["total_tokens"] == 51
    assert found[-2]["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.COMPLETION])
def test_an_answer_that_another_has_begun_keeps_its_name(operation: Operation) -> None:
    """Its id is what it has told, no role comes again, and citations count from the beginning of what it has said."""
    writer = make_writer(msgspec.structs.replace(maker(operation), answer="chatcmpl-up"))
    writer.follow(b"", (Started("chatcmpl-up"), Opened(0, PartKind.TEXT), Added(0, "hi ")))
    out = writer.write(Added(0, "there")) + writer.write(Closed(0)) + writer.tail(b"", b"")
    assert b'"role"' not in out
    assert {chunk["id"] for chunk in chunks(out)} == {"chatcmpl-up"}
    assert b'"there"' in out
