"""What every stream of server-sent events does on its way, seen at a dialect of three words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.base import AnswerStream
from tokenway.dialects.passing import GAP_BUCKETS, Pace, PassingStream, are_sound
from tokenway.model.errors import WireError
from tokenway.wire.limits import EVENT
from tokenway.wire.sse import event_data


class Words(PassingStream):
    """Says `END`, `ERR` and `ODD` beside plain words; `HIDE` is not for the caller."""

    MARKS = (b"END", b"ERR", b"ODD", b"HIDE")

    def __init__(self) -> None:
        super().__init__()
        self.held = b""
        self.looked_at = 0

    @property
    def is_whole(self) -> bool:
        """Whether the end came."""
        return bool(self.held)

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The end."""
        return self.held

    def _is_entire(self, data: bytes) -> bool:
        return data.endswith(b"}")

    def _admit(self, event: bytes, now: float) -> bool:
        self.looked_at += 1
        data = event_data(event)
        if self.fault or data is None:
            return not self.fault
        try:
            told = json.loads(data)
            word = str(told.get("w", "")) if isinstance(told, dict) else "ODD"
        except ValueError:
            word = "ODD"
        match word:
            case "END":
                self.held += event
                self._end()
                return False
            case "ERR":
                self._fail(event, "it broke")
                return False
            case "ODD":
                return self._unreadable(data, ValueError("odd"))
            case "HIDE":
                return False
        self.stamp_text(now, answer=True)
        self._is_quick = True
        return True


def say(*words: str, end: str = "\n") -> bytes:
    """These words, each an event."""
    return "".join(f'data: {{"w":"{word}"}}{end}{end}' for word in words).encode()


def passed(stream: Words, *pieces: bytes) -> bytes:
    """What is forwarded of these pieces, and of the end."""
    return b"".join([stream.feed(piece, float(now)) for now, piece in enumerate(pieces, 1)]) + stream.finish()


# -- the pace ----------------------------------------------------------------------------------------------


def test_the_first_and_last_delta_are_stamped() -> None:
    """Reasoning is a delta, and the answer begins behind it."""
    pace = Pace()
    pace.stamp_text(1.0, answer=False)
    pace.stamp_text(2.0, answer=True)
    pace.stamp_text(4.0, answer=True)
    assert (pace.first_delta, pace.first_answer, pace.last_delta) == (1.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("gap_ms", "bucket"),
    [(0.5, 0), (1.5, 1), (3.5, 2), (4.5, 3), (100.5, 7), (262143.5, 18), (262144.5, 19), (9e8, 19)],
)
def test_a_pause_is_counted_by_its_power_of_two(gap_ms: float, bucket: int) -> None:
    """Bucket i holds those below 2^i milliseconds; the last one all others."""
    pace = Pace()
    pace.stamp(8.0)
    pace.stamp(8.0 + gap_ms / 1000)
    assert pace.gap_counts == (*[0] * bucket, 1)
    assert len(pace.gap_counts) <= GAP_BUCKETS


def test_one_delta_makes_no_pause() -> None:
    """A pause lies between two."""
    pace = Pace()
    pace.stamp(1.0)
    assert pace.gap_counts == ()


def test_most_dialects_have_no_id_and_count_nothing() -> None:
    """An error at the end repeats nothing."""
    assert (Pace().answer_id, Pace().sequence) == ("", 0)


# -- passing -----------------------------------------------------------------------------------------------


def test_a_stream_passes_unchanged_but_for_its_end() -> None:
    """Which is the tail, for when it is settled."""
    stream: AnswerStream = Words()
    assert stream.feed(say("a", "b"), 1.0) == say("a", "b")
    assert stream.feed(say("c", "END"), 2.0) == say("c")
    assert (stream.is_calm, stream.is_whole, stream.tail(b"", b"")) == (False, True, say("END"))


def test_half_an_event_waits_for_its_other_half() -> None:
    """A caller is never given less than one."""
    stream = Words()
    assert stream.feed(b'data: {"w":"a', 1.0) == b""
    assert stream.feed(b'"}\n', 2.0) == b""
    assert stream.feed(b'\ndata: {"w":"b', 3.0) == say("a")


def test_plain_events_are_forwarded_without_a_look() -> None:
    """Once the stream has begun; each read is one delta."""
    stream = Words()
    passed(stream, say("a"), say("b"), say("c", "d"), say("e"))
    assert stream.looked_at == 1
    assert (stream.first_delta, stream.last_delta, sum(stream.gap_counts)) == (1.0, 4.0, 3)


def test_special_events_among_plain_ones_are_looked_at() -> None:
    """A run of plain ones before them is passed in one piece."""
    stream = Words()
    assert passed(stream, say("a"), say("b", "c", "HIDE", "d", "END")) == say("a", "b", "c", "d")
    assert stream.tail(b"", b"") == say("END")


def test_a_comment_passes_and_is_no_delta() -> None:
    """It keeps the connection alive, wherever it stands."""
    stream = Words()
    assert passed(stream, say("a"), b": ping\n\n", b": ping\n\n" + say("b")) == say("a") + b": ping\n\n" * 2 + say("b")
    assert sum(stream.gap_counts) == 1


