"""`tokenway ledger`: the proof that the books are right, what is in them, and what providers say of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tokenway.cli.errors import BadUsage, CommandError
from tokenway.cli.files import text_of
from tokenway.cli.options import AsJson
from tokenway.cli.output import NOTHING, Column, money, print_json, print_table, say
from tokenway.cli.place import Place, day, dollars, moment, opened, start_of
from tokenway.model.money import format_usd

if TYPE_CHECKING:
    from tokenway.store.reconcile import Drift
    from tokenway.store.verify import Verification
    from tokenway.store.withheld import Withheld

_FAILED = 1


def verify(
    *,
    since: Annotated[str, Parameter(help="From when on: 7d, a date such as 2026-01-31, or all.")] = "all",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Prove that the ledger is right; each fault is a line, and then the exit status is 1.

    Every sum is made anew from the entries: roll-ups by minute, hour and day,
    spending, runs. Debits equal credits, balances equal what was moved and what
    was used, and no reservation was settled twice. Open reservations are named
    with their age; they are no fault.

    For example:
      tokenway ledger verify
      tokenway ledger verify --since 2d --json
    """
    from tokenway.store.verify import verify as prove  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        found = prove(store.database, time.time(), since=start_of(since, time.time()) or 0.0)
    if as_json:
        print_json(_verification(found))
    else:
        for fault in found.faults:
            print(fault)
        for waiting in found.opened:
            say(
                f"open for {waiting.age:.0f} s: {waiting.id} of {waiting.key}, {money(waiting.amount)} set aside "
                f"by {waiting.owner}"
            )
        say(
            f"{found.exchanges} exchanges with {found.entries} entries; debits {money(found.debits)}, "
            f"credits {money(found.credits)}; {len(found.opened)} open reservations; "
            + ("the ledger holds." if found.holds else f"{len(found.faults)} faults.")
        )
    return 0 if found.holds else _FAILED


def export(
    project: Annotated[str, Parameter(help="Whose entries.")],
    /,
    *,
    since: Annotated[str, Parameter(help="The first day, in UTC: 2026-01-01.")],
    until: Annotated[str, Parameter(help="The day after the last: 2026-02-01.")],
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="The file [otherwise the output].")] = None,
    form: Annotated[Literal["csv", "parquet"] | None, Parameter(name="--format", help="csv or parquet.")] = None,
    place: Place | None = None,
) -> int:
    """Write every entry of a project in a period as CSV or Parquet, one row for each attempt.

    Money is in nano-dollars, times are Unix seconds. Parquet needs a file, and
    the extra `parquet` of the package.

    For example:
      tokenway ledger export default --since 2026-01-01 --until 2026-02-01 > january.csv
      tokenway ledger export default --since 2026-01-01 --until 2026-02-01 -o january.parquet
    """
    from tokenway.store.export import entries_of, write_csv, write_parquet  # noqa: PLC0415 - the help needs no store

    begins, ends = day(since, "--since"), day(until, "--until")
    chosen = form or ("parquet" if output is not None and output.suffix == ".parquet" else "csv")
    if chosen == "parquet" and output is None:
        raise BadUsage("Parquet is written to a file: name it with --output.")
    with opened(place) as store:
        store.accounts.projects.get(project)
        rows = entries_of(store.database, project, begins, ends)
        try:
            if chosen == "parquet" and output is not None:
                count = write_parquet(rows, output)
            elif output is not None:
                with output.open("w", encoding="utf-8", newline="") as file:
                    count = write_csv(rows, file)
            else:
                count = write_csv(rows, sys.stdout)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(f"{output or 'the output'} cannot be written: {error.strerror or error}.") from error
    say(f"{count} entries.")
    return 0


