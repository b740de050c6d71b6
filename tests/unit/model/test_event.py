"""Events to a whole answer and back."""

from __future__ import annotations

import msgspec
import pytest

from tokenway.model.event import (
    Added,
    Answer,
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
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning, Refusal, Text, ToolCall
from tokenway.model.usage import Metered, Usage

METERED = Metered(given=True, usage=Usage(1))
STOP = Finished(FinishReason.STOP)


def test_pieces_become_parts() -> None:
    """In the order of their numbers, whatever the order of their pieces."""
    events: list[Event] = [
        Started("i", "m", 3),
        Opened(0, PartKind.REASONING, format="f"),
        Added(0, "a"),
        Ping(),
        Opened(2, PartKind.TOOL_CALL, "x", "g"),
        Added(0, "b"),
        Closed(0, "s"),
        Whole(1, Media(MediaKind.IMAGE, url="u")),
        Added(2, "{}"),
        Counted(METERED),
        STOP,
        Ended(),
    ]
    parts = (Reasoning("ab", "s", format="f"), Media(MediaKind.IMAGE, url="u"), ToolCall("x", "g", "{}"))
    assert fold(events) == Answer("i", "m", 3, (Choice(parts, STOP),), METERED)


def test_a_part_that_was_not_closed_counts() -> None:
    """A stream that was cut is as much of an answer as came."""
    assert fold([Opened(0, PartKind.TEXT), Added(0, "a")]).choices[0] == Choice(
        (Text("a"),), Finished(FinishReason.ERROR)
    )


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [([b"[1]", b"[2,3]"], b"[1,2,3]"), ([b"[ 1 ]", b"[]"], b"[1]"), ([b"[]", b"[]"], b"[]")],
)
def test_probabilities_of_a_part_are_one_list(pieces: list[bytes], expected: bytes) -> None:
    """In how many pieces they came says nothing."""
    events: list[Event] = [Opened(0, PartKind.TEXT), *(Logprobs(0, msgspec.Raw(piece)) for piece in pieces)]
    assert fold(events).choices[0].logprobs == (Logprobs(0, msgspec.Raw(expected)),)


def test_probabilities_of_two_parts_stay_apart() -> None:
    """Each list belongs to its part."""
    events: list[Event] = [Opened(0, PartKind.TEXT), Logprobs(0, msgspec.Raw(b"[1]")), Logprobs(1, msgspec.Raw(b"[2]"))]
    assert [each.part for each in fold(events).choices[0].logprobs] == [0, 1]


def test_there_and_back() -> None:
    """The events of an answer amount to it."""
    parts = (
        Reasoning("t", "s", format="f", id="r"),
        Reasoning(sealed="d", format="f"),
        Reasoning("u", sealed="e", format="f", summary=True),
        Text("a"),
        Refusal("no"),
        Media(MediaKind.IMAGE, url="u"),
        Foreign("x", msgspec.Raw(b"{}")),
        ToolCall("i", "n", "{}", signature="g", format="h"),
        ToolCall("j", "n", "ls", custom=True),
    )
    first = Choice(parts, STOP, (Cited(3, "u"),), (Logprobs(3, msgspec.Raw(b"[1]")),))
    second = Choice((Text("b"),), Finished(FinishReason.LENGTH, choice=1))
    answer = Answer("i", "m", 3, (first, second), METERED)
    assert fold(unfold(answer)) == answer


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        (Finished(FinishReason.STOP, "end_turn"), "end_turn"),
        (Finished(FinishReason.STOP), "stop"),
        (Finished(FinishReason.TOOL_CALLS), "tool_calls"),
        (Finished(FinishReason.TOOL_CALLS, "tool_use"), "tool_use"),
        (Finished(FinishReason.TOOL_CALLS, "STOP"), "tool_calls"),
        (Finished(FinishReason.TOOL_CALLS, "completed"), "tool_calls"),
        (Finished(FinishReason.LENGTH, "MAX_TOKENS"), "MAX_TOKENS"),
    ],
)
def test_the_books_have_the_upstreams_word_unless_it_hides_calls(finish: Finished, word: str) -> None:
    """Some dialects have no word of their own for an answer with tools to call."""
    assert finish.word == word
