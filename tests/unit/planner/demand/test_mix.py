"""What tokens are made of, and how hours peak."""

from __future__ import annotations

import pytest

from tokenway.planner.demand.mix import INPUT, OUTPUT, mix_of, peak_to_mean
from tokenway.store.daily import TOKENS

DAY = 20_000 * 86_400


def test_the_mix_of_calls() -> None:
    """Parts of all tokens; what is no token does not count."""
    mix = mix_of({"input_uncached": 600, "cache_read": 300, "output_text": 90, "reasoning": 10, "requests": 7}, 10)

    assert mix is not None
    assert mix.parts == {"input_uncached": 0.6, "cache_read": 0.3, "output_text": 0.09, "reasoning": 0.01}
    assert (mix.input_per_call, mix.output_per_call) == (90, 10)
    assert mix.cached_part == pytest.approx(1 / 3)


def test_nothing_has_no_mix() -> None:
    """No tokens, or no calls."""
    assert mix_of({"images": 3}, 5) is None
    assert mix_of({"output_text": 3}, 0) is None


def test_buckets_are_those_of_the_store() -> None:
    """All that are tokens, and each once."""
    assert sorted((*INPUT, *OUTPUT)) == sorted(TOKENS)


def test_the_peak_of_nine_days_of_ten() -> None:
    """A day with all its tokens in one hour is the tenth, and does not count; nor does a day that is not whole."""
    hours = [(DAY + 3_600 * n, 3.0 if n % 24 == 12 else 1.0) for n in range(240)]
    hours[48:72] = [(DAY + 3_600 * 50, 999.0)]

    assert peak_to_mean(hours) == pytest.approx(3 * 24 / 26)
    assert peak_to_mean([*hours, (DAY + 3_600 * 241, 500.0)]) == pytest.approx(3 * 24 / 26)
    assert peak_to_mean(hours[:24]) is None
    assert peak_to_mean([]) is None
