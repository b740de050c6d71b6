"""From the keys of the store and of the configuration to the principals of a snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from tokenway.control.publish import key_digest
from tokenway.control.quotas import bound_by, fixed_key_id, limits_of, of_fixed
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.money import NANO_PER_USD
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.store.base import KeyRow

if TYPE_CHECKING:
    from tokenway.store.usage import KeyUsage


def with_keys(snapshot: Snapshot, settings: Settings, rows: Iterable[KeyRow], now: float) -> Snapshot:
    """The snapshot with whom each key stands for, and the limits that bind them; ended keys are left out."""
    rows = list(rows)
    limits = snapshot.limits | {each.id: each for each in map(_budget_of, rows) if each is not None}
    keys = {
        digest: bound_by(principal, settings, limits) for digest, principal in principals(settings, rows, now).items()
    }
    return msgspec.structs.replace(snapshot, keys=keys, limits=limits)


def principals(settings: Settings, rows: Iterable[KeyRow], now: float) -> dict[str, Principal]:
    """Whom each key stands for, by digest, without what binds them; ended keys are left out."""
    found = {key_digest(fixed.key.reveal()): of_fixed(fixed) for fixed in settings.auth.keys}
    active = [row for row in rows if row.is_active(now)]
    for row in active:
        found[row.digest] = Principal(row.id, row.name, row.project, expires_at=_first(row.expires, row.revoked))
        if row.former_digest is not None and row.former_ends is not None and now < row.former_ends:
            ends = _first(row.expires, row.revoked, row.former_ends)
            found[row.former_digest] = Principal(row.id, row.name, row.project, expires_at=ends)
    return found


def _budget_of(row: KeyRow) -> Limit | None:
    """The budget of a key of the store."""
    if row.budget is None:
        return None
    return Limit(f"key:{row.id}:usd", Scope.KEY, row.id, Measure.USD, row.budget, Term(row.period.value))


def key_figures(settings: Settings, rows: Sequence[KeyRow], key_id: str, usage: KeyUsage) -> dict[str, object]:
    """What a key has used and may still use, in OpenRouter's `GET /key` fields; money in USD."""
    budgets = (*limits_of(settings, {}).values(), *filter(None, map(_budget_of, rows)))
    limit = next((each for each in budgets if each.subject == key_id and each.measure is Measure.USD), None)
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
