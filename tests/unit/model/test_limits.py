"""Limits: which of them live in memory and which are counted from the ledger."""

from __future__ import annotations

import pytest

from tokenway.model.limits import Limit, Measure, Scope, Term, counted


@pytest.mark.parametrize("measure", Measure)
def test_whatever_lasts_a_minute_may_be_lost(measure: Measure) -> None:
    """A minute later it would start anew in any case."""
    assert Limit("l", Scope.KEY, "k", measure, 1, Term.MINUTE).is_fleeting


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("requests", "request"),
        ("input tokens", "input token"),
        ("calls at once", "call at once"),
        ("levels of agents", "level of agents"),
        ("times the same request", "time the same request"),
        ("equal requests", "equal request"),
    ],
)
def test_one_of_a_kind_is_named_in_the_singular(plural: str, singular: str) -> None:
    """None and several are in the plural."""
    assert counted(1, plural) == f"1 {singular}"
    assert [counted(amount, plural) for amount in (0, 2)] == [f"0 {plural}", f"2 {plural}"]


@pytest.mark.parametrize("term", [Term.DAY, Term.WEEK, Term.MONTH, Term.TOTAL])
def test_what_lasts_longer_is_counted_from_the_ledger(term: Term) -> None:
    """But for what is no sum over time: calls under way, depth and repetitions."""
    counted = {measure for measure in Measure if not Limit("l", Scope.KEY, "k", measure, 1, term).is_fleeting}

    assert counted == {
        Measure.USD,
        Measure.REQUESTS,
        Measure.INPUT_TOKENS,
        Measure.OUTPUT_TOKENS,
        Measure.TOKENS,
    }
