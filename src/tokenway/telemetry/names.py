"""Every metric name with its unit and labels, and the buckets of the histograms.

The names are part of the outside contract (`docs/metrics.md`). Labels never hold a prompt, a key or an
id that a client chooses.
"""

from __future__ import annotations

from typing import Final

REQUESTS: Final = "tokenway_requests"
TOKENS: Final = "tokenway_tokens"
COST: Final = "tokenway_cost_usd"
TTFT: Final = "tokenway_time_to_first_token_seconds"
OUTPUT_SPEED: Final = "tokenway_output_tokens_per_second"
GAP: Final = "tokenway_inter_token_gap_seconds"
OVERHEAD: Final = "tokenway_overhead_seconds"
ATTEMPTS: Final = "tokenway_attempts"
SLOW_STREAMS: Final = "tokenway_slow_streams"
OPEN_STREAMS: Final = "tokenway_open_streams"
LOOP_LAG: Final = "tokenway_loop_lag_seconds"
JOURNAL_BYTES: Final = "tokenway_journal_bytes"
UNMETERED: Final = "tokenway_unmetered"
LEASE_REMAINING: Final = "tokenway_lease_remaining"
BREAKER_STATE: Final = "tokenway_breaker_state"

SECONDS_BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    20.0,
    40.0,
    80.0,
    160.0,
)
"""From a local model's first token to a reasoning model's: OpenTelemetry's end at 10 s is too early."""

OVERHEAD_BUCKETS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)

SPEED_BUCKETS: Final = (1.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 120.0, 200.0, 400.0, 800.0, 1600.0, 3200.0)
"""Tokens per second, with an edge at 20, the reader's floor."""
