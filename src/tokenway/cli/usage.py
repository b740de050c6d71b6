"""`tokenway usage`: metered tokens, money and speed, straight from the ledger."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from tokenway.cli.errors import BadUsage
from tokenway.cli.options import AsJson, ConfigFile, DataDir
from tokenway.cli.output import NOTHING, Column, money, number, print_csv, print_json, print_table
from tokenway.cli.place import start_of
from tokenway.compose.commands import data_directory, stored
from tokenway.model.money import format_usd
from tokenway.model.usage import BUCKETS, Usage

if TYPE_CHECKING:
    from tokenway.store.usage import UsageRow

_FIGURES: Final = (
    Column("requests", right=True),
    Column("input", right=True),
    Column("cached", right=True, spare=True),
    Column("output", right=True),
    Column("pieces", right=True, spare=True),
    Column("charged", right=True),
    Column("cost", right=True),
    Column("TTFT s", right=True),
    Column("tokens/s", right=True),
    Column("expired", right=True, spare=True),
    Column("slow", right=True, spare=True),
    Column("unmetered", right=True, spare=True),
    Column("unpriced", right=True, spare=True),
)


def usage(
    *,
    by: Annotated[str, Parameter(help="What to group by: model, key, project, user, run, endpoint, day.")] = "model",
    since: Annotated[str, Parameter(help="How far back: 30m, 12h, 7d, a date such as 2026-01-31, or all.")] = "7d",
    as_json: AsJson = False,
    as_csv: Annotated[bool, Parameter(name="--csv", help="Print CSV, as --json has it.")] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> int:
    """Show metered tokens, money and speed.

    Input counts cached tokens too; pieces are what is not sold by the token.
    Charged is what keys pay, cost what providers bill. Time to the first token
    is the mean of the streams, tokens per second are of all the time in which
    output was made; expired counts the calls that a crash cut off, of which no
    model is known, slow the streams under their floor, unmetered the attempts
    that were delivered, or that the provider will bill, without any usage,
    unpriced those with usage whose cost is not known.
    JSON and CSV also have what is withheld from budgets, and what of the cost
    nobody is charged for.

    For example:
      tokenway usage
      tokenway usage --by project,day --since 30d
      tokenway usage --by key --since all --json
    """
    from tokenway.store.usage import DIMENSIONS, UsageRow  # noqa: PLC0415 - the help needs no store

    dimensions = [name.strip() for name in by.split(",") if name.strip()]
    for name in dimensions:
        if name not in DIMENSIONS:
            raise BadUsage(f"Usage cannot be grouped by {name!r}; choose from {', '.join(DIMENSIONS)}.")
    start = start_of(since, time.time())
    with stored(data_directory(data_dir, os.environ), config, os.environ) as store:
        rows = store.usage.report(dimensions, since=start)
        names = store.accounts.keys.names() if "key" in dimensions else {}
    if as_json:
        print_json([_data(dimensions, row, names) for row in rows])
        return 0
    if as_csv:
        print_csv([_data(dimensions, row, names) for row in rows], _data(dimensions, UsageRow(tuple(dimensions)), {}))
        return 0
    columns = (*(Column(name) for name in dimensions), *_FIGURES)
    cells = [[*(_named(n, text, names) for n, text in zip(dimensions, r.group, strict=True)), *_cells(r)] for r in rows]
    print_table(columns, cells, empty="Nothing was used in that time; --since all looks at everything.")
    return 0


def _named(dimension: str, text: str, names: dict[str, str]) -> str:
    """A key is shown by its name; a call that belongs to no run, as a dash."""
    return (names.get(text, text) if dimension == "key" else text) or "–"


def _cells(row: UsageRow) -> list[str]:
    return [
        f"{row.requests}",
        f"{row.usage.input_tokens}",
        f"{row.usage.cache_read}",
        f"{row.usage.output_tokens}",
        _pieces(row.usage),
        money(row.charged),
        NOTHING if row.unpriced and not row.cost else money(row.cost),
        number(row.ttft, 2),
        number(row.output_speed),
        f"{row.expired}",
        f"{row.slow}",
        f"{row.unmetered}",
        f"{row.unpriced}",
    ]


def _pieces(usage: Usage) -> str:
    """`2 images, 61.5 s, 12 characters, 3 searches`, of which only those that there are."""
    counts = (
        (usage.images, f"{usage.images} images"),
        (usage.sound_ms, f"{usage.sound_ms / 1000:g} s"),
        (usage.characters, f"{usage.characters} characters"),
        (usage.searches, f"{usage.searches} searches"),
    )
    return ", ".join(text for count, text in counts if count) or NOTHING


def _data(dimensions: list[str], row: UsageRow, names: dict[str, str]) -> dict[str, Any]:
    group: dict[str, Any] = dict(zip(dimensions, row.group, strict=True))
    if "key" in group:
        group["key_name"] = names.get(group["key"])
    return {
        **group,
        "requests": row.requests,
        "attempts": row.attempts,
        "errors": row.errors,
        "expired": row.expired,
        "slow": row.slow,
        "unmetered": row.unmetered,
        "unpriced": row.unpriced,
        "usage": {name: getattr(row.usage, name) for name in BUCKETS},
        "charged_usd": format_usd(row.charged),
        "withheld_usd": format_usd(row.withheld),
        "cost_usd": format_usd(row.cost),
        "absorbed_usd": format_usd(row.absorbed),
        "ttft_seconds": row.ttft,
        "output_tps": row.output_speed,
    }
