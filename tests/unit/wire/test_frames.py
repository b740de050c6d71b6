"""Length-prefixed frames."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.errors import WireError
from tokenway.wire.frames import FRAME, FrameSplitter, frame


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(0, 300), max_size=8))
def test_payloads_survive_any_cut(payloads: list[bytes], at: list[int]) -> None:
    """The payloads come out whole, in order, however the stream is cut; empty ones too."""
    stream = b"".join(map(frame, payloads))
    edges = sorted({0, len(stream), *(min(place, len(stream)) for place in at)})
    splitter = FrameSplitter()
    assert [each for a, b in pairwise(edges) for each in splitter.feed(stream[a:b])] == payloads


def test_half_a_frame_waits() -> None:
    """Bytes of the next frame stay until it is complete."""
    splitter = FrameSplitter()
    assert list(splitter.feed(frame(b"one") + frame(b"two")[:5])) == [b"one"]
    assert list(splitter.feed(frame(b"two")[5:])) == [b"two"]


def test_byte_by_byte() -> None:
    """A frame comes out with its last byte."""
    splitter = FrameSplitter()
    data = frame(b"abc")
    heard = [list(splitter.feed(data[at : at + 1])) for at in range(len(data))]
    assert heard == [[]] * (len(data) - 1) + [[b"abc"]]


def test_the_length_is_big_endian() -> None:
    """The format is fixed: four bytes, the most significant first."""
    assert frame(b"x" * 258)[:4] == b"\x00\x00\x01\x02"


def test_an_absurd_length_is_refused_at_once() -> None:
    """A length beyond the bound is a broken stream, before any of it is kept."""
    with pytest.raises(WireError, match=str(FRAME + 1)):
        next(FrameSplitter().feed((FRAME + 1).to_bytes(4, "big")))


def test_what_came_before_an_absurd_length_is_not_lost() -> None:
    """Whole frames of the same read come out first."""
    heard = FrameSplitter().feed(frame(b"one") + b"\xff" * 8)
    assert next(heard) == b"one"
    with pytest.raises(WireError):
        next(heard)
