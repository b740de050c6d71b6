"""`tokenway credits`: what projects were given, what of it is left, and the codes that are worth some."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tokenway.cli.errors import BadUsage
from tokenway.cli.options import AsJson
from tokenway.cli.output import Column, money, print_json, print_table, say
from tokenway.cli.place import Place, day, dollars, ending, moment, opened
from tokenway.model.limits import Scope
from tokenway.model.money import format_usd

if TYPE_CHECKING:
    from tokenway.store.money import Balance, Code, Statement, Transfer

_DAY = 86_400
_MONTH_DAYS = 30

ProjectId = Annotated[str, Parameter(help="Whose credits.")]
Amount = Annotated[str, Parameter(help="How much, in US dollars.")]
Reference = Annotated[
    str | None, Parameter(help="A name of your own for it: the same again is the same movement, and moves nothing.")
]
Note = Annotated[str, Parameter(help="What it is for.", show_default=False)]


def show(
    project: ProjectId = "default",
    /,
    *,
    since: Annotated[str | None, Parameter(help="The statement's first day [otherwise 30 days back].")] = None,
    until: Annotated[str | None, Parameter(help="The day after its last [otherwise tomorrow].")] = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Show what a project was given, what it has spent, and how its wallet has moved.

    For example:
      tokenway credits show
      tokenway credits show default --since 2026-01-01 --until 2026-02-01
    """
    today = time.time() // _DAY * _DAY
    begins = today - _MONTH_DAYS * _DAY if since is None else day(since, "--since")
    ends = today + _DAY if until is None else day(until, "--until")
    with opened(place) as store:
        balance, statement = store.money.balance(project), store.money.statement(project, begins, ends)
        withheld = store.usage.scope_usage(Scope.PROJECT, project).withheld.total
    if as_json:
        figures = {**_balance(balance), "withheld_usd": format_usd(withheld)}
        print_json({"project": project, **figures, "statement": _statement(statement)})
        return 0
    columns = (Column("at"), Column("what"), Column("amount", right=True), Column("note"), Column("reference"))
    rows = [
        [str(moment(line.at)), line.kind, money(line.amount), line.note, line.reference or ""]
        for line in statement.lines
    ]
    print_table(columns, rows, empty="Nothing has moved in these days.")
    say(f"opening {money(statement.opening)}, closing {money(statement.closing)}")
    kept = f", of which {money(withheld)} are withheld" if withheld else ""
    say(f"given {money(balance.credits)}, spent {money(balance.spent)}, left {money(balance.left)}{kept}")
    return 0


