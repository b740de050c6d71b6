"""Figures of velocity from stamps, by the formulas that are written above them."""

from __future__ import annotations

import pytest

from tokenway.metering.stamps import (
    Stamps,
    delivered_speed,
    mean_speed,
    mean_ttft,
    output_speed,
    time_per_output_token,
    ttft,
)

STREAM = Stamps(received=10.0, sent=10.1, head=10.4, first_byte=10.4, first_delta=10.5, last_delta=12.5, end=13.0)
WHOLE = Stamps(received=10.0, sent=10.1, head=11.0, first_byte=11.0, end=12.0)


def test_by_hand() -> None:
    """41 tokens: first after half a second, then 40 in two seconds, all in three."""
    assert ttft(STREAM) == 0.5
    assert output_speed(STREAM, 41) == 20.0
    assert delivered_speed(STREAM, 41) == pytest.approx(41 / 3)
    assert time_per_output_token(STREAM, 41) == pytest.approx(2.5 / 40)


def test_an_answer_that_did_not_stream_has_only_a_delivered_speed() -> None:
    """Without deltas there is nothing between them."""
    assert ttft(WHOLE) is None
    assert output_speed(WHOLE, 10) is None
    assert time_per_output_token(WHOLE, 10) is None
    assert delivered_speed(WHOLE, 10) == 5.0


@pytest.mark.parametrize("tokens", [0, 1])
def test_a_single_token_has_no_speed_between_tokens(tokens: int) -> None:
    """One token is no span, and none is no speed at all."""
    assert output_speed(STREAM, tokens) is None
    assert time_per_output_token(STREAM, tokens) is None


def test_nothing_counted_is_no_speed() -> None:
    """Without a count no figure is made up."""
    assert delivered_speed(STREAM, 0) is None


def test_no_span_is_no_speed() -> None:
    """Two deltas at one moment, and an end at the beginning, give no division by zero."""
    at_once = Stamps(received=10.0, first_delta=10.0, last_delta=10.0, end=10.0)
    assert output_speed(at_once, 5) is None
    assert delivered_speed(at_once, 5) is None


def test_an_exchange_that_never_ended_has_no_delivered_speed() -> None:
    """A stamp of zero did not happen."""
    unfinished = Stamps(received=10.0, first_delta=10.5, last_delta=11.0)
    assert delivered_speed(unfinished, 5) is None
    assert time_per_output_token(unfinished, 5) is None


def test_a_continued_answer_is_timed_by_its_last_part() -> None:
    """The first token is the one that its reader saw first; the speed is of what was counted."""
    stamps = Stamps(received=1.0, first_delta=1.5, last_delta=9.0, end=9.0, resumed=7.0)
    assert ttft(stamps) == 0.5
    assert output_speed(stamps, 41) == 20.0
    assert time_per_output_token(stamps, 41) == 0.05


def test_many_exchanges_have_the_speed_of_all_their_time() -> None:
    """A long answer weighs more than a short one; where nothing was measured there is no figure."""
    assert mean_ttft(300_000, 2) == 0.15
    assert mean_speed(10 + 90, 1_000_000 + 1_000_000) == 50.0
    assert (mean_ttft(0, 0), mean_speed(0, 0)) == (None, None)
