"""What people get who sign up, by the settings."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from tokenway.control.sign_up import narrowed, terms_of
from tokenway.model.limits import Measure, Term
from tokenway.model.money import NanoUsd
from tokenway.model.sign_up import SignUpLimits, SignUpSettings
from tokenway.store.accounts import checks
from tokenway.store.accounts.records import KeyTerms, LimitTerms, Role, SignUpTerms, UserRow
from tokenway.store.base import Invalid


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


FREE = SignUpSettings(True, models=("free-*", "tiny"))
ANN = UserRow("usr_1", "ann", Role.USER, 1.0, labels={"origin": "sign-up", "a": "b"})


@pytest.mark.parametrize(
    ("asked", "is_new", "given"),
    [
        (UNSET, True, ("free-*", "tiny")),
        (None, True, ("free-*", "tiny")),
        (None, False, ("free-*", "tiny")),
        (UNSET, False, UNSET),
        (("free-1", "free-2*", "free-*", "tiny"), True, ("free-1", "free-2*", "free-*", "tiny")),
        ((), True, ()),
    ],
)
def test_a_later_key_reaches_no_further_than_the_first(
    asked: tuple[str, ...] | UnsetType | None, is_new: bool, given: tuple[str, ...] | UnsetType
) -> None:
    """All models are those of the settings; what is not said of a key that is there stays as it is."""
    assert narrowed(FREE, ANN, KeyTerms(models=asked), is_new=is_new) == KeyTerms(models=given)


@pytest.mark.parametrize("asked", ["gpt-4o", "*", "fre*", "tiny*", "free"])
def test_what_is_not_his_is_refused(asked: str) -> None:
    """Also where it only begins alike."""
    with pytest.raises(Invalid, match="is not among yours: free") as caught:
        narrowed(FREE, ANN, KeyTerms(models=("tiny", asked)), is_new=True)
    assert caught.value.field == "models"


def test_others_are_not_narrowed() -> None:
    """Neither who was made by an admin, nor anybody where all models are free."""
    terms = KeyTerms(models=("gpt-4o",))
    assert narrowed(FREE, msgspec.structs.replace(ANN, labels={"a": "b"}), terms, is_new=True) is terms
    assert narrowed(SignUpSettings(True), ANN, terms, is_new=True) is terms
