"""A broken answer that goes on: where two texts meet, and what of the second stream is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.dialects.anthropic import samples
from tests.unit.dialects.openai_chat.answers import maker
from tokenway.dialects.base import AnswerStream
from tokenway.dialects.continuation import REPEATED, Continuation, Joining, Seam
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.resume import Progress, Sent
from tokenway.model.catalog import Dialect
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
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
)
from tokenway.model.request import Media, MediaKind, Reasoning
from tokenway.model.usage import Metered, Usage

LONG: Final = "What was said before. "


def shown(before: str, *pieces: str) -> list[str]:
    """What of a continuation in these pieces is shown, piece by piece, and what at its end."""
    seam = Seam(before)
    return [*map(seam.take, pieces), seam.rest()]


# -- where two texts meet ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "rest", "expected"),
    [
        ("a b", " c", "a b c"),
        ("a b ", " c", "a b c"),
        ("a b ", "c", "a b c"),
        ("a b ", "  c", "a b  c"),
        ("a b \n", " c", "a b \nc"),
        ("a b\n\n", "\n\nc", "a b\n\nc"),
        ("a b\n\n", "\nc", "a b\n\nc"),
        ("a b\n\n", " c", "a b\n\n c"),
        ("a b\n\n", "\n\n\nc", "a b\n\n\nc"),
        ("a b", "", "a b"),
        ("a b ", "", "a b "),
        (" \n", " \nc", " \nc"),
        ("", "  c", "  c"),
    ],
)
def test_white_space_that_was_shown_is_not_shown_again(before: str, rest: str, expected: str) -> None:
    """As far as it is the same; a blank that neither has is not invented."""
    assert before + "".join(shown(before, rest)) == expected
    assert before + "".join(shown(before, *rest)) == expected


def test_a_text_that_is_repeated_is_left_out() -> None:
    """With the white space at its end or without, in one piece or letter by letter."""
    for said in (LONG, LONG.rstrip()):
        assert "".join(shown(LONG, said + "And more.")) == "And more."
        assert "".join(shown(LONG, *said, *"And more.")) == "And more."
    assert shown(LONG, LONG) == ["", ""]


def test_a_text_that_only_begins_alike_is_let_go() -> None:
    """At the first letter that differs, all of it; held back is no more than was shown."""
    assert shown(LONG, "What", " was", " new?", " All") == ["", "", "What was new?", " All", ""]
    assert shown(LONG, "What was") == ["", "What was"]


def test_a_short_text_may_be_said_twice() -> None:
    """That is no repetition of what was given, as far as anybody can know."""
    short = "ha" * (REPEATED // 2 - 1)
    assert shown(short, short) == [short, ""]
    assert shown(short + "ha", short + "ha") == ["", ""]


@given(before=st.text("ab \n", max_size=24), rest=st.text("ab \n", max_size=40), sizes=st.lists(st.integers(1, 5)))
def test_how_a_continuation_is_cut_does_not_matter(before: str, rest: str, sizes: list[int]) -> None:
    """What is shown is an end of what came, and what was left out is counted."""
    pieces, at = [], 0
    for size in [*sizes, len(rest)]:
        pieces.append(rest[at : at + size])
        at += size
    seam = Seam(before)
    found = "".join(map(seam.take, pieces)) + seam.rest()
    assert found == "".join(shown(before, rest))
    assert rest.endswith(found)
    assert seam.dropped == len(rest) - len(found)


@given(text=st.text("ab \n"), cut=st.integers(0, 60))
def test_a_model_that_goes_on_with_what_it_was_given_loses_nothing(text: str, cut: int) -> None:
    """Wherever the text broke."""
    before = text[:cut]
    rest = text[len(before.rstrip()) :]
    assume(len(before.rstrip()) < REPEATED or not rest.startswith(before.rstrip()))
    assert before + "".join(shown(before, rest)) == text


# -- the second stream's events ----------------------------------------------------------------------------

STOP: Final = Finished(FinishReason.STOP, "stop")
START: Final = Started("msg_2", "other", 9)
TEXT: Final = Opened(0, PartKind.TEXT)
PING: Final = Ping()
COUNT: Final = Counted(Metered(given=True, usage=Usage(input_uncached=3, output_text=2)))
CALL: Final = (Opened(0, PartKind.TOOL_CALL, "c", "f"), Added(0, "{}"), Closed(0))


class Events:
    """Reads any frame as all of its events, and owes the same at the end."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events

    def read(self, frame: bytes) -> Sequence[Event]:
        """All of them."""
        del frame
        return self._events

    def end(self) -> Sequence[Event]:
        """All of them."""
        return self._events


