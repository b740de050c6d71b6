"""Neutral events as a stream of Anthropic's."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.anthropic.samples import MAKER, read, written
from tests.unit.dialects.anthropic.test_answer import CONTENT, FINISHES, PARTS, USAGES
from tokenway.dialects.anthropic.answer import message_id
from tokenway.dialects.anthropic.passing import PassingMessages
from tokenway.dialects.anthropic.writer import PING, STOP, Writer
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Answer,
    AnswerPart,
    Choice,
    Cited,
    Closed,
    Counted,
    Ended,
    Event,
    Finished,
    FinishReason,
    Logprobs,
    Opened,
    PartKind,
    Ping,
    Started,
    Whole,
    fold,
    unfold,
)
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning, Text, ToolCall
from tokenway.model.usage import Metered, Usage
from tokenway.wire.sse import event_data, split_events

STARTED = Started("up", "upstream-model", 3)


def shapes(events: list[Event]) -> list[dict[str, Any]]:
    """What is written of these events, between the start of the message and its end."""
    found = []
    stream: list[Event] = [STARTED, *events]
    for event in split_events(written(stream)):
        data = json.loads(event_data(event) or b"")
        assert event.startswith(f"event: {data['type']}\ndata: ".encode())
        found.append(data)
    assert [found[0]["type"], found[-2]["type"], found[-1]["type"]] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    return found[1:-2]


def block(index: int, **members: object) -> dict[str, Any]:
    """A block begins."""
    return {"type": "content_block_start", "index": index, "content_block": members}


def grown(index: int, **members: object) -> dict[str, Any]:
    """A block grows."""
    return {"type": "content_block_delta", "index": index, "delta": members}


def stopped(index: int) -> dict[str, Any]:
    """A block ends."""
    return {"type": "content_block_stop", "index": index}


def test_a_message_starts_with_zeros_and_ends_with_the_usage() -> None:
    """The input is not known before the end; counts overwrite, so nobody adds the zeros."""
    events: list[Event] = [
        STARTED,
        Counted(Metered(given=True, usage=Usage(3, 4, output_text=5))),
        Finished(FinishReason.LENGTH),
    ]
    first, last, end = (json.loads(event_data(each) or b"") for each in split_events(written(events)))
    zeros = {
        "input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
    }
    assert first["message"] == {
        "id": "msg_1a2b3",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": zeros,
    }
    assert last["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None, "stop_details": None}
    assert last["usage"] == {**zeros, "input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5}
    assert end == {"type": "message_stop"}


def test_nothing_of_the_end_is_written_before_the_tail() -> None:
    """The ledger comes first."""
    writer = Writer(MAKER)
    writer.write(STARTED)
    for event in (Counted(Metered(given=True, usage=Usage())), Finished(FinishReason.STOP), Ended()):
        assert writer.write(event) == b""
    assert writer.tail(b'"cost":1', b'"tokenway":{}').endswith(STOP)


def test_blocks_are_numbered_densely() -> None:
    """A part without a text has no block; a refusal is text."""
    events: list[Event] = [
        *(Opened(0, PartKind.REASONING), Closed(0), Opened(1, PartKind.TEXT), Added(1, ""), Closed(1)),
        *(Opened(2, PartKind.REFUSAL), Added(2, "no"), Closed(2)),
        *(Opened(3, PartKind.TOOL_CALL, "c", "f"), Added(3, '{"a"'), Added(3, ":1}"), Closed(3)),
    ]
    assert shapes(events) == [
        block(0, type="text", text=""),
        grown(0, type="text_delta", text="no"),
        stopped(0),
        block(1, type="tool_use", id="c", name="f", input={}),
        grown(1, type="input_json_delta", partial_json='{"a"'),
        grown(1, type="input_json_delta", partial_json=":1}"),
        stopped(1),
    ]


def test_another_vendors_seals_travel() -> None:
    """A signature ends its thought, a seal without a text is a block, a call's signature follows the call."""
    events: list[Event] = [
        *(Opened(0, PartKind.REASONING), Added(0, "t"), Closed(0, "sig", format=ANTHROPIC)),
        *(Opened(1, PartKind.REASONING, format=OPENAI), Closed(1, sealed="enc")),
        *(Opened(2, PartKind.REASONING), Added(2, "s"), Closed(2, sealed="enc", format=OPENAI)),
        *(Opened(3, PartKind.REASONING), Closed(3, "only", format=ANTHROPIC)),
        *(Opened(4, PartKind.TOOL_CALL, "c", "f"), Closed(4, "sig", format=GEMINI)),
        Whole(5, Reasoning(sealed="enc", format=OPENAI)),
    ]
    assert shapes(events) == [
        block(0, type="thinking", thinking="", signature=""),
        grown(0, type="thinking_delta", thinking="t"),
        grown(0, type="signature_delta", signature="sig"),
        stopped(0),
        block(1, type="redacted_thinking", data="tw1.openai-responses-v1.enc"),
        stopped(1),
        block(2, type="thinking", thinking="", signature=""),
        grown(2, type="thinking_delta", thinking="s"),
        grown(2, type="signature_delta", signature="tw1.openai-responses-v1.enc"),
        stopped(2),
        block(3, type="thinking", thinking="", signature=""),
        grown(3, type="signature_delta", signature="only"),
        stopped(3),
        block(4, type="tool_use", id="c", name="f", input={}),
        stopped(4),
        block(5, type="redacted_thinking", data="tw1.google-gemini-v1@c.sig"),
        stopped(5),
        block(6, type="redacted_thinking", data="tw1.openai-responses-v1.enc"),
        stopped(6),
    ]


