"""Anthropic's streams as they pass: what is forwarded, what is held back, what is read."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.anthropic.samples import END, ERROR, LAST, PING, START, TEXT, delta, event, start, stop, text
from tokenway.dialects.anthropic.passing import STOP, PassingMessages, Phase, are_deltas, priced, read_whole
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.usage import ABSURD, Usage

COUNTED = Usage(12, 7, output_text=9)
TOOL = start(1, type="tool_use", id="toolu_1", name="f", input={})
THOUGHT = start(0, type="thinking", thinking="", signature="")


def thought(value: str) -> bytes:
    """A thought grows."""
    return delta(0, type="thinking_delta", thinking=value)


def read(pieces: Iterable[bytes], reader: PassingMessages | None = None) -> tuple[bytes, PassingMessages]:
    """What is forwarded of these pieces, a second apart, and the reader."""
    reader = reader or PassingMessages()
    return b"".join([reader.feed(piece, float(now)) for now, piece in enumerate(pieces, start=1)]), reader


def test_events_pass_as_they_came() -> None:
    """Every event is forwarded with its own bytes; only the end mark is held back, and given as it came."""
    events = [START, TEXT, PING, text("a"), text("b"), stop(0), LAST]
    end = END.replace(b"}", b"   }")
    out, reader = read([*events, end])
    assert out == b"".join(events)
    assert reader.tail(b'"cost":1', b'"tokenway":{}') == end
    assert reader.is_whole
    assert not reader.is_calm
    assert reader.metered.usage == COUNTED
    assert reader.finish_reason == "end_turn"


def test_an_answer_with_its_stop_reason_is_whole() -> None:
    """Where the end mark is missing, it is written."""
    _, reader = read([START, TEXT, text("a"), LAST])
    assert reader.is_whole
    assert reader.tail(b"", b"") == STOP


def test_an_answer_without_a_stop_reason_is_not_whole() -> None:
    """A broken connection must not look like an end."""
    _, reader = read([START, TEXT, text("a")])
    assert not reader.is_whole
    assert reader.metered.usage == Usage(10, 7, output_text=1)


def test_what_is_newer_than_this_program_passes() -> None:
    """Unknown events, blocks and deltas are forwarded as they are."""
    events = [
        START,
        event("of_tomorrow", x=1),
        start(0, type="new_block", x=[1]),
        delta(0, type="new_delta", y=2),
        stop(0),
        event("message_delta", delta={"stop_reason": "new_reason", "z": 3}, usage={"output_tokens": 2, "new": {}}),
    ]
    out, reader = read(events)
    assert out == b"".join(events)
    assert reader.finish_reason == "new_reason"


WHOLE = (
    START
    + PING
    + start(0, type="thinking", thinking="", signature="")
    + thought("é\U0001f600")
    + delta(0, type="signature_delta", signature="c2ln")
    + stop(0)
    + start(1, type="text", text="")
    + text('"message_stop" "error"', 1)
    + text("\n\nevent: message_stop\n\n", 1)
    + stop(1)
    + LAST
    + END
    + text("late")
)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_how_a_stream_is_cut_does_not_matter(cuts: list[int], line_end: bytes) -> None:
    """Any pieces, with any line ends, give the same bytes, usage and finish reason as the whole."""
    stream = WHOLE.replace(b"\n", line_end)
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    out, reader = read(stream[a:b] for a, b in pairwise(edges))
    whole, other = read([stream])
    assert out == whole
    assert (reader.metered, reader.finish_reason, reader.phase) == (other.metered, other.finish_reason, Phase.DONE)


class Careful(PassingMessages):
    """A reader that decodes every event."""

    @property
    def _is_quick(self) -> bool:
        return False

    @_is_quick.setter
    def _is_quick(self, value: bool) -> None:
        pass


PARTS = st.sampled_from(
    [
        *(text("a"), text(""), text('"'), text("\\"), text("\n\n"), text("error"), text("message_stop")),
        *(TEXT, TOOL, THOUGHT, thought("t"), stop(0), PING, LAST, ERROR, END, b": comment\n\n"),
        delta(0, type="signature_delta", signature="x"),
        delta(1, type="input_json_delta", partial_json='{"message_delta":1}'),
        event("message_delta", delta={}, usage={"output_tokens": 3}),
        event("message_delta", delta={}, usage={"output_tokens": -3}),
    ]
)


@given(st.lists(PARTS, max_size=25), st.integers(1, 3))
def test_the_quick_way_sees_what_the_careful_one_sees(parts: list[bytes], at_once: int) -> None:
    """Events that are not decoded hold nothing that matters: bytes, usage, finish, faults and stamps are the same."""
    parts = [START, *parts]
    pieces = [b"".join(parts[at : at + at_once]) for at in range(0, len(parts), at_once)]
    out, quick = read(pieces)
    expected, careful = read(pieces, Careful())
    assert out == expected
    for name in (
        *("metered", "finish_reason", "phase", "fault", "fault_event", "is_whole"),
        *("first_delta", "first_answer", "last_delta"),
    ):
        assert getattr(quick, name) == getattr(careful, name), name


def test_stamps_tell_thoughts_from_the_answer() -> None:
    """The first delta is a thought, the first answer the text; a ping and a block's edges are no deltas."""
    _, reader = read([START, THOUGHT, thought("a"), thought("b"), stop(0), PING, TEXT, text("c"), text("d")])
    assert (reader.first_delta, reader.first_answer, reader.last_delta) == (3.0, 8.0, 9.0)
    assert sum(reader.gap_counts) == 3


