"""From the accounts of the store and the keys of the configuration to what a snapshot says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from tokenway.control.publish import key_digest
from tokenway.control.quotas import bound_by, credits_id, fixed_key_id, limits_of, of_fixed, with_models_limits
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.money import NANO_PER_USD, NanoUsd
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Principal, Snapshot

if TYPE_CHECKING:
    from tokenway.store.accounts.holdings import Holdings
    from tokenway.store.accounts.records import KeyRow
    from tokenway.store.money import Balance
    from tokenway.store.usage import KeyUsage

_TOLD: Final[Mapping[Term, str | None]] = {
    Term.DAY: "daily",
    Term.WEEK: "weekly",
    Term.MONTH: "monthly",
    Term.TOTAL: None,
}
"""Terms for which a key is told what it has used, and what OpenRouter calls them."""
_NOT_TOLD: Final[Mapping[str, object]] = {
    "allowed_data_regions": ["global"],
    "byok_usage": 0.0,
    "byok_usage_daily": 0.0,
    "byok_usage_weekly": 0.0,
    "byok_usage_monthly": 0.0,
    "free_model_daily_requests": {"limit": -1, "remaining": -1, "used": 0},
    "include_byok_in_limit": False,
    "is_free_tier": False,
    "is_management_key": False,
    "is_provisioning_key": False,
    "organization_id": None,
    "rate_limit": {"interval": "10s", "note": "Says nothing; see the headers x-ratelimit-*.", "requests": -1},
    "workspace_id": None,
}
"""What OpenRouter's clients insist upon and there is not here."""


def with_accounts(snapshot: Snapshot, settings: Settings, held: Holdings, now: float) -> Snapshot:
    """The snapshot with whom each key stands for, and every limit: the configuration's and the store's."""
    bounds = snapshot.limits | limits(held, settings)
    keys = {digest: bound_by(each, settings, bounds) for digest, each in principals(settings, held, now).items()}
    return with_models_limits(msgspec.structs.replace(snapshot, keys=keys, limits=bounds))


def limits(held: Holdings, settings: Settings) -> dict[str, Limit]:
    """Every limit of the store, by id; a prepaid project's credits are one, whoever says that it is prepaid."""
    prepaid = {name for name in (*held.projects, *settings.projects) if is_prepaid(settings, held, name)}
    credits_of = {
        credits_id(project): Limit(
            credits_id(project), Scope.PROJECT, project, Measure.USD, held.credits.get(project, 0)
        )
        for project in sorted(prepaid)
    }
    return held.limits | credits_of


def is_prepaid(settings: Settings, held: Holdings, project: str) -> bool:
    """Whether a project spends only what was paid in: by what the store says, or the configuration."""
    row, fixed = held.projects.get(project), settings.projects.get(project)
    return (row is not None and row.prepaid) or (fixed is not None and fixed.prepaid)


def principals(settings: Settings, held: Holdings, now: float) -> dict[str, Principal]:
    """Whom each key stands for, by digest, without the limits that bind it; ended keys are left out.

    Where a key is in both places, the store knows what it spent under its own id.
    """
    found: dict[str, Principal] = {}
    for fixed in settings.auth.keys:
        project = held.projects.get(fixed.project)
        if project is None or project.archived is None:
            found[key_digest(fixed.key.reveal())] = _in_project(of_fixed(fixed), held)
    for row in held.keys.values():
        if not row.is_active(now):
            continue
        principal = _in_project(_of_row(row), held)
        found[row.digest] = principal
        if row.former_digest is not None and row.former_ends is not None and now < row.former_ends:
            ends = _first(principal.expires_at, row.former_ends)
            found[row.former_digest] = msgspec.structs.replace(principal, expires_at=ends)
    return found


