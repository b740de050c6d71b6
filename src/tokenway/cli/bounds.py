"""Limits on the command line: as options of a key, and as words and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Parameter

from tokenway.cli.errors import BadUsage
from tokenway.cli.place import dollars
from tokenway.model.limits import Limit, Measure, Term, counted
from tokenway.model.money import format_usd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenway.store.accounts.records import LimitRow, LimitTerms

Period = Literal["day", "week", "month", "total"]


_COUNTED: Final = {
    Measure.CONCURRENCY: "calls at once",
    Measure.DEPTH: "levels of agents",
    Measure.LOOPS: "times the same request",
}


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Bounds:
    """What a key may spend, and how fast."""

    budget: Annotated[str | None, Parameter(help="The most it may spend, in US dollars [otherwise no limit].")] = None
    period: Annotated[Period, Parameter(help="When the budget starts anew.")] = "total"
    rolling: Annotated[
        bool, Parameter(help="The period is the time that lies just behind, not the calendar's.", show_default=False)
    ] = False
    rpm: Annotated[int | None, Parameter(help="The most requests a minute.")] = None
    tpm: Annotated[int | None, Parameter(help="The most tokens a minute, input and output together.")] = None
    concurrency: Annotated[int | None, Parameter(help="The most calls at the same time.")] = None

    def terms(self) -> list[LimitTerms]:
        """The limits that were asked for; raises BadUsage."""
        from tokenway.store.accounts.records import LimitTerms  # noqa: PLC0415 - the help needs no store

        found = []
        if self.budget is not None:
            amount = dollars(self.budget, "--budget")
            found.append(LimitTerms(Measure.USD, amount, Term(self.period), rolling=self.rolling))
        elif self.period != "total" or self.rolling:
            raise BadUsage("--period and --rolling are about a budget; say --budget too.")
        if self.rpm is not None:
            found.append(LimitTerms(Measure.REQUESTS, self.rpm, Term.MINUTE))
        if self.tpm is not None:
            found.append(LimitTerms(Measure.TOKENS, self.tpm, Term.MINUTE))
        if self.concurrency is not None:
            found.append(LimitTerms(Measure.CONCURRENCY, self.concurrency))
        return found


def amount_of(measure: Measure, text: str) -> int:
    """What a person writes as a limit's amount: dollars, or a whole number. Raises BadUsage."""
    if measure is Measure.USD:
        return dollars(text)
    if not (text.isascii() and text.isdecimal()):
        raise BadUsage(f"{text} is not a number of {measure.value.replace('_', ' ')}; write a whole number.")
    return int(text)


def shown_amount(limit: Limit) -> str:
    """The amount as a person writes it."""
    return format_usd(limit.amount) if limit.measure is Measure.USD else str(limit.amount)


def shown(limit: Limit) -> str:
    """A limit in a cell of a table, as in `$5 a month` or `60 requests a minute`."""
    what = _COUNTED.get(limit.measure, limit.measure.value.replace("_", " "))
    figure = f"${shown_amount(limit)}" if limit.measure is Measure.USD else counted(limit.amount, what)
    if limit.per_run:
        return f"{figure} a run"
    if limit.term is Term.TOTAL:
        return figure
    return f"{figure} in any {limit.term}" if limit.rolling else f"{figure} a {limit.term}"


def shown_all(rows: Iterable[LimitRow]) -> str:
    """Several limits in a cell of a table."""
    return ", ".join(shown(row.limit) for row in rows)


def limit_data(row: LimitRow) -> dict[str, Any]:
    """A limit as JSON; money is an exact decimal string."""
    limit = row.limit
    return {
        "id": limit.id,
        "scope": limit.scope.value,
        "subject": limit.subject,
        "measure": limit.measure.value,
        "amount": shown_amount(limit),
        "term": limit.term.value,
        "rolling": limit.rolling,
        "per_run": limit.per_run,
        "version": row.version,
    }
