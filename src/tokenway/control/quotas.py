"""From the configuration's budgets and limits to a snapshot's: who is bound by what.

An id says what it is of, as in `config:key:ci:usd:day`, so that it stays the same as long as that does: a budget that
is raised is the same one, and what was spent of it is spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from tokenway.model.limits import CREDITS, Limit, Measure, Scope, Term
from tokenway.model.quotas import Budget, BudgetPeriod, Rates, RunLimits
from tokenway.model.settings import FixedKey, Settings
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.routing.names import counted_as

_TERMS: Final = {
    BudgetPeriod.DAY: Term.DAY,
    BudgetPeriod.WEEK: Term.WEEK,
    BudgetPeriod.MONTH: Term.MONTH,
    BudgetPeriod.TOTAL: Term.TOTAL,
}
_RATES: Final = {
    "rpm": (Measure.REQUESTS, Term.MINUTE),
    "tpm": (Measure.TOKENS, Term.MINUTE),
    "input_tpm": (Measure.INPUT_TOKENS, Term.MINUTE),
    "output_tpm": (Measure.OUTPUT_TOKENS, Term.MINUTE),
    "concurrency": (Measure.CONCURRENCY, Term.TOTAL),
}
_RUNS: Final = {
    "calls": Measure.REQUESTS,
    "tokens": Measure.TOKENS,
    "usd": Measure.USD,
    "depth": Measure.DEPTH,
    "loops": Measure.LOOPS,
}


def fixed_key_id(name: str) -> str:
    """The id of a key that the configuration brings."""
    return f"config:{name}"


def credits_id(project: str) -> str:
    """The id of the limit that is a prepaid project's credits."""
    return f"{CREDITS}{project}"


def limits_of(settings: Settings, paid_in: Mapping[str, int]) -> dict[str, Limit]:
    """Every limit of the configuration, by id. `paid_in` is what was paid in for projects, in nano-dollars."""
    return {limit.id: limit for limit in _limits(settings, paid_in)}


def ids_by_subject(limits: Iterable[Limit], scope: Scope) -> dict[str, tuple[str, ...]]:
    """The ids of one scope's limits, by what they bound."""
    found: dict[str, list[str]] = {}
    for limit in limits:
        if limit.scope is scope:
            found.setdefault(limit.subject, []).append(limit.id)
    return {subject: tuple(ids) for subject, ids in found.items()}


def with_models_limits(snapshot: Snapshot) -> Snapshot:
    """The snapshot with the limits of models by the names that these are counted by, however they were named."""
    bounds = {
        identity: msgspec.structs.replace(limit, subject=counted_as(snapshot, limit.subject))
        if limit.scope is Scope.MODEL
        else limit
        for identity, limit in snapshot.limits.items()
    }
    by_model = ids_by_subject(bounds.values(), Scope.MODEL)
    return msgspec.structs.replace(snapshot, limits=bounds, model_limits=by_model)


def of_fixed(key: FixedKey) -> Principal:
    """Whom a key of the configuration stands for, without what its project says."""
    return Principal(
        fixed_key_id(key.name),
        key.name,
        key.project,
        user=key.user,
        expires_at=None if key.expires is None else parse_moment(key.expires),
        max_cost=key.max_cost,
        models=key.models,
        endpoints=key.endpoints,
        addresses=key.addresses,
    )


def bound_by(principal: Principal, settings: Settings, limits: Mapping[str, Limit]) -> Principal:
    """The principal with the limits that its calls count against, and what the configuration says of its project."""
    wanted = (
        (Scope.KEY, principal.key_id),
        (Scope.PROJECT, principal.project),
        *(((Scope.USER, principal.user),) if principal.user else ()),
    )
    own = tuple(each.id for each in limits.values() if (each.scope, each.subject) in wanted)
    project = settings.projects.get(principal.project)
    bound = msgspec.structs.replace(principal, limits=tuple(dict.fromkeys((*principal.limits, *own))))
    if project is None:
        return bound
    return msgspec.structs.replace(
        bound,
        markup=bound.markup if project.markup is None else project.markup,
        on_outage=project.on_outage or bound.on_outage,
    )


def parse_moment(text: str) -> float:
    """A day or a moment as people write it, to Unix time; raises ValueError. Without a zone it is UTC."""
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _limits(settings: Settings, paid_in: Mapping[str, int]) -> Iterator[Limit]:
    for key in settings.auth.keys:
        yield from _bounds(Scope.KEY, fixed_key_id(key.name), key.name, key.budget, key.limits)
    for name, project in settings.projects.items():
        yield from _bounds(Scope.PROJECT, name, name, project.budget, project.limits)
        yield from _of_runs(name, project.run)
        if project.prepaid:
            yield Limit(credits_id(name), Scope.PROJECT, name, Measure.USD, paid_in.get(name, 0))
    for name, model in settings.models.items():
        yield from _bounds(Scope.MODEL, name, name, model.quota.budget, model.quota.limits)


def _bounds(scope: Scope, subject: str, name: str, budget: Budget | None, rates: Rates) -> Iterator[Limit]:
    begin = f"config:{scope.value}:{name}"
    if budget is not None:
        term = _TERMS[budget.period]
        identity = f"{begin}:usd:{term.value}{':rolling' if budget.rolling else ''}"
        yield Limit(identity, scope, subject, Measure.USD, budget.usd, term, budget.rolling)
    for field, (measure, term) in _RATES.items():
        amount = getattr(rates, field)
        if amount is not None:
            yield Limit(f"{begin}:{measure.value}:{term.value}", scope, subject, measure, amount, term)


def _of_runs(project: str, run: RunLimits) -> Iterator[Limit]:
    for field, measure in _RUNS.items():
        amount = getattr(run, field)
        if amount is not None:
            identity = f"config:project:{project}:{measure.value}:run"
            yield Limit(identity, Scope.PROJECT, project, measure, amount, per_run=True)
