"""Frames of a stream, and an array's elements."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.gemini.samples import HELLO, request
from tokenway.dialects.gemini.frames import Array, Frames, array_of, frame_data, last_element
from tokenway.dialects.gemini.read import read
from tokenway.dialects.inbound import Inbound, InboundFields
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import WireError

STREAM = (
    b'data: {"a": 1}\n\n: ping\n\ndata: {"a":\ndata: 2}\n\n'
    b'{\n  "error": {"code": 500}\n}\n\ndata: {"text": "\\u2028 \xe2\x80\xa8"}'
)
FRAMES = [b'{"a": 1}', b"", b'{"a":\n2}', b'{\n  "error": {"code": 500}\n}', b'{"text": "\\u2028 \xe2\x80\xa8"}']


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_how_a_stream_is_cut_does_not_matter(cuts: list[int]) -> None:
    """Events with and without `data:`, comments and a last one without its blank line give the same frames."""
    edges = sorted({0, len(STREAM), *cuts})
    frames = Frames()
    found = [frame for a, b in pairwise(edges) for frame in frames.feed(STREAM[a:b])]
    assert found + frames.rest() == FRAMES
    assert frames.rest() == []


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: {}\r\n\r\n", b"{}"),
        (b"data: a\rdata: b\n\n", b"a\nb"),
        (b"id: 1\n\n", None),
        (b": ping\n\n", None),
        (b"{}\n\n", b"{}"),
    ],
)
def test_the_data_of_one_event(event: bytes, data: bytes | None) -> None:
    """Its `data` lines, or bare JSON."""
    assert frame_data(event) == data
    assert Frames().feed(event) == [data or b""]


def test_blank_lines_are_no_frames() -> None:
    """However many there are between two events."""
    assert Frames().feed(b"{}\n\n\n\n{}\r\n\r\n\r\n\n\n") == [b"{}", b"{}"]


def test_an_event_has_a_bound() -> None:
    """One that grows beyond it breaks the stream."""
    with pytest.raises(WireError):
        Frames(limit=10).feed(b"data: 0123456789")


def test_elements_make_one_array() -> None:
    """Each chunk is an element, comments are none, and an empty stream is an empty array."""
    caller = request(array=True)
    array = Array(caller)
    opened = [caller.array_opened]
    out = array.elements(b'data: {"a": 1}\n\n: ping\n\ndata: {"a": 2}\n\n') + array.elements(b'data: {"a": 3}\n\n')
    assert [*opened, caller.array_opened] == [False, True]
    assert json.loads(out + array.end()) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert Array(request(array=True)).end() == b"[]"


def test_only_who_asked_gets_an_array() -> None:
    """A caller of events has no array, and neither has one of another dialect."""
    other = Inbound(Dialect.ANTHROPIC, Operation.CHAT, b"{}", InboundFields(), read, model="m")
    assert array_of(request()) is None
    assert array_of(other) is None
    assert array_of(request(HELLO, array=True)) is not None
    assert last_element(b"{}", request()) is None
    assert last_element(b"{}", other) is None


def test_the_last_element_closes_the_array() -> None:
    """Whether it was opened before or not."""
    caller = request(array=True)
    assert last_element(b"{}", caller) == b"[{}]"
    out = Array(caller).elements(b"data: 1\n\n")
    assert json.loads(out + (last_element(b"{}", caller) or b"")) == [1, {}]


def test_an_array_that_another_has_begun_goes_on() -> None:
    """Its next element is not the first."""
    array = Array(request(array=True))
    array.follow()
    assert array.elements(b'data: {"a": 2}\n\n') + array.end() == b',\n{"a": 2}]'