def reconcile(
    file: Annotated[Path, Parameter(help="The provider's usage or cost export, as CSV.")],
    /,
    *,
    provider: Annotated[
        str | None, Parameter(help="The provider in this gateway's configuration [otherwise by the file's shape].")
    ] = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Compare a provider's own export with the entries of that provider, per model and day.

    OpenAI's usage and cost exports and Anthropic's are known by their headers.
    The drift is what the provider says less what the ledger has, per model;
    models that only one side has are listed too.

    For example:
      tokenway ledger reconcile activity-2026-01.csv
      tokenway ledger reconcile claude_api_tokens.csv --provider anthropic-eu --json
    """
    from tokenway.metering.billing import read_export  # noqa: PLC0415 - the help needs no store
    from tokenway.store.reconcile import compare  # noqa: PLC0415 - the same

    told = read_export(text_of(file))
    for note in told.notes:
        say(note)
    with opened(place) as store:
        drifts = compare(store.database, told, provider or told.provider)
    if as_json:
        print_json({"shape": told.shape, "provider": provider or told.provider, "models": [_drift(d) for d in drifts]})
        return 0
    columns = (
        *(Column(name) for name in ("model", "days", "what")),
        *(Column(name, right=True) for name in ("provider", "ledger", "drift", "%")),
    )
    rows = [
        [drift.model, _days(drift.days), name, *_figures(name, theirs, ours)]
        for drift in drifts
        for name, (theirs, ours) in drift.figures.items()
    ]
    print_table(columns, rows, empty="Neither the file nor the ledger has anything of that provider in its days.")
    for drift in drifts:
        if drift.only is not None:
            say(f"{drift.model}: only the {drift.only} has it.")
    return 0


def withheld(
    project: Annotated[str | None, Parameter(help="Only this project's [otherwise all].")] = None,
    /,
    *,
    since: Annotated[str, Parameter(help="From when on: 7d, a date such as 2026-01-31, or all.")] = "30d",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """List the calls for which budgets keep something back, because their provider may bill it.

    For example:
      tokenway ledger withheld default --since 2026-01-01
    """
    with opened(place) as store:
        found = store.withheld.list(project, since=start_of(since, time.time()) or 0.0)
    if as_json:
        print_json([_withheld(each) for each in found])
        return 0
    columns = (*(Column(name) for name in ("call", "at", "project", "endpoint")), Column("withheld", right=True))
    rows = [[each.exchange, f"{moment(each.at)}", each.project, each.endpoint, money(each.withheld)] for each in found]
    print_table(columns, rows, empty="Nothing is withheld in that time; --since all looks at everything.")
    say(f"{len(found)} calls, {money(sum(each.withheld for each in found))} withheld.")
    return 0


def settle(
    calls: Annotated[list[str], Parameter(help="Their ids, as `tokenway ledger withheld` has them.")],
    /,
    *,
    charge: Annotated[str, Parameter(help="What of it is charged for each, in US dollars.")] = "0",
    note: Annotated[str, Parameter(help="Why.", show_default=False)] = "",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Settle what is withheld for calls, when it is known what the provider billed.

    What is not charged is free again. A charge stands in the ledger as any
    other, on the call's day; it is refused where that day is on an invoice.

    For example:
      tokenway ledger settle gen-50e20123456789abcdef --note "not on the bill"
      tokenway ledger settle gen-50e20123456789abcdef --charge 0.0042
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    amount = dollars(charge, "--charge")
    with opened(place) as store:
        found = [store.withheld.settle(each, amount, by=CLI, note=note) for each in calls]
    if as_json:
        print_json([_withheld(each) for each in found])
        return 0
    for each in found:
        print(
            f"The call {each.exchange} of {each.project} is charged {money(each.charged)}; nothing is withheld for it."
        )
    return 0


def _withheld(row: Withheld) -> dict[str, Any]:
    return {
        "call": row.exchange,
        "at": moment(row.at),
        "project": row.project,
        "key": row.key,
        "model": row.model,
        "endpoint": row.endpoint,
        "charged_usd": format_usd(row.charged),
        "withheld_usd": format_usd(row.withheld),
    }


def _verification(found: Verification) -> dict[str, Any]:
    return {
        "holds": found.holds,
        "exchanges": found.exchanges,
        "entries": found.entries,
        "debits_usd": format_usd(found.debits),
        "credits_usd": format_usd(found.credits),
        "open_reservations": [
            {
                "id": each.id,
                "key": each.key,
                "amount_usd": format_usd(each.amount),
                "age_seconds": each.age,
                "owner": each.owner,
                "node": each.node,
            }
            for each in found.opened
        ],
        "faults": found.faults,
    }


def _drift(drift: Drift) -> dict[str, Any]:
    return {
        "model": drift.model,
        "days": list(drift.days),
        "only": drift.only,
        "figures": {
            name: {"provider": theirs, "ledger": ours, "drift": theirs - ours, "percent": _percent(theirs, ours)}
            for name, (theirs, ours) in drift.figures.items()
        },
    }


def _percent(theirs: int, ours: int) -> float | None:
    return round(100 * (theirs - ours) / theirs, 4) if theirs else None


def _figures(name: str, theirs: int, ours: int) -> list[str]:
    shown = money if name == "cost" else str
    percent = _percent(theirs, ours)
    return [shown(theirs), shown(ours), shown(theirs - ours), NOTHING if percent is None else f"{percent:.2f}"]


def _days(days: tuple[str, ...]) -> str:
    return days[0] if len(days) == 1 else f"{days[0]}…{days[-1]}" if days else NOTHING
