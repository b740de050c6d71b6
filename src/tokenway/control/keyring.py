"""From the accounts of the store and the keys of the configuration to what a snapshot says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from tokenway.control.budgets import Allowance, Grants, Term
from tokenway.control.publish import fixed_key_id, key_digest
from tokenway.model.limits import Limit, Measure, Scope
from tokenway.model.money import NANO_PER_USD, NanoUsd
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Principal, Snapshot

if TYPE_CHECKING:
    from tokenway.store.accounts.holdings import Holdings
    from tokenway.store.accounts.records import KeyRow
    from tokenway.store.usage import KeyUsage

_CREDITS: Final = "credits:"
_TERMS: Final = frozenset(Term)


def with_accounts(
    snapshot: Snapshot, settings: Settings, held: Holdings, grants: Grants, worker: int, now: float
) -> Snapshot:
    """The snapshot with whom each key stands for, their limits, and what this worker may spend."""
    bounds = limits(held)
    keys = with_budgets(principals(settings, held, now), settings, held, grants, worker, now)
    by_model = _by_subject(bounds.values(), Scope.MODEL)
    return msgspec.structs.replace(snapshot, keys=keys, limits=bounds, model_limits=by_model)


def limits(held: Holdings) -> dict[str, Limit]:
    """Every limit, by id; a prepaid project's credits are one."""
    credits_of = {
        credits_id(project): Limit(credits_id(project), Scope.PROJECT, project, Measure.USD, amount)
        for project, amount in held.credits.items()
    }
    return held.limits | credits_of


def credits_id(project: str) -> str:
    """The id of the limit that is a prepaid project's credits."""
    return _CREDITS + project


def principals(settings: Settings, held: Holdings, now: float) -> dict[str, Principal]:
    """Whom each key stands for, by digest: the configuration's and the store's. Ended keys are left out.

    Where a key is in both places, the store knows what it spent under its own id.
    """
    bounds = limits(held).values()
    by_scope = {scope: _by_subject(bounds, scope) for scope in (Scope.KEY, Scope.PROJECT, Scope.USER)}
    found: dict[str, Principal] = {}
    for fixed in settings.auth.keys:
        project = held.projects.get(fixed.project)
        if project is None or project.archived is None:
            known = Principal(fixed_key_id(fixed.name), fixed.name, fixed.project)
            found[key_digest(fixed.key.reveal())] = _in_project(known, held, by_scope)
    for row in held.keys.values():
        if not row.is_active(now):
            continue
        principal = _in_project(_of_row(row), held, by_scope)
        found[row.digest] = principal
        if row.former_digest is not None and row.former_ends is not None and now < row.former_ends:
            ends = _first(principal.expires_at, row.former_ends)
            found[row.former_digest] = msgspec.structs.replace(principal, expires_at=ends)
    return found


def with_budgets(
    found: dict[str, Principal], settings: Settings, held: Holdings, grants: Grants, worker: int, now: float
) -> dict[str, Principal]:
    """The principals with what this worker may spend of their budgets."""
    granted = grants.grant(worker, _allowances(settings, held, now), now)
    shares = {}
    for digest, principal in found.items():
        grant = granted.get(principal.key_id)
        if grant is not None:
            shares[digest] = msgspec.structs.replace(principal, budget=NanoUsd(grant.amount), budget_epoch=grant.issue)
    return found | shares


def key_figures(settings: Settings, held: Holdings, key_id: str, usage: KeyUsage) -> dict[str, object]:
    """What a key has used and may still use, in OpenRouter's `GET /key` fields; money in USD.

    Of several budgets the one is told of which the least is left.
    """
    row = held.keys.get(key_id)
    mine = [each for each in _budgets(settings, held) if each.key_id == key_id]
    left = {each: max(0, each.amount - int(getattr(usage, each.term.value))) for each in mine}
    limit = min(mine, key=lambda each: left[each], default=None)
    return {
        "label": key_id.removeprefix(fixed_key_id("")) if row is None else row.name,
        "usage": usage.total / NANO_PER_USD,
        "usage_daily": usage.day / NANO_PER_USD,
        "usage_weekly": usage.week / NANO_PER_USD,
        "usage_monthly": usage.month / NANO_PER_USD,
        "limit": None if limit is None else limit.amount / NANO_PER_USD,
        "limit_remaining": None if limit is None else left[limit] / NANO_PER_USD,
        "limit_reset": None if limit is None or limit.term is Term.TOTAL else limit.term.value,
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


def _in_project(principal: Principal, held: Holdings, by_scope: dict[Scope, dict[str, tuple[str, ...]]]) -> Principal:
    """The principal with what his project says of his calls, and the limits that they count against."""
    bounds = (
        *by_scope[Scope.KEY].get(principal.key_id, ()),
        *by_scope[Scope.PROJECT].get(principal.project, ()),
        *by_scope[Scope.USER].get(principal.user, ()),
    )
    project = held.projects.get(principal.project)
    if project is None:  # one that only the configuration knows
        return msgspec.structs.replace(principal, limits=bounds)
    return msgspec.structs.replace(principal, limits=bounds, markup=project.markup, on_outage=project.on_outage)


def _by_subject(bounds: Iterable[Limit], scope: Scope) -> dict[str, tuple[str, ...]]:
    """The ids of one scope's limits, by what they bound."""
    found: dict[str, list[str]] = {}
    for limit in bounds:
        if limit.scope is scope:
            found.setdefault(limit.subject, []).append(limit.id)
    return {subject: tuple(sorted(ids)) for subject, ids in found.items()}


def _first(*times: float | None) -> float | None:
    """The earliest of the times that there are."""
    return min((time for time in times if time is not None), default=None)


def _allowances(settings: Settings, held: Holdings, now: float) -> list[Allowance]:
    """The budget of each key that has one and still works; of several the smallest."""
    smallest: dict[str, Allowance] = {}
    for each in _budgets(settings, held):
        row = held.keys.get(each.key_id)
        if row is None or row.is_active(now):
            known = smallest.get(each.key_id)
            smallest[each.key_id] = each if known is None or each.amount < known.amount else known
    return list(smallest.values())


def _budgets(settings: Settings, held: Holdings) -> Iterator[Allowance]:
    """What keys may spend in a calendar's term or in total."""
    for key in settings.auth.keys:
        if key.budget is not None:
            yield Allowance(fixed_key_id(key.name), key.budget.usd, Term(key.budget.period.value))
    for limit in held.limits.values():
        is_of_key = limit.scope is Scope.KEY and limit.measure is Measure.USD
        if is_of_key and not limit.rolling and not limit.per_run and limit.term.value in _TERMS:
            yield Allowance(limit.subject, limit.amount, Term(limit.term.value))
