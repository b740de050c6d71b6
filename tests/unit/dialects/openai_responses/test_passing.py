"""Streams and whole answers of this API as they pass."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.openai_responses.made import (
    USAGE,
    asked,
    client,
    decoded,
    event,
    message,
    response,
    said,
    stream,
    text_events,
)
from tokenway.dialects.base import AnswerStream
from tokenway.dialects.openai_responses.passing import PassingResponses, Phase, passing, priced, read_whole
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Usage
from tokenway.wire.sse import split_events

COUNTED = Metered(given=True, usage=Usage(3, 4, 2, 0, 2, 5))
COST = b'"cost":0.5'
EXTRA = b'"tokenway":{"attempts":1}'
HELLO = stream(*text_events("Hel", "lo"), end=response("completed", message(said("Hello"))))
DELTA = {"output_index": 0, "content_index": 0, "item_id": "msg_1", "logprobs": []}


def read(pieces: Iterable[bytes], reader: PassingResponses | None = None) -> tuple[bytes, PassingResponses]:
    """What is forwarded of these pieces, a second apart, and the reader."""
    reader = reader or PassingResponses()
    return b"".join([reader.feed(piece, float(now)) for now, piece in enumerate(pieces, start=1)]), reader


def begun(sent: bytes) -> bytes:
    """A stream without its last event."""
    return b"".join(split_events(sent)[:-1])


def test_everything_passes_but_the_end() -> None:
    """Byte for byte; the last event is kept until the ledger has the answer."""
    out, reader = read(split_events(HELLO))
    assert out == begun(HELLO)
    assert out + reader.tail(b"", b"") == HELLO
    seen: AnswerStream = reader
    assert (seen.is_whole, seen.is_calm, seen.fault, seen.metered) == (True, False, "", COUNTED)
    assert (seen.finish_reason, reader.answer_id, reader.phase) == ("completed", "resp_1", Phase.DONE)


def test_the_cost_goes_into_the_usage_and_more_into_the_response() -> None:
    """Every other byte of the last event is the upstream's."""
    _, reader = read([HELLO])
    held = split_events(HELLO)[-1]
    tail = reader.tail(COST, EXTRA)
    usage = json.dumps(USAGE, separators=(",", ":")).encode()
    expected = held.replace(usage, usage[:-1] + b"," + COST + b"}").replace(b"}}}\n\n", b"}," + EXTRA + b"}}\n\n")
    assert tail == expected
    answer = decoded(tail)[0]["response"]
    assert answer["usage"] == {**USAGE, "cost": 0.5}
    assert answer["tokenway"] == {"attempts": 1}
    assert reader.tail(COST, b"") != tail


def test_an_upstreams_own_cost_is_replaced() -> None:
    """A gateway behind this one has told its own."""
    end = response("completed", usage={**USAGE, "cost": 9}, tokenway={"attempts": 7})
    _, reader = read([stream(*text_events("x"), end=end)])
    answer = decoded(reader.tail(COST, EXTRA))[0]["response"]
    assert (answer["usage"]["cost"], answer["tokenway"]) == (0.5, {"attempts": 1})


def test_without_a_usage_there_is_no_cost() -> None:
    """The last event passes as it came."""
    usages: list[dict[str, int] | None] = [None, {}]
    for usage in usages:
        sent = stream(*text_events("x"), end=response("completed", usage=usage))
        _, reader = read([sent])
        assert reader.metered == (UNMETERED if usage is None else Metered(given=True, usage=Usage()))
        if usage is None:
            assert reader.tail(COST, b"") == split_events(sent)[-1]


def test_an_end_in_several_data_lines_is_written_in_one() -> None:
    """The event stays an event of its name."""
    for status in ("completed", "incomplete"):
        spread = json.dumps({"type": f"response.{status}", "response": response(status)}, indent=1).encode()
        last = (
            b"event: response.%b\n" % status.encode() + b"".join(b"data: %b\n" % x for x in spread.split(b"\n")) + b"\n"
        )
        _, reader = read([begun(HELLO) + last])
        assert reader.tail(b"", b"") == last
        tail = reader.tail(COST, b"")
        assert tail.startswith(b"event: response.%b\ndata: " % status.encode())
        assert decoded(tail)[0]["response"]["usage"]["cost"] == 0.5


def test_an_end_with_a_member_twice_passes_as_it_came() -> None:
    """There is no saying where the cost belongs."""
    last = b'data: {"type":"response.completed","response":{"usage":{},"status":"completed","usage":{}}}\n\n'
    _, reader = read([begun(HELLO) + last])
    assert reader.tail(COST, b"") == last


