"""The ledger: every exchange with what each attempt came to, in pages, and its proof."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from tokenway.control.api.callers import Caller, Gateway, Guarded, Who
from tokenway.control.api.paging import LIMIT, Cursor, Cursors, Limit, Page
from tokenway.control.api.problems import Problem
from tokenway.control.api.types import IDENTITY, Body, Money, Note, Shown, Time, moment_of, nano, shown_time, usd
from tokenway.control.api.usage import visible
from tokenway.model.usage import BUCKETS
from tokenway.store.entries import Entry, EntryFilter, EntryLine
from tokenway.store.verify import verify
from tokenway.store.withheld import Withheld

router = APIRouter(route_class=Guarded, tags=["ledger"])

VERIFIED_SECONDS: Final = 7 * 86400.0
SettlementName = Literal["delivered", "upstream_billed", "absorbed", "released", "expired"]


class LineShown(Shown):
    """What one attempt came to."""

    attempt: int
    endpoint: str
    settlement: str
    status: int
    fault: str | None
    charged: str
    cost: str | None = Field(description="What the provider bills, USD; null where it is not known, or not for you.")
    tokens: dict[str, int] | None = Field(description="By bucket; null where no provider told any.")


class EntryShown(Shown):
    """One exchange."""

    id: str
    at: str = Field(description="When it was admitted.")
    project: str
    key: str
    user: str | None
    model: str
    operation: str
    stream: bool
    run: str | None
    settlement: str
    status: int
    finish_reason: str | None
    error_type: str | None
    slow: bool
    charged: str
    withheld: str
    ttft_seconds: float | None
    seconds: float | None
    output_tps: float | None
    attempts: list[LineShown]


class Settling(Body):
    """What becomes of what is withheld for a call."""

    charge: Money = "0"
    note: Note = ""


class Settled(Shown):
    """A call for which nothing is withheld any more."""

    id: str
    project: str
    charged: str
    withheld: str


class Proof(Shown):
    """What a proof of the ledger came to."""

    holds: bool
    since: str
    exchanges: int
    entries: int
    debits: str
    credits: str
    open_reservations: int
    faults: list[str] = Field(description="Each in a sentence; empty when the ledger holds.")


class Entries:
    """What the parameters of a list or file of entries say."""

    def __init__(
        self,
        project: Annotated[str | None, Query(pattern=IDENTITY)] = None,
        key: Annotated[str | None, Query(max_length=200)] = None,
        user: Annotated[str | None, Query(max_length=200)] = None,
        model: Annotated[str | None, Query(max_length=200)] = None,
        endpoint: Annotated[str | None, Query(max_length=400, description="The one that answered.")] = None,
        run: Annotated[str | None, Query(max_length=300)] = None,
        settlement: Annotated[SettlementName | None, Query()] = None,
        since: Annotated[Time | None, Query()] = None,
        until: Annotated[Time | None, Query()] = None,
    ) -> None:
        self.project = project
        self._said = {"key": key, "user_id": user, "model": model, "endpoint": endpoint, "run": run}
        self._settlement = settlement
        self._since = None if since is None else moment_of(since)
        self._until = None if until is None else moment_of(until)

    def filter(self, who: Caller) -> EntryFilter:
        """The same for the store. Raises Problem for a project that the caller may not know of."""
        return EntryFilter(
            projects=visible(who, self.project),
            settlement=self._settlement,
            since=self._since,
            until=self._until,
            **self._said,
        )


Which = Annotated[Entries, Depends()]


@router.get("/ledger")
async def list_entries(
    who: Who, services: Gateway, which: Which, limit: Limit = LIMIT, cursor: Cursor = None
) -> Page[EntryShown]:
    """Exchanges, the newest days first. Who is no admin sees their own projects'."""
    wanted = which.filter(who)
    cursors, listed = Cursors(services.seal), f"ledger {wanted}"
    after = cursors.read(listed, cursor)
    await services.run(services.drain)
    page = partial(services.store.entries.page, wanted, after=after, count=limit + 1)
    rows: list[Entry] = await services.run(page)
    more = cursors.make(listed, rows[limit - 1].id) if len(rows) > limit else None
    return Page(data=[_shown(row, who) for row in rows[:limit]], next_cursor=more)


@router.post("/ledger/verify")
async def verify_ledger(
    services: Gateway,
    since: Annotated[
        Time | None, Query(description="Entries from that day on; of the last week when left out.")
    ] = None,
) -> Proof:
    """Proves the ledger: every sum equals the entries, debits equal credits, no reservation was settled twice.

    It reads one state of the database, and nothing waits for it. A second proof at the same time is refused (409).
    """
    now = services.clock()
    start = now - VERIFIED_SECONDS if since is None else moment_of(since)
    proofs = services.asides.proofs
    if proofs.alone.locked():
        raise Problem(409, "the ledger is being proved; ask again when that is over")
    async with proofs.alone:
        await services.run(services.drain)
        found = await proofs.run(lambda database: verify(database, now, since=max(0.0, start)))
    return Proof(
        holds=found.holds,
        since=shown_time(max(0.0, start)),
        exchanges=found.exchanges,
        entries=found.entries,
        debits=usd(found.debits),
        credits=usd(found.credits),
        open_reservations=len(found.opened),
        faults=found.faults,
    )


@router.post("/ledger/{exchange}/settle")
async def settle_withheld(
    who: Who, services: Gateway, exchange: Annotated[str, Path(pattern=IDENTITY)], body: Settling | None = None
) -> Settled:
    """Charges so much of what is withheld for a call, and gives the rest free; once.

    409 where nothing is withheld, and where the call's day is on an invoice, which a charge would not be on.
    """
    said = body or Settling()
    settle = partial(services.store.withheld.settle, exchange, nano(said.charge), by=who.actor, note=said.note)
    await services.run(services.drain)
    row: Withheld = await services.run(settle)
    return Settled(id=row.exchange, project=row.project, charged=usd(row.charged), withheld=usd(row.withheld))


def _shown(row: Entry, who: Caller) -> EntryShown:
    return EntryShown(
        id=row.id,
        at=shown_time(row.at),
        project=row.project,
        key=row.key,
        user=row.user_id or None,
        model=row.model,
        operation=row.operation,
        stream=row.stream,
        run=row.run,
        settlement=row.settlement,
        status=row.status,
        finish_reason=row.finish_reason or None,
        error_type=row.error_type or None,
        slow=row.slow,
        charged=usd(row.charged),
        withheld=usd(row.withheld),
        ttft_seconds=row.ttft,
        seconds=row.duration,
        output_tps=row.speed,
        attempts=[_line(line, who) for line in row.lines],
    )


def _line(line: EntryLine, who: Caller) -> LineShown:
    usage = line.usage
    return LineShown(
        attempt=line.attempt,
        endpoint=line.endpoint,
        settlement=line.settlement,
        status=line.status,
        fault=line.fault or None,
        charged=usd(line.charged),
        cost=usd(line.cost) if line.cost is not None and who.is_admin else None,
        tokens=None if usage is None else {name: getattr(usage, name) for name in BUCKETS if getattr(usage, name)},
    )
