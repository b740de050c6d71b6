"""From the settings of self-service to what the store gives to who signs up, and what his later keys may do."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from tokenway.model.limits import Measure, Term
from tokenway.model.sign_up import SignUpSettings
from tokenway.store.accounts.records import KeyTerms, LimitTerms, SignUpTerms, UserRow
from tokenway.store.accounts.sign_up import SIGNED_UP
from tokenway.store.base import Invalid


def terms_of(settings: SignUpSettings) -> SignUpTerms:
    """What everybody gets by these settings."""
    bounds = settings.limits
    wanted = (
        (Measure.REQUESTS, bounds.rpm, Term.MINUTE),
        (Measure.TOKENS, bounds.tpm, Term.MINUTE),
        (Measure.CONCURRENCY, bounds.concurrency, Term.TOTAL),
        (Measure.USD, bounds.usd_per_day, Term.DAY),
    )
    return SignUpTerms(
        project=settings.project,
        grant=settings.grant,
        limits=tuple(LimitTerms(measure, amount, term) for measure, amount, term in wanted if amount is not None),
        models=settings.models,
    )


def narrowed(settings: SignUpSettings, user: UserRow, terms: KeyTerms, *, is_new: bool) -> KeyTerms:
    """What a user may say of a key of his: who has signed up himself gives it no models beyond those of the settings.

    A new key of which no models are said has those. Raises Invalid.
    """
    allowed = settings.models
    if allowed is None or not SIGNED_UP.items() <= user.labels.items():
        return terms
    if terms.models is None or (terms.models is UNSET and is_new):
        return msgspec.structs.replace(terms, models=allowed)
    if terms.models is not UNSET:
        for model in terms.models:
            if not any(_covers(each, model) for each in allowed):
                raise Invalid("models", f"the model {model} is not among yours: {', '.join(allowed)}")
    return terms


def _covers(allowed: str, asked: str) -> bool:
    """Whether all that one entry of a list means is meant by another."""
    return asked == allowed or (allowed.endswith("*") and asked.startswith(allowed[:-1]))
