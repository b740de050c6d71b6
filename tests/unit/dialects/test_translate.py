"""An answer between two dialects: the table of states, and that no cut of the bytes changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.anthropic import samples
from tests.unit.dialects.openai_chat.answers import maker
from tokenway.dialects.base import AnswerStream
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.translate import Translation, translate_answer
from tokenway.model.catalog import Dialect
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
    Ping,
    Started,
    Whole,
)
from tokenway.model.request import Media, MediaKind
from tokenway.model.usage import UNMETERED, Metered, Usage

COUNT = Metered(given=True, usage=Usage(input_uncached=3, output_text=2))
STOP = Finished(FinishReason.STOP, "end_turn")
EVENTS: dict[bytes, Sequence[Event]] = {
    b"start": (Started("msg_1", "x"),),
    b"text": (Opened(0, PartKind.TEXT),),
    b"think": (Opened(0, PartKind.REASONING),),
    b"call": (Opened(0, PartKind.TOOL_CALL, "c1", "f"),),
    b"more": (Added(0, "hi"),),
    b"image": (Whole(0, Media(MediaKind.IMAGE, "image/png", "AA==")),),
    b"close": (Closed(0),),
    b"count": (Counted(COUNT),),
    b"stop": (STOP,),
    b"stop1": (msgspec.structs.replace(STOP, choice=1),),
    b"ping": (Ping(),),
    b"fail": (Failed("it broke"),),
    b"fail-code": (Failed("", "overloaded"),),
    b"fail-mute": (Failed(""),),
    b"end": (Ended(),),
    b"all": (Started("msg_1", "x"), Opened(0, PartKind.TEXT), Added(0, "hi"), Closed(0), STOP, Ended(), Added(0, "no")),
}
"""What the scripted reader makes of a frame; a frame that is not here breaks the format."""


class Lines:
    """Frames are lines."""

    def __init__(self) -> None:
        self._left = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Whole lines."""
        *lines, self._left = (self._left + data).split(b"\n")
        return lines

    def rest(self) -> list[bytes]:
        """A last line."""
        left, self._left = self._left, b""
        return [left] if left else []


class Script:
    """Reads a frame by its name."""

    owed: tuple[Event, ...] = ()

    def read(self, frame: bytes) -> Sequence[Event]:
        """Its events."""
        try:
            return EVENTS[frame]
        except KeyError:
            raise WireError("no such frame") from None

    def end(self) -> Sequence[Event]:
        """What is owed."""
        return self.owed


class Echo:
    """Writes an event as its name."""

    sequence = 7

    def write(self, event: Event) -> bytes:
        """Its name; counts and ends are kept."""
        return b"" if isinstance(event, Counted | Ended) else type(event).__name__.encode() + b" "

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The end with what is given."""
        return b"<" + cost + extra + b">"


class Owes(Script):
    """A reader that owes a finish at the end of the body."""

    owed = (STOP,)


UPSTREAM = msgspec.structs.replace(
    FORMATS[Dialect.ANTHROPIC], framing=Lines, reader=Script, stream_type=b"text/x-lines"
)
CALLER = msgspec.structs.replace(FORMATS[Dialect.OPENAI_CHAT], writer=lambda _maker: Echo())


def translation(choices: int = 1, reader: type[Script] = Script) -> Translation:
    """A stream from the script's dialect to the echo's."""
    upstream = msgspec.structs.replace(UPSTREAM, reader=reader)
    return Translation(upstream, CALLER, maker(choices=choices))


def said(stream: Translation, *frames: bytes) -> bytes:
    """What is forwarded of these frames, which come one by one at the seconds 1, 2, and so on."""
    return b"".join([stream.feed(frame + b"\n", float(now)) for now, frame in enumerate(frames, 1)])


# -- the table ---------------------------------------------------------------------------------------------


def test_an_answer_flows_and_ends() -> None:
    """What the writer makes of each event is forwarded; the end is the tail."""
    stream: AnswerStream = translation()
    assert isinstance(stream, Translation)
    assert said(stream, b"start", b"text", b"more", b"close", b"stop") == b"Started Opened Added Closed Finished "
    assert (stream.is_calm, stream.is_whole) == (True, True)
    assert said(stream, b"end") == b""
    assert (stream.is_calm, stream.fault, stream.finish_reason) == (False, "", "end_turn")
    assert stream.tail(b"c", b"e") == b"<ce>"


@pytest.mark.parametrize(
    ("frame", "fault"),
    [(b"fail", "it broke"), (b"fail-code", "overloaded"), (b"fail-mute", "an error without a message")],
)
@pytest.mark.parametrize("before", [(), (b"start", b"text", b"more")])
def test_a_failure_ends_the_stream_and_is_not_forwarded(frame: bytes, fault: str, before: tuple[bytes, ...]) -> None:
    """Whether the answer had begun or not: the caller's dialect has its own words for it."""
    stream = translation()
    assert b"Failed" not in said(stream, *before, frame)
    assert (stream.fault, stream.fault_event, stream.is_calm, stream.is_whole) == (fault, b"", False, False)


