"""Neutral events, written as a ConverseStream."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.base import Maker
from tokenway.dialects.bedrock import frames
from tokenway.dialects.bedrock.request import parse
from tokenway.dialects.bedrock.stream import Reader
from tokenway.dialects.bedrock.writer import Writer
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Answer,
    Choice,
    Cited,
    Closed,
    Counted,
    Ended,
    Event,
    Failed,
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
from tokenway.model.request import NO_JSON, Foreign, Media, MediaKind, Reasoning, Text, ToolCall
from tokenway.model.usage import UNMETERED, Metered, Usage
from tokenway.wire.event_stream import MessageFrames, parse_message

MAKER = Maker("gen-1", "m", 0, parse(Operation.CHAT, b"{}", "m", stream=True))
COUNTED = Metered(given=True, usage=Usage(3, 1, output_text=2))
TOOLS = Finished(FinishReason.TOOL_CALLS, "tool_use")


def shown(data: bytes) -> list[tuple[str, Any]]:
    """The messages in these bytes as their names and payloads."""
    messages = [parse_message(frame) for frame in MessageFrames().feed(data)]
    return [(message.text(":event-type"), json.loads(message.payload)) for message in messages]


def written(*events: Event) -> list[tuple[str, Any]]:
    """What is written for events in the middle of an answer, without the number of a block that is the first."""
    writer = Writer(MAKER)
    writer.write(Started())
    return shown(b"".join([writer.write(event) for event in events]))


def block(name: str, index: int, **more: Any) -> tuple[str, Any]:
    """An event of a block."""
    return f"contentBlock{name}", {"contentBlockIndex": index, **more}


def test_a_stream_of_text() -> None:
    """Text has no start; finish and usage come in the tail, in Amazon's order, without cost or extras."""
    writer = Writer(MAKER)
    events: list[Event] = [
        Started("id", "model", 1),
        Ping(),
        Opened(0, PartKind.TEXT),
        Added(0, 'a"é'),
        Closed(0),
        Counted(COUNTED),
        Finished(FinishReason.STOP, "stop"),
        Ended(),
    ]
    assert shown(b"".join([writer.write(event) for event in events])) == [
        ("messageStart", {"role": "assistant"}),
        block("Delta", 0, delta={"text": 'a"é'}),
        block("Stop", 0),
    ]
    assert shown(writer.tail(b'"cost":1', b'"tokenway":{}')) == [
        ("messageStop", {"stopReason": "end_turn"}),
        (
            "metadata",
            {
                "metrics": {"latencyMs": 0},
                "usage": {
                    "inputTokens": 3,
                    "outputTokens": 2,
                    "totalTokens": 6,
                    "cacheReadInputTokens": 1,
                    "cacheWriteInputTokens": 0,
                },
            },
        ),
    ]


def test_a_tool_call_and_its_signature() -> None:
    """A call starts with its name; Gemini's signature of it is a sealed block behind it."""
    assert written(
        Opened(0, PartKind.TOOL_CALL, "c1", "f"),
        Added(0, '{"a":1}'),
        Closed(0, signature="c2ln", format=GEMINI),
        Opened(1, PartKind.TOOL_CALL, "c2", "g"),
        Closed(1),
    ) == [
        block("Start", 0, start={"toolUse": {"toolUseId": "c1", "name": "f"}}),
        block("Delta", 0, delta={"toolUse": {"input": '{"a":1}'}}),
        block("Stop", 0),
        block("Delta", 1, delta={"reasoningContent": {"redactedContent": "dHcxLmdvb2dsZS1nZW1pbmktdjFAYzEuYzJsbg=="}}),
        block("Stop", 1),
        block("Start", 2, start={"toolUse": {"toolUseId": "c2", "name": "g"}}),
        block("Delta", 2, delta={"toolUse": {"input": "{}"}}),
        block("Stop", 2),
    ]


@pytest.mark.parametrize(
    ("added", "closed", "deltas"),
    [
        ("hm", Closed(0, "c2ln", format=ANTHROPIC), [{"text": "hm"}, {"signature": "c2ln"}]),
        ("hm", Closed(0, format=ANTHROPIC), [{"text": "hm"}]),
        ("hm", Closed(0, "", "x", OPENAI), [{"text": "hm"}, {"signature": "tw1.openai-responses-v1.x"}]),
        ("", Closed(0, "", "EuQF", ANTHROPIC), [{"redactedContent": "RXVRRg=="}]),
        ("", Closed(0), [{"text": ""}]),
        ("", Closed(0, "c2ln", format=ANTHROPIC), [{"signature": "c2ln"}]),
    ],
)
def test_reasoning(added: str, closed: Closed, deltas: list[dict[str, str]]) -> None:
    """Text as it comes, then what seals it; a seal alone is redacted content."""
    more = [Added(0, added)] if added else []
    assert written(Opened(0, PartKind.REASONING), *more, closed) == [
        *(block("Delta", 0, delta={"reasoningContent": delta}) for delta in deltas),
        block("Stop", 0),
    ]