def key_figures(settings: Settings, held: Holdings, key_id: str, usage: KeyUsage) -> dict[str, object]:
    """What a key has used and may still use, in OpenRouter's `GET /key` fields; money in USD.

    `limit` is, of several budgets, the one of which the least is left; `budgets` has all of them. What is withheld is
    not left, though nobody paid it.
    """
    row = held.keys.get(key_id)
    fixed = next((each for each in settings.auth.keys if fixed_key_id(each.name) == key_id), None)
    ends = row.expires if row is not None else of_fixed(fixed).expires_at if fixed is not None else None
    mine = [each for each in _budgets(settings, held) if each.subject == key_id]
    left = {each: max(0, each.amount - _kept(usage, each.term)) for each in mine}
    limit = min(mine, key=lambda each: left[each], default=None)
    budgets = {
        each: {
            "budget_id": each.id,
            "guardrail_id": None,
            "include_byok": False,
            "limit_usd": each.amount / NANO_PER_USD,
            "remaining_usd": left[each] / NANO_PER_USD,
            "reset_interval": _TOLD[each.term],
            "resets_at": None,
            "scope": "key_limit",
            "spend_usd": int(getattr(usage, each.term.value)) / NANO_PER_USD,
        }
        for each in mine
    }
    return {
        **_NOT_TOLD,
        "label": key_id.removeprefix(fixed_key_id("")) if row is None else row.name,
        "usage": usage.total / NANO_PER_USD,
        "usage_daily": usage.day / NANO_PER_USD,
        "usage_weekly": usage.week / NANO_PER_USD,
        "usage_monthly": usage.month / NANO_PER_USD,
        "withheld": usage.withheld.total / NANO_PER_USD,
        "limit": None if limit is None else limit.amount / NANO_PER_USD,
        "limit_remaining": None if limit is None else left[limit] / NANO_PER_USD,
        "limit_reset": None if limit is None else _TOLD[limit.term],
        "budgets": list(budgets.values()),
        "effective_budget": None if limit is None else budgets[limit],
        "creator_user_id": row.user_id or None if row is not None else None,
        "expires_at": None if ends is None else f"{datetime.fromtimestamp(ends, UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def _kept(usage: KeyUsage, term: Term) -> int:
    """What of a term's budget is not there any more."""
    name = term.value
    return int(getattr(usage, name)) + int(getattr(usage.withheld, name))


def credit_figures(
    settings: Settings, held: Holdings, project: str, balance: Balance, usage: KeyUsage
) -> dict[str, object]:
    """What a project was given and has been charged, in OpenRouter's `GET /credits` fields; money in USD.

    Only a prepaid project is held to it: of another one, `total_credits` is what was given all the same, often nothing.
    """
    return {
        "total_credits": balance.credits / NANO_PER_USD,
        "total_usage": balance.spent / NANO_PER_USD,
        "withheld": usage.withheld.total / NANO_PER_USD,
        "prepaid": is_prepaid(settings, held, project),
    }


def _of_row(row: KeyRow) -> Principal:
    return Principal(
        row.id,
        row.name,
        row.project,
        user=row.user_id,
        expires_at=_first(row.expires, row.revoked),
        max_cost=None if row.max_cost is None else NanoUsd(row.max_cost),
        models=row.models,
        endpoints=row.endpoints,
        addresses=row.addresses,
    )


def _in_project(principal: Principal, held: Holdings) -> Principal:
    """The principal with what his project says of his calls."""
    project = held.projects.get(principal.project)
    if project is None:  # one that only the configuration knows
        return principal
    return msgspec.structs.replace(principal, markup=project.markup, on_outage=project.on_outage)


def _first(*times: float | None) -> float | None:
    """The earliest of the times that there are."""
    return min((time for time in times if time is not None), default=None)


def _budgets(settings: Settings, held: Holdings) -> Iterator[Limit]:
    """What keys may spend in a calendar's term or in total."""
    for limit in (*limits_of(settings, {}).values(), *held.limits.values()):
        is_budget = limit.scope is Scope.KEY and limit.measure is Measure.USD
        if is_budget and not limit.rolling and not limit.per_run and limit.term in _TOLD:
            yield limit
