"""What people get who sign up, by the settings."""

from __future__ import annotations

from tokenway.control.sign_up import terms_of
from tokenway.model.limits import Measure, Term
from tokenway.model.money import NanoUsd
from tokenway.model.sign_up import SignUpLimits, SignUpSettings
from tokenway.store.accounts import checks
from tokenway.store.accounts.records import LimitTerms, SignUpTerms


def test_nothing_is_given_that_is_not_written() -> None:
    """The defaults are a project of one's own with no credits in it, and no limits."""
    assert not SignUpSettings().enabled
    assert terms_of(SignUpSettings()) == SignUpTerms()


def test_everything_that_is_written_is_given() -> None:
    """As limits that the store takes."""
    bounds = SignUpLimits(rpm=10, tpm=1_000, concurrency=2, usd_per_day=NanoUsd(5))
    made = terms_of(SignUpSettings(True, "default", NanoUsd(7), bounds, ("free-*",)))
    assert made == SignUpTerms(
        project="default",
        grant=7,
        limits=(
            LimitTerms(Measure.REQUESTS, 10, Term.MINUTE),
            LimitTerms(Measure.TOKENS, 1_000, Term.MINUTE),
            LimitTerms(Measure.CONCURRENCY, 2),
            LimitTerms(Measure.USD, 5, Term.DAY),
        ),
        models=("free-*",),
    )
    assert [checks.limit(each) for each in made.limits] == list(made.limits)
