"""Reads demand from a CSV file: `date,tokens`, with `model` and the counts behind the tokens where there are any.

Rows that cannot be meant are refused with their line; what can be mended is mended and told.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from tokenway.planner.demand.series import Series, series_of
from tokenway.planner.errors import PlanError

COUNTS: Final = ("users", "requests", "calls")
"""Columns beside the tokens of which growth can be made: who asked, what they asked for, what that took."""
_DATES: Final = ("date", "day", "week", "month", "quarter")
_NAMES: Final = "date,tokens[,model][,users][,requests][,calls]"
_QUARTER: Final = re.compile(r"(\d{4})-?Q([1-4])", re.IGNORECASE)
_MONTH: Final = re.compile(r"\d{4}-\d\d")
_SHOWN: Final = 60
_YEARS: Final = range(1900, 2200)
_SEPARATORS: Final = ("\t", ";")
"""What may stand between columns, where the first line has no comma."""


class Row(NamedTuple):
    """What there was on a date, of a model where that is told."""

    day: date
    tokens: float
    model: str = ""
    counts: tuple[float | None, ...] = (None, None, None)


class Table(NamedTuple):
    """Rows in the order of their dates, and what was done to them."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def models(self) -> list[str]:
        """The models that rows tell of, the one with the most tokens first."""
        sums: dict[str, float] = {}
        for row in self.rows:
            sums[row.model] = sums.get(row.model, 0.0) + row.tokens
        return sorted((name for name in sums if name), key=lambda name: -sums[name])

    def of(self, model: str) -> Table:
        """The rows of one model."""
        return self._replace(rows=tuple(row for row in self.rows if row.model == model))

    def series(self, name: str = "tokens", unit: str = "tokens") -> Series:
        """All tokens by date."""
        return series_of(summed((row.day, row.tokens) for row in self.rows), name=name, unit=unit, notes=self.notes)

    def counts(self) -> dict[str, dict[date, float]]:
        """Each of COUNTS that every row tells, by date, and the tokens; empty where none of them is told."""
        found: dict[str, dict[date, float]] = {}
        for place, name in enumerate(COUNTS):
            told = [(row.day, count) for row in self.rows if (count := row.counts[place])]
            if self.rows and len(told) == len(self.rows):
                found[name] = summed(told)
        if found:
            found["tokens"] = summed((row.day, row.tokens) for row in self.rows)
        return found


def summed(points: Iterable[tuple[date, float]]) -> dict[date, float]:
    """What there was on each date."""
    found: dict[date, float] = {}
    for day, value in points:
        found[day] = found.get(day, 0.0) + value
    return found


def filled(points: Mapping[date, float], last: date) -> dict[date, float]:
    """Points of a ledger from the first day to the last one: a day that is not there had none."""
    if not points:
        return {}
    first = min(points)
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return {day: points.get(day, 0.0) for day in days}


def read_table(text: str) -> Table:
    """The rows of a CSV file with a header. Raises PlanError with the line of what cannot be read.

    Rows out of order are sorted. A row that is there twice is counted once; several rows of a date (and model) that
    differ are added up.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    head = lines[0] if lines else ""
    separator = next((each for each in _SEPARATORS if each in head and "," not in head), ",")
    reader = csv.DictReader(lines, strict=True, delimiter=separator)
    try:
        names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        day = next((names[name] for name in _DATES if name in names), None)
        if day is None or "tokens" not in names:
            raise PlanError(f"The first line has to name the columns {_NAMES}, and is '{head[:_SHOWN]}'.")
        rows = [_row(line, names, day, reader.line_num) for line in reader if any(line.values())]
    except csv.Error as error:
        raise PlanError(f"Line {reader.line_num} is no CSV: {error}.") from None
    if not rows:
        raise PlanError("The file has no rows below its header.")
    return _mended(rows)


def _row(line: Mapping[str, str | None], names: Mapping[str, str], day: str, number: int) -> Row:
    if None in line:
        raise PlanError(f"Line {number} has more columns than the first line.")
    counts = tuple(
        _number(line[names[name]], name, number) if name in names and line[names[name]] else None for name in COUNTS
    )
    return Row(
        _date(line[day], number),
        _number(line[names["tokens"]], "tokens", number),
        (line[names["model"]] or "").strip() if "model" in names else "",
        counts,
    )


def _date(text: str | None, number: int) -> date:
    plain = (text or "").strip()
    quarter = _QUARTER.fullmatch(plain)
    first = f"{quarter[1]}-{3 * int(quarter[2]) - 2:02}" if quarter else plain
    try:
        # A moment counts for its day.
        found = date.fromisoformat(f"{first}-01" if _MONTH.fullmatch(first) else first[:10])
    except ValueError:
        found = date.min
    if found.year not in _YEARS:
        raise PlanError(f"Line {number}: '{plain}' is no date; write e.g. 2026-01-31, 2026-01 or 2026Q1.")
    return found


def _number(text: str | None, name: str, line: int) -> float:
    plain = (text or "").strip()
    try:
        value = float(plain)
    except ValueError:
        raise PlanError(f"Line {line}: '{plain}' is no number of {name}.") from None
    if not math.isfinite(value) or value > 1e30:
        raise PlanError(f"Line {line}: '{plain}' is no number of {name}.")
    if value < 0:
        raise PlanError(f"Line {line}: {name} cannot be negative, and {plain} is.")
    return value


def _mended(rows: Sequence[Row]) -> Table:
    notes = []
    ordered = sorted(rows, key=lambda row: (row.day, row.model))
    if [row.day for row in ordered] != [row.day for row in rows]:
        notes.append("Rows were not in the order of their dates and are sorted.")
    single = list(dict.fromkeys(ordered))
    if len(single) < len(ordered):
        again = len(ordered) - len(single)
        notes.append(f"{again} row{' is' if again == 1 else 's are'} there more than once and counted once.")
    places = [(row.day, row.model) for row in single]
    repeated = len(places) - len(set(places))
    if repeated:
        notes.append(f"{repeated} row{' has' if repeated == 1 else 's have'} the date of another and are added up.")
    return Table(tuple(single), tuple(notes))
