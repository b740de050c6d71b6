"""What fields of accounts may hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tokenway.model.limits import Measure, Term
from tokenway.store.accounts import checks
from tokenway.store.accounts.records import LimitTerms
from tokenway.store.base import Invalid


@pytest.mark.parametrize(
    ("check", "value", "kept"),
    [
        (checks.name, "  Search team ", "Search team"),
        (checks.user_name, " Ann@Example.ORG", "ann@example.org"),
        (checks.slug, "a-b_c.d9", "a-b_c.d9"),
        (checks.slug_of, "Ünser Team / 7!", "nser-team-7"),
        (checks.slug_of, "日本", "project"),
        (checks.labels, {"team/name": "blue sky"}, {"team/name": "blue sky"}),
        (checks.markup, -1_000_000, -1_000_000),
        (checks.networks, ["10.1.0.0/16", "::1", "10.1.0.0/16"], ("10.1.0.0/16", "::1/128")),
        (checks.networks, None, None),
        (checks.networks, [], ()),
    ],
)
def test_what_is_good_is_kept_in_one_form(check: Callable[[Any], Any], value: object, kept: object) -> None:
    """Blanks, case and doubles are evened out."""
    assert check(value) == kept


@pytest.mark.parametrize(
    ("check", "value", "field"),
    [
        (checks.name, "   ", "name"),
        (checks.name, "a\nb", "name"),
        (checks.name, "x" * 201, "name"),
        (checks.name, "\0", "name"),
        (checks.user_name, "a b", "name"),
        (checks.slug, "Upper", "id"),
        (checks.slug, "-x", "id"),
        (checks.slug, "", "id"),
        (checks.slug, "x" * 65, "id"),
        (checks.labels, {"": "x"}, "labels"),
        (checks.labels, {"a b": "x"}, "labels"),
        (checks.labels, {"a": "\0"}, "labels"),
        (checks.labels, {"a": "x" * 257}, "labels"),
        (checks.labels, {f"a{n}": "" for n in range(33)}, "labels"),
        (checks.markup, -1_000_001, "markup"),
        (checks.networks, ["10.0.0.1/8"], "addresses"),
        (checks.networks, ["nowhere"], "addresses"),
        (lambda value: checks.names("models", value), [""], "models"),
        (lambda value: checks.names("models", value), [f"m{n}" for n in range(201)], "models"),
        (lambda value: checks.amount("max_cost", value), -1, "max_cost"),
        (lambda value: checks.amount("max_cost", value), 10**18 + 1, "max_cost"),
        (lambda value: checks.moment("expires", value), float("nan"), "expires"),
        (lambda value: checks.moment("expires", value), -1.0, "expires"),
        (lambda value: checks.moment("expires", value), 1e12, "expires"),
    ],
)
def test_what_is_bad_names_its_field(check: Callable[[Any], Any], value: object, field: str) -> None:
    """So that whoever sent it can be shown where."""
    with pytest.raises(Invalid) as caught:
        check(value)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "terms",
    [
        LimitTerms(Measure.USD, 0),
        LimitTerms(Measure.USD, 5, Term.MONTH, rolling=True),
        LimitTerms(Measure.USD, 5, per_run=True),
        LimitTerms(Measure.REQUESTS, 5, Term.MINUTE),
        LimitTerms(Measure.TOKENS, 5, Term.WEEK),
        LimitTerms(Measure.CONCURRENCY, 5),
        LimitTerms(Measure.DEPTH, 3, per_run=True),
    ],
)
def test_limits_that_can_be_counted(terms: LimitTerms) -> None:
    """They are kept as they are."""
    assert checks.limit(terms) is terms


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (LimitTerms(Measure.USD, -1), "amount"),
        (LimitTerms(Measure.USD, 1, Term.MINUTE), "term"),
        (LimitTerms(Measure.CONCURRENCY, 1, Term.DAY), "term"),
        (LimitTerms(Measure.LOOPS, 1), "per_run"),
        (LimitTerms(Measure.USD, 1, rolling=True), "rolling"),
        (LimitTerms(Measure.TOKENS, 1, Term.MINUTE, rolling=True), "rolling"),
        (LimitTerms(Measure.USD, 1, Term.DAY, per_run=True), "per_run"),
    ],
)
def test_limits_that_mean_nothing(terms: LimitTerms, field: str) -> None:
    """Each is refused at the field that does not fit."""
    with pytest.raises(Invalid) as caught:
        checks.limit(terms)
    assert caught.value.field == field