def test_reasoning_with_a_signature_and_a_seal() -> None:
    """Two seals need two blocks."""
    assert written(Opened(0, PartKind.REASONING), Added(0, "hm"), Closed(0, "s", "EuQF", ANTHROPIC)) == [
        block("Delta", 0, delta={"reasoningContent": {"text": "hm"}}),
        block("Delta", 0, delta={"reasoningContent": {"signature": "s"}}),
        block("Stop", 0),
        block("Delta", 1, delta={"reasoningContent": {"redactedContent": "RXVRRg=="}}),
        block("Stop", 1),
    ]


def test_parts_that_are_whole() -> None:
    """Sealed reasoning and pictures are blocks at once; sound and other vendors' parts have none."""
    assert written(
        Whole(0, Reasoning(sealed="EuQF", format=ANTHROPIC)),
        Whole(1, Foreign("server_tool_use", NO_JSON)),
        Whole(2, Media(MediaKind.AUDIO, "audio/wav", "UklG")),
        Whole(3, Media(MediaKind.IMAGE, "image/png", "iVBO")),
        Whole(4, Reasoning("hm", "s", format=ANTHROPIC)),
    ) == [
        block("Delta", 0, delta={"reasoningContent": {"redactedContent": "RXVRRg=="}}),
        block("Stop", 0),
        block("Start", 1, start={"image": {"format": "png"}}),
        block("Delta", 1, delta={"image": {"source": {"bytes": "iVBO"}}}),
        block("Stop", 1),
        block("Delta", 2, delta={"reasoningContent": {"text": "hm"}}),
        block("Delta", 2, delta={"reasoningContent": {"signature": "s"}}),
        block("Stop", 2),
    ]


def test_a_source() -> None:
    """A source belongs to the text while it is open."""
    assert written(
        Opened(0, PartKind.TEXT), Added(0, "so"), Cited(0, "https://x", "T", "t"), Closed(0), Cited(0, "https://y")
    ) == [
        block("Delta", 0, delta={"text": "so"}),
        block(
            "Delta",
            0,
            delta={
                "citation": {"location": {"web": {"url": "https://x"}}, "title": "T", "sourceContent": [{"text": "t"}]}
            },
        ),
        block("Stop", 0),
    ]


def test_a_refusal_is_text() -> None:
    """Converse has no refusals; an empty text is a block all the same."""
    assert written(Opened(0, PartKind.REFUSAL), Added(0, "no"), Closed(0), Opened(1, PartKind.TEXT), Closed(1)) == [
        block("Delta", 0, delta={"text": "no"}),
        block("Stop", 0),
        block("Delta", 1, delta={"text": ""}),
        block("Stop", 1),
    ]


def test_events_that_say_nothing_here() -> None:
    """Log probabilities, a failure, and another choice than the first are not written."""
    assert (
        written(
            Logprobs(0, NO_JSON),
            Failed("x"),
            Opened(0, PartKind.TEXT, choice=1),
            Added(0, "a", 1),
            Closed(0, choice=1),
            Finished(FinishReason.LENGTH, choice=1),
        )
        == []
    )


def test_what_is_open_at_the_end_is_closed() -> None:
    """A stream ends well-formed, also without usage."""
    writer = Writer(MAKER)
    for event in (Started(), Opened(0, PartKind.TEXT), Added(0, "a"), Finished(FinishReason.LENGTH)):
        writer.write(event)
    assert shown(writer.tail(b"", b"")) == [
        block("Stop", 0),
        ("messageStop", {"stopReason": "max_tokens"}),
        ("metadata", {"metrics": {"latencyMs": 0}}),
    ]