@pytest.mark.parametrize("last", [b"end", b"fail"])
def test_what_comes_behind_the_end_is_dropped(last: bytes) -> None:
    """Also what breaks the format there."""
    stream = translation()
    said(stream, b"start", b"stop", last)
    assert said(stream, b"more", b"nonsense", b"fail-code") == b""
    assert stream.fault == ("it broke" if last == b"fail" else "")


def test_what_comes_behind_the_end_in_one_read_is_dropped() -> None:
    """In one frame, or in the frames behind it."""
    assert said(translation(), b"all\nmore\nnonsense") == b"Started Opened Added Closed Finished "


def test_a_frame_that_breaks_the_format_is_told() -> None:
    """Before the answer began or inside it."""
    for before in ((), (b"start", b"text")):
        stream = translation()
        said(stream, *before)
        with pytest.raises(WireError, match="no such frame"):
            said(stream, b"nonsense")


def test_an_end_before_the_answer_began_breaks_the_format() -> None:
    """There is no answer without anything in it."""
    with pytest.raises(WireError, match="before its answer began"):
        said(translation(), b"end")


def test_an_answer_is_whole_when_every_choice_has_finished() -> None:
    """Each once, however often one says so."""
    stream = translation(choices=2)
    states = []
    for frame in (b"start", b"stop", b"stop", b"stop1"):
        said(stream, frame)
        states.append(stream.is_whole)
    assert states == [False, False, False, True]


# -- what the exchange is told -----------------------------------------------------------------------------


def test_the_latest_count_holds() -> None:
    """Providers count as they go."""
    stream = translation()
    assert stream.metered == UNMETERED
    said(stream, b"start", b"count")
    assert stream.metered == COUNT


def test_reasoning_is_no_answer() -> None:
    """Its deltas are stamped, and the answer begins with the text."""
    stream = translation()
    said(stream, b"start", b"think", b"more")
    assert (stream.first_delta, stream.first_answer) == (3.0, 0.0)
    answer = translation()
    said(answer, b"start", b"text", b"more", b"more")
    assert (answer.first_delta, answer.first_answer, answer.last_delta) == (3.0, 3.0, 4.0)


@pytest.mark.parametrize("frame", [b"call", b"image"])
def test_a_call_and_an_image_are_answers(frame: bytes) -> None:
    """Nothing has to be added to them."""
    stream = translation()
    said(stream, b"start", frame)
    assert (stream.first_delta, stream.first_answer) == (2.0, 2.0)


def test_a_finish_is_told_in_the_upstreams_word() -> None:
    """Else in ours."""
    stream = translation()
    said(stream, b"start", b"stop")
    assert stream.finish_reason == "end_turn"


def test_the_number_of_the_next_event_is_the_writers() -> None:
    """For an error behind it, in a dialect that numbers its events."""
    assert translation().sequence == 7
    assert Translation(UPSTREAM, FORMATS[Dialect.OPENAI_CHAT], maker()).sequence == 0


def test_only_the_upstreams_own_type_is_taken() -> None:
    """A page with status 200 is no stream."""
    stream = translation()
    assert [stream.accepts(each) for each in (b"text/x-lines; charset=utf-8", b"text/event-stream", b"")] == [
        True,
        False,
        False,
    ]


def test_a_sign_of_life_is_passed_once_there_is_a_stream() -> None:
    """Before its start the caller could not read it; an empty frame is a comment."""
    stream = translation()
    assert said(stream, b"", b"start", b"", b"ping") == b"Started Ping Ping "


