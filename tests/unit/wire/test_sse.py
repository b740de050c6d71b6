"""Server-sent events: cut after the last whole event, whatever the pieces."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.errors import WireError
from tokenway.wire.sse import (
    DataFrames,
    EventSplitter,
    event_data,
    event_end,
    make_event,
    one_line,
    split_events,
)

STREAM = b'\xef\xbb\xbf: hello\n\nevent: x\ndata: {"a":\ndata: "\xc3\xa9\xf0\x9f\x98\x80"}\n\nid: 1\n\ndata: [DONE]\n\n'
LINES = st.sampled_from(
    [b"data: a", b"data:b", b"data", b"data: \xc3\xa9", b": c", b"event: e", b"id", b"dat", b"x: y"]
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[list[bytes]], bytes]:
    """Events as their lines, and their bytes with one kind of line end."""
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    events = draw(st.lists(st.lists(LINES, min_size=1, max_size=4), max_size=6))
    return events, b"".join(end.join([*lines, b"", b""]) for lines in events)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """The data in pieces."""
    edges = sorted({0, len(data), *(min(place, len(data)) for place in at)})
    return [data[a:b] for a, b in pairwise(edges)]


def data_of(lines: list[bytes]) -> bytes | None:
    """An event's data by the letter of the standard."""
    parts = [value.removeprefix(b" ") for name, _, value in (line.partition(b":") for line in lines) if name == b"data"]
    return b"\n".join(parts) if parts else None


@given(streams(), st.lists(st.integers(0, 200), max_size=8))
def test_whole_events_come_out_however_they_are_cut(stream: tuple[list[list[bytes]], bytes], at: list[int]) -> None:
    """All bytes come out in order, in whole events, and each event's data is what the standard says."""
    events, data = stream
    splitter = EventSplitter()
    wholes = [splitter.feed(piece) for piece in cut(data, at)]
    assert b"".join(wholes) == data
    assert splitter.pending == 0
    found = [event for whole in wholes for event in split_events(whole)]
    assert [event_data(event) for event in found] == [data_of(lines) for lines in events]


@given(streams(), st.lists(st.integers(0, 200), max_size=8))
def test_frames_are_the_data_of_the_events(stream: tuple[list[list[bytes]], bytes], at: list[int]) -> None:
    """However the bytes are cut: the data of each event, and nothing for one that has none."""
    events, data = stream
    frames = DataFrames()
    found = [frame for piece in cut(data, at) for frame in frames.feed(piece)]
    assert found == [data_of(lines) or b"" for lines in events]
    assert frames.rest() == []


def test_blank_lines_are_no_frames() -> None:
    """However many there are between two events, and however they are cut; a comment is one."""
    for pieces in (
        [b"data: a\n\n\n\n: ping\n\n\n"],
        [b"data: a\n\n", b"\n", b"\n: ping\n\n", b"\n"],
        [b"data: a\r\n\r\n\r\n:\r\n\r\n"],
    ):
        frames = DataFrames()
        assert [frame for piece in pieces for frame in frames.feed(piece)] == [b"a", b""]


@given(st.lists(st.sampled_from([b"data: a", b"data:", b"event: e", b"\n", b"\r", b"\n\n", b"x", b":"]), max_size=30))
def test_events_are_split_where_they_end(parts: list[bytes]) -> None:
    """One after the other by `event_end`, or all at once: the same pieces, and no byte is lost."""
    data = b"".join(parts)
    pieces, start = [], 0
    while start < len(data):
        pieces.append(data[start : event_end(data, start)])
        start = event_end(data, start)
    assert split_events(data) == pieces
    assert b"".join(pieces) == data


