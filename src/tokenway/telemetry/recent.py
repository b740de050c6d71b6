"""How fast each endpoint was lately: quantiles of the last half hour, as callers lived it.

Kept in memory from the records that pass, bounded by time and by count, so that asking costs no query. After a
start there is nothing to tell until traffic comes: a speed that nobody measured is not invented.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from tokenway.metering.ledger import Settled, Settlement
from tokenway.metering.stamps import output_speed, ttft

WINDOW_SECONDS: Final = 1800.0
SAMPLES_MAX: Final = 2000
"""Samples kept for each endpoint: enough for a p99, and no more than a busy endpoint makes in a minute."""
ENDPOINTS_MAX: Final = 1000
QUANTILES: Final = (50, 75, 90, 99)

Quantiles = dict[str, float]
Sample = tuple[float, float | None, float | None]
"""When (Unix time), TTFT in seconds, output tokens per second."""


class Recent:
    """The latest streams of each endpoint."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[Sample]] = {}

    def observe(self, record: Settled) -> None:
        """Adds a stream that was delivered."""
        first = ttft(record.stamps)
        if first is None or record.settlement is not _DELIVERED:
            return
        samples = self._samples.get(record.endpoint)
        if samples is None:
            if len(self._samples) >= ENDPOINTS_MAX:
                return
            samples = self._samples[record.endpoint] = deque(maxlen=SAMPLES_MAX)
        usage = record.lines[-1].usage
        speed = output_speed(record.stamps, usage.output_tokens) if usage is not None else None
        samples.append((record.at, first, speed))

    def figures(self, endpoint: str, now: float) -> dict[str, Quantiles | None]:
        """`latency_last_30m` (TTFT, milliseconds) and `throughput_last_30m` (tokens per second): OpenRouter's names."""
        fresh = [sample for sample in self._samples.get(endpoint, ()) if now - sample[0] <= WINDOW_SECONDS]
        return {
            "latency_last_30m": quantiles([first * 1000.0 for _, first, _ in fresh if first is not None]),
            "throughput_last_30m": quantiles([speed for _, _, speed in fresh if speed is not None]),
        }


_DELIVERED: Final = Settlement.DELIVERED


def quantiles(values: list[float]) -> Quantiles | None:
    """The nearest-rank quantiles `p50` to `p99`; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return {f"p{share}": round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 3) for share in QUANTILES}
