"""Answers of Converse as they pass: what is forwarded, what is held back, what is read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.base import FAULT_TEXT
from tokenway.dialects.bedrock.frames import EVENTS, event
from tokenway.dialects.bedrock.passing import PassingMessages, Phase, priced, read_whole
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.usage import ABSURD, UNMETERED, Usage
from tokenway.wire.event_stream import make_message

COUNTED = Usage(3, output_text=2)


def message(name: str, **payload: Any) -> bytes:
    """One event, padded as Amazon pads them."""
    return event(name, json.dumps({**payload, "p": "abcdef"}).encode())


def text(content: str, index: int = 0) -> bytes:
    """A piece of text."""
    return message("contentBlockDelta", contentBlockIndex=index, delta={"text": content})


START = message("messageStart", role="assistant")
THOUGHT = message("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"text": "hm"}})
TOOL = message("contentBlockStart", contentBlockIndex=1, start={"toolUse": {"toolUseId": "t", "name": "f"}})
BLOCK_STOP = message("contentBlockStop", contentBlockIndex=0)
STOP = message("messageStop", stopReason="end_turn")
METADATA = message("metadata", usage={"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, metrics={"latencyMs": 9})
EXCEPTION = make_message(
    {":message-type": "exception", ":exception-type": "throttlingException"}, b'{"message":"slow down"}'
)
UNKNOWN = make_message({":message-type": "event", ":event-type": "somethingNew"}, b"{}")
BROKEN = event("contentBlockDelta", b"{broken")


def read(pieces: Iterable[bytes]) -> tuple[bytes, PassingMessages]:
    """What is forwarded of these pieces, a second apart, and the reader."""
    reader = PassingMessages()
    return b"".join([reader.feed(piece, float(now)) for now, piece in enumerate(pieces, start=1)]), reader


def test_a_count_stays_where_a_later_one_says_nothing() -> None:
    """As the reader takes it; found by `fuzz/bedrock_stream.py`."""
    _, reader = read([START, text("a"), METADATA, message("metadata", metrics={"latencyMs": 9}), STOP])
    assert reader.metered.usage == COUNTED


def test_messages_pass_as_they_came() -> None:
    """Every message is forwarded with its own bytes, but for the last two, which the tail gives."""
    messages = [START, text("a"), UNKNOWN, text("b"), BLOCK_STOP]
    out, reader = read([*messages, STOP, METADATA])
    assert out == b"".join(messages)
    assert reader.tail(b'"cost":1', b'"tokenway":{}') == STOP + METADATA
    assert (reader.is_whole, reader.is_calm) == (True, False)
    assert reader.metered.usage == COUNTED
    assert reader.finish_reason == "end_turn"


WHOLE = b"".join([START, THOUGHT, text("é\U0001f600"), text("messageStop"), BLOCK_STOP, TOOL, UNKNOWN, STOP, METADATA])


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_how_a_stream_is_cut_does_not_matter(cuts: list[int]) -> None:
    """Any pieces give the same bytes, usage and finish reason as the whole."""
    edges = sorted({0, len(WHOLE), *cuts})
    out, reader = read(WHOLE[a:b] for a, b in pairwise(edges))
    assert out + reader.tail(b"", b"") == WHOLE
    assert (reader.metered.usage, reader.finish_reason, reader.phase) == (COUNTED, "end_turn", Phase.DONE)


MESSAGES = st.sampled_from(
    [text("a"), text(""), text("messageStop"), THOUGHT, TOOL, BLOCK_STOP, UNKNOWN, STOP, METADATA, EXCEPTION, BROKEN]
)


@given(st.lists(MESSAGES, max_size=20), st.integers(1, 4))
def test_the_quick_way_sees_what_the_careful_one_sees(messages: list[bytes], at_once: int) -> None:
    """Deltas that are not decoded hold nothing that matters, however many come at once."""
    stream = [START, text("first"), *messages]
    together = [b"".join(stream[at : at + at_once]) for at in range(0, len(stream), at_once)]
    try:
        expected, careful = read(stream)
    except WireError:
        with pytest.raises(WireError):
            read(together)
        return
    out, quick = read(together)
    assert out == expected
    for name in ("metered", "finish_reason", "phase", "fault", "fault_event", "is_calm", "is_whole"):
        assert getattr(quick, name) == getattr(careful, name), name
    assert quick.tail(b"", b"") == careful.tail(b"", b"")


@pytest.mark.parametrize(
    ("messages", "first_delta", "first_answer", "last_delta"),
    [
        ([START, text("")], 0.0, 0.0, 0.0),
        ([START, THOUGHT, THOUGHT, text("a"), text("b")], 2.0, 4.0, 5.0),
        ([START, TOOL], 2.0, 2.0, 2.0),
        ([START, text("a"), BLOCK_STOP, STOP], 2.0, 2.0, 2.0),
    ],
)
def test_stamps(messages: list[bytes], first_delta: float, first_answer: float, last_delta: float) -> None:
    """Reasoning is a delta and no answer; the start of a tool call is one; what adds nothing is none."""
    _, reader = read(messages)
    assert (reader.first_delta, reader.first_answer, reader.last_delta) == (first_delta, first_answer, last_delta)


def test_pauses_are_counted() -> None:
    """A second between deltas falls below 1024 milliseconds, the eleventh power of two."""
    _, reader = read([START, text("a"), text("b"), text("c")])
    assert reader.gap_counts == (0,) * 10 + (2,)


@pytest.mark.parametrize("before", [[], [START], [START, text("a"), STOP]])
def test_an_exception_is_a_fault(before: list[bytes]) -> None:
    """It is kept as it came, not forwarded, and nothing behind it counts."""
    out, reader = read([*before, EXCEPTION + METADATA, text("x")])
    assert out == b"".join(each for each in before if each is not STOP)
    assert (reader.fault, reader.fault_event) == ("slow down", EXCEPTION)
    assert (reader.is_whole, reader.is_calm) == (False, False)
    assert reader.metered == UNMETERED


def test_a_fault_without_words() -> None:
    """An exception always says something, and not too much."""
    silent = make_message({":message-type": "exception"}, b"")
    assert read([silent])[1].fault == "an error without a message"
    wordy = make_message({":message-type": "exception"}, json.dumps({"message": "x" * 5000}).encode())
    assert len(read([wordy])[1].fault) == FAULT_TEXT


def test_an_early_usage() -> None:
    """Metadata before the stop are held as well; the stop is the end then."""
    out, reader = read([START, METADATA, text("a"), STOP])
    assert out == START + text("a")
    assert reader.tail(b"", b"") == METADATA + STOP
    assert not reader.is_calm


def test_a_body_that_ends_early() -> None:
    """With its stop reason an answer is whole, also without usage; half a message is nothing."""
    _, reader = read([START, text("a"), STOP + METADATA[:-1]])
    assert reader.finish() == b""
    assert (reader.is_whole, reader.is_calm, reader.metered) == (True, True, UNMETERED)
    _, reader = read([START, text("a")])
    assert not reader.is_whole


ALLOWED = {
    Phase.WAITING: {"messageStart"},
    Phase.FLOWING: {"contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"},
    Phase.STOPPED: {"metadata"},
    Phase.DONE: set(EVENTS),
}
WAYS = {Phase.WAITING: b"", Phase.FLOWING: START, Phase.STOPPED: START + STOP, Phase.DONE: START + STOP + METADATA}
SAMPLES = dict(zip(EVENTS, (START, TOOL, text("a"), BLOCK_STOP, STOP, METADATA), strict=True))


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("name", EVENTS)
def test_the_table(phase: Phase, name: str) -> None:
    """What the table has passes or is held, what it has not cannot come."""
    _, reader = read([WAYS[phase]])
    assert reader.phase is phase
    if name in ALLOWED[phase]:
        reader.feed(SAMPLES[name], 9.0)
    else:
        with pytest.raises(WireError, match="cannot come here"):
            reader.feed(SAMPLES[name], 9.0)


def test_what_is_not_of_this_dialect() -> None:
    """Before the first text a broken delta is a fault of the upstream; later ones are not looked into."""
    with pytest.raises(WireError, match="not one of this dialect"):
        read([START, BROKEN])
    assert read([START, text("a"), BROKEN])[0] == START + text("a") + BROKEN
    with pytest.raises(WireError):
        read([b"data: {}\n\n" * 3])


ANSWER = b'{"output":{"message":{"role":"assistant","content":[{"text":"a"}]}},"stopReason":"max_tokens","usage":%b}'


def test_a_whole_answer() -> None:
    """Usage and stop reason are read; the answer stays as it is."""
    body = ANSWER % b'{"inputTokens": 3,"outputTokens":2}'
    whole = read_whole(Operation.CHAT, body)
    assert (whole.metered.usage, whole.finish_reason) == (COUNTED, "max_tokens")
    assert whole.usage == b'{"inputTokens": 3,"outputTokens":2}'
    assert priced(body, b'"cost":1', whole.usage) == body
    assert read_whole(Operation.CHAT, ANSWER % b'{"inputTokens":-3}').metered == ABSURD


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"message":"no","__type":"ValidationException"}'])
def test_what_is_no_answer(body: bytes) -> None:
    """A page or an error with status 200 is a fault of the upstream."""
    with pytest.raises(WireError):
        read_whole(Operation.CHAT, body)
