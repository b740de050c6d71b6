"""Answers that are gathered from a stream, and the requests that ask for one."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.unit.dialects.anthropic import samples
from tests.unit.dialects.openai_chat.answers import maker
from tokenway.dialects import gather
from tokenway.dialects.base import AnswerStream
from tokenway.dialects.gather import Gathering, streamed
from tokenway.dialects.registry import FORMATS
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import Refusal, WireError
from tokenway.model.event import Added, Opened, PartKind, Started
from tokenway.model.usage import Metered, Usage

ANSWER: Final = (
    samples.START
    + samples.TEXT
    + samples.text("hel")
    + samples.PING
    + samples.text("lö")
    + samples.stop(0)
    + samples.LAST
    + samples.END
)


def gathering() -> Gathering:
    """From Anthropic's dialect to chat."""
    return Gathering(FORMATS[Dialect.ANTHROPIC], FORMATS[Dialect.OPENAI_CHAT], maker())


def test_nothing_goes_out_before_the_end() -> None:
    """Then the answer is whole, with its count and why it ended."""
    stream: AnswerStream = gathering()
    assert isinstance(stream, Gathering)
    out = b"".join([stream.feed(ANSWER[at : at + 7], 1.0) for at in range(0, len(ANSWER), 7)])
    assert out + stream.finish() + stream.ping() + stream.tail(b"cost", b"extra") == b""
    assert stream.is_whole
    answer, body = stream.whole()
    assert json.loads(body)["choices"][0]["message"]["content"] == "hellö"
    assert answer.metered == Metered(given=True, usage=Usage(input_uncached=12, cache_read=7, output_text=9))
    assert answer.finish_reason == "end_turn"


def test_the_pace_of_what_comes_is_kept() -> None:
    """So that deadlines and velocity are those of a stream."""
    stream = gathering()
    stream.feed(samples.START + samples.TEXT, 1.0)
    assert stream.first_delta == 0.0
    stream.feed(samples.text("hel"), 2.0)
    stream.feed(samples.text("lö"), 3.0)
    assert (stream.first_delta, stream.first_answer, stream.last_delta) == (2.0, 2.0, 3.0)
    assert sum(stream.gap_counts) == 1
    assert not stream.is_whole


def test_a_failure_in_the_stream_is_told() -> None:
    """As in a stream that goes out."""
    stream = gathering()
    assert stream.feed(samples.START + samples.event("error", error={"message": "it broke"}), 1.0) == b""
    assert (stream.fault, stream.is_calm, stream.is_whole) == ("it broke", False, False)


def test_an_answer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that comes whole."""
    monkeypatch.setattr(gather, "ANSWER", len(ANSWER) - 1)
    with pytest.raises(WireError, match="more than"):
        gathering().feed(ANSWER, 1.0)


def test_what_another_has_begun_is_kept_as_well() -> None:
    """As every writer takes it over."""
    stream = gathering()
    stream._writer.follow(b"", (Started("a"), Opened(0, PartKind.TEXT), Added(0, "hi")))
    assert json.loads(stream.whole()[1])["choices"][0]["message"]["content"] == "hi"


# -- requests ----------------------------------------------------------------------------------------------

BODIES: Final[dict[Dialect, dict[str, Any]]] = {
    Dialect.OPENAI_CHAT: {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False},
    Dialect.OPENAI_RESPONSES: {"model": "m", "input": "hi"},
    Dialect.ANTHROPIC: {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    Dialect.GEMINI: {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    Dialect.BEDROCK: {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
}


@pytest.mark.parametrize("dialect", Dialect)
def test_the_same_request_asks_for_a_stream(dialect: Dialect) -> None:
    """In its body or its path, in its neutral form, and for other endpoints; the caller's own stays as it is."""
    body = json.dumps(BODIES[dialect]).encode()
    in_path = "model" not in BODIES[dialect]
    request = FORMATS[dialect].parse(Operation.CHAT, body, "m" if in_path else "", False)
    before = request.upstream_body("other")
    assert not request.neutral().stream
    found = streamed(request)
    sent = found.upstream_body("other")
    assert isinstance(sent, bytes)
    assert json.loads(sent).get("stream") == (None if in_path else True)
    assert (found.stream, found.neutral().stream, found.model, found.operation) == (True, True, "m", Operation.CHAT)
    assert (request.stream, request.neutral().stream, request.body) == (False, False, body)
    assert request.upstream_body("other") == before
    if dialect is Dialect.OPENAI_CHAT:
        assert json.loads(sent)["stream_options"] == {"include_usage": True}


def test_what_a_request_has_learnt_on_its_way_is_kept() -> None:
    """A chain that was put into its input, for one."""
    request: Any = FORMATS[Dialect.OPENAI_RESPONSES].parse(
        Operation.CHAT, json.dumps(BODIES[Dialect.OPENAI_RESPONSES]).encode(), "", False
    )
    request.previous, request.asked = "resp_1", b"{}"
    found: Any = streamed(request)
    assert (found.previous, found.asked, found.store) == ("resp_1", b"{}", True)


@pytest.mark.parametrize("dialect", [Dialect.OPENAI_CHAT, Dialect.ANTHROPIC])
def test_a_body_that_can_be_read_in_two_ways_asks_for_nothing(dialect: Dialect) -> None:
    """As where it is sent on as it came."""
    body = json.dumps(BODIES[dialect] | {"stream": False}).encode()[:-1] + b',"seed":1,"seed":2}'
    request = FORMATS[dialect].parse(Operation.CHAT, body, "", False)
    with pytest.raises(Refusal, match="one way only"):
        streamed(request)


def test_what_is_no_chat_has_no_stream() -> None:
    """Whoever asks for it has not looked."""
    with pytest.raises(TypeError, match="rerank"):
        streamed(_Other())  # type: ignore[arg-type]


class _Other:
    operation = Operation.RERANK
