"""Readers of what requests say of their conversation; `test_runs` has them client by client."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.base import NO_FIELDS, RunFields
from tokenway.dialects.carriers import (
    DIGEST,
    ID_MAX,
    Said,
    chain,
    guess,
    header,
    in_metadata,
    kept,
    member,
    path,
    path_above,
    places_in,
    trace,
    word,
)


def said(headers: dict[bytes, bytes], fields: RunFields = NO_FIELDS) -> Said:
    """A request that says this."""
    return Said(headers, fields, "")


@given(st.text(max_size=400) | st.binary(max_size=400))
def test_an_id_is_printable_and_bounded(value: str | bytes) -> None:
    """Whatever it was, and twice the same."""
    name = kept(value)
    assert name.isprintable()
    assert len(name) <= ID_MAX
    assert not name.startswith("~")
    assert kept(value) == name


def test_a_lone_surrogate_is_digested() -> None:
    """A text that is no Unicode has no bytes of its own."""
    assert kept("a\ud800").startswith(DIGEST)


def test_a_guess_is_marked_and_bounded() -> None:
    """An id of the greatest length gives its place to a digest."""
    assert guess("k") == "~k"
    assert len(guess("k" * ID_MAX)) < ID_MAX


def test_a_carrier_tells_where_it_looks() -> None:
    """So that it is only asked where there is anything."""
    carrier = header("x-tokenway-run")
    request = said({b"x-tokenway-run": b"r", b"accept": b"*"}, RunFields(metadata=msgspec.Raw(b"{}")))
    assert carrier.reads.isdisjoint(places_in(said({b"accept": b"*"})))
    assert not carrier.reads.isdisjoint(places_in(request))
    assert not in_metadata("session_id").reads.isdisjoint(places_in(request))
    assert member("session_id").reads.isdisjoint(places_in(request))
    assert not chain.reads.isdisjoint(places_in(Said({}, NO_FIELDS, "resp_1")))
    assert carrier.read(request) == b"r"
    assert carrier.read(said({})) == b""


def test_a_class_is_one_of_a_few_words() -> None:
    """In letters of any size."""
    read = word(header("x-tokenway-run")).read
    assert read(said({b"x-tokenway-run": b"Main"})) == "main"
    assert read(said({b"x-tokenway-run": b"\xff"})) == ""


@pytest.mark.parametrize(
    ("written", "agent", "parent"),
    [
        (b"", "", ""),
        (b"//", "", ""),
        (b"/a", "/a", ""),
        (b"a/b", "/a/b", "/a"),
        (b"/a/b/c/", "/a/b/c", "/a/b"),
    ],
)
def test_a_path_is_an_agent_below_another(written: bytes, agent: str, parent: str) -> None:
    """Its steps count, not how its ends are written."""
    request = said({b"helicone-session-path": written})
    assert (path.read(request), path_above.read(request)) == (agent, parent)


def test_members_are_decoded_once_and_baggage_is_bounded() -> None:
    """What stands behind the bound is not looked for."""
    fields = RunFields(metadata=msgspec.Raw(b'{"session_id":"s"}'), client_metadata=msgspec.Raw(b'{"a":"b"}'))
    request = said({b"baggage": b"a=1;p=2, b = x%20y ,c," + b" " * 8192 + b",d=4"}, fields)
    assert request.metadata is request.metadata
    assert request.members is request.members
    assert request.turn is request.turn
    assert request.baggage == {"a": "1", "b": "x y"}


def test_a_trace_is_32_digits_of_which_one_counts() -> None:
    """As W3C has it; Codex's own is that of a connection."""
    value = b"00-" + b"4b" * 16 + b"-00f067aa0ba902b7-01"
    assert trace.read(said({b"traceparent": value})) == b"4b" * 16
    assert trace.read(said({b"traceparent": value, b"x-codex-window-id": b"t:1"})) == b""
    assert trace.read(said({b"traceparent": value.upper()})) == b""