def sent_of(*events: Event) -> Sent:
    """What was sent, as one frame."""
    text = "".join(event.text for event in events if isinstance(event, Added))
    started = next((event for event in events if isinstance(event, Started)), None)
    return Sent(Progress.TEXT if text else Progress.NOTHING, text, ((b"", events),), started)


NOTHING: Final = sent_of()
HEAD: Final = sent_of(START)
OPEN: Final = sent_of(START, TEXT)
SAID: Final = sent_of(START, TEXT, Added(0, "hi "))
OVER: Final = sent_of(START, TEXT, Added(0, "hi "), Closed(0))


def joined(sent: Sent, *events: Event) -> list[Event]:
    """What becomes of these events behind what was sent."""
    found = Joining(Events(events), sent)
    out = list(found.read(b""))
    assert list(Joining(Events(events), sent).end()) == out
    return out


def test_where_nothing_was_sent_all_of_it_passes() -> None:
    """Such an answer is the second's own."""
    events = (START, Opened(0, PartKind.REASONING), Added(0, "hm"), Closed(0), Opened(1, PartKind.TEXT), Added(1, "a"))
    assert joined(NOTHING, *events, Closed(1), COUNT, STOP, Ended()) == [*events, Closed(1), COUNT, STOP, Ended()]
    assert joined(HEAD, *events, STOP) == [*events[1:], STOP]


@pytest.mark.parametrize("sent", [OPEN, SAID])
def test_an_open_text_is_gone_on_with(sent: Sent) -> None:
    """Its beginning is not told again, its end is."""
    assert joined(sent, START, TEXT, Added(0, "there"), PING, Closed(0), STOP) == [
        Added(0, "there"),
        PING,
        Closed(0),
        STOP,
    ]


def test_a_text_that_was_closed_is_followed_by_another() -> None:
    """With the next number, and the seam is the same."""
    assert joined(OVER, START, TEXT, Added(0, " there"), Closed(0), STOP) == [
        Opened(1, PartKind.TEXT),
        Added(1, "there"),
        Closed(1),
        STOP,
    ]


@pytest.mark.parametrize("sent", [OPEN, SAID])
def test_an_open_text_ends_before_anything_else(sent: Sent) -> None:
    """A call, a picture, or the end of all; later parts are counted on."""
    call = [Opened(1, PartKind.TOOL_CALL, "c", "f"), Added(1, "{}"), Closed(1)]
    assert joined(sent, START, *CALL, STOP) == [Closed(0), *call, STOP]
    picture = Media(MediaKind.IMAGE, "image/png", "AA==")
    assert joined(sent, START, Whole(0, picture), STOP) == [Closed(0), Whole(1, picture), STOP]
    assert joined(sent, START, STOP, Ended()) == [Closed(0), STOP, Ended()]


def test_what_follows_the_text_is_counted_on() -> None:
    """Another text too, which goes on with nothing."""
    more = (Opened(1, PartKind.TOOL_CALL, "c", "f"), Closed(1), Opened(2, PartKind.TEXT), Added(2, " x"), Closed(2))
    assert joined(SAID, START, TEXT, Added(0, "a"), Closed(0), *more, STOP) == [
        Added(0, "a"),
        Closed(0),
        *more,
        STOP,
    ]


@pytest.mark.parametrize("sent", [OPEN, SAID, OVER])
def test_reasoning_behind_a_text_is_not_shown(sent: Sent) -> None:
    """In pieces or sealed, before the rest of the text or behind it, and nothing is counted for it."""
    thought = (Opened(0, PartKind.REASONING), Added(0, "hm"), Closed(0, "sig"))
    seal = Whole(1, Reasoning(sealed="x"))
    later = Whole(3, Reasoning(sealed="y"))
    text = (Opened(2, PartKind.TEXT), Added(2, "a"), Closed(2))
    assert joined(sent, START, *thought, seal, *text, later, COUNT, STOP) == joined(
        sent, START, TEXT, Added(0, "a"), Closed(0), COUNT, STOP
    )


def test_nothing_but_reasoning_is_no_continuation() -> None:
    """It would end a text in the middle as if it were whole; another reason to stop tells of itself."""
    thought = (Opened(0, PartKind.REASONING), Added(0, "of a text"), Closed(0))
    with pytest.raises(WireError, match="nothing but reasoning"):
        joined(SAID, START, *thought, STOP)
    cut = Finished(FinishReason.LENGTH)
    assert joined(SAID, START, *thought, cut) == [Closed(0), cut]
    assert joined(HEAD, START, *thought, STOP) == [*thought, STOP]