def test_a_sign_of_life_of_our_own_stands_between_start_and_end() -> None:
    """For an upstream that is silent; elsewhere it would break the caller's stream."""
    stream = translation()
    assert stream.ping() == b""
    said(stream, b"start")
    assert stream.ping() == b"Ping "
    said(stream, b"end")
    assert stream.ping() == b""


# -- the end of the body -----------------------------------------------------------------------------------


def test_a_last_frame_may_lack_its_end() -> None:
    """It counts like any other."""
    stream = translation()
    stream.feed(b"start\ntext\nmore\nclose\nstop", 1.0)
    assert stream.finish() == b"Finished "
    assert stream.is_whole


def test_half_a_frame_is_nothing() -> None:
    """It breaks no format: whether anything is missing is told by what came."""
    stream = translation()
    stream.feed(b"start\ntext\nmore\nsto", 1.0)
    assert stream.finish() == b""
    assert (stream.is_whole, stream.fault) == (False, "")


def test_a_reader_may_owe_events_at_the_end() -> None:
    """In a dialect without an end mark."""
    stream = translation(reader=Owes)
    said(stream, b"start", b"text", b"more")
    assert stream.finish() == b"Finished "
    assert stream.is_whole


@pytest.mark.parametrize("last", [b"end", b"fail"])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_nothing_is_owed_behind_the_end(last: bytes, end: bytes) -> None:
    """Whether its frame was ended or not."""
    stream = translation(reader=Owes)
    out = stream.feed(b"start\n" + last + end, 1.0) + stream.finish()
    assert out == b"Started "
    assert not stream.is_calm


# -- real dialects -----------------------------------------------------------------------------------------

ANSWER = (
    samples.START
    + samples.TEXT
    + samples.text("hel")
    + samples.PING
    + samples.text("lö")
    + samples.stop(0)
    + samples.LAST
    + samples.END
)


def translated(pieces: list[bytes], upstream: Dialect, caller: Dialect) -> tuple[bytes, Translation]:
    """A stream that came in these pieces, and who read it."""
    stream = Translation(FORMATS[upstream], FORMATS[caller], maker())
    out = b"".join([stream.feed(piece, 1.0) for piece in pieces]) + stream.finish()
    return out + stream.tail(b"", b""), stream


@pytest.mark.parametrize("caller", [each for each in Dialect if each is not Dialect.ANTHROPIC])
@given(sizes=st.lists(st.integers(1, 200), max_size=30))
def test_any_cut_of_a_stream_gives_the_same(caller: Dialect, sizes: list[int]) -> None:
    """In every dialect of a caller: the bytes, the count and the end."""
    pieces, at = [], 0
    for size in [*sizes, len(ANSWER)]:
        pieces.append(ANSWER[at : at + size])
        at += size
    whole, one = translated([ANSWER], Dialect.ANTHROPIC, caller)
    cut, other = translated(pieces, Dialect.ANTHROPIC, caller)
    assert cut == whole
    assert "lö".encode() in whole
    assert one.is_whole
    assert other.is_whole
    assert (
        one.metered == other.metered == Metered(given=True, usage=Usage(input_uncached=12, cache_read=7, output_text=9))
    )
    assert one.finish_reason == other.finish_reason == "end_turn"


WHOLE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "max_tokens",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 2},
}


@pytest.mark.parametrize("caller", list(Dialect))
def test_a_whole_answer_is_read_back_as_it_was(caller: Dialect) -> None:
    """In every dialect of a caller; the exchange is told the count and the upstream's own word for the end."""
    body = msgspec.json.encode(WHOLE)
    answer, written = translate_answer(FORMATS[Dialect.ANTHROPIC], FORMATS[caller], body, maker())
    assert (answer.finish_reason, answer.metered) == (
        "max_tokens",
        Metered(given=True, usage=Usage(input_uncached=10, output_text=2)),
    )
    upstream, back = FORMATS[Dialect.ANTHROPIC].read_answer(body), FORMATS[caller].read_answer(written)
    assert back.choices[0].parts == upstream.choices[0].parts
    assert back.choices[0].finish.reason is FinishReason.LENGTH
    assert back.metered == upstream.metered


def test_what_is_no_answer_is_told() -> None:
    """As a fault of the upstream."""
    with pytest.raises(WireError):
        translate_answer(FORMATS[Dialect.ANTHROPIC], FORMATS[Dialect.OPENAI_CHAT], b"{}", maker())
