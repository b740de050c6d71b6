"""`tokenway limits`: what keys, projects, users and models may spend, and how fast; straight in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from tokenway.cli.bounds import amount_of, limit_data, shown
from tokenway.cli.options import AsJson
from tokenway.cli.output import Column, print_json, print_table
from tokenway.cli.place import Place, every, opened
from tokenway.model.limits import Measure, Scope, Term

if TYPE_CHECKING:
    from tokenway.store.accounts.accounts import Accounts

ScopeName = Literal["key", "project", "user", "model"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Span:
    """What a limit's amount is counted over."""

    term: Annotated[
        Literal["minute", "day", "week", "month", "total"], Parameter(help="When it starts anew, in UTC.")
    ] = "total"
    rolling: Annotated[
        bool, Parameter(help="The term is the time that lies just behind, not the calendar's.", show_default=False)
    ] = False
    per_run: Annotated[bool, Parameter(help="It holds for each run by itself.", show_default=False)] = False


def set_limit(
    scope: Annotated[ScopeName, Parameter(help="What is bounded.")],
    subject: Annotated[str, Parameter(help="A key's or user's id or name, a project's id, a model's name.")],
    measure: Annotated[
        Literal["usd", "requests", "input_tokens", "output_tokens", "tokens", "concurrency", "depth", "loops"],
        Parameter(help="What is counted."),
    ],
    amount: Annotated[str, Parameter(help="The most of it; US dollars for usd, else a whole number.")],
    /,
    *,
    span: Span | None = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Set a limit, or change the amount of the one that is there.

    An amount below what is spent already is allowed: then nothing more is
    served until the term is over.

    For example:
      tokenway limits set key laptop usd 5.00 --term month
      tokenway limits set project default requests 600 --term minute
      tokenway limits set user ann@example.org usd 1 --per-run
    """
    from tokenway.store.accounts.records import CLI, LimitTerms  # noqa: PLC0415 - the help needs no store

    counted, over = Measure(measure), span or Span()
    figure = amount_of(counted, amount)
    terms = LimitTerms(counted, figure, Term(over.term), rolling=over.rolling, per_run=over.per_run)
    with opened(place) as store:
        whose = _subject(store.accounts, Scope(scope), subject)
        row = store.accounts.limits.set(Scope(scope), whose, terms, by=CLI)
    if as_json:
        print_json(limit_data(row))
    else:
        print(f"{row.limit.id}: the {scope} {subject} has at most {shown(row.limit)}.")
    return 0


def list_limits(
    *,
    project: Annotated[str | None, Parameter(help="Only this project's, and those of its keys.")] = None,
    scope: Annotated[ScopeName | None, Parameter(help="Only those of keys, projects, users or models.")] = None,
    subject: Annotated[str | None, Parameter(help="Only those of this id or name; needs --scope.")] = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """List limits.

    For example:
      tokenway limits list
      tokenway limits list --scope key --subject laptop --json
    """
    asked = None if scope is None else Scope(scope)
    with opened(place) as store:
        limits = store.accounts.limits
        whose = subject if asked is None or subject is None else _subject(store.accounts, asked, subject)
        rows = every(
            lambda cursor, size: limits.page(scope=asked, subject=whose, project=project, cursor=cursor, size=size)
        )
    if as_json:
        print_json([limit_data(row) for row in rows])
        return 0
    columns = [Column(name) for name in ("id", "scope", "subject", "limit")]
    cells = [[row.limit.id, row.limit.scope.value, row.limit.subject, shown(row.limit)] for row in rows]
    print_table(columns, cells, empty="There is no such limit; set one with `tokenway limits set`.")
    return 0


def delete(
    limit: Annotated[str, Parameter(help="The limit's id.")],
    /,
    *,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Take a limit away.

    For example:
      tokenway limits delete lim_0123456789abcdef
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        row = store.accounts.limits.delete(limit, by=CLI)
    if as_json:
        print_json(limit_data(row))
    else:
        print(f"The {row.limit.scope} {row.limit.subject} is not bounded by {shown(row.limit)} any more.")
    return 0


def _subject(accounts: Accounts, scope: Scope, reference: str) -> str:
    """What a limit's subject is called in the store."""
    if scope is Scope.KEY:
        return accounts.keys.find(reference).id
    if scope is Scope.USER:
        return accounts.users.find(reference).id
    return reference
