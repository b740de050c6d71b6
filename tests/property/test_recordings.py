"""Real traffic in OpenAI's chat dialect as it passes: recorded exchanges, where a file of them is at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from tests.replay.exchanges import lines
from tests.replay.said import chat_counts
from tests.simulation.client import load, parse_events
from tokenway.dialects.base import GATEWAY_FIELDS, Maker, Upstream
from tokenway.dialects.openai_chat.answer import write_answer
from tokenway.dialects.openai_chat.passing import PassingChat, read_whole, with_usage_members
from tokenway.dialects.openai_chat.request import parse
from tokenway.dialects.openai_chat.stream_reader import Reader, read_answer
from tokenway.dialects.openai_chat.stream_writer import make_writer
from tokenway.dialects.openai_chat.write import write_request
from tokenway.model.catalog import Operation, Quirks
from tokenway.model.errors import Refusal, WireError
from tokenway.model.event import Answer, Event, fold, unfold
from tokenway.model.usage import Usage
from tokenway.wire.sse import DataFrames

OPERATIONS = {
    "openai_chat": Operation.CHAT,
    "openai_completions": Operation.COMPLETION,
    "openai_embeddings": Operation.EMBEDDING,
}


def recordings() -> list[dict[str, Any]]:
    """The exchanges of this dialect that were answered."""
    return [each for each in lines() if each["dialect"] in OPERATIONS and each["response"]]


def is_answer(body: str, *, stream: bool) -> bool:
    """Whether a success is an answer of this dialect at all; a few come from servers that only tell what they got."""
    first = body.partition("data:")[2].partition("\n")[0] if stream else body
    try:
        decoded = json.loads(first)
    except ValueError:
        return False
    return isinstance(decoded, dict) and ("choices" in decoded or "data" in decoded)


def answers(*, stream: bool) -> Iterator[tuple[str, Operation, bytes]]:
    """Id, operation and body of every success."""
    for each in recordings():
        response = each["response"]
        if each["stream"] is stream and response["status"] == 200 and is_answer(response["body"], stream=stream):
            yield each["id"], OPERATIONS[each["dialect"]], response["body"].encode()


def test_what_is_no_answer_is_refused() -> None:
    """A success with a page, with another object or with events of another kind is a fault of the upstream."""
    for each in recordings():
        response = each["response"]
        if response["status"] == 200 and not is_answer(response["body"], stream=each["stream"]):
            with pytest.raises(WireError):
                run(response["body"].encode(), []) if each["stream"] else read_whole(
                    OPERATIONS[each["dialect"]], response["body"].encode()
                )


def totals(usage: Usage | None) -> tuple[int, int] | None:
    """Input and output tokens."""
    return None if usage is None else (usage.input_tokens, usage.output_tokens)


def told(objects: list[Any]) -> tuple[int, int] | None:
    """The totals of the last usage in these objects, read by hand."""
    found = [counts for each in objects if (counts := chat_counts(each.get("usage")))]
    return (found[-1].input, found[-1].output) if found else None


def run(body: bytes, cuts: list[int]) -> tuple[bytes, PassingChat]:
    """What is forwarded of a stream in these pieces, and its reader."""
    reader = PassingChat()
    edges = sorted({0, len(body), *cuts})
    out = b"".join([reader.feed(body[a:b], 1.0 + number) for number, (a, b) in enumerate(pairwise(edges))])
    return out + reader.finish(), reader


def test_streams_are_read_however_they_are_cut() -> None:
    """Whole, byte by byte and in random pieces: the same bytes, usage and finish, and those that were recorded."""
    seen = 0
    for name, _, body in answers(stream=True):
        chance = Random(name)
        whole, reader = run(body, [])
        assert reader.is_whole, name
        assert not reader.fault, name
        for cuts in (list(range(len(body))), *([chance.randrange(len(body)) for _ in range(9)] for _ in range(5))):
            out, other = run(body, cuts)
            assert out == whole, name
            assert (other.metered, other.finish_reason, other.phase) == (
                reader.metered,
                reader.finish_reason,
                reader.phase,
            )
        chunks = [
            json.loads(event)
            for event in parse_events(body if body.endswith(b"\n\n") else body + b"\n\n")
            if event != "[DONE]"
        ]
        assert totals(reader.metered.usage) == told(chunks), name
        forwarded = [json.loads(event) for event in parse_events(whole)]
        assert forwarded == [chunk for chunk in chunks if chunk.get("choices") or not chunk.get("usage")], name
        reasons = [
            choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice.get("finish_reason")
        ]
        assert reader.finish_reason == (reasons[-1] if reasons else ""), name
        seen += 1
    assert seen > 10


def test_whole_answers_are_read() -> None:
    """Usage and finish reason are those of the body; a cost is added to its usage and nowhere else."""
    seen = 0
    for name, operation, body in answers(stream=False):
        answer = read_whole(operation, body)
        decoded = json.loads(body)
        assert totals(answer.metered.usage) == told([decoded]), name
        if operation is not Operation.EMBEDDING:
            assert answer.finish_reason == (decoded["choices"][0]["finish_reason"] or ""), name
        priced = load(with_usage_members(body, b'"cost":0.5,"cost_details":{}'))
        if decoded.get("usage"):
            assert (priced["usage"].pop("cost"), priced["usage"].pop("cost_details")) == (0.5, {}), name
            decoded["usage"].pop("cost", None)
            decoded["usage"].pop("cost_details", None)
        assert priced == decoded, name
        seen += 1
    assert seen > 50


def test_requests_are_understood_and_passed_on() -> None:
    """What real clients send is taken, and goes upstream with another model and otherwise as it was."""
    seen = 0
    for each in recordings():
        if each["response"]["status"] != 200 or not (each["request"] or {}).get("body"):
            continue
        body = each["request"]["body"].encode()
        request = parse(OPERATIONS[each["dialect"]], body)
        expected = {**json.loads(body), "model": "another"}
        expected = {key: value for key, value in expected.items() if key not in GATEWAY_FIELDS}
        assert request.stream is (expected.get("stream") is True), each["id"]
        if request.stream:
            expected["stream_options"] = {**(expected.get("stream_options") or {}), "include_usage": True}
        assert json.loads(request.upstream_body("another")) == expected, each["id"]
        seen += 1
    assert seen > 50


def events_of(body: bytes, cuts: list[int]) -> list[Event]:
    """The neutral events of a stream in these pieces."""
    frames, reader = DataFrames(), Reader()
    edges = sorted({0, len(body), *cuts})
    found: list[Event] = []
    for start, end in pairwise(edges):
        for frame in frames.feed(body[start:end]):
            found += reader.read(frame) if frame else ()
    for frame in frames.rest():
        found += reader.read(frame)
    return [*found, *reader.end()]


def neutral(answer: Answer) -> Answer:
    """An answer without what its writer says of itself."""
    return replace(answer, id="", model="", created=0)


def test_answers_cross_to_events_and_back() -> None:
    """Every recorded answer, as a stream and whole, is read the same after it was written for a caller."""
    request = b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
    maker = Maker("gen", "m", 1, parse(Operation.CHAT, request))
    seen = 0
    for stream in (True, False):
        for name, operation, body in answers(stream=stream):
            if operation is Operation.EMBEDDING:
                continue
            events = events_of(body, []) if stream else list(unfold(read_answer(body)))
            if stream:
                chance = Random(name)
                assert events_of(body, [chance.randrange(len(body)) for _ in range(20)]) == events, name
            answer = fold(events)
            writer = make_writer(maker)
            written = b"".join([writer.write(event) for event in events]) + writer.tail(b"", b"")
            assert neutral(fold(events_of(written, []))) == neutral(answer), name
            assert neutral(read_answer(write_answer(answer, maker))) == neutral(answer), name
            seen += 1
    assert seen > 50


def test_requests_have_a_neutral_form() -> None:
    """What real clients sent and a provider took is understood; what is written of it is understood again."""
    seen = refused = 0
    upstream = Upstream("m", quirks=Quirks(developer_role=True))
    for each in recordings():
        operation = OPERATIONS[each["dialect"]]
        if each["response"]["status"] != 200 or not (each["request"] or {}).get("body"):
            continue
        if operation is Operation.EMBEDDING:
            continue
        request = parse(operation, each["request"]["body"].encode()).neutral()
        try:
            written = write_request(request, upstream)
        except Refusal:
            refused += 1  # a document by its URL, which the dialect has no place for
            continue
        again = parse(Operation.CHAT, written.body).neutral()
        assert [turn.role for turn in again.messages] == [turn.role for turn in request.messages], each["id"]
        seen += 1
    assert seen > 50
    assert refused < seen / 20
