"""`tokenway.cli.answer`: what is read from the chunks of an answer, and what reaches the screen."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import StubGateway, delta
from tokenway.cli.answer import Answer, stream_answer
from tokenway.cli.client import Gateway, GatewayError
from tokenway.cli.meter import Meter

MESSAGES = [{"role": "user", "content": "hello"}]


def test_the_text_goes_to_the_screen_and_into_the_answer(stub: StubGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """Each piece is printed as it is, one line end is added, and the answer holds the whole."""
    last = {"choices": [], "usage": {"completion_tokens": 2, "cost": 0.5}, "tokenway": {"endpoint": "lab/m"}}
    stub.streams(delta("Hel"), delta("lo"), {"choices": [{"delta": {}, "finish_reason": "stop"}]}, last)
    answer = stream_answer(Gateway(stub.base_url, None), "m", MESSAGES, {"max_tokens": 5})
    assert capsys.readouterr().out == "Hello\n"
    assert (answer.content, answer.finish_reason, answer.stopped) == ("Hello", "stop", False)
    assert answer.meter.tokens == 2
    assert answer.meter.report == {"endpoint": "lab/m"}


def test_the_request_asks_for_usage_and_carries_the_options(stub: StubGateway) -> None:
    """The meter needs the provider's count, so the request asks for it."""
    stub.streams(delta("x"))
    stream_answer(Gateway(stub.base_url, None), "m", MESSAGES, {"max_tokens": 5})
    assert json.loads(stub.requests[0][3]) == {
        "model": "m",
        "messages": MESSAGES,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
    }


def test_nothing_is_printed_when_it_should_not_show(stub: StubGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """For JSON output the text is only collected."""
    stub.streams(delta("x"))
    assert stream_answer(Gateway(stub.base_url, None), "m", MESSAGES, {}, show=False).content == "x"
    assert not capsys.readouterr().out


def test_a_failure_after_text_ends_the_line_first(stub: StubGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """An error message never stands on the same line as half an answer."""
    stub.streams(delta("half"), {"error": {"message": "It broke."}})
    with pytest.raises(GatewayError, match="It broke"):
        stream_answer(Gateway(stub.base_url, None), "m", MESSAGES, {})
    assert capsys.readouterr().out == "half\n"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_is_kept_apart_from_the_text(field: str) -> None:
    """Both spellings of reasoning count as pieces but not as text."""
    answer = Answer(Meter("m", 0.0))
    assert answer.take({"choices": [{"delta": {field: "hm"}}]}, 1.0) == ("hm", "")
    assert answer.take(delta("yes"), 2.0) == ("", "yes")
    assert (answer.content, answer.reasoning, answer.meter.pieces) == ("yes", ["hm"], 2)


@pytest.mark.parametrize(
    "chunk",
    [
        {},
        {"choices": None},
        {"choices": [{}]},
        {"choices": [{"delta": {"content": None}}]},
        {"choices": "x"},
        {"choices": ["x"]},
        {"choices": [{"delta": "x"}]},
        {"choices": [{"delta": {"content": ["x"]}}]},
    ],
)
def test_chunks_without_text_are_not_pieces(chunk: dict[str, object]) -> None:
    """A role, an empty delta or an odd chunk does not start the clock of the first token."""
    answer = Answer(Meter("m", 0.0))
    assert answer.take(chunk, 1.0) == ("", "")
    assert answer.meter.ttft_seconds is None
