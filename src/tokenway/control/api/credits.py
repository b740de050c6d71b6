"""Credits: what a project was given and has spent, movements of money, and codes that are worth some."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from tokenway.control.api import once
from tokenway.control.api.callers import Gateway, Guarded, Who
from tokenway.control.api.listing import page_by_name
from tokenway.control.api.paging import LIMIT, Cursor, Limit, Page
from tokenway.control.api.projects import Project
from tokenway.control.api.types import (
    WHOLE,
    Body,
    Money,
    Note,
    Shown,
    SignedMoney,
    Time,
    moment_of,
    nano,
    shown_moment,
    shown_time,
    usd,
)
from tokenway.model.limits import Scope
from tokenway.store.money import REFERENCE, Balance, Code, Statement, StatementLine, Transfer
from tokenway.store.usage import KeyUsage

router = APIRouter(route_class=Guarded, tags=["credits"])

KindName = Literal["top_up", "grant", "refund", "adjustment"]
STATEMENT_DAYS: Final = 31
DAY: Final = 86400.0


class BalanceShown(Shown):
    """What a project has."""

    project: str
    prepaid: bool = Field(description="Whether it can spend only what is left.")
    credits: str = Field(description="What it was given in all, USD.")
    spent: str = Field(description="What it was charged in all, USD.")
    withheld: str = Field(description="What is kept back beyond it, USD; a prepaid project cannot spend it.")
    left: str = Field(description="What it was given less what it was charged, USD.")


class TransferShown(Shown):
    """A movement of money that is no exchange."""

    id: str
    at: str
    kind: str
    debit: str
    credit: str
    amount: str
    project: str
    actor: str
    reference: str | None
    note: str


class NewTransfer(Body):
    """Money to move."""

    kind: KindName = Field(
        description="`top_up` was paid for, `grant` is given, `refund` gives charges back, `adjustment` corrects."
    )
    amount: SignedMoney = Field(description="USD; negative for an `adjustment` only.")
    reference: Annotated[str, Field(pattern=REFERENCE)] | None = Field(
        default=None, description="Your own name for it, used once: the same again is done once."
    )
    note: Note = ""


class StatementEntry(Shown):
    """A movement, or what was charged on a day (`charges`)."""

    at: str
    kind: str
    amount: str = Field(description="USD; negative where it left the wallet.")
    note: str
    reference: str | None


class StatementShown(Shown):
    """A wallet in a period of whole days."""

    project: str
    opening: str
    lines: list[StatementEntry]
    closing: str


class CodeShown(Shown):
    """A code, without the code itself."""

    prefix: str
    amount: str
    created: str
    expires: str | None
    note: str
    project: str | None = Field(description="Who has redeemed it.")
    redeemed: str | None


class NewCodes(Body):
    """Codes to make."""

    count: Annotated[int, Field(ge=1, le=1000), WHOLE] = 1
    amount: Money
    expires: Time | None = None
    note: Note = ""


class CodesMade(Shown):
    """The codes, which are shown this once."""

    amount: str
    codes: list[str]


class Redemption(Body):
    """A code."""

    code: Annotated[str, Field(pattern=r"^[0-9A-Za-z -]{20,60}$")]


@router.get("/projects/{project}/credits")
async def show_credits(who: Who, services: Gateway, project: Project) -> BalanceShown:
    """What a project was given, has spent, and has left."""
    who.reach(project)
    await services.run(services.drain)
    row = await services.run(services.accounts.projects.get, project)
    fixed = services.settings().projects.get(project)
    found: Balance = await services.run(services.store.money.balance, project)
    usage: KeyUsage = await services.run(services.store.usage.scope_usage, Scope.PROJECT, project)
    return BalanceShown(
        project=project,
        prepaid=row.prepaid or (fixed is not None and fixed.prepaid),
        credits=usd(found.credits),
        spent=usd(found.spent),
        withheld=usd(usage.withheld.total),
        left=usd(found.left),
    )


@router.get("/projects/{project}/transfers")
async def list_transfers(
    who: Who, services: Gateway, project: Project, limit: Limit = LIMIT, cursor: Cursor = None
) -> Page[TransferShown]:
    """Movements of a project's money, the oldest first."""
    who.reach(project)
    await services.run(services.accounts.projects.get, project)
    rows: list[Transfer] = await services.run(services.store.money.transfers, project)
    found = {row.id: row for row in rows}
    return page_by_name(
        services, f"transfers {project}", found, lambda name: _transfer(found[name]), limit=limit, cursor=cursor
    )


