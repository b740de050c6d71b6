"""`tokenway keys`: the keys of callers, straight in the store.

A running gateway notices a change by itself within a moment; none of this needs it to run.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tokenway.cli.errors import BadUsage
from tokenway.cli.options import AsJson, ConfigFile, DataDir
from tokenway.cli.output import NOTHING, Column, money, print_json, print_table, say
from tokenway.compose.commands import data_directory, stored
from tokenway.model.money import format_usd, parse_usd
from tokenway.model.units import parse_duration

if TYPE_CHECKING:
    from tokenway.store.base import KeyRow, NewKey
    from tokenway.store.open import Store

KeyReference = Annotated[str, Parameter(help="A key's id, or its name when only one active key has it.")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Place:
    """Where the store is."""

    data_dir: DataDir = None
    config: ConfigFile = None


def _store(place: Place | None, *, make: bool = False) -> AbstractContextManager[Store]:
    where = place or Place()
    return stored(data_directory(where.data_dir, os.environ), where.config, os.environ, make=make)


def create(
    name: Annotated[str, Parameter(help="What people call it.")],
    /,
    *,
    project: Annotated[str, Parameter(help="Whom its use is counted for.")] = "default",
    budget: Annotated[str | None, Parameter(help="The most it may spend, in US dollars [otherwise no limit].")] = None,
    period: Annotated[
        Literal["day", "week", "month", "total"], Parameter(help="When the budget starts anew.")
    ] = "total",
    expires: Annotated[str | None, Parameter(help="When it ends, from now: 12h, 30d [otherwise never].")] = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Create a key and print it, once.

    Only its hash is stored. In a pipe standard output is the key and nothing
    else.

    For example:
      tokenway keys create laptop
      tokenway keys create ci --budget 5.00 --period month --expires 90d
    """
    from tokenway.store.base import DEFAULT_PROJECT, Period  # noqa: PLC0415 - the help needs no store

    amount = _dollars(budget)
    ends = None if expires is None else time.time() + _seconds(expires, "--expires")
    with _store(place, make=True) as store:
        # Before a first start the store is empty; the project that everything defaults to is made here too.
        if project == DEFAULT_PROJECT:
            store.keys.add_project(project)
        made = store.keys.create(name, project=project, budget=amount, period=Period(period), expires=ends)
    return _show_new(made, as_json=as_json)


def list_keys(
    *,
    project: Annotated[str | None, Parameter(help="Only this project's [otherwise all].")] = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """List keys, those that have ended too; a key itself is never shown again.

    For example:
      tokenway keys list
      tokenway keys list --project default --json
    """
    now = time.time()
    with _store(place) as store:
        rows = store.keys.keys(project)
    if as_json:
        print_json([_data(row, now) for row in rows])
        return 0
    columns = (
        Column("id"),
        Column("name"),
        Column("project"),
        Column("key"),
        Column("state"),
        Column("created"),
        Column("expires"),
        Column("budget", right=True),
    )
    cells = [
        [
            row.id,
            row.name,
            row.project,
            f"{row.prefix}…",
            _state(row, now),
            _moment(row.created) or NOTHING,
            _moment(row.expires) or NOTHING,
            NOTHING if row.budget is None else f"{money(row.budget)} {row.period}",
        ]
        for row in rows
    ]
    print_table(columns, cells, empty="There is no key; make one with `tokenway keys create NAME`.")
    return 0


def revoke(key: KeyReference, /, *, as_json: AsJson = False, place: Place | None = None) -> int:
    """End a key now.

    Calls that are under way finish.

    For example:
      tokenway keys revoke laptop
    """
    with _store(place) as store:
        row = store.keys.revoke(key)
    if as_json:
        print_json(_data(row, time.time()))
    else:
        print(f"The key {row.id} ({row.name}) has ended.")
    return 0


def rotate(
    key: KeyReference,
    /,
    *,
    overlap: Annotated[str, Parameter(help="How long the old secret still works: 0, 1h, 2d.")] = "0",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Replace a key's secret; its id, its limits and what it has spent stay.

    Prints the new secret, once. In a pipe standard output is the secret and
    nothing else. If one from an earlier rotation still works, it ends now.

    For example:
      tokenway keys rotate laptop
      tokenway keys rotate ci --overlap 1h
    """
    seconds = _seconds(overlap, "--overlap")
    with _store(place) as store:
        made = store.keys.rotate(key, overlap=seconds)
    return _show_new(made, as_json=as_json)


def _show_new(made: NewKey, *, as_json: bool) -> int:
    if as_json:
        print_json({**_data(made.row, time.time()), "key": made.secret.reveal()})
    else:
        print(made.secret.reveal())
        say(f"Key {made.row.id} ({made.row.name}) in project {made.row.project}. Keep it: it is not shown again.")
    return 0


def _data(row: KeyRow, now: float) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "project": row.project,
        "prefix": row.prefix,
        "state": _state(row, now),
        "created": _moment(row.created),
        "expires": _moment(row.expires),
        "revoked": _moment(row.revoked),
        "former_ends": _moment(row.former_ends),
        "budget_usd": None if row.budget is None else format_usd(row.budget),
        "budget_period": None if row.budget is None else str(row.period),
    }


def _state(row: KeyRow, now: float) -> str:
    if row.is_active(now):
        return "active"
    return "revoked" if row.revoked is not None and row.revoked <= now else "expired"


def _moment(seconds: float | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _dollars(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        amount = parse_usd(text)
    except ValueError:
        amount = None
    if amount is None or amount < 0:
        raise BadUsage(f"--budget {text} is not an amount of dollars; write e.g. --budget 5.00.")
    return amount


def _seconds(text: str, option: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise BadUsage(f"{option} {text} is not a duration; write e.g. 30m, 12h or 7d.") from None