def test_an_error_ends_it() -> None:
    """It is kept apart, and nothing behind it is forwarded."""
    stream = Words()
    assert passed(stream, say("a"), say("b", "ERR", "c"), say("d")) == say("a", "b")
    assert (stream.fault, stream.fault_event, stream.is_calm) == ("it broke", say("ERR"), False)


def test_what_is_not_of_the_dialect_is_a_wire_error() -> None:
    """With the decoder's reason; after the first text it passes, if it is an object."""
    with pytest.raises(WireError, match="not one of this dialect: odd"):
        Words().feed(say("ODD"), 1.0)
    stream = Words()
    assert passed(stream, say("a"), say("b", "ODD", "c")) == say("a", "b", "ODD", "c")
    assert stream.is_calm


@pytest.mark.parametrize(
    "broken",
    [b"data: {\n\n", b"data: x\n\n", b'data: "x",\n\n', b"data: 1\ndata: 2\n\n", b"data: [1]\n\n", b"data: null\n\n"],
)
def test_what_is_no_object_ends_a_stream(broken: bytes) -> None:
    """However the stream is cut: what came before it passes, nothing behind it, and no bytes of it."""
    before, behind = say("a", "b", "c"), say("d")
    for at in range(len(before) + len(broken)):
        stream = Words()
        data = before + broken + behind
        assert passed(stream, say("0"), data[:at], data[at:]) == say("0") + before
        assert (stream.is_calm, stream.fault_event) == (False, b"")
        assert stream.fault == "an event is not one of this dialect: odd"


@pytest.mark.parametrize(
    "events",
    [
        b'data: {"a":1}\n\n',
        b"event: x\ndata: {}\n\n" * 3,
        b"data: {}\r\n\r\ndata: {}\r\n\r\n",
        b"data: {}\r\rdata: {}\r\r",
        b'data:{"a":1}\n\ndata:  {}\n\n',
        b'data: {\rdata: "a": 1}\r\r',
    ],
)
def test_events_of_json_are_sound(events: bytes) -> None:
    """However they are written; one among them that is no object spoils them."""
    assert are_sound(events)
    assert not are_sound(events + b"data: {\n\n")
    assert not are_sound(b"data: {\n\n" + events)


@pytest.mark.parametrize(
    "event", [b": ping\n\n", b"data: \n\n", b"id: 3\n\n", b'data: {"a":\n1}\n\n', b'data: {"a":\r1}\n\n', b"{}\n\n"]
)
def test_what_is_no_plain_event_is_looked_at(event: bytes) -> None:
    """What its dialect makes of it is not known here; line ends are no spaces of JSON's."""
    assert not are_sound(event)
    assert not are_sound(event + b"data: {}\n\n")
    assert not are_sound(b"data: {}\n\n" + event)


def test_an_event_without_an_end_has_a_bound() -> None:
    """A server that sends no blank line cannot fill the memory."""
    with pytest.raises(WireError, match="larger than"):
        Words().feed(b"data: " + b"x" * EVENT, 1.0)


def test_a_last_event_may_lack_its_blank_line() -> None:
    """It is given one; half of one is nothing, and no fault."""
    whole, half = Words(), Words()
    assert passed(whole, say("a"), b'data: {"w":"b"}') == say("a", "b")
    assert passed(whole, b'data: {"w":"END"}') == b""
    assert whole.tail(b"", b"") == say("END")
    assert passed(half, say("a"), b'data: {"w":"b') == say("a")
    assert (half.is_whole, half.fault) == (False, "")


@pytest.mark.parametrize(
    ("content_type", "is_stream"),
    [
        (b"text/event-stream", True),
        (b"text/event-stream; charset=utf-8", True),
        (b"application/json", False),
        (b"", False),
    ],
)
def test_a_stream_has_its_type(content_type: bytes, is_stream: bool) -> None:
    """A proxy's page with status 200 is none."""
    assert Words().accepts(content_type) is is_stream


WORD = st.sampled_from(["a", "b", "HIDE", "c"])


@given(
    st.lists(WORD, min_size=1, max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["END", "ERR", ""]),
    st.lists(st.integers(1, 30), max_size=30),
)
def test_any_cut_of_a_stream_gives_the_same(words: list[str], end: str, last: str, sizes: list[int]) -> None:
    """Whatever ends its lines; the end, the error and what passes do not depend on the reads."""
    whole = say(*words, *([last] if last else []), end=end)
    stream, at = Words(), 0
    pieces = []
    for size in [*sizes, len(whole)]:
        pieces.append(whole[at : at + size])
        at += size
    out = passed(stream, *[piece for piece in pieces if piece])
    # A lone CR at the very end could be half of a CRLF, so the last event may be ended with LF instead.
    assert out.replace(b"\r\n", b"\n").replace(b"\r", b"\n") == say(*[word for word in words if word != "HIDE"])
    assert bool(stream.fault) is (last == "ERR")
    assert stream.is_whole is (last == "END")
