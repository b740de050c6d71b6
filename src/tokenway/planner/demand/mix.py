"""What demand is made of: which buckets its tokens are in, what a call takes, and how high its hours stand.

A fleet is sized by these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

_HOURS: Final = 24
_PEAK_PART: Final = 0.9
_LEAST_HOURS: Final = 7 * _HOURS
_SECONDS: Final = 3600
INPUT: Final = ("input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "audio_in", "image_in")
OUTPUT: Final = ("output_text", "reasoning", "audio_out", "image_out")


class Mix(NamedTuple):
    """Parts of all tokens by bucket, mean tokens of a call in and out, and the part of the input read from caches."""

    parts: Mapping[str, float]
    calls: int
    input_per_call: float
    output_per_call: float
    cached_part: float


def mix_of(usage: Mapping[str, int], calls: int) -> Mix | None:
    """The mix of what was used (counts by bucket) in so many calls; None where there were no tokens, or no calls."""
    counts = {name: usage.get(name, 0) for name in (*INPUT, *OUTPUT)}
    total = sum(counts.values())
    if not total or calls <= 0:
        return None
    told_in, told_out = (sum(counts[name] for name in names) for names in (INPUT, OUTPUT))
    cached = counts["cache_read"] / told_in if told_in else 0.0
    parts = {name: count / total for name, count in counts.items() if count}
    return Mix(parts, calls, told_in / calls, told_out / calls, cached)


def peak_to_mean(hours: Sequence[tuple[int, float]]) -> float | None:
    """How many times the mean hour of its day the highest one has, on nine days of ten; None for less than a week.

    `hours` are Unix times and tokens; those left out had none. Days that are not whole at either end do not count.
    """
    if not hours:
        return None
    first, last = min(at for at, _ in hours), max(at for at, _ in hours)
    if (last - first) / _SECONDS < _LEAST_HOURS:
        return None
    days: dict[int, list[float]] = {}
    for at, tokens in hours:
        days.setdefault(at // (_SECONDS * _HOURS), []).append(tokens)
    whole = [found for day, found in days.items() if first <= day * _SECONDS * _HOURS and _ends(day) <= last]
    peaks = sorted(max(found) * _HOURS / math.fsum(found) for found in whole if math.fsum(found) > 0)
    return peaks[math.ceil(_PEAK_PART * len(peaks)) - 1] if peaks else None


def _ends(day: int) -> int:
    """The beginning of a day's last hour."""
    return ((day + 1) * _HOURS - 1) * _SECONDS