@pytest.mark.parametrize(
    "events",
    [
        [Opened(0, PartKind.TEXT)],
        [Finished(FinishReason.STOP)],
        [Started(), Added(0, "a")],
        [Started(), Closed(0)],
    ],
)
def test_events_that_cannot_come(events: list[Event]) -> None:
    """Nothing comes before the start, and a part must be open to grow or end."""
    writer = Writer(MAKER)
    with pytest.raises(WireError):
        list(map(writer.write, events))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PARTS = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(lambda name: ToolCall("t", name, '{"a":1}'), st.sampled_from(["f", "g"])),
    st.builds(lambda text, mark: Reasoning(text, mark, format=ANTHROPIC), TEXTS, st.sampled_from(["", "c2ln"])),
    st.just(Reasoning(sealed="EuQF", format=ANTHROPIC)),
    st.just(Media(MediaKind.IMAGE, "image/png", "iVBO")),
)
ANSWERS = st.builds(
    lambda parts, metered: Answer("", "", 0, (Choice(tuple(parts), TOOLS),), metered),
    st.lists(PARTS, max_size=5),
    st.sampled_from([COUNTED, UNMETERED]),
)


@given(ANSWERS)
def test_what_is_written_is_read_again(answer: Answer) -> None:
    """The reader sees the same answer in what was written of it."""
    writer = Writer(MAKER)
    data = b"".join([writer.write(event) for event in unfold(answer)]) + writer.tail(b"", b"")
    reader = Reader()
    events = [event for frame in MessageFrames().feed(data) for event in reader.read(frame)]
    assert fold(events) == answer


def test_amazons_sdk_reads_our_streams() -> None:
    """The SDK's own parser sees every event."""
    parsers = pytest.importorskip("botocore.parsers")
    session = pytest.importorskip("botocore.session")
    eventstream = pytest.importorskip("botocore.eventstream")
    model = session.get_session().get_service_model("bedrock-runtime")
    parser = parsers.create_parser("rest-json")
    shape = model.operation_model("ConverseStream").output_shape.members["stream"]
    writer = Writer(MAKER)
    parts = (Text("a"), Reasoning(sealed="EuQF", format=ANTHROPIC), ToolCall("t", "f", "{}"))
    answer = Answer("", "", 0, (Choice(parts, TOOLS),), COUNTED)
    data = b"".join([writer.write(event) for event in unfold(answer)]) + writer.tail(b"", b"")

    class Body:
        """A body that came at once."""

        def stream(self) -> list[bytes]:
            """Its pieces."""
            return [data]

    events = list(eventstream.EventStream(Body(), shape, parser._event_stream_parser, "ConverseStream"))
    assert events[0] == {"messageStart": {"role": "assistant"}}
    assert events[1] == {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}}
    assert events[3]["contentBlockDelta"]["delta"] == {"reasoningContent": {"redactedContent": b"EuQF"}}
    assert events[5]["contentBlockStart"]["start"] == {"toolUse": {"toolUseId": "t", "name": "f"}}
    assert events[-2] == {"messageStop": {"stopReason": "tool_use"}}
    assert events[-1]["metadata"]["usage"]["totalTokens"] == 6


def test_free_text_grows_inside_of_an_object() -> None:
    """What is put together is JSON, as Amazon's clients expect of a tool's input."""
    out = written(
        Opened(0, PartKind.TOOL_CALL, "c", "f", custom=True),
        Added(0, 'say "é"'),
        Added(0, "\n"),
        Closed(0),
    )
    pieces = [payload["delta"]["toolUse"]["input"] for name, payload in out if name == "contentBlockDelta"]
    assert json.loads("".join(pieces)) == {"arguments": 'say "é"\n'}


def test_media_by_an_address_are_a_link() -> None:
    """Converse has no block for them."""
    out = written(Whole(0, Media(MediaKind.VIDEO, url="https://a.test/1.mp4", title="a film")))
    assert out == [block("Delta", 0, delta={"text": "[a film](https://a.test/1.mp4)"}), block("Stop", 0)]


def test_an_answer_that_another_has_begun_goes_on_with_its_blocks() -> None:
    """In the block that has begun, also before its first text; the next is counted on from its number."""
    writer = Writer(MAKER)
    writer.follow(frames.event(frames.MESSAGE_START, b'{"role":"assistant"}'), (Started(),))
    delta = frames.event(frames.BLOCK_DELTA, b'{"contentBlockIndex":2,"delta":{"text":""}}')
    writer.follow(delta, (Opened(0, PartKind.TEXT),))
    events: tuple[Event, ...] = (Added(0, "hi"), Closed(0), Opened(1, PartKind.TOOL_CALL, "t", "f"))
    assert shown(b"".join(map(writer.write, events))) == [
        block("Delta", 2, delta={"text": "hi"}),
        block("Stop", 2),
        block("Start", 3, start={"toolUse": {"toolUseId": "t", "name": "f"}}),
    ]
