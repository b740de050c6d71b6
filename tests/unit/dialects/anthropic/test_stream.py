"""Anthropic's streams as neutral events."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.anthropic.samples import (
    END,
    ERROR,
    LAST,
    PING,
    START,
    TEXT,
    delta,
    event,
    read,
    start,
    stop,
    text,
)
from tests.unit.dialects.anthropic.test_answer import BODY, CONTENT, SOURCE
from tokenway.dialects.anthropic.answer import read_answer
from tokenway.dialects.anthropic.stream import Reader
from tokenway.dialects.seal import ANTHROPIC
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Cited,
    Closed,
    Counted,
    Ended,
    Failed,
    Finished,
    FinishReason,
    Opened,
    PartKind,
    Ping,
    Started,
    Whole,
    fold,
)
from tokenway.model.request import Foreign, Reasoning
from tokenway.model.usage import Metered, Usage

FIRST = Counted(Metered(given=True, usage=Usage(10, 7, output_text=1)))
FINAL = Counted(Metered(given=True, usage=Usage(12, 7, output_text=9)))


def test_a_stream_is_events_in_order() -> None:
    """It starts, its parts open, grow and close, it is counted, finishes and ends."""
    assert read([START, PING, TEXT, text("a"), text(""), text("b"), stop(0), LAST, END]) == [
        Started("msg_1", "claude-x"),
        FIRST,
        Ping(),
        Opened(0, PartKind.TEXT),
        Added(0, "a"),
        Added(0, "b"),
        Closed(0),
        FINAL,
        Finished(FinishReason.STOP, "end_turn"),
        Ended(),
    ]


def test_thoughts_have_their_signature_at_their_end() -> None:
    """A signature may come in pieces; a redacted thought comes whole."""
    events = read(
        [
            START,
            start(0, type="thinking", thinking="", signature=""),
            delta(0, type="thinking_delta", thinking="hm"),
            delta(0, type="signature_delta", signature="c2"),
            delta(0, type="signature_delta", signature="ln"),
            stop(0),
            start(1, type="redacted_thinking", data="b3BhcXVl"),
            stop(1),
        ]
    )
    assert events[2:] == [
        Opened(0, PartKind.REASONING, format=ANTHROPIC),
        Added(0, "hm"),
        Closed(0, "c2ln", format=ANTHROPIC),
        Whole(1, Reasoning(sealed="b3BhcXVl", format=ANTHROPIC)),
    ]


@pytest.mark.parametrize(
    ("given_input", "pieces", "arguments"),
    [
        ({}, ["", '{"a"', ": 1}"], '{"a": 1}'),
        ({}, [""], "{}"),
        ({}, [], "{}"),
        ({"a": 1}, [], '{"a":1}'),
    ],
)
def test_a_calls_arguments_are_an_object(given_input: dict[str, Any], pieces: list[str], arguments: str) -> None:
    """They come in pieces, or with the start, or not at all."""
    deltas = [delta(0, type="input_json_delta", partial_json=piece) for piece in pieces]
    call = start(0, type="tool_use", id="toolu_1", name="f", input=given_input)
    events = read([START, call, *deltas, stop(0)])
    assert events[2] == Opened(0, PartKind.TOOL_CALL, "toolu_1", "f")
    assert "".join(each.text for each in events if isinstance(each, Added)) == arguments


def test_anthropics_own_blocks_come_whole() -> None:
    """A server tool's input grows, a block of a kind to come grows in its own way; both are given at their end."""
    events = read(
        [
            START,
            start(0, type="server_tool_use", id="s", name="web_search", input={}),
            delta(0, type="input_json_delta", partial_json='{"query":'),
            delta(0, type="input_json_delta", partial_json='"q"}'),
            stop(0),
            start(1, type="compaction", content="a"),
            delta(1, type="compaction_delta", content="b", more=[1]),
            stop(1),
        ]
    )
    own = b'{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}}'
    assert events[2:] == [
        Whole(0, Foreign("server_tool_use", msgspec.Raw(own), ANTHROPIC)),
        Whole(1, Foreign("compaction", msgspec.Raw(b'{"type":"compaction","content":"ab","more":[1]}'), ANTHROPIC)),
    ]


def test_sources_are_events() -> None:
    """A source with an address is cited; a place in the caller's document has none."""
    place = {"type": "page_location", "cited_text": "c", "document_index": 0}
    events = read(
        [
            START,
            TEXT,
            delta(0, type="citations_delta", citation=SOURCE),
            delta(0, type="citations_delta", citation=place),
        ]
    )
    assert events[3:] == [Cited(0, "https://a.example", "A", "said")]


