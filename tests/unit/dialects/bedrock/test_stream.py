"""ConverseStream, read into neutral events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.bedrock.answer import read_answer
from tokenway.dialects.bedrock.frames import EVENTS, event
from tokenway.dialects.bedrock.stream import Reader, State
from tokenway.dialects.seal import ANTHROPIC
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
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
    Started,
    Whole,
    fold,
)
from tokenway.model.request import Media, MediaKind, Reasoning, Refusal
from tokenway.model.usage import Metered, Usage
from tokenway.wire.event_stream import MessageFrames, make_message

USAGE = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
COUNTED = Counted(Metered(given=True, usage=Usage(3, output_text=2)))


def message(name: str, **payload: Any) -> bytes:
    """One event, padded as Amazon pads them."""
    return event(name, json.dumps({**payload, "p": "abcdef"}).encode())


def delta(index: int, **what: Any) -> bytes:
    """More of a block."""
    return message("contentBlockDelta", contentBlockIndex=index, delta=what)


def begin(index: int, **what: Any) -> bytes:
    """The start of a block that has one."""
    return message("contentBlockStart", contentBlockIndex=index, start=what)


def end(index: int) -> bytes:
    """The end of a block."""
    return message("contentBlockStop", contentBlockIndex=index)


START = message("messageStart", role="assistant")
STOP = message("messageStop", stopReason="end_turn")
METADATA = message("metadata", usage=USAGE, metrics={"latencyMs": 9})
EXCEPTION = make_message(
    {":message-type": "exception", ":exception-type": "throttlingException"}, b'{"message":"slow down"}'
)
UNKNOWN = make_message({":message-type": "event", ":event-type": "somethingNew"}, b"{}")
FINISHED = Finished(FinishReason.STOP, "end_turn")


def read(messages: Iterable[bytes]) -> list[Event]:
    """The events of these messages and of the end behind them."""
    reader = Reader()
    events = [each for one in messages for each in reader.read(one)]
    return [*events, *reader.end()]


def inside(messages: Iterable[bytes]) -> list[Event]:
    """The events of these messages in the middle of an answer."""
    return read([START, *messages])[1:]


def test_a_stream_of_text() -> None:
    """A block of text has no start: its first delta opens it; the usage comes behind the finish."""
    assert read([START, delta(0, text="a"), delta(0, text=""), delta(0, text="b"), end(0), STOP, METADATA]) == [
        Started(),
        Opened(0, PartKind.TEXT),
        Added(0, "a"),
        Added(0, "b"),
        Closed(0),
        FINISHED,
        COUNTED,
        Ended(),
    ]


def test_reasoning_and_its_signature() -> None:
    """A signature comes in pieces and ends the reasoning."""
    pieces = [{"text": "hm"}, {"text": "m"}, {"signature": "c2"}, {"signature": "ln"}]
    assert inside([*(delta(0, reasoningContent=each) for each in pieces), end(0)]) == [
        Opened(0, PartKind.REASONING, format=ANTHROPIC),
        Added(0, "hm"),
        Added(0, "m"),
        Closed(0, "c2ln", format=ANTHROPIC),
    ]


def test_sealed_reasoning_is_whole() -> None:
    """The bytes of a sealed reasoning are put together, each piece encoded on its own."""
    assert inside([delta(0, reasoningContent={"redactedContent": each}) for each in ("RXU=", "UUY=")] + [end(0)]) == [
        Whole(0, Reasoning(sealed="EuQF", format=ANTHROPIC))
    ]


def test_tool_calls() -> None:
    """A start names the tool, pieces of JSON follow; a tool without input has an empty object."""
    messages = [
        begin(1, toolUse={"toolUseId": "t1", "name": "f"}),
        delta(1, toolUse={"input": ""}),
        delta(1, toolUse={"input": '{"a":'}),
        delta(1, toolUse={"input": "1}"}),
        end(1),
        begin(2, toolUse={"toolUseId": "t2", "name": "g"}),
        delta(2, toolUse={"input": ""}),
        end(2),
    ]
    assert inside(messages) == [
        Opened(0, PartKind.TOOL_CALL, "t1", "f"),
        Added(0, '{"a":'),
        Added(0, "1}"),
        Closed(0),
        Opened(1, PartKind.TOOL_CALL, "t2", "g"),
        Added(1, "{}"),
        Closed(1),
    ]


def test_amazons_own_tools_are_skipped() -> None:
    """Calls that Amazon answers itself, their results and blocks of tomorrow are no parts."""
    messages = [
        begin(0, toolUse={"toolUseId": "t", "name": "nova_grounding", "type": "server_tool_use"}),
        delta(0, toolUse={"input": "{}"}),
        end(0),
        delta(1, toolResult=[{"text": "x"}]),
        end(1),
        begin(2, somethingNew={}),
        end(2),
        end(7),
        UNKNOWN,
        delta(3, text="a"),
    ]
    assert inside(messages) == [Opened(0, PartKind.TEXT), Added(0, "a")]


def test_pictures_and_sources() -> None:
    """A picture is whole with its block; a source of the web belongs to the text that is open."""
    citation = {
        "title": "A page",
        "location": {"web": {"url": "https://example.com"}},
        "sourceContent": [{"text": "x"}],
    }
    messages = [
        begin(0, image={"format": "png"}),
        delta(0, image={"source": {"bytes": "iVBO"}}),
        end(0),
        delta(1, text="so"),
        delta(1, citation=citation),
        delta(1, citation={"location": {"documentPage": {"start": 1}}}),
        end(1),
    ]
    assert inside(messages) == [
        Whole(0, Media(MediaKind.IMAGE, "image/png", "iVBO")),
        Opened(1, PartKind.TEXT),
        Added(1, "so"),
        Cited(1, "https://example.com", "A page", "x"),
        Closed(1),
    ]


def test_a_block_that_changes_its_kind_is_two_parts() -> None:
    """A text under the number of an open reasoning ends it."""
    assert inside([delta(0, reasoningContent={"text": "hm"}), delta(0, text="a"), STOP]) == [
        Opened(0, PartKind.REASONING, format=ANTHROPIC),
        Added(0, "hm"),
        Closed(0, format=ANTHROPIC),
        Opened(1, PartKind.TEXT),
        Added(1, "a"),
        Closed(1),
        FINISHED,
        Ended(),
    ]


def test_an_early_usage() -> None:
    """Metadata before the stop count, and the stop is the end then."""
    assert inside([METADATA, STOP]) == [COUNTED, FINISHED, Ended()]


def test_the_end_of_the_body() -> None:
    """An answer whose stop has come is whole without usage; one that was cut is not."""
    assert inside([STOP]) == [FINISHED, Ended()]
    assert inside([delta(0, text="a")]) == [Opened(0, PartKind.TEXT), Added(0, "a")]
    assert read([]) == []


@pytest.mark.parametrize("before", [[], [START], [START, STOP]])
def test_an_exception_ends_the_stream(before: list[bytes]) -> None:
    """An exception may come anywhere, with its status; nothing behind it counts."""
    events = read([*before, EXCEPTION, METADATA, START])
    assert events[-1] == Failed("slow down", "throttlingException", 429)


ALLOWED = {
    State.WAITING: {"messageStart"},
    State.FLOWING: {"contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"},
    State.STOPPED: {"metadata"},
    State.DONE: set(EVENTS),
}
WAYS = {State.WAITING: [], State.FLOWING: [START], State.STOPPED: [START, STOP], State.DONE: [START, STOP, METADATA]}
SAMPLES = {
    "messageStart": START,
    "contentBlockStart": begin(0),
    "contentBlockDelta": delta(0, text="a"),
    "contentBlockStop": end(0),
    "messageStop": STOP,
    "metadata": METADATA,
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("name", EVENTS)
def test_the_table(state: State, name: str) -> None:
    """What the table has is read, what it has not cannot come, and an unknown event changes nothing."""
    reader = Reader()
    for each in WAYS[state]:
        reader.read(each)
    assert reader.state is state
    assert reader.read(UNKNOWN) == ()
    assert reader.state is state
    if name in ALLOWED[state]:
        reader.read(SAMPLES[name])
    else:
        with pytest.raises(WireError, match="cannot come here"):
            reader.read(SAMPLES[name])


@pytest.mark.parametrize(
    "broken",
    [
        event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":'),
        event("contentBlockDelta", b"[]"),
        event("contentBlockDelta", b'{"contentBlockIndex":"0","delta":{"text":"a"}}'),
        delta(0, toolUse={"input": "{}"}),
        delta(0, reasoningContent={"redactedContent": "%"}),
        event("metadata", b"\xff"),
    ],
)
def test_what_is_not_of_this_dialect(broken: bytes) -> None:
    """JSON that is broken or of other types, and input of a tool without a name, are faults of the upstream."""
    with pytest.raises(WireError):
        inside([broken])


ANSWER = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
                {"reasoningContent": {"redactedContent": "RXVRRg=="}},
                {"text": "héllo \U0001f600"},
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}},
                {"toolUse": {"toolUseId": "t2", "name": "g", "input": {}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": USAGE,
}
STREAM = [
    START,
    delta(0, reasoningContent={"text": "h"}),
    delta(0, reasoningContent={"text": "m"}),
    delta(0, reasoningContent={"signature": "c2ln"}),
    end(0),
    delta(1, reasoningContent={"redactedContent": "RXVRRg=="}),
    end(1),
    delta(2, text="héllo "),
    delta(2, text="\U0001f600"),
    end(2),
    begin(3, toolUse={"toolUseId": "t1", "name": "f"}),
    delta(3, toolUse={"input": '{"a":'}),
    delta(3, toolUse={"input": "1}"}),
    end(3),
    begin(4, toolUse={"toolUseId": "t2", "name": "g"}),
    end(4),
    message("messageStop", stopReason="tool_use"),
    METADATA,
]


@given(st.lists(st.integers(0, 3000), max_size=12))
def test_a_stream_is_its_whole_answer_however_it_is_cut(at: list[int]) -> None:
    """In any pieces, the events of a stream amount to the whole answer of the same content."""
    data = b"".join(STREAM)
    edges = sorted({0, len(data), *(min(place, len(data)) for place in at)})
    frames = MessageFrames()
    found = [each for a, b in pairwise(edges) for each in frames.feed(data[a:b])]
    assert fold(read(found)) == read_answer(json.dumps(ANSWER).encode())


def test_a_picture_that_is_elsewhere_or_was_not_made() -> None:
    """A place in S3 is its URL; why there is none is a refusal, and nothing at all is no part."""
    place = {"source": {"s3Location": {"uri": "s3://b/a.png"}}}
    pieces = [place, {"error": {"message": "not allowed"}}, {"source": {}}]
    frames = [START]
    for index, piece in enumerate(pieces):
        frames += [begin(index, image={"format": "png"}), delta(index, image=piece), end(index)]
    reader = Reader()
    found = fold([each for frame in [*frames, STOP, METADATA] for each in reader.read(frame)]).choices[0]
    assert found.parts == (Media(MediaKind.IMAGE, "image/png", url="s3://b/a.png"), Refusal("not allowed"))
