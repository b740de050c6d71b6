"""What a caller has of an answer that broke: nothing, a text, or something that is not to be joined with another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import pytest

from tests.unit.dialects.anthropic import samples
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.resume import Progress, sent_so_far
from tokenway.model.catalog import Dialect
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
    Logprobs,
    Opened,
    PartKind,
    Ping,
    Started,
    Whole,
)
from tokenway.model.request import Reasoning
from tokenway.model.usage import UNMETERED

FORM: Final = FORMATS[Dialect.ANTHROPIC]
TEXT: Final = Opened(0, PartKind.TEXT)
START: Final = Started("msg_1", "claude", 5)


class Script:
    """Reads frames that are numbers into the events of their place."""

    def __init__(self, events: Sequence[Sequence[Event]], owed: Sequence[Event] = ()) -> None:
        self._events = events
        self._owed = owed

    def read(self, frame: bytes) -> Sequence[Event]:
        """The events of that place."""
        return self._events[int(frame)]

    def end(self) -> Sequence[Event]:
        """What is owed."""
        return self._owed


def progress(*events: Event, owed: Sequence[Event] = ()) -> tuple[Progress, str]:
    """What a stream of these events says, one event a frame."""
    form = msgspec.structs.replace(
        FORM,
        told=lambda data: data.split(),
        reader=lambda: Script([[event] for event in events], owed),
    )
    sent = sent_so_far(form, b" ".join(b"%d" % number for number in range(len(events))))
    return sent.progress, sent.text


@pytest.mark.parametrize(
    "events",
    [
        (),
        (Ping(),),
        (START, Counted(UNMETERED), Ping()),
        (START, TEXT),
        (START, TEXT, Closed(0)),
    ],
)
def test_a_frame_without_a_text_is_nothing(events: tuple[Event, ...]) -> None:
    """Nobody has read anything yet."""
    assert progress(*events) == (Progress.NOTHING, "")


def test_white_space_is_nothing_to_see() -> None:
    """But it has been sent, and counts where the text goes on."""
    assert progress(START, TEXT, Added(0, "\n "), Added(0, "\n")) == (Progress.NOTHING, "\n \n")


@pytest.mark.parametrize("end", [(), (Closed(0),), (Counted(UNMETERED), Ping())])
def test_a_text_alone_is_a_text(end: tuple[Event, ...]) -> None:
    """Exactly as it was sent, with its white space."""
    assert progress(START, TEXT, Added(0, " hi "), Added(0, "there\n"), *end) == (Progress.TEXT, " hi there\n")


@pytest.mark.parametrize(
    "event",
    [
        Opened(1, PartKind.TEXT),
        Opened(1, PartKind.TOOL_CALL, "c", "f"),
        Opened(1, PartKind.REASONING),
        Opened(1, PartKind.REFUSAL),
        Opened(0, PartKind.TEXT, choice=1),
        Whole(1, Reasoning(sealed="x")),
        Cited(0, "http://u"),
        Logprobs(0, msgspec.Raw(b"[]")),
        Finished(FinishReason.STOP),
        Failed("it broke"),
        Ended(),
    ],
)
def test_anything_else_is_something_other(event: Event) -> None:
    """In whatever place, and its text is not told: nobody is to go on with it."""
    assert progress(START, TEXT, Added(0, "hi"), event) == (Progress.OTHER, "")
    assert progress(START, event) == (Progress.OTHER, "") or event == Opened(1, PartKind.TEXT)


def test_a_part_that_is_not_the_first_is_something_other() -> None:
    """Another came before it that the caller's dialect has a place for."""
    assert progress(START, Opened(1, PartKind.TEXT), Added(1, "hi")) == (Progress.OTHER, "")


def test_an_answer_that_would_be_whole_is_not_gone_on_with() -> None:
    """A dialect without an end mark owes its finish to the end of the body."""
    owed = (Finished(FinishReason.STOP), Ended())
    assert progress(START, TEXT, Added(0, "hi"), owed=owed) == (Progress.OTHER, "")


def test_what_the_dialect_does_not_find_plain_is_something_other() -> None:
    """Whatever its reader makes of it."""
    form = msgspec.structs.replace(FORM, told=lambda _: None)
    assert sent_so_far(form, b"").progress is Progress.OTHER


def test_what_cannot_be_read_is_something_other() -> None:
    """Half an event, an event that cannot come there, and what is none."""
    good = samples.START + samples.TEXT + samples.text("hi")
    assert sent_so_far(FORM, good).progress is Progress.TEXT
    for bad in (good[:-9], samples.text("hi"), samples.START + samples.START, b"data: nonsense\n\n", b"data: {}\n\n"):
        assert sent_so_far(FORM, bad).progress is Progress.OTHER


def test_a_reader_that_cannot_go_on_is_no_fault_of_ours() -> None:
    """A WireError of whatever kind."""

    def broken(_: bytes) -> list[bytes]:
        raise WireError("no")

    assert sent_so_far(msgspec.structs.replace(FORM, told=broken), b"").progress is Progress.OTHER


def test_what_was_sent_is_kept_frame_by_frame() -> None:
    """With the events of each, for the writer that goes on; comments are left out."""
    sent = sent_so_far(FORM, samples.START + b": ping\n\n" + samples.TEXT + samples.text("hi"))
    assert [len(events) for _, events in sent.frames] == [2, 1, 1]
    assert sent.started is not None
    assert sent.started.id
    assert sent.frames[2][1] == (Added(0, "hi"),)
