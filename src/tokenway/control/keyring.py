"""From the keys of the store and of the configuration to the principals of one worker's snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from tokenway.control.budgets import Allowance, Grants, Term
from tokenway.control.publish import fixed_key_id, key_digest
from tokenway.model.money import NANO_PER_USD, NanoUsd
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Principal
from tokenway.store.base import KeyRow

if TYPE_CHECKING:
    from tokenway.store.usage import KeyUsage


def principals(
    settings: Settings, rows: Iterable[KeyRow], grants: Grants, worker: int, now: float
) -> dict[str, Principal]:
    """Whom each key stands for, by digest, with what this worker may spend for it; ended keys are left out."""
    found: dict[str, Principal] = {}
    for fixed in settings.auth.keys:
        found[key_digest(fixed.key.reveal())] = Principal(fixed_key_id(fixed.name), fixed.name, fixed.project)
    active = [row for row in rows if row.is_active(now)]
    for row in active:
        found[row.digest] = Principal(row.id, row.name, row.project, expires_at=_first(row.expires, row.revoked))
        if row.former_digest is not None and row.former_ends is not None and now < row.former_ends:
            ends = _first(row.expires, row.revoked, row.former_ends)
            found[row.former_digest] = Principal(row.id, row.name, row.project, expires_at=ends)
    granted = grants.grant(worker, _allowances(settings, active), now)
    for digest, principal in found.items():
        grant = granted.get(principal.key_id)
        if grant is not None:
            found[digest] = msgspec.structs.replace(principal, budget=NanoUsd(grant.amount), budget_epoch=grant.issue)
    return found


def key_figures(settings: Settings, rows: Sequence[KeyRow], key_id: str, usage: KeyUsage) -> dict[str, object]:
    """What a key has used and may still use, in OpenRouter's `GET /key` fields; money in USD."""
    limit = next((each for each in _allowances(settings, rows) if each.key_id == key_id), None)
    left = None if limit is None else max(0, limit.amount - int(getattr(usage, limit.term.value)))
    return {
        "label": next((row.name for row in rows if row.id == key_id), key_id.removeprefix(fixed_key_id(""))),
        "usage": usage.total / NANO_PER_USD,
        "usage_daily": usage.day / NANO_PER_USD,
        "usage_weekly": usage.week / NANO_PER_USD,
        "usage_monthly": usage.month / NANO_PER_USD,
        "limit": None if limit is None else limit.amount / NANO_PER_USD,
        "limit_remaining": None if left is None else left / NANO_PER_USD,
        "limit_reset": None if limit is None or limit.term is Term.TOTAL else limit.term.value,
    }


def _first(*times: float | None) -> float | None:
    """The earliest of the times that there are."""
    return min((time for time in times if time is not None), default=None)


def _allowances(settings: Settings, rows: Iterable[KeyRow]) -> list[Allowance]:
    """The budgets of the keys that have one."""
    fixed = [
        Allowance(fixed_key_id(key.name), key.budget.usd, Term(key.budget.period.value))
        for key in settings.auth.keys
        if key.budget is not None
    ]
    return fixed + [Allowance(row.id, row.budget, Term(row.period.value)) for row in rows if row.budget is not None]
