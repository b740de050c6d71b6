"""From the settings of self-service to what the store gives to who signs up."""

from __future__ import annotations

from tokenway.model.limits import Measure, Term
from tokenway.model.sign_up import SignUpSettings
from tokenway.store.accounts.records import LimitTerms, SignUpTerms


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