@pytest.mark.parametrize(
    ("block", "first_answer"),
    [(TOOL, 2.0), (start(0, type="server_tool_use", id="s"), 2.0), (start(0, type="redacted_thinking", data="x"), 0.0)],
)
def test_a_block_that_is_an_answer_in_itself_is_stamped(block: bytes, first_answer: float) -> None:
    """A call is an answer from its start; a sealed thought is something, but no answer."""
    _, reader = read([START, block])
    assert (reader.first_delta, reader.first_answer) == (2.0, first_answer)


def test_an_error_ends_the_stream() -> None:
    """It is kept with its bytes, not forwarded, and nothing after it counts."""
    out, reader = read([START, TEXT, text("a"), ERROR, text("b"), LAST])
    assert out == START + TEXT + text("a")
    assert (reader.fault, reader.fault_event) == ("Overloaded", ERROR)
    assert not reader.is_whole
    assert not reader.is_calm


def test_an_error_in_place_of_an_answer_forwards_nothing() -> None:
    """So another endpoint can be tried."""
    out, reader = read([PING, ERROR])
    assert (out, reader.fault) == (b"", "Overloaded")


@pytest.mark.parametrize(
    "first",
    [
        TEXT,
        END,
        LAST,
        b"data: [DONE]\n\n",
        b'data: {"choices":[]}\n\n',
        b"data: {\n\n",
        event("message_start", message=3),
    ],
)
def test_what_begins_otherwise_is_no_stream_of_this_dialect(first: bytes) -> None:
    """A 200 with something else is the upstream's fault."""
    with pytest.raises(WireError):
        read([first])


def test_odd_events_pass_once_there_is_text_and_broken_ones_end_it() -> None:
    """Most events are not decoded any more, and how a stream is cut must not matter."""
    odd = b'event: content_block_delta\ndata: {"type":5}\n\n'
    assert read([START, TEXT, text("a"), odd])[0].endswith(odd)
    broken = b"event: content_block_delta\ndata: {\n\n"
    out, reader = read([START, TEXT, text("a"), text("b") + broken + text("c")])
    assert out.endswith(text("a") + text("b"))
    assert "not one of this dialect" in reader.fault
    with pytest.raises(WireError):
        read([START, TEXT, broken])


def test_deltas_are_told_at_a_glance() -> None:
    """One or many; what else is among them is looked at, and so is what is spelled in another way."""
    plain = text("a") + text('"error"')
    assert are_deltas(text("a"))
    assert are_deltas(plain)
    named = b"event: content_block_delta\n"
    others = [START, TEXT, PING, stop(0), LAST, END, named + b"data: {\n\n", named + b'data: {"type":"error"}\n\n']
    others += [text("a").removeprefix(named), text("a").replace(b",", b",\n"), text("a").replace(b",", b",\r")]
    for other in others:
        for events in (other, plain + other, other + plain):
            assert not are_deltas(events)


def test_a_last_event_without_its_blank_line_counts() -> None:
    """Half an event does not."""
    _, reader = read([START, TEXT, text("a"), LAST, END.rstrip(b"\n")])
    assert reader.finish() == b""
    assert reader.phase is Phase.DONE
    _, reader = read([START, TEXT, text("a"), LAST[:-20]])
    assert reader.finish() == b""
    assert not reader.is_whole


def test_absurd_usage_passes_and_is_no_money() -> None:
    """A negative count is the upstream's to explain."""
    last = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": -5})
    out, reader = read([START, TEXT, text("a"), last, END])
    assert out.endswith(last)
    assert reader.metered == ABSURD


def test_a_whole_answer_is_looked_at() -> None:
    """Its usage and its stop reason are found, and it goes on unchanged."""
    usage = b'{"input_tokens":1,"cache_read_input_tokens":2,"output_tokens":3}'
    body = b'{"type":"message","content":[{"type":"new"}],"stop_reason":"max_tokens","usage":%b}' % usage
    found = read_whole(Operation.CHAT, body)
    assert (found.metered.usage, found.finish_reason, found.usage) == (Usage(1, 2, output_text=3), "max_tokens", usage)
    assert priced(body, b'"cost":1', usage) == body


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b"{}", b'{"type":"error","error":{"type":"api_error","message":"m"}}', b'{"choices":[]}'],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    """A 200 with something else is the upstream's fault."""
    with pytest.raises(WireError):
        read_whole(Operation.CHAT, body)
