"""What the id of an exchange looks like: `gen-`, the day on which it began, who numbered it, and a count.

    gen-4fe6-9f86d081884c7d650000000001        a worker's
    gen-4fe6-probe-43200-9f86d081              a probe's (`model.probe`)

The day is the Unix day in UTC as four hexadecimal digits, which last until the year 2149. So ids sort by day, and a
table of exchanges can be kept in parts of a day each.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "gen-"
SECONDS_PER_DAY: Final = 86_400
COUNT_DIGITS: Final = 10
"""With how many digits a worker's ids end that count its exchanges."""
_DIGITS: Final = 4
_DAY_AT: Final = len(PREFIX)
_DAY_END: Final = _DAY_AT + _DIGITS
_DAYS: Final = 16**_DIGITS
_HEX: Final = frozenset("0123456789abcdef")


def day_of(at: float) -> int:
    """The day in UTC of a Unix time, counted from 1970."""
    return int(at // SECONDS_PER_DAY)


def ids_of_day(day: int) -> str:
    """What all ids of a day begin with, and no other; days outside the count are cut to it."""
    return f"{PREFIX}{min(max(day, 0), _DAYS - 1):04x}-"


def day_in(identity: str) -> int | None:
    """The day that an id begins with; None for an id of another form."""
    digits = identity[_DAY_AT:_DAY_END]
    is_ours = identity[:_DAY_AT] == PREFIX and identity[_DAY_END : _DAY_END + 1] == "-" and _HEX.issuperset(digits)
    return int(digits, 16) if is_ours and len(digits) == _DIGITS else None
