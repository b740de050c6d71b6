"""Streams and whole answers, read as neutral events."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.openai_chat.chunks import DONE, STOP, call, chunk, parts, read, whole
from tokenway.dialects.openai_chat.passing import NO_FINISH
from tokenway.dialects.openai_chat.stream_reader import Reader, read_answer
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
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
    fold,
)
from tokenway.model.request import Reasoning, Text, ToolCall
from tokenway.model.usage import ABSURD, Metered, Usage
from tokenway.wire.sse import DataFrames


def test_a_plain_stream() -> None:
    """Role, text, finish, usage, end: the events in their order."""
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    events = read(
        [
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "a"}),
            chunk({"content": "b"}),
            STOP,
            usage,
            DONE,
        ]
    )
    assert events == [
        Started("c", "m", 7),
        Opened(0, PartKind.TEXT),
        Added(0, "a"),
        Added(0, "b"),
        Closed(0),
        Finished(FinishReason.STOP, "stop"),
        Counted(Metered(given=True, usage=Usage(3, output_text=2))),
        Ended(),
    ]


def test_azures_first_chunk_has_no_choices() -> None:
    """The answer begins with the first chunk that says whose it is."""
    first = {"id": "", "model": "", "created": 0, "object": "", "choices": [], "prompt_filter_results": []}
    events = read([first, chunk({"content": "a"}), STOP, DONE])
    assert events[0] == Started("c", "m", 7)


def test_empty_members_are_nothing() -> None:
    """A server sends every field empty; none of them opens a part."""
    empty = {
        "content": "a",
        "refusal": "",
        "tool_calls": None,
        "function_call": {"name": "", "arguments": ""},
        "audio": {"id": "", "data": "", "transcript": "", "expires_at": 0},
        "annotations": None,
    }
    assert parts(empty) == (Text("a"),)


def test_the_end_mark_finishes_what_has_no_finish() -> None:
    """A few servers give no finish reason at all, but tell what they counted."""
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    events = read([chunk({"content": "a"}), usage, DONE])
    assert events[-2:] == [Finished(FinishReason.STOP), Ended()]


def test_an_end_mark_behind_half_an_answer() -> None:
    """With neither a finish reason nor usage the answer was cut, whatever whoever relayed it wrote behind it."""
    assert read([chunk({"content": "a"}), DONE])[-1] == Failed(NO_FINISH)


def test_a_stream_without_the_end_mark() -> None:
    """It is whole if its choices have finished, else it was cut."""
    assert read([chunk({"content": "a"}), STOP])[-1] == Ended()
    assert read([chunk({"content": "a"})])[-1] == Added(0, "a")
    assert read([]) == []


def test_several_choices() -> None:
    """Each has parts of its own, however they are mixed."""
    events = read(
        [
            chunk({"content": "a"}),
            chunk({"content": "x"}, 1),
            chunk({"content": "b"}),
            chunk({"content": "y"}, 1, finish_reason="length"),
            STOP,
            DONE,
        ]
    )
    assert [choice.parts for choice in fold(events).choices] == [(Text("ab"),), (Text("xy"),)]
    assert [choice.finish.choice for choice in fold(events).choices] == [0, 1]


def test_an_error_ends_the_stream() -> None:
    """With its code and the status that it stands for; nothing comes after it."""
    error = {"error": {"message": "busy", "code": 529}, "choices": [{"index": 0, "finish_reason": "error"}]}
    assert read([chunk({"content": "a"}), error, chunk({"content": "b"}), DONE])[-1] == Failed("busy", "529", 529)
    assert read([{"error": "text"}]) == [Failed("text")]


def test_what_comes_after_the_end_is_dropped() -> None:
    """Providers have been seen to repeat themselves."""
    assert read([chunk({"content": "a"}), STOP, DONE, chunk({"content": "b"}), DONE])[-1] == Ended()


def test_text_behind_the_finish_is_dropped() -> None:
    """A choice that has finished says no more."""
    assert fold(read([chunk({"content": "a"}), STOP, chunk({"content": "b"}), DONE])).choices[0].parts == (Text("a"),)


def test_usage_that_cannot_be() -> None:
    """It is told as absurd; where it comes with a choice, it is found as well."""
    events = read([chunk({"content": "a"}), STOP | {"usage": {"prompt_tokens": -1}}, DONE])
    assert Counted(ABSURD) in events


@pytest.mark.parametrize("frame", [b"{}", b"[DONE]", b"<html>", b"[1]", b'{"choices":1}', b"\xff"])
def test_what_is_no_stream_is_refused(frame: bytes) -> None:
    """The first event must be a chunk."""
    with pytest.raises(WireError):
        Reader().read(frame)


def test_garbage_in_a_stream_is_refused() -> None:
    """A chunk that cannot be read may have held anything."""
    with pytest.raises(WireError):
        read([chunk({"content": "a"}), b"{"])


def test_a_whole_answer() -> None:
    """Its message is read by the same steps as a stream."""
    answer = whole({"content": "a", "reasoning": "r"}, finish_reason="stop")
    assert answer.choices[0].parts == (Reasoning("r"), Text("a"))
    assert answer.choices[0].finish == Finished(FinishReason.STOP, "stop")


def test_a_whole_answer_without_a_finish_reason() -> None:
    """An empty one is none; the answer is there all the same."""
    assert whole({"content": "a"}, finish_reason="").choices[0].finish == Finished(FinishReason.STOP)


def test_calls_of_a_whole_answer_are_apart() -> None:
    """Each item is one, whatever its index."""
    calls = [{"id": name, "index": 0, "function": {"name": "f", "arguments": "{}"}} for name in "xy"]
    assert [part.id for part in whole({"tool_calls": calls}).choices[0].parts if isinstance(part, ToolCall)] == [
        "x",
        "y",
    ]


def test_choices_without_an_index_are_counted() -> None:
    """In a whole answer by their order."""
    body = {"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]}
    assert [choice.parts for choice in read_answer(json.dumps(body).encode()).choices] == [(Text("a"),), (Text("b"),)]


def test_a_legacy_completion() -> None:
    """Its text is the answer's."""
    answer = read_answer(b'{"id":"c","choices":[{"text":"a","index":0,"logprobs":null,"finish_reason":"length"}]}')
    assert answer.choices[0].parts == (Text("a"),)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"error":{"message":"m"}}', b'{"choices":null}', b"[]"])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    """A page, another object, or an error with status 200."""
    with pytest.raises(WireError):
        read_answer(body)


STREAM = b"".join(
    b"data: " + json.dumps(each).encode() + b"\n\n"
    for each in (
        chunk({"reasoning_details": [{"type": "reasoning.text", "text": "r\u00e9", "index": 0}]}),
        chunk({"content": "a\U0001f600"}),
        chunk(call(0, "x", "f", '{"a":')),
        chunk(call(0, arguments='"\u00e9"}'), finish_reason="tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    )
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_how_a_stream_is_cut_does_not_matter(cuts: list[int]) -> None:
    """Any pieces give the same answer, which is the whole one's."""
    frames, reader = DataFrames(), Reader()
    body = STREAM + b"data: [DONE]\n\n"
    edges = sorted({0, len(body), *cuts})
    events: list[Event] = []
    for a, b in pairwise(edges):
        for frame in frames.feed(body[a:b]):
            events += reader.read(frame)
    message = {
        "reasoning_details": [{"type": "reasoning.text", "text": "r\u00e9", "index": 0}],
        "content": "a\U0001f600",
        "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"a":"\u00e9"}'}}],
    }
    answer = {
        "id": "c",
        "created": 7,
        "model": "m",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    assert fold(events) == read_answer(json.dumps(answer).encode())