def test_an_error_is_the_last_event() -> None:
    """Its status is the one that Anthropic gives to its type; what follows is ignored."""
    assert read([START, ERROR, text("a"), LAST]) == [
        Started("msg_1", "claude-x"),
        FIRST,
        Failed("Overloaded", "overloaded_error", 529),
    ]
    assert read([event("error", error="down")]) == [Failed("down", "", 0)]


def test_blocks_that_never_stop_are_closed_with_the_answer() -> None:
    """A server that forgets the stop has still told everything."""
    assert read([START, TEXT, text("a"), LAST])[4:] == [Closed(0), FINAL, Finished(FinishReason.STOP, "end_turn")]
    assert read([START, TEXT, text("a"), END])[4:] == [Closed(0), Finished(FinishReason.STOP), Ended()]


def test_a_count_may_follow_the_stop_reason() -> None:
    """Some servers send the usage in a delta of its own."""
    more = event("message_delta", delta={}, usage={"output_tokens": 11})
    assert read([START, LAST, more, END])[-2:] == [
        Counted(Metered(given=True, usage=Usage(12, 7, output_text=11))),
        Ended(),
    ]


def test_what_is_newer_than_this_program_is_ignored() -> None:
    """An unknown event says nothing that the neutral form could hold."""
    assert read([START, event("of_tomorrow", x=1)])[2:] == []


@pytest.mark.parametrize(
    "parts",
    [
        [TEXT],
        [LAST],
        [END],
        [START, START],
        [START, text("a")],
        [START, stop(0)],
        [START, TEXT, TEXT],
        [START, TEXT, stop(0), text("a")],
        [START, LAST, TEXT],
        [START, LAST, START],
        [b"data: [DONE]\n\n"],
        [b"data: {\n\n"],
        [b'data: {"choices":[]}\n\n'],
        [event("message_start", message=3)],
        [START, start(0, type="text", text=3)],
        [START, event("content_block_start", index=0)],
        [START, TEXT, event("content_block_delta", index=0)],
    ],
)
def test_what_is_not_in_the_table_is_a_wire_error(parts: list[bytes]) -> None:
    """An event that cannot come here, or is none of this dialect."""
    with pytest.raises(WireError):
        read(parts)


def test_a_comment_is_a_ping() -> None:
    """The framing gives an empty frame for it."""
    assert list(Reader().read(b"")) == [Ping()]


def streamed(message: dict[str, Any]) -> list[bytes]:
    """A whole answer as Anthropic streams it, text by text."""
    events = [event("message_start", message={**message, "content": [], "stop_reason": None})]
    for index, block in enumerate(message["content"]):
        match block["type"]:
            case "text":
                cited = [delta(index, type="citations_delta", citation=each) for each in block["citations"]]
                grown = [delta(index, type="text_delta", text=char) for char in block["text"]]
                events += [start(index, type="text", text="", citations=[]), *cited, *grown]
            case "thinking":
                events += [
                    start(index, type="thinking", thinking="", signature=""),
                    delta(index, type="thinking_delta", thinking=block["thinking"]),
                    delta(index, type="signature_delta", signature=block["signature"]),
                ]
            case "tool_use" | "server_tool_use":
                given_input = json.dumps(block["input"], separators=(",", ":"))
                events += [
                    start(index, **{**block, "input": {}}),
                    *(delta(index, type="input_json_delta", partial_json=char) for char in given_input),
                ]
            case _:
                events.append(start(index, **block))
        events.append(stop(index))
    last = event("message_delta", delta={"stop_reason": message["stop_reason"]}, usage=message["usage"])
    return [*events, last, END]


def test_a_stream_folds_to_its_whole_answer() -> None:
    """The same content says the same, streamed or whole."""
    assert {block["type"] for block in CONTENT} >= {"text", "thinking", "tool_use", "server_tool_use"}
    assert fold(read(streamed(BODY))) == read_answer(msgspec.json.encode(BODY))


STREAM = b"".join([PING, *streamed(BODY)][1:])


@given(st.lists(st.integers(0, len(STREAM)), max_size=10), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_how_a_stream_is_cut_does_not_matter(cuts: list[int], line_end: bytes) -> None:
    """Any pieces, with any line ends, give the same events."""
    stream = STREAM.replace(b"\n", line_end)
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    assert read(stream[a:b] for a, b in pairwise(edges)) == read([STREAM])