def add(
    project: ProjectId,
    amount: Amount,
    /,
    *,
    reference: Reference = None,
    note: Note = "",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Add credits that were paid for.

    For example:
      tokenway credits add default 50.00 --reference "payment 1234"
    """
    return _move("top_up", project, _positive(amount), reference, note, place, as_json=as_json)


def grant(
    project: ProjectId,
    amount: Amount,
    /,
    *,
    reference: Reference = None,
    note: Note = "",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Give credits away.

    For example:
      tokenway credits grant default 5.00 --note "welcome"
    """
    return _move("grant", project, _positive(amount), reference, note, place, as_json=as_json)


def refund(
    project: ProjectId,
    amount: Amount,
    /,
    *,
    reference: Reference = None,
    note: Note = "",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Give charges back.

    For example:
      tokenway credits refund default 1.25 --note "the outage of Monday"
    """
    return _move("refund", project, _positive(amount), reference, note, place, as_json=as_json)


def adjust(
    project: ProjectId,
    amount: Annotated[
        str, Parameter(help="How much, in US dollars; less than nothing takes away.", allow_leading_hyphen=True)
    ],
    /,
    *,
    reference: Reference = None,
    note: Note = "",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Correct a wallet, either way.

    For example:
      tokenway credits adjust default -3.00 --note "added twice"
    """
    return _move("adjust", project, dollars(amount, signed=True), reference, note, place, as_json=as_json)


def codes(
    *,
    make: Annotated[int, Parameter(help="How many to make [otherwise they are listed].")] = 0,
    amount: Annotated[str | None, Parameter(help="What each is worth, in US dollars.")] = None,
    expires: Annotated[str, Parameter(help="When they end, from now: 30d, 12h, never.")] = "never",
    note: Note = "",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Make redemption codes, which are printed once, or list those there are.

    Only their hashes are stored.

    For example:
      tokenway credits codes --make 20 --amount 5.00 --expires 30d --note fair
      tokenway credits codes
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    if make:
        if amount is None:
            raise BadUsage("--amount says what each code is worth, e.g. --amount 5.00.")
        nano, end = _positive(amount), ending(expires, "--expires")
        with opened(place) as store:
            made = [code.reveal() for code in store.money.make_codes(make, nano, by=CLI, expires=end, note=note)]
        print_json(made) if as_json else print("\n".join(made))
        return 0
    with opened(place) as store:
        found = store.money.codes()
    if as_json:
        print_json([_code(code) for code in found])
        return 0
    columns = (Column("code"), Column("amount", right=True), Column("state"), Column("expires"), Column("note"))
    rows = [[f"{c.prefix}-…", money(c.amount), _state(c), moment(c.expires) or "never", c.note] for c in found]
    print_table(columns, rows, empty="There is no code; make some with --make.")
    return 0


def redeem(
    code: Annotated[str, Parameter(help="The code.")],
    project: ProjectId = "default",
    /,
    *,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Redeem a code for a project.

    For example:
      tokenway credits redeem 7KQ2M-… default
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        moved = store.money.redeem(code, project, by=CLI)
        balance = store.money.balance(project)
    return _say(moved, balance, as_json=as_json)


def _move(
    kind: str, project: str, amount: int, reference: str | None, note: str, place: Place | None, *, as_json: bool
) -> int:
    """One movement of a wallet, by the method of `store.money` of that name, and what is left after it."""
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        moved = getattr(store.money, kind)(project, amount, by=CLI, reference=reference, note=note)
        balance = store.money.balance(project)
    return _say(moved, balance, as_json=as_json)


def _positive(text: str) -> int:
    amount = dollars(text)
    if not amount:
        raise BadUsage("the amount is nothing; write e.g. 5.00.")
    return amount


def _say(moved: Transfer, balance: Balance, *, as_json: bool) -> int:
    if as_json:
        print_json(
            {
                "id": moved.id,
                "at": moment(moved.at),
                "kind": moved.kind,
                "project": moved.project,
                "amount_usd": format_usd(moved.amount),
                "reference": moved.reference,
                "note": moved.note,
                **_balance(balance),
            }
        )
    else:
        print(moved.id)
        signed = moved.amount if moved.debit != f"wallet:{moved.project}" else -moved.amount
        say(
            f"{moved.kind.replace('_', ' ')} of {money(signed)}; {money(balance.left)} left of {money(balance.credits)}"
        )
    return 0


def _balance(balance: Balance) -> dict[str, Any]:
    return {
        "credits_usd": format_usd(balance.credits),
        "spent_usd": format_usd(balance.spent),
        "left_usd": format_usd(balance.left),
    }


def _statement(statement: Statement) -> dict[str, Any]:
    return {
        "opening_usd": format_usd(statement.opening),
        "closing_usd": format_usd(statement.closing),
        "lines": [
            {
                "at": moment(line.at),
                "kind": line.kind,
                "amount_usd": format_usd(line.amount),
                "note": line.note,
                "reference": line.reference,
            }
            for line in statement.lines
        ],
    }


def _state(code: Code) -> str:
    if code.redeemed is not None:
        return f"redeemed by {code.project}"
    return "expired" if code.expires is not None and code.expires <= time.time() else "open"


def _code(code: Code) -> dict[str, Any]:
    return {
        "prefix": code.prefix,
        "amount_usd": format_usd(code.amount),
        "state": _state(code).partition(" ")[0],
        "project": code.project,
        "created": moment(code.created),
        "expires": moment(code.expires),
        "redeemed": moment(code.redeemed),
        "note": code.note,
    }
