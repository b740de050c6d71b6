"""A series of counts: its period, and what is done with gaps, zeros and days that stand far off.

Values are kept with their places on a regular grid (`at`), so that a gap is a place without a value. What was changed
is told in `notes`; nothing is made up.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tokenway.planner.report import show

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


class Period(NamedTuple):
    """How far apart the values are. With fewer than `least` of them nothing is said of their future."""

    name: str
    days: float
    least: int

    def several(self, count: float) -> str:
        """`9.8 weeks`, `1 day`, `1,234 days`."""
        return f"{show(float(count))} {self.name}{'' if count == 1 else 's'}"


DAY: Final = Period("day", 1.0, 28)
WEEK: Final = Period("week", 7.0, 8)
MONTH: Final = Period("month", 365.25 / 12, 8)
QUARTER: Final = Period("quarter", 365.25 / 4, 8)
_PERIODS: Final = ((1, 1, DAY), (6, 8, WEEK), (28, 31, MONTH), (88, 94, QUARTER))
_WEEK: Final = 7
_ZEROS_AS_GAPS: Final = 0.05
"""A larger part of zeros is how the series is, as with weekends, and no outage."""
_FAR: Final = 6.0
"""A day that stands farther off those around it than so many times the usual, and this in logarithms, is left out."""
_LEAST_FAR: Final = 0.5
_AROUND: Final = 3
_FAR_PART: Final = 0.05
_PERIODS_OVER: Final = 3
_SHOWN: Final = 3


class Series(NamedTuple):
    """Counts at regular places. `period` is None where they come at no regular times; `at` are months then.

    All values are above zero. `dates` are those of the values.
    """

    name: str
    unit: str
    period: Period | None
    dates: tuple[date, ...]
    at: Floats
    values: Floats
    notes: tuple[str, ...] = ()
    ended: bool = False
    """Whether it ends with so many zeros that it is over."""

    @property
    def span(self) -> float:
        """From the first value to the last, in periods."""
        return float(self.at[-1]) if len(self.at) else 0.0

    @property
    def logs(self) -> Floats:
        """Logarithms of the values."""
        found: Floats = np.log(self.values)
        return found

    def until(self, place: float) -> Series:
        """The values before a place: what was known then."""
        count = int(np.searchsorted(self.at, place))
        return self._replace(dates=self.dates[:count], at=self.at[:count], values=self.values[:count])

    def since(self, first: date) -> Series:
        """The values from a date on."""
        count = sum(each < first for each in self.dates)
        start = self.at[count] if count < len(self.at) else 0.0
        return self._replace(dates=self.dates[count:], at=self.at[count:] - start, values=self.values[count:])

    def ahead(self, count: int) -> list[date]:
        """The dates of the next so many periods."""
        return [later(self.dates[-1], self.period or MONTH, number) for number in range(1, count + 1)]

    @property
    def lacks(self) -> str:
        """Why nothing can be said of its future, as a sentence; empty where something can."""
        if not len(self.values):
            return "there is nothing above zero in it"
        if self.ended:
            return f"there was no use after {self.dates[-1]}"
        if self.period is None:
            return "its values come at no regular times, so no forecast is made; see the pace between them"
        if len(self.values) < self.period.least:
            had = f"{len(self.values)} {self.period.name}{'' if len(self.values) == 1 else 's'}"
            return f"it has {had} with use, and a forecast takes {self.period.least}"
        return ""


def later(start: date, period: Period, count: int) -> date:
    """The date so many periods after a date; a month's end stays within its month."""
    if period in {DAY, WEEK}:
        return start + timedelta(days=int(period.days) * count)
    months = start.month - 1 + count * (1 if period == MONTH else 3)
    year, month = start.year + months // 12, months % 12 + 1
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))


def series_of(
    points: Mapping[date, float], *, name: str = "tokens", unit: str = "tokens", notes: Sequence[str] = ()
) -> Series:
    """A series of what there was on each date, none of it below zero; a date that is missing is a gap.

    Zeros before the first use are cut off. Few others are gaps; with many, as of an office that rests at weekends,
    whole weeks are summed. Days that stand far off all others are left out.
    """
    told = list(notes)
    dates = sorted(points)
    used = [each for each in dates if points[each] > 0]
    if not used:
        if dates:
            told.append(f"All {len(dates)} values are zero.")
        return Series(name, unit, DAY, (), np.zeros(0), np.zeros(0), tuple(told))
    if used[0] != dates[0]:
        told.append(f"{dates.index(used[0])} zeros before the first use on {used[0]} are left out.")
        dates = dates[dates.index(used[0]) :]
    period = _period(dates)
    ended = _ended([not points[each] for each in dates], 2 * _WEEK if period is DAY else _PERIODS_OVER)
    if ended:
        dates = dates[: dates.index(used[-1]) + 1]
    if period is DAY and _rests(dates, points):
        dates, points, period = *_weeks(dates, points), WEEK
        told.append("Too many days have no use; whole weeks are summed and forecast.")
    zeros = [each for each in dates if not points[each]]
    if zeros:
        told.append(f"{_dates(zeros)} without any use count as gaps.")
    dates = [each for each in dates if points[each] > 0]
    at = _places(dates, period)
    values = np.array([float(points[each]) for each in dates])
    missing = 0 if period is None else round(at[-1]) + 1 - len(at) - len(zeros)
    if period is not None and missing > 0:
        told.append(f"{missing} {period.name}{'' if missing == 1 else 's'} without a value are left out as gaps.")
    return _without_far(Series(name, unit, period, tuple(dates), at, values, tuple(told), ended))


