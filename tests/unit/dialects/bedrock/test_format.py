"""The Bedrock dialect as one record: what its parts make together."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.base import Maker
from tokenway.dialects.bedrock.format import FORMAT
from tokenway.dialects.bedrock.frames import event
from tokenway.dialects.translate import Translation, translate_answer
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import ErrorType, Problem
from tokenway.model.request import Request
from tokenway.model.usage import Usage
from tokenway.wire.event_stream import MessageFrames, parse_message

MAKER = Maker("gen-1", "m", 0, FORMAT.parse(Operation.CHAT, b"{}", "m", True))
STREAM = [
    event("messageStart", b'{"role":"assistant"}'),
    event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"a"}}'),
    event("contentBlockStop", b'{"contentBlockIndex":0}'),
    event("messageStop", b'{"stopReason":"end_turn"}'),
    event("metadata", b'{"metrics":{"latencyMs":0},"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}'),
]


def shown(data: bytes) -> list[tuple[str, dict[str, object]]]:
    """The messages in these bytes as their names and payloads, without the counts of caches that were not used."""
    messages = [parse_message(frame) for frame in MessageFrames().feed(data)]
    return [(message.text(":event-type"), json.loads(message.payload)) for message in messages]


@given(st.lists(st.integers(0, 700), max_size=8))
def test_a_stream_through_the_neutral_form(at: list[int]) -> None:
    """A translation from Bedrock to Bedrock gives the same messages, and both ways see the same finish and usage."""
    data = b"".join(STREAM)
    edges = sorted({0, len(data), *(min(place, len(data)) for place in at)})
    translation = Translation(FORMAT, FORMAT, MAKER)
    passing = FORMAT.passing(MAKER.request)
    out = b""
    for number, (a, b) in enumerate(pairwise(edges), start=1):
        out += translation.feed(data[a:b], float(number))
        passing.feed(data[a:b], float(number))
    out += translation.finish()
    assert shown(out) == shown(b"".join(STREAM[:3]))
    tail = shown(translation.tail(b"", b""))
    assert tail[0] == ("messageStop", {"stopReason": "end_turn"})
    assert tail[1][0] == "metadata"
    for stream in (translation, passing):
        assert (stream.is_whole, stream.is_calm, stream.fault) == (True, False, "")
        assert stream.metered.usage == Usage(3, output_text=2)
        assert stream.finish_reason == "end_turn"
        assert stream.first_answer == stream.last_delta > 0


def test_our_error_is_a_fault_on_both_ways() -> None:
    """A gateway behind a gateway takes the end of a stream for what it is."""
    problem = Problem(429, ErrorType.RATE_LIMIT_EXCEEDED, "slow down")
    for stream in (Translation(FORMAT, FORMAT, MAKER), FORMAT.passing(MAKER.request)):
        stream.feed(STREAM[0] + FORMAT.error_event(problem, MAKER), 1.0)
        assert (stream.fault, stream.is_calm, stream.is_whole) == ("slow down", False, False)
    error = FORMAT.read_error(429, FORMAT.error_body(problem, "gen-1"))
    assert (error.message, error.is_ours, error.type) == ("slow down", True, ErrorType.RATE_LIMIT_EXCEEDED)


def test_a_whole_answer_through_the_neutral_form() -> None:
    """What is read and written again is the same answer."""
    content = [{"text": "a"}, {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}}]
    usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    answer = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use",
        "usage": usage,
    }
    whole, body = translate_answer(FORMAT, FORMAT, json.dumps(answer).encode(), MAKER)
    assert (whole.finish_reason, whole.metered.usage) == ("tool_use", Usage(3, output_text=2))
    assert json.loads(body)["output"] == answer["output"]
    assert json.loads(body)["usage"]["totalTokens"] == 5


def test_the_record() -> None:
    """Names of neutral fields that are spelled otherwise exist, and only Bedrock's own headers go on."""
    assert FORMAT.dialect is Dialect.BEDROCK
    assert FORMAT.stream_type == b"application/vnd.amazon.eventstream"
    parts = {"cache_control", "effort", "reasoning", "shown", "strict", "title"}
    assert set(FORMAT.spelling) - parts <= set(Request.__struct_fields__)
    assert all(name.startswith(b"x-amzn-") for name in (*FORMAT.forwarded, *FORMAT.returned))
