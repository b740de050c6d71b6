"""How fast each endpoint was lately: quantiles of the last half hour, as callers lived it.

Kept in memory from the records that pass, bounded by time and by count, so that asking costs no query. After a
start there is nothing to tell until traffic comes: a speed that nobody measured is not invented.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from tokenway.metering.ledger import Settlement
from tokenway.telemetry.gather import Gathered, Stream

WINDOW_SECONDS: Final = 1800.0
SAMPLES_MAX: Final = 2000
"""Samples kept for each endpoint: enough for a p99, and no more than a busy endpoint makes in a minute."""
ENDPOINTS_MAX: Final = 1000
QUANTILES: Final = (50, 75, 90, 99)

Quantiles = dict[str, float]


class Recent:
    """The latest streams of each endpoint."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[Stream]] = {}

    def observe(self, gathered: Gathered) -> None:
        """Adds the streams that were delivered."""
        if not gathered.streams or gathered.settlement is not Settlement.DELIVERED:
            return
        samples = self._samples.get(gathered.endpoint)
        if samples is None:
            if len(self._samples) >= ENDPOINTS_MAX:
                return
            samples = self._samples[gathered.endpoint] = deque(maxlen=SAMPLES_MAX)
        samples.extend(gathered.streams)

    def figures(self, endpoint: str, now: float) -> dict[str, Quantiles | None]:
        """`latency_last_30m` (TTFT, milliseconds) and `throughput_last_30m` (tokens per second): OpenRouter's names."""
        fresh = [sample for sample in self._samples.get(endpoint, ()) if now - sample[0] <= WINDOW_SECONDS]
        return {
            "latency_last_30m": quantiles([first * 1000.0 for _, first, _ in fresh]),
            "throughput_last_30m": quantiles([speed for _, _, speed in fresh if speed is not None]),
        }


def quantiles(values: list[float]) -> Quantiles | None:
    """The nearest-rank quantiles `p50` to `p99`; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return {f"p{share}": round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 3) for share in QUANTILES}