@router.post("/projects/{project}/transfers", status_code=201, response_model=TransferShown)
async def create_transfer(
    request: Request, who: Who, services: Gateway, project: Project, body: NewTransfer, key: once.Key = None
) -> Response:
    """Moves money: pays in, gives, gives back or corrects."""
    money = services.store.money
    moves: dict[str, Callable[..., Any]] = {
        "top_up": money.top_up,
        "grant": money.grant,
        "refund": money.refund,
        "adjustment": money.adjust,
    }
    move = partial(moves[body.kind], project, nano(body.amount), by=who.actor, reference=body.reference, note=body.note)
    return await once.create(services, request, who.user.id, key, lambda: _transfer(move()))


@router.get("/projects/{project}/statement")
async def show_statement(
    who: Who,
    services: Gateway,
    project: Project,
    since: Annotated[Time | None, Query(description="The beginning of its day; a month back when left out.")] = None,
    until: Annotated[Time | None, Query(description="The beginning of its day, not included; tomorrow's.")] = None,
) -> StatementShown:
    """What was in a wallet, what came and went, day by day, and what was left."""
    who.reach(project)
    ends = services.clock() + DAY if until is None else moment_of(until)
    begins = ends - STATEMENT_DAYS * DAY if since is None else moment_of(since)
    await services.run(services.drain)
    found: Statement = await services.run(services.store.money.statement, project, begins, max(begins, ends))
    return StatementShown(
        project=project,
        opening=usd(found.opening),
        lines=[_line(line) for line in found.lines],
        closing=usd(found.closing),
    )


@router.post("/projects/{project}/redeem", status_code=201, response_model=TransferShown)
async def redeem_code(
    request: Request, who: Who, services: Gateway, project: Project, body: Redemption, key: once.Key = None
) -> Response:
    """Redeems a code for a project; it is good once."""
    who.reach(project)
    redeem = partial(services.store.money.redeem, body.code, project, by=who.actor)
    return await once.create(services, request, who.user.id, key, lambda: _transfer(redeem()))


@router.get("/codes")
async def list_codes(services: Gateway, limit: Limit = LIMIT, cursor: Cursor = None) -> Page[CodeShown]:
    """All codes; what they are is not known any more."""
    rows: list[Code] = await services.run(services.store.money.codes)
    found = {f"{row.created:020.6f} {row.digest}": row for row in rows}
    return page_by_name(services, "codes", found, lambda name: _code(found[name]), limit=limit, cursor=cursor)


@router.post("/codes", status_code=201, response_model=CodesMade)
async def create_codes(request: Request, who: Who, services: Gateway, body: NewCodes, key: once.Key = None) -> Response:
    """Makes codes that are worth the same each."""
    expires = None if body.expires is None else moment_of(body.expires)
    make = partial(
        services.store.money.make_codes, body.count, nano(body.amount), by=who.actor, expires=expires, note=body.note
    )

    def work() -> CodesMade:
        return CodesMade(amount=body.amount, codes=[code.reveal() for code in make()])

    return await once.create(services, request, who.user.id, key, work)


def _transfer(row: Transfer) -> TransferShown:
    return TransferShown(
        id=row.id,
        at=shown_time(row.at),
        kind=row.kind,
        debit=row.debit,
        credit=row.credit,
        amount=usd(row.amount),
        project=row.project,
        actor=row.actor,
        reference=row.reference,
        note=row.note,
    )


def _line(line: StatementLine) -> StatementEntry:
    return StatementEntry(
        at=shown_time(line.at), kind=line.kind, amount=usd(line.amount), note=line.note, reference=line.reference
    )


def _code(row: Code) -> CodeShown:
    return CodeShown(
        prefix=row.prefix,
        amount=usd(row.amount),
        created=shown_time(row.created),
        expires=shown_moment(row.expires),
        note=row.note,
        project=row.project,
        redeemed=shown_moment(row.redeemed),
    )