def _ended(zeros: Sequence[bool], least: int) -> bool:
    """Whether it ends with zeros, at least so many and more than ever came together before."""
    runs = [0]
    for is_zero in zeros:
        if is_zero:
            runs[-1] += 1
        elif runs[-1]:
            runs.append(0)
    return zeros[-1] and runs[-1] >= least and runs[-1] > max(runs[:-1], default=0)


def _dates(found: Sequence[date]) -> str:
    """`3 dates (2026-01-03, 2026-01-04, …)`."""
    shown = ", ".join(each.isoformat() for each in found[:_SHOWN])
    more = ", …" if len(found) > _SHOWN else ""
    return f"{len(found)} date{'' if len(found) == 1 else 's'} ({shown}{more})"


def _period(dates: Sequence[date]) -> Period | None:
    """The period of these dates; None where they are at no regular ones. A single one is a day."""
    gaps = sorted((b - a).days for a, b in pairwise(dates))
    if not gaps:
        return DAY
    usual = gaps[len(gaps) // 2]
    for least, most, period in _PERIODS:
        if least <= usual <= most:
            at = np.array([(each - dates[0]).days for each in dates]) / period.days
            is_regular = len(np.unique(np.round(at))) == len(at) and bool(np.abs(at - np.round(at)).max() < 0.35)
            return period if is_regular else None
    return None


def _places(dates: Sequence[date], period: Period | None) -> Floats:
    days = np.array([(each - dates[0]).days for each in dates], dtype=float)
    found: Floats = days / MONTH.days if period is None else np.round(days / period.days)
    return found


def _rests(dates: Sequence[date], points: Mapping[date, float]) -> bool:
    """Whether so many days are without use, or some weekdays never told of, that days are the wrong measure."""
    if len(dates) < 2 * _WEEK:
        return False
    zeros = sum(not points[each] for each in dates)
    return zeros > _ZEROS_AS_GAPS * len(dates) or len({each.weekday() for each in dates}) < _WEEK


def _weeks(dates: Sequence[date], points: Mapping[date, float]) -> tuple[list[date], dict[date, float]]:
    """Sums of whole weeks up to the last day, each by its last day. A day that is missing adds nothing."""
    last, sums = dates[-1], dict[date, float]()
    for each in dates:
        end = last - timedelta(days=(last - each).days // _WEEK * _WEEK)
        sums[end] = sums.get(end, 0.0) + points[each]
    first = min(sums)
    if (first - dates[0]).days < _WEEK - 1 and len(sums) > 1:
        del sums[first]
    return sorted(sums), sums


def _without_far(series: Series) -> Series:
    """Leaves out days that stand far off those around them; many such days are no accident."""
    if series.period is not DAY or len(series.values) < DAY.least:
        return series
    off = np.abs(_off_around(series))
    is_far = off > max(_FAR * 1.4826 * float(np.median(off)), _LEAST_FAR)
    # A steep beginning is no accident.
    is_far[:_AROUND] = False
    if not is_far.any() or is_far.mean() > _FAR_PART:
        return series
    told = f"{_dates([d for d, far in zip(series.dates, is_far, strict=True) if far])} far off those around: left out."
    kept = [d for d, far in zip(series.dates, is_far, strict=True) if not far]
    at, values = series.at[~is_far], series.values[~is_far]
    return series._replace(dates=tuple(kept), at=at, values=values, notes=(*series.notes, told))


def _off_around(series: Series) -> Floats:
    """How far the logarithm of each day is off the median of seven around it, once weekdays are taken out.

    They are taken out by a smooth curve that a day far off cannot pull (Huber's weights).
    """
    t = series.at / max(series.span, 1.0)
    weekdays = np.array([each.weekday() for each in series.dates])
    columns = np.column_stack([t, t * t, *((weekdays == day).astype(float) for day in range(_WEEK))])
    logs, errors, weights = series.logs, np.zeros(len(t)), np.ones(len(t))
    for _ in range(10):
        root = np.sqrt(weights)
        found = np.linalg.lstsq(columns * root[:, None], logs * root, rcond=None)[0]
        errors = logs - columns @ found
        usual = max(1.4826 * float(np.median(np.abs(errors))), 1e-9)
        weights = np.minimum(1.0, 1.5 * usual / np.maximum(np.abs(errors), 1e-12))
    wide = np.pad(errors, _AROUND, mode="reflect")
    around = np.median(np.lib.stride_tricks.sliding_window_view(wide, 2 * _AROUND + 1), axis=1)
    off: Floats = errors - around
    return off
