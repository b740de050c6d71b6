"""Where the store is, and how a command that works on it reads and writes its values.

These commands go straight to the store. A running gateway notices a change by itself within a moment; none of them
needs it to run.
"""

from __future__ import annotations

import contextlib
import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from typing import TYPE_CHECKING, TypeVar

from cyclopts import Parameter

from tokenway.cli.errors import BadUsage
from tokenway.cli.options import ConfigFile, DataDir
from tokenway.compose.commands import data_directory, stored
from tokenway.model.money import parse_amount
from tokenway.model.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tokenway.store.accounts.accounts import Accounts
    from tokenway.store.accounts.records import Page
    from tokenway.store.open import Store

Row = TypeVar("Row")

_PAGE: int = 500


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Place:
    """Where the store is."""

    data_dir: DataDir = None
    config: ConfigFile = None


def opened(place: Place | None, *, make: bool = False) -> AbstractContextManager[Store]:
    """The store of the gateway that keeps its data there; `make` makes one."""
    where = place or Place()
    return stored(data_directory(where.data_dir, os.environ), where.config, os.environ, make=make)


def every(page: Callable[[str | None, int], Page[Row]]) -> list[Row]:
    """All rows of a list that comes by pages: `page(cursor, size)`."""
    found = page(None, _PAGE)
    rows = list(found.rows)
    while found.next is not None:
        found = page(found.next, _PAGE)
        rows.extend(found.rows)
    return rows


def user_id(accounts: Accounts, reference: str | None) -> str | None:
    """The id of a user who is named by id or name; None for nobody."""
    return None if reference is None else accounts.users.find(reference).id


def moment(seconds: float | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def dollars(text: str, option: str = "", *, signed: bool = False) -> int:
    """Dollars to nano-dollars, as the control API reads them; raises BadUsage.

    An amount that stands by itself has no option; only one that is `signed` may be less than nothing.
    """
    try:
        amount = parse_amount(text)
    except ValueError:
        amount = None
    if amount is None or (amount < 0 and not signed):
        before = f"{option} " if option else ""
        raise BadUsage(
            f"{before}{text} is not an amount of dollars with at most nine decimals; "
            f"write e.g. {before}{'-3.00' if signed else '5.00'}."
        )
    return amount


def seconds(text: str, option: str) -> float:
    """A duration; raises BadUsage."""
    try:
        return parse_duration(text)
    except ValueError:
        raise BadUsage(f"{option} {text} is not a duration; write e.g. 30m, 12h or 7d.") from None


def start_of(since: str, now: float) -> float | None:
    """The Unix time that `--since` means at `now`; None for all. Raises BadUsage."""
    if since == "all":
        return None
    with contextlib.suppress(ValueError):  # not a duration; it may still be a date
        return now - parse_duration(since)
    try:
        return _utc(datetime.fromisoformat(since)).timestamp()
    except ValueError:
        raise BadUsage(f"--since {since} is neither a duration (30m, 12h, 7d) nor a date (2026-01-31).") from None


def day(text: str, option: str) -> float:
    """The beginning of a day in UTC; raises BadUsage."""
    try:
        return datetime.combine(date.fromisoformat(text), time_of_day.min, UTC).timestamp()
    except ValueError:
        raise BadUsage(f"{option} {text} is not a date; write e.g. {option} 2026-01-31.") from None


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def ending(text: str, option: str) -> float | None:
    """When something ends that lasts so long from now; None for `never`."""
    return None if text == "never" else time.time() + seconds(text, option)


def listed(text: str) -> tuple[str, ...] | None:
    """Names between commas; None for `all`."""
    return None if text == "all" else tuple(name.strip() for name in text.split(",") if name.strip())


def labels(given: Sequence[str], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """`NAME=TEXT`, on top of the labels that are there; an empty text takes one away. Raises BadUsage."""
    found = dict(known or {})
    for each in given:
        name, equals, text = each.partition("=")
        if not equals:
            raise BadUsage(f"--label {each} is not a label; write e.g. --label team=blue.")
        if text:
            found[name] = text
        else:
            found.pop(name, None)
    return found


def shown_labels(found: Mapping[str, str]) -> str:
    """Labels in a cell of a table."""
    return ",".join(f"{name}={text}" for name, text in found.items())
