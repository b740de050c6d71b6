"""Which calls of a run its user sees."""

from __future__ import annotations

from typing import Any

import pytest

from tests.records import line, settled
from tokenway.metering.ledger import Settlement, Trace
from tokenway.metering.runs import Figures, is_shown, shown_tokens
from tokenway.model.usage import Usage


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"operation": "completion"}, True),
        ({"finish_reason": "length"}, True),
        ({"finish_reason": "tool_calls"}, False),
        ({"finish_reason": "tool_use"}, False),
        ({"finish_reason": "function_call"}, False),
        ({"finish_reason": "pause_turn"}, False),
        ({"operation": "embedding", "finish_reason": ""}, False),
        ({"operation": "count", "finish_reason": ""}, False),
        ({"operation": "compact", "finish_reason": ""}, False),
        ({"settlement": Settlement.UPSTREAM_BILLED}, False),
        ({"settlement": Settlement.ABSORBED}, False),
        ({"settlement": Settlement.RELEASED}, False),
        ({"trace": Trace()}, True),
        ({"trace": Trace(agent="planner")}, True),
        ({"trace": Trace(request_class="main")}, True),
        ({"trace": Trace(agent="writer", parent="planner", request_class="subagent")}, False),
        ({"trace": Trace(request_class="compaction")}, False),
        ({"trace": Trace(request_class="auxiliary")}, False),
    ],
)
def test_a_user_sees_whole_answers_of_the_conversation(changes: dict[str, Any], expected: bool) -> None:
    """Also short ones; not those with tools to call, of other agents, beside the conversation, or not delivered."""
    assert is_shown(settled(**changes)) is expected


def test_tokens_of_an_answer_are_those_that_are_not_thoughts() -> None:
    """Of the attempt that was delivered, and only where its count is believed."""
    lost = line(attempt=1, settlement=Settlement.ABSORBED, usage=Usage(output_text=7))
    answer = line(attempt=2, usage=Usage(input_uncached=9, output_text=51, reasoning=10, audio_out=4))
    assert shown_tokens(settled(lines=(lost, answer))) == 55
    assert shown_tokens(settled(lines=(lost, answer), finish_reason="tool_use")) == 0
    assert shown_tokens(settled(lines=(line(usage=None),))) == 0
    assert shown_tokens(settled(lines=(line(absurd=True),))) == 0
    assert shown_tokens(settled(lines=())) == 0


def test_what_a_run_comes_to() -> None:
    """Ten times as many tokens as the user saw, and four calls behind each answer."""
    usage = Usage(input_uncached=600, cache_read=200, output_text=150, reasoning=50)
    figures = Figures(
        calls=10,
        shown=2,
        shown_tokens=100,
        usage=usage,
        ttft_us=3_000_000,
        first_tokens=6,
        timed_tokens=190,
        timed_us=2_000_000,
        duration_us=12_500_000,
    )
    assert (figures.tokens, figures.amplification, figures.hidden_calls) == (1000, 10.0, 4.0)
    assert (figures.cache_hits, figures.velocity, figures.ttft, figures.model_time) == (0.25, 95.0, 0.5, 12.5)


def test_what_is_not_known_is_not_invented() -> None:
    """Where nothing was seen, timed or read, there is nothing to divide by."""
    figures = Figures(calls=3, usage=Usage(output_text=5))
    found = (figures.amplification, figures.hidden_calls, figures.cache_hits, figures.velocity, figures.ttft)
    assert found == (None,) * 5
