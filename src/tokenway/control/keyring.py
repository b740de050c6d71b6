"""From the keys of the store and of the configuration to the principals of one worker's snapshot."""

from __future__ import annotations

from collections.abc import Iterable

from tokenway.control.budgets import Allowance, Grants, Term
from tokenway.control.publish import key_digest
from tokenway.model.money import NanoUsd
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Principal
from tokenway.store.base import KeyRow


def fixed_key_id(name: str) -> str:
    """The id of a key that the configuration brings."""
    return f"config:{name}"


def principals(
    settings: Settings, rows: Iterable[KeyRow], grants: Grants, worker: int, now: float
) -> dict[str, Principal]:
    """Whom each key stands for, by digest, with what this worker may spend for it; ended keys are left out."""
    found: dict[str, Principal] = {}
    for fixed in settings.auth.keys:
        allowance = None
        if fixed.budget is not None:
            allowance = Allowance(fixed_key_id(fixed.name), fixed.budget.usd, Term(fixed.budget.period.value))
        digest = key_digest(fixed.key.reveal())
        found[digest] = _principal(
            Principal(fixed_key_id(fixed.name), fixed.name, fixed.project), allowance, grants, worker, now
        )
    for row in rows:
        if not row.is_active(now):
            continue
        allowance = None
        if row.budget is not None:
            allowance = Allowance(row.id, row.budget, Term(row.period.value))
        ends = [time for time in (row.expires, row.revoked) if time is not None]
        principal = Principal(row.id, row.name, row.project, expires_at=min(ends) if ends else None)
        found[row.digest] = _principal(principal, allowance, grants, worker, now)
    return found


def _principal(principal: Principal, allowance: Allowance | None, grants: Grants, worker: int, now: float) -> Principal:
    if allowance is None:
        return principal
    grant = grants.grant(worker, allowance, now)
    return Principal(
        principal.key_id,
        principal.name,
        principal.project,
        NanoUsd(grant.amount),
        grant.epoch,
        principal.expires_at,
    )
