"""Limits: budgets (USD), rates and what may be under way, of a key, project, user or model."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field, ValidationInfo, field_validator
from starlette.responses import Response

from tokenway.control.api import once
from tokenway.control.api.callers import Caller, Gateway, Guarded, Who
from tokenway.control.api.paging import LIMIT, Cursor, Cursors, Limit, Page
from tokenway.control.api.problems import Problem
from tokenway.control.api.publishing import IfMatch, version_in
from tokenway.control.api.services import Services
from tokenway.control.api.types import IDENTITY, WHOLE, Body, Money, Shown, Versioned, nano, shown_time, usd
from tokenway.model.limits import Measure, Scope, Term
from tokenway.store.accounts.records import LimitRow, LimitTerms

router = APIRouter(route_class=Guarded, tags=["limits"])

ScopeName = Literal["key", "project", "user", "model"]
MeasureName = Literal["usd", "requests", "input_tokens", "output_tokens", "tokens", "concurrency", "depth", "loops"]
TermName = Literal["minute", "day", "week", "month", "total"]
Count = Annotated[int, Field(ge=0, le=10**15), WHOLE]
Identity = Annotated[str, Path(pattern=IDENTITY)]


class LimitShown(Shown):
    """A limit. Either `usd` or `count` says how much."""

    id: str
    scope: str
    subject: str = Field(description="The id of the key, project or user, or the name of the model.")
    measure: str
    usd: str | None = Field(description="How much, of the measure `usd`.")
    count: int | None = Field(description="How much, of every other measure.")
    term: str
    rolling: bool = Field(description="Whether the term is the time that lies just behind, and not the calendar's.")
    per_run: bool = Field(description="Whether it holds for each agent run by itself.")
    created: str
    version: int


class Bound(Body):
    """What a limit bounds. One of `usd` and `count`, as the measure asks."""

    measure: MeasureName
    usd: Annotated[Money | None, Field(validate_default=True)] = None
    count: Annotated[Count | None, Field(validate_default=True)] = None
    term: TermName = "total"
    rolling: bool = False
    per_run: bool = False

    @field_validator("usd", "count")
    @classmethod
    def _fits(cls, amount: str | int | None, info: ValidationInfo) -> str | int | None:
        measure, field = info.data.get("measure"), str(info.field_name)
        fault = None if measure is None else _fault(measure, field, is_given=amount is not None)
        if fault is not None:
            raise ValueError(fault)
        return amount

    def terms(self) -> LimitTerms:
        """As the store takes it."""
        amount = nano(self.usd) if self.usd is not None else self.count or 0
        return LimitTerms(Measure(self.measure), amount, Term(self.term), self.rolling, self.per_run)


class NewLimit(Bound):
    """A limit to make."""

    scope: ScopeName
    subject: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]


class LimitChange(Versioned):
    """Another amount. One below what is spent is allowed, and blocks."""

    usd: Money | None = None
    count: Count | None = None


@router.get("/limits")
async def list_limits(
    who: Who,
    services: Gateway,
    scope: Annotated[ScopeName | None, Query()] = None,
    subject: Annotated[str | None, Query(max_length=200)] = None,
    project: Annotated[str | None, Query(pattern=IDENTITY, description="Of this project and its keys.")] = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Page[LimitShown]:
    """Limits, oldest first. Who is no admin asks for those of one project."""
    if project is not None:
        who.reach(project)
    elif not who.is_admin:
        raise Problem(422, "say which project's limits: only admins see those of all", field="project")
    cursors, listed = Cursors(services.seal), f"limits {scope} {subject} {project}"
    page = partial(
        services.accounts.limits.page,
        scope=Scope(scope) if scope is not None else None,
        subject=subject,
        project=project,
        cursor=cursors.read(listed, cursor),
        size=limit,
    )
    return cursors.page(listed, await services.run(page), shown)


@router.post("/limits", status_code=201, response_model=LimitShown)
async def create_limit(request: Request, who: Who, services: Gateway, body: NewLimit, key: once.Key = None) -> Response:
    """Sets a limit where there is none yet of this measure and term."""
    scope = Scope(body.scope)
    await _reach(who, services, scope, body.subject)

    def work() -> LimitShown:
        made = services.accounts.limits.set(scope, body.subject, body.terms(), by=who.actor, version=0)
        return shown(made)

    return await once.create(services, request, who.user.id, key, work)


@router.get("/limits/{limit_id}")
async def show_limit(response: Response, who: Who, services: Gateway, limit_id: Identity) -> LimitShown:
    """One limit."""
    row: LimitRow = await services.run(services.accounts.limits.get, limit_id)
    await _reach(who, services, row.limit.scope, row.limit.subject, limit_id)
    response.headers["etag"] = f'"{row.version}"'
    return shown(row)


@router.patch("/limits/{limit_id}")
async def change_limit(
    who: Who, services: Gateway, limit_id: Identity, body: LimitChange, if_match: IfMatch = None
) -> LimitShown:
    """Gives a limit another amount."""
    row: LimitRow = await services.run(services.accounts.limits.get, limit_id)
    limit = row.limit
    await _reach(who, services, limit.scope, limit.subject, limit_id)
    for field, amount in (("usd", body.usd), ("count", body.count)):
        fault = _fault(limit.measure, field, is_given=amount is not None)
        if fault is not None:
            raise Problem(422, f"{field}: {fault}", field=field)
    value = nano(body.usd) if body.usd is not None else body.count or 0
    terms = LimitTerms(limit.measure, value, limit.term, limit.rolling, limit.per_run)
    set_it = partial(services.accounts.limits.set, limit.scope, limit.subject, terms, by=who.actor)
    return shown(await services.run(partial(set_it, version=body.agreed(if_match))))


@router.delete("/limits/{limit_id}", status_code=204)
async def delete_limit(who: Who, services: Gateway, limit_id: Identity, if_match: IfMatch = None) -> None:
    """Removes a limit; what it bounded is free."""
    row: LimitRow = await services.run(services.accounts.limits.get, limit_id)
    await _reach(who, services, row.limit.scope, row.limit.subject, limit_id)
    await services.run(partial(services.accounts.limits.delete, limit_id, by=who.actor, version=version_in(if_match)))


def _fault(measure: str, field: str, *, is_given: bool) -> str | None:
    """What is wrong with an amount in this field: the measure says which of `usd` and `count` it takes."""
    wanted = "usd" if measure == Measure.USD else "count"
    if is_given == (field == wanted):
        return None
    return f"a limit of {measure} needs it" if field == wanted else f"a limit of {measure} has its amount in `{wanted}`"


async def _reach(who: Caller, services: Services, scope: Scope, subject: str, identity: str = "") -> None:
    """Whether the caller may see, or set, limits of this: those of users and models are the admins'."""
    if who.is_admin:
        return
    if scope in {Scope.USER, Scope.MODEL}:
        who.require(False)
    project = subject
    if scope is Scope.KEY:
        project = (await services.run(services.accounts.keys.find, subject)).project
    who.reach(project, *(("limit", identity) if identity else (scope.value, subject)))


def shown(row: LimitRow) -> LimitShown:
    """A limit as it is shown."""
    limit = row.limit
    is_money = limit.measure is Measure.USD
    return LimitShown(
        id=limit.id,
        scope=limit.scope,
        subject=limit.subject,
        measure=limit.measure,
        usd=usd(limit.amount) if is_money else None,
        count=None if is_money else limit.amount,
        term=limit.term,
        rolling=limit.rolling,
        per_run=limit.per_run,
        created=shown_time(row.created),
        version=row.version,
    )
