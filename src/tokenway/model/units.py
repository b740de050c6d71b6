"""Durations and sizes as a person writes them, and the annotated types that settings use for them."""

from __future__ import annotations

import math
import re
from typing import Annotated, Final

from msgspec import Meta

READS: Final = "reads"
"""Key in `Meta.extra` that says how a scalar is read: `duration`, `size` or `path`."""

Duration = Annotated[float, Meta(extra={READS: "duration"})]
"""Seconds; written as `500ms`, `5s`, `15m`, `1h` or a bare number of seconds."""

Size = Annotated[int, Meta(extra={READS: "size"})]
"""Bytes; written as `32MiB`, `10MB` or a bare number of bytes."""

FilePath = Annotated[str, Meta(extra={READS: "path"})]
"""A file; a relative one is looked up from the directory of the file that names it."""

_PARTS: Final = re.compile(
    r"(?=\d)(?:(\d{1,6})d)?(?:(\d{1,8})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d{1,12})?)s)?(?:(\d{1,12}(?:\.\d{1,12})?)ms)?",
    re.ASCII,
)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_AMOUNT: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]{0,3})", re.ASCII)


def _split(text: str, units: dict[str, float] | dict[str, int], what: str) -> tuple[str, float]:
    match = _AMOUNT.fullmatch(text.strip())
    factor = units.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"not {what}: {text!r}")
    return match[1], factor


def parse_duration(text: str) -> float:
    """`500ms`, `5s`, `15m`, `1h`, `2d` or a bare number of seconds, to seconds; raises ValueError."""
    number, factor = _split(text, _SECONDS, "a duration")
    return float(number) * factor


def seconds_of(text: str) -> float | None:
    """A duration as programs write it, largest unit first: `20ms`, `7.66s`, `6m0s`, `1h2m3.5s`; None for all else."""
    found = _PARTS.fullmatch(text)
    if found is None:
        return None
    days, hours, minutes, seconds, thousandths = found.groups("0")
    return int(days) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds) + float(thousandths) / 1000


def parse_size(text: str) -> int:
    """`32MiB`, `10MB`, `512` to bytes, rounded down; raises ValueError."""
    number, factor = _split(text, _BYTES, "a size")
    return math.floor(float(number) * factor) if "." in number else int(number) * int(factor)


def format_duration(seconds: float) -> str:
    """The shortest usual form: `500ms`, `5s`, `15m`, `1h`."""
    for unit, factor in (("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if seconds >= factor and seconds % factor == 0:
            return f"{seconds / factor:g}{unit}"
    return f"{seconds * 1000:g}ms" if 0 < seconds < 1 else f"{seconds:g}s"


def format_size(size: int) -> str:
    """The largest binary unit that divides it: `32MiB`, `1KiB`, `1000B`."""
    for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"