def test_byte_by_byte_gives_events_one_by_one() -> None:
    """An event comes out with its last byte and not before."""
    splitter = EventSplitter()
    wholes = [whole for at in range(len(STREAM)) if (whole := splitter.feed(STREAM[at : at + 1]))]
    assert wholes == split_events(STREAM)
    assert [event_data(whole) for whole in wholes] == [None, b'{"a":\n"\xc3\xa9\xf0\x9f\x98\x80"}', None, b"[DONE]"]


def test_trailing_bytes_are_kept() -> None:
    """What follows the last whole event waits, and can be taken at the end of the body."""
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n\ndata: b\n") == b"data: a\n\n"
    assert splitter.pending == 8
    assert splitter.take_rest() == b"data: b\n"
    assert splitter.pending == 0
    assert splitter.take_rest() == b""


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_garbage_loses_no_byte(data: bytes, at: list[int]) -> None:
    """Whatever comes is passed on or kept."""
    splitter = EventSplitter()
    out = b"".join([splitter.feed(piece) for piece in cut(data, at)])
    assert b"".join(split_events(out)) == out
    assert out + splitter.take_rest() == data


def test_an_event_is_bounded() -> None:
    """One that grows beyond the limit raises; one of just that size does not."""
    splitter = EventSplitter(limit=10)
    assert splitter.feed(b"x" * 10) == b""
    with pytest.raises(WireError, match="larger than 10 bytes"):
        splitter.feed(b"x")


class Counted(bytearray):
    """A buffer that counts the bytes that are searched."""

    searched = 0

    def rfind(self, mark: bytes, start: int, stop: int) -> int:  # type: ignore[override]
        """Searches, and counts."""
        self.searched += stop - start
        return super().rfind(mark, start, stop)


def test_a_large_event_costs_linear_time() -> None:
    """Four megabytes in small pieces are searched once for each mark, not once for each piece."""
    splitter = EventSplitter()
    counted = splitter.rest = Counted()
    size, step = 4 * 2**20, 4096
    for _ in range(size // step):
        splitter.feed(b"x" * step)
    assert counted.searched < 4 * size
    assert len(splitter.feed(b"\n\n")) == size + 2


class Searched(bytes):
    """Bytes that count how many of them are searched."""

    searched = 0

    def find(self, mark: bytes, start: int = 0, stop: int | None = None) -> int:  # type: ignore[override]
        """Searches as bytes do."""
        at = super().find(mark, start, len(self) if stop is None else stop)
        self.searched += (len(self) if stop is None else stop) - start if at < 0 else at - start
        return at


def test_many_events_cost_linear_time() -> None:
    """Each one is looked for up to its end, not up to the end of all."""
    whole = Searched(b"data: x\n\n" * 1000)
    start = 0
    while start < len(whole):
        start = event_end(whole, start)
    assert whole.searched < 4 * len(whole)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:  a\n\n", b" a"),
        (b"data:a\r\n\r\n", b"a"),
        (b"data: a\rdata: b\n\n", b"a\nb"),
        (b"data\n\n", b""),
        (b"\xef\xbb\xbfdata: a\n\n", b"a"),
        (b"Data: a\n\n", None),
        (b"\n\n", None),
        (b"", None),
    ],
)
def test_the_data_of_one_event(event: bytes, data: bytes | None) -> None:
    """One space after the colon belongs to the format, a byte order mark too, and names are in lower case."""
    assert event_data(event) == data


@given(st.binary(max_size=40).filter(lambda data: not re.search(rb"[\r\n]", data)))
def test_an_event_that_is_made_is_read_again(data: bytes) -> None:
    """`make_event` and `event_data` are each other's inverse."""
    event = make_event(data)
    assert EventSplitter().feed(event) == event
    assert event_data(event) == data


def test_json_that_was_written_in_lines_becomes_one() -> None:
    """Its value is the same, and an event can carry it."""
    written = b'{\n  "a": [1,\r\n 2],\n "b": "\\n"}'
    line = one_line(written)
    assert json.loads(line) == {"a": [1, 2], "b": "\n"}
    assert event_data(make_event(line)) == line
