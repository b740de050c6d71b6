"""Money is an integer count of nano-dollars; this is the only module that rounds.

A *rate* is nano-dollars per million units (tokens, mostly), so a list price such as 0.0375 USD per
million tokens is the exact integer 37_500_000. A cost is the sum of `units * rate` over all buckets,
divided once by a million and rounded half up: one rounding per entry, never one per bucket.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final, NewType

NanoUsd = NewType("NanoUsd", int)
Rate = NewType("Rate", int)
Share = NewType("Share", int)
"""A part of something, in millionths."""

NANO_PER_USD = 1_000_000_000
UNITS_PER_RATE = 1_000_000
MS_PER_HOUR = 3_600_000
MILLIONTHS = 1_000_000
MILLIONTHS_PER_PERCENT = 10_000
ZERO = NanoUsd(0)
_PLAIN: Final = re.compile(r"[-+]?(?:[0-9]{1,15}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})", re.ASCII)
_EXPONENT_MAX = 18
"""Amounts of a quintillion dollars and more are none: as integers their digits would take memory and time to match."""


def parse_usd(text: str | int | float | Decimal) -> NanoUsd:
    """Dollars as written by a person or a provider, to nano-dollars, rounded half up.

    Raises ValueError when the text is not a finite decimal number, or one beyond reason.
    """
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        raise ValueError(f"not an amount of dollars: {text!r}") from None
    if not amount.is_finite() or amount.adjusted() >= _EXPONENT_MAX:
        raise ValueError(f"not an amount of dollars: {text!r}")
    return NanoUsd(int((amount * NANO_PER_USD).to_integral_value(ROUND_HALF_UP)))


USD_PATTERN: Final = r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?"
"""An amount of dollars as people and programs write it to Tokenway: nothing of it is ever rounded."""
_SIGNED_USD: Final = re.compile(f"-?{USD_PATTERN}", re.ASCII)


def parse_amount(text: str) -> NanoUsd:
    """Dollars as somebody asks for them, such as `12.5` or `-3`, to nano-dollars, exactly.

    Raises ValueError for exponents, more than nine decimals, and a billion dollars or more.
    """
    if not _SIGNED_USD.fullmatch(text):
        raise ValueError(f"not an amount of dollars: {text!r}")
    return parse_usd(text)


def parse_rate(usd_per_million: str | int | float | Decimal) -> Rate:
    """Dollars per million units to a rate; raises ValueError when negative or not a number."""
    rate = parse_usd(usd_per_million)
    if rate < 0:
        raise ValueError(f"a price cannot be negative: {usd_per_million!r}")
    return Rate(rate)


def cost_of(weighted_units: int) -> NanoUsd:
    """The sum of `units * rate` to nano-dollars, rounded half up."""
    return NanoUsd((weighted_units + UNITS_PER_RATE // 2) // UNITS_PER_RATE)


def cost_ceiling(weighted_units: int) -> NanoUsd:
    """Like `cost_of`, rounded up: for reservations, which must never be too small."""
    return NanoUsd(-(-weighted_units // UNITS_PER_RATE))


def marked_up(amount: int, markup: int) -> NanoUsd:
    """What is charged for what costs so much: `markup` on top in millionths, negative for less; rounded half up."""
    return NanoUsd(cost_of(amount * (UNITS_PER_RATE + markup)) if markup else amount)


def marked_up_ceiling(amount: int, markup: int) -> NanoUsd:
    """Like `marked_up`, rounded up: for reservations."""
    return NanoUsd(cost_ceiling(amount * (UNITS_PER_RATE + markup)) if markup else amount)


def hourly(milliseconds: int, per_hour: int) -> int:
    """Nano-dollars an hour for so many milliseconds, as a sum of `units * rate`.

    It is rounded down, which changes no cost: `cost_of` decides at a half, and a half is a whole number of such units.
    """
    return milliseconds * per_hour * UNITS_PER_RATE // MS_PER_HOUR


def parse_share(text: str) -> Share:
    """A share as it is written, such as `0.125`, to millionths, exactly.

    Raises ValueError when it is none, or has more than six decimals, which millionths cannot hold.
    """
    found = _exactly(text.strip(), MILLIONTHS)
    if found is None:
        raise ValueError(f"not a share with at most six decimals: {text!r}")
    return Share(found)


def parse_percent(text: str) -> Share:
    """A percentage, such as `12.5%` or `-2.5 %`, to millionths, exactly.

    Raises ValueError when it is none, has no sign of percent, or more than four decimals, which millionths cannot hold.
    """
    bare = text.strip()
    found = _exactly(bare[:-1].rstrip(), MILLIONTHS_PER_PERCENT) if bare.endswith("%") else None
    if found is None:
        raise ValueError(f"not a percentage with at most four decimals: {text!r}")
    return Share(found)


def _exactly(text: str, factor: int) -> int | None:
    """So many times a decimal number; None where that is not whole, or `text` is none."""
    if not _PLAIN.fullmatch(text):
        return None
    whole, _, part = text.lstrip("+-").partition(".")
    number = int(whole + part or "0") * factor
    scaled, rest = divmod(number, 10 ** len(part))
    return None if rest else -scaled if text.startswith("-") else scaled


def format_share(millionths: int) -> str:
    """Millionths as an exact decimal number without needless zeros: `125_000` gives `0.125`."""
    return _plainly(millionths, MILLIONTHS, 6)


def format_percent(millionths: int) -> str:
    """Millionths as an exact percentage without needless zeros: `25_000` gives `2.5`."""
    return _plainly(millionths, MILLIONTHS_PER_PERCENT, 4)


def _plainly(amount: int, one: int, places: int) -> str:
    sign = "-" if amount < 0 else ""
    whole, part = divmod(abs(amount), one)
    return f"{sign}{whole}" + (f".{part:0{places}d}".rstrip("0") if part else "")


def format_usd(amount: int) -> str:
    """Nano-dollars as an exact decimal string without needless zeros: `12_500` gives `0.0000125`."""
    if 0 < amount < NANO_PER_USD:
        return f"0.{amount:09d}".rstrip("0")
    sign = "-" if amount < 0 else ""
    whole, nano = divmod(abs(amount), NANO_PER_USD)
    if not nano:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{nano:09d}".rstrip("0")
