"""Limits as people write and read them."""

from __future__ import annotations

import pytest

from tokenway.cli.bounds import Bounds, amount_of, limit_data, shown, shown_all
from tokenway.cli.errors import BadUsage
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.store.accounts.records import LimitRow, LimitTerms


def test_options_are_limits() -> None:
    """Each of its own measure; without any there is no limit."""
    assert Bounds().terms() == []
    assert Bounds("5", "month", True, 60, 1_000, 4).terms() == [
        LimitTerms(Measure.USD, 5_000_000_000, Term.MONTH, rolling=True),
        LimitTerms(Measure.REQUESTS, 60, Term.MINUTE),
        LimitTerms(Measure.TOKENS, 1_000, Term.MINUTE),
        LimitTerms(Measure.CONCURRENCY, 4),
    ]


@pytest.mark.parametrize("bounds", [Bounds(period="day"), Bounds(rolling=True), Bounds(budget="much")])
def test_a_period_needs_a_budget(bounds: Bounds) -> None:
    """And a budget needs an amount."""
    with pytest.raises(BadUsage, match="--budget"):
        bounds.terms()


def test_an_amount_is_dollars_or_a_whole_number() -> None:
    """By what is counted."""
    assert amount_of(Measure.USD, "0.5") == 500_000_000
    assert amount_of(Measure.INPUT_TOKENS, "600") == 600
    for text in ("0.5", "-1", "²", "many"):
        with pytest.raises(BadUsage, match=f"{text} is not a number of input tokens"):
            amount_of(Measure.INPUT_TOKENS, text)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (LimitTerms(Measure.USD, 5_500_000_000, Term.MONTH), "$5.5 a month"),
        (LimitTerms(Measure.USD, 5, Term.DAY, rolling=True), "$0.000000005 in any day"),
        (LimitTerms(Measure.USD, 10**9), "$1"),
        (LimitTerms(Measure.REQUESTS, 60, Term.MINUTE), "60 requests a minute"),
        (LimitTerms(Measure.LOOPS, 3, per_run=True), "3 times the same request a run"),
        (LimitTerms(Measure.CONCURRENCY, 3), "3 calls at once"),
        (LimitTerms(Measure.CONCURRENCY, 1), "1 call at once"),
    ],
)
def test_a_limit_is_shown_in_words(terms: LimitTerms, words: str) -> None:
    """Money with its sign, time with its word; as data, money is a decimal string."""
    limit = Limit("lim_1", Scope.KEY, "key_1", terms.measure, terms.amount, terms.term, terms.rolling, terms.per_run)
    assert shown(limit) == words
    assert shown_all([LimitRow(limit, 1.0)] * 2) == f"{words}, {words}"
    data = limit_data(LimitRow(limit, 1.0, 3))
    assert (data["scope"], data["version"]) == ("key", 3)
    assert data["amount"] == (words.strip("$").split(" ")[0])