@given(st.lists(st.integers(0, len(HELLO)), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_how_a_stream_is_cut_does_not_matter(cuts: list[int], line_end: bytes) -> None:
    """Any pieces, with any line ends, give the same bytes, usage and finish as the whole."""
    sent = HELLO.replace(b"\n", line_end)
    edges = sorted({0, len(sent), *(min(cut, len(sent)) for cut in cuts)})
    out, reader = read(sent[a:b] for a, b in pairwise(edges))
    whole, other = read([sent])
    assert out == whole
    assert (reader.metered, reader.finish_reason, reader.phase) == (other.metered, other.finish_reason, Phase.DONE)
    assert reader.tail(COST, EXTRA) == other.tail(COST, EXTRA)


def test_the_end_of_the_body_ends_the_last_event() -> None:
    """A server may leave out the last blank line; half an event gives nothing."""
    _, reader = read([HELLO.removesuffix(b"\n\n")])
    before = reader.is_whole
    assert reader.finish() == b""
    assert (before, reader.is_whole) == (False, True)
    assert decoded(reader.tail(COST, b""))[0]["response"]["usage"]["cost"] == 0.5

    _, half = read([HELLO[:-40]])
    assert half.finish() == b""
    assert not half.is_whole


@pytest.mark.parametrize(
    ("kind", "visible", "answer"),
    [
        ("response.output_text.delta", True, True),
        ("response.refusal.delta", True, True),
        ("response.function_call_arguments.delta", True, True),
        ("response.custom_tool_call_input.delta", True, True),
        ("response.reasoning_summary_text.delta", True, False),
        ("response.reasoning_text.delta", True, False),
        ("response.content_part.added", False, False),
        ("response.in_progress", False, False),
    ],
)
def test_when_the_first_text_came(kind: str, visible: bool, answer: bool) -> None:
    """Reasoning is seen but is no answer; arguments are one."""
    created, *_ = split_events(HELLO)
    _, reader = read([created, event(kind, delta="x", **DELTA)])
    assert (reader.first_delta > 0, reader.first_answer > 0) == (visible, answer)


@pytest.mark.parametrize(
    ("kind", "item", "answer"),
    [
        ("added", {"type": "function_call", "name": "f"}, True),
        ("added", {"type": "custom_tool_call", "name": "f"}, True),
        ("added", {"type": "message", "content": []}, False),
        ("added", {"type": "web_search_call"}, False),
        ("done", {"type": "image_generation_call", "result": "aGk="}, True),
        ("done", {"type": "reasoning", "summary": []}, False),
    ],
)
def test_items_that_are_an_answer_by_themselves(kind: str, item: dict[str, Any], answer: bool) -> None:
    """A call that begins, a picture that is done."""
    created, *_ = split_events(HELLO)
    _, reader = read([created, event(f"response.output_item.{kind}", output_index=0, item=item)])
    assert (reader.first_answer > 0) == answer


def test_pauses_are_counted() -> None:
    """Between deltas, also of those that are not decoded."""
    deltas = [event("response.output_text.delta", delta="x", **DELTA) for _ in range(4)]
    _, reader = read([split_events(HELLO)[0], *deltas])
    assert reader.last_delta == 5.0
    assert sum(reader.gap_counts) == 3


class Careful(PassingResponses):
    """A reader that decodes every event."""

    MARKS: ClassVar[tuple[bytes, ...]] = (b"data:",)


TRICKY = stream(
    *text_events('"response"', '{"error":1}', "[DONE]", "é\U0001f600", "\\", '"response.completed"'),
    ("response.web_search_call.searching", {"output_index": 1}),
    ("response.output_text.delta", {"delta": "x", **DELTA}),
)


def test_the_quick_way_sees_what_decoding_every_event_sees() -> None:
    """Text that looks like a mark is none: inside of a string every quote is escaped."""
    quick, one = read(split_events(TRICKY))
    careful, other = read(split_events(TRICKY), Careful())
    assert quick == careful
    assert (one.metered, one.finish_reason, one.phase) == (other.metered, other.finish_reason, Phase.DONE)


FAILED = event(
    "response.failed",
    response=response("failed", error={"code": "rate_limit_exceeded", "message": "slow down"}),
    sequence_number=4,
)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (FAILED, "slow down"),
        (event("error", code="server_error", message="oh", param=None, sequence_number=3), "oh"),
        (event("error", error={"message": "busy"}), "busy"),
        (event("error", code="x"), "x"),
        (b'data: {"error":{"message":"busy"}}\n\n', "busy"),
        (event("response.failed", response=response("failed")), "the response has failed"),
    ],
)
def test_an_error_is_a_fault_with_its_bytes(bad: bytes, text: str) -> None:
    """Before the answer and inside of it; what comes after it is nobody's answer."""
    for before in (b"", begun(HELLO)):
        out, reader = read([before, bad + HELLO])
        assert out == before
        assert (reader.fault, reader.fault_event, reader.is_whole, reader.is_calm) == (text, bad, False, False)


def test_a_failed_response_may_have_counted() -> None:
    """What was used up before it failed is billed."""
    _, reader = read([begun(HELLO), FAILED])
    assert reader.metered == COUNTED


@pytest.mark.parametrize(
    "sent", [b"data: <html>\n\n", b"data: []\n\n", b'data: {"object":"chat.completion.chunk"}\n\n']
)
def test_what_is_no_stream_of_this_dialect(sent: bytes) -> None:
    """A page, no object, another dialect's chunk."""
    with pytest.raises(WireError):
        read([sent])