def test_what_was_held_back_comes_with_the_end_of_the_part() -> None:
    """A repetition that was none."""
    sent = sent_of(START, TEXT, Added(0, LONG))
    assert joined(sent, START, TEXT, Added(0, "What was"), Closed(0), STOP) == [Added(0, "What was"), Closed(0), STOP]
    assert joined(sent, START, TEXT, Added(0, "Wh"), Added(0, "at?"), Closed(0)) == [Added(0, "What?"), Closed(0)]


def test_sources_stand_where_the_whole_text_has_them() -> None:
    """Places are counted from the beginning of what the caller has; one that is not known stays so."""
    known, unknown = Cited(0, "http://u", start=0, end=2), Cited(0, "http://v")
    out = joined(SAID, START, TEXT, Added(0, " yo"), known, unknown)
    assert out == [Added(0, "yo"), Cited(0, "http://u", start=2, end=4), unknown]
    long = (START, TEXT, Added(0, LONG))
    assert joined(sent_of(*long), START, TEXT, Added(0, f"{LONG}yo"), known) == [Added(0, "yo"), known]
    # In a part of its own the text counts from there; what is not shown again is cited without its place.
    again = joined(
        sent_of(*long, Closed(0)), START, TEXT, Added(0, f"{LONG}yo"), known, Cited(0, "http://w", start=22, end=24)
    )
    assert again[1:] == [Added(1, "yo"), Cited(1, "http://u"), Cited(1, "http://w", start=0, end=2)]


def test_log_probabilities_keep_to_their_part() -> None:
    """Where a restart may have them."""
    tokens = msgspec.Raw(b"[]")
    assert joined(OVER, START, TEXT, Logprobs(0, tokens)) == [Opened(1, PartKind.TEXT), Logprobs(1, tokens)]


def test_other_choices_pass_as_they_are() -> None:
    """Nothing of them was sent."""
    other = (
        Opened(0, PartKind.TEXT, choice=1),
        Added(0, " a", 1),
        Closed(0, choice=1),
        Finished(STOP.reason, choice=1),
    )
    assert joined(HEAD, START, *other) == list(other)


def test_an_end_before_the_second_answer_began_breaks_the_format() -> None:
    """Although the caller's answer has begun."""
    with pytest.raises(WireError, match="before its answer began"):
        joined(SAID, Ended())


# -- the stream ----------------------------------------------------------------------------------------------

FORM: Final = FORMATS[Dialect.ANTHROPIC]


def test_an_answer_is_not_joined_with_what_is_more_than_a_text() -> None:
    """Whoever asks for it has not looked."""
    with pytest.raises(ValueError, match="more than text"):
        Continuation(FORM, FORM, maker(), Sent(Progress.OTHER))


def test_a_stream_that_has_begun_can_be_kept_alive_before_the_second_answers() -> None:
    """Its caller knows the answer already; one that has not begun has nothing to keep alive."""
    chat = FORMATS[Dialect.OPENAI_CHAT]
    assert Continuation(FORM, chat, maker(), NOTHING).ping() == b""
    stream: AnswerStream = Continuation(FORM, chat, maker(), HEAD)
    assert isinstance(stream, Continuation)
    assert stream.ping() == b": ping\n\n"
    assert stream.answer_id == "msg_2"
    assert (stream.first_delta, stream.is_calm, stream.is_whole, stream.fault) == (0.0, True, False, "")


def test_only_what_is_shown_is_stamped() -> None:
    """The pace is the reader's: thoughts that are left out are no delta, the count is the second's own."""
    stream = Continuation(FORM, FORMATS[Dialect.OPENAI_CHAT], maker(), SAID)
    thought = samples.start(0, type="thinking", thinking="") + samples.delta(0, type="thinking_delta", thinking="hm")
    stream.feed(samples.START + thought + samples.stop(0), 1.0)
    assert stream.first_delta == 0.0
    stream.feed(samples.start(1, type="text", text="") + samples.text("yo", 1), 3.0)
    assert (stream.first_delta, stream.first_answer) == (3.0, 3.0)
    assert stream.metered.given


def test_the_first_upstreams_count_is_not_told_as_the_seconds() -> None:
    """An answer whose end is not counted has no usage: what the first had counted was its own."""
    sent = sent_of(START, COUNT, TEXT, Added(0, "hi"))
    stream = Continuation(FORM, FORMATS[Dialect.OPENAI_CHAT], maker(), sent)
    assert b'"usage":null' in stream.tail(b"", b"")
    assert not stream.metered.given