def test_whole_parts_are_blocks_of_their_own() -> None:
    """Media is a link, Anthropic's own is itself, another vendor's own has no block."""
    own = Foreign("server_tool_use", msgspec.Raw(msgspec.json.encode(CONTENT[2])), ANTHROPIC)
    image = Media(MediaKind.IMAGE, url="https://a.example/i.png")
    events: list[Event] = [Whole(0, own), Whole(1, Foreign("executableCode", own.raw)), Whole(2, image)]
    assert shapes(events) == [
        block(0, **CONTENT[2]),
        stopped(0),
        block(1, type="text", text=""),
        grown(1, type="text_delta", text="![image](https://a.example/i.png)"),
        stopped(1),
    ]


def test_free_text_of_a_call_is_the_input_of_an_object() -> None:
    """In pieces too, whatever has to be escaped."""
    events: list[Event] = [
        Opened(0, PartKind.TOOL_CALL, "c", "f", custom=True),
        Added(0, 'a"\n'),
        Added(0, "b"),
        Closed(0),
    ]
    pieces = [each["delta"]["partial_json"] for each in shapes(events) if each["type"] == "content_block_delta"]
    assert json.loads("".join(pieces)) == {"input": 'a"\nb'}


def test_sources_are_citations() -> None:
    """They stand in the block of their text, also when they come before it."""
    source = {
        "type": "web_search_result_location",
        "cited_text": "said",
        "url": "https://a",
        "title": "A",
        "encrypted_index": "",
    }
    events: list[Event] = [Opened(0, PartKind.TEXT), Cited(0, "https://a", "A", "said"), Added(0, "x"), Closed(0)]
    assert shapes(events) == [
        block(0, type="text", text=""),
        grown(0, type="citations_delta", citation=source),
        grown(0, type="text_delta", text="x"),
        stopped(0),
    ]


def test_parts_may_overlap() -> None:
    """Parallel calls that grow in turn each have their block."""
    events: list[Event] = [
        *(Opened(0, PartKind.TOOL_CALL, "c", "f"), Opened(1, PartKind.TOOL_CALL, "d", "g")),
        *(Added(0, "{"), Added(1, "{"), Added(0, "}"), Added(1, "}")),
    ]
    found = shapes(events)
    assert [each["index"] for each in found] == [0, 1, 0, 1, 0, 1, 0, 1]
    assert found[-2:] == [stopped(0), stopped(1)]


def test_other_choices_and_log_probabilities_are_left_out() -> None:
    """This dialect has one choice and no place for them."""
    events: list[Event] = [
        *(Opened(0, PartKind.TEXT, choice=1), Added(0, "x", 1), Cited(0, "u", choice=1), Closed(0, choice=1)),
        *(Whole(1, Reasoning(sealed="x"), 1), Finished(FinishReason.LENGTH, choice=1)),
        Logprobs(0, msgspec.Raw(b"[]")),
    ]
    assert shapes(events) == []
    assert b'"end_turn"' in written([STARTED, *events])


def test_a_ping_is_a_ping_once_the_message_has_started() -> None:
    """Before, it would not be a stream of Anthropic's."""
    writer = Writer(MAKER)
    assert writer.write(Ping()) == b""
    writer.write(STARTED)
    assert writer.write(Ping()) == PING