def test_garbage_inside_of_an_answer_ends_it() -> None:
    """What is no JSON is not passed on; before the first text it is no stream of this dialect."""
    garbage = b'data: {"response" <html>\n\n'
    with pytest.raises(WireError):
        read([split_events(HELLO)[0], garbage])
    out, reader = read([begun(HELLO), garbage])
    assert out == begun(HELLO)
    assert "not one of this dialect" in reader.fault


def test_comments_and_end_marks() -> None:
    """A comment passes once the answer has begun; `[DONE]` is not of this API."""
    ping, mark = b": ping\n\n", b"data: [DONE]\n\n"
    out, reader = read([ping, begun(HELLO), ping, split_events(HELLO)[-1], mark, ping])
    assert out == begun(HELLO) + ping
    assert reader.is_whole
    alive = event("keepalive", sequence_number=9)
    assert read([alive, HELLO])[0] == alive + begun(HELLO)


def test_an_answer_may_come_in_its_last_event() -> None:
    """Without anything before it."""
    last = split_events(HELLO)[-1]
    out, reader = read([last])
    assert (out, reader.is_whole, reader.tail(b"", b"")) == (b"", True, last)


def test_the_next_number() -> None:
    """One more than the last that was forwarded, also behind a comment; none where the upstream does not count."""
    reader = PassingResponses()
    assert reader.sequence == 0
    reader.feed(begun(HELLO), 1.0)
    assert reader.sequence == 8
    reader.feed(b": ping\n\n", 2.0)
    assert reader.sequence == 8
    assert read([event("response.created")])[1].sequence == 0


def test_the_sdk_takes_what_passed() -> None:
    """The helper puts the same answer together, and finds the cost."""
    out, reader = read([HELLO])
    with client(out + reader.tail(COST, EXTRA), is_stream=True).responses.stream(model="m", input="hi") as sdk:
        final = sdk.get_final_response()
    assert final.output_text == "Hello"
    assert final.usage is not None
    assert final.usage.to_dict()["cost"] == 0.5


def test_how_an_incomplete_answer_finished() -> None:
    """By its reason."""
    end = response("incomplete", incomplete_details={"reason": "max_output_tokens"})
    _, reader = read([stream(*text_events("x"), end=end)])
    assert (reader.finish_reason, reader.is_whole) == ("max_output_tokens", True)


@pytest.mark.parametrize(
    ("item", "word"),
    [
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, "tool_calls"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": ""}, "tool_calls"),
        ({"type": "local_shell_call", "call_id": "c"}, "tool_calls"),
        ({"type": "web_search_call", "id": "w"}, "completed"),
        ({"type": ["function_call"]}, "completed"),
        ({"type": None}, "completed"),
    ],
)
def test_an_answer_with_tools_to_call_says_so(item: dict[str, Any], word: str) -> None:
    """In the books: no status of this API does. What the vendor runs itself is for nobody to call."""
    end = response("completed", message(said("I look.")), item)
    _, reader = read([stream(*text_events("I look."), end=end)])
    assert reader.finish_reason == word
    assert read_whole(Operation.CHAT, json.dumps(end).encode()).finish_reason == word
    cut = response("incomplete", item, incomplete_details={"reason": "max_output_tokens"})
    assert read_whole(Operation.CHAT, json.dumps(cut).encode()).finish_reason == "max_output_tokens"


def test_the_reader_for_a_request() -> None:
    """The same for all."""
    assert isinstance(passing(asked(stream=True)), PassingResponses)


def test_a_whole_answer() -> None:
    """Its count, its finish, its usage as it is written; the cost goes into that."""
    body = json.dumps(response("completed", message(said("x")))).encode()
    answer = read_whole(Operation.CHAT, body)
    assert (answer.metered, answer.finish_reason, json.loads(answer.usage)) == (COUNTED, "completed", USAGE)
    told = priced(body, COST, answer.usage)
    assert json.loads(told)["usage"] == {**USAGE, "cost": 0.5}
    assert told.replace(b"," + COST, b"") == body
    assert priced(body, b"", answer.usage) == body


def test_a_response_in_the_background_is_an_answer() -> None:
    """It has been taken, and is asked for later."""
    answer = read_whole(Operation.CHAT, json.dumps(response("queued", usage=None)).encode())
    assert (answer.metered, answer.finish_reason) == (UNMETERED, "queued")


def test_an_absurd_count() -> None:
    """It passes, and is not turned into money."""
    body = json.dumps(response("completed", usage={"input_tokens": -1})).encode()
    assert read_whole(Operation.CHAT, body).metered == ABSURD


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"object":"chat.completion","choices":[]}',
        b'{"output":[]}',
        json.dumps(response("failed", error={"code": "server_error", "message": "oh"})).encode(),
    ],
)
def test_what_is_no_whole_answer(body: bytes) -> None:
    """A page, another object, a failure."""
    with pytest.raises(WireError):
        read_whole(Operation.CHAT, body)