@pytest.mark.parametrize(
    "events",
    [
        [Opened(0, PartKind.TEXT)],
        [Whole(0, Reasoning(sealed="x"))],
        [STARTED, STARTED],
        [STARTED, Added(0, "x")],
        [STARTED, Closed(0)],
        [STARTED, Opened(0, PartKind.TEXT), Opened(0, PartKind.TEXT)],
    ],
)
def test_what_is_not_in_the_table_is_a_wire_error(events: list[Event]) -> None:
    """A reader that gives such events is broken."""
    with pytest.raises(WireError):
        written(events)


def test_a_tail_without_a_start_is_still_a_message() -> None:
    """A caller's SDK needs the start to make anything of the end."""
    assert [event.split(b"\n")[0] for event in split_events(written([]))] == [
        b"event: message_start",
        b"event: message_delta",
        b"event: message_stop",
    ]


@given(st.lists(PARTS, max_size=6), FINISHES, USAGES)
def test_what_is_written_reads_the_same(parts: list[AnswerPart], finish: Finished, usage: Usage) -> None:
    """A stream of ours folds to the answer it was made of, and passes as one."""
    metered = Metered(given=True, usage=usage)
    citations = tuple(Cited(at, "https://a", "t", "c") for at, part in enumerate(parts) if isinstance(part, Text))
    answer = Answer(message_id(MAKER.exchange), "claude", 0, (Choice(tuple(parts), finish, citations),), metered)
    stream = written(unfold(answer))
    assert fold(read([stream])) == answer
    passing = PassingMessages()
    passing.feed(stream, 1.0)
    assert (passing.is_whole, passing.metered, passing.finish_reason) == (True, metered, finish.native)


def test_the_sdk_accumulates_what_is_written() -> None:
    """Anthropic's own client makes the message of it that was meant."""
    parts = (
        Reasoning("hm", "sig", format=ANTHROPIC),
        Reasoning(sealed="x", format=GEMINI),
        Text("hi"),
        ToolCall("t", "f", '{"a":[1,"é"]}'),
        ToolCall("u", "g", "{}"),
    )
    finish = Finished(FinishReason.TOOL_CALLS, "tool_use")
    citations = (Cited(2, "https://a", "A", "said"),)
    answer = Answer(
        "i", "m", 0, (Choice(parts, finish, citations),), Metered(given=True, usage=Usage(3, 4, 5, 0, 6, 7))
    )
    stream = PING + written([*list(unfold(answer))[:1], Ping(), *list(unfold(answer))[1:]])
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=stream, headers=headers))
    with (
        anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=transport)) as client,
        client.messages.stream(
            model="claude-sonnet-4-6", max_tokens=10, messages=[{"role": "user", "content": "hi"}]
        ) as found,
    ):
        message = found.get_final_message()
    assert [each.type for each in message.content] == ["thinking", "redacted_thinking", "text", "tool_use", "tool_use"]
    shape = message.to_dict()
    content: Any = shape["content"]
    assert (content[0]["thinking"], content[0]["signature"]) == ("hm", "sig")
    assert (content[2]["text"], content[2]["citations"][0]["url"]) == ("hi", "https://a")
    assert (content[3]["input"], content[4]["input"]) == ({"a": [1, "é"]}, {})
    assert message.stop_reason == "tool_use"
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (3, 4, 5)
    assert usage.output_tokens == 13
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 7


def test_a_message_that_another_has_begun_goes_on_with_its_blocks() -> None:
    """A block that has begun is not begun again, also before its first text; the next is counted on from its number."""
    writer = Writer(MAKER)
    writer.follow(b'{"type":"message_start","message":{}}', (STARTED,))
    frame = json.dumps(block(2, type="text", text="")).encode()
    writer.follow(frame, (Opened(0, PartKind.TEXT),))
    events: tuple[Event, ...] = (Added(0, "hi"), Closed(0), Opened(1, PartKind.TOOL_CALL, "t", "f"))
    out = b"".join(map(writer.write, events)) + writer.tail(b"", b"")
    assert [json.loads(event_data(event) or b"") for event in split_events(out)][:4] == [
        grown(2, type="text_delta", text="hi"),
        stopped(2),
        block(3, type="tool_use", id="t", name="f", input={}),
        stopped(3),
    ]
