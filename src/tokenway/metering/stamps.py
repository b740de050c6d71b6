"""Velocity: raw monotonic stamps of one exchange, and the figures derived from them.

Chunks are not tokens: a chunk bundles tokens, and speculative decoding bundles more. So the count N
always comes from the provider's usage, and the stamps only say when text arrived.

    TTFT              first non-empty delta − request received
    output speed      (N − 1) / (last delta − first delta)     tokens/s while generating
    delivered speed   N / (end − request received)             tokens/s as the caller lived it
    TPOT              (end − received − TTFT) / (N − 1)        seconds per output token after the first

Of many exchanges TTFT is the mean of those that streamed, and output speed the mean by time: the sum of all (N − 1) by
the sum of all spans. Both come of sums, so a report over any number of exchanges costs the same.

The names agree with vLLM's benchmark (TTFT, TPOT) and Artificial Analysis (output speed); OpenRouter's
"throughput" is the delivered speed.
"""

from __future__ import annotations

from typing import Final

import msgspec

MICROSECONDS: Final = 1_000_000.0
"""What a second is in sums, which are of whole numbers."""


class Stamps(msgspec.Struct, gc=False, array_like=True):
    """Monotonic times in seconds; 0.0 means that it did not happen.

    `first_answer` is the first delta that is not reasoning. `resumed` is the first delta of the last part of an answer
    that was continued at another endpoint: the count is of that part.
    """

    received: float = 0.0
    sent: float = 0.0
    head: float = 0.0
    first_byte: float = 0.0
    first_delta: float = 0.0
    first_answer: float = 0.0
    last_delta: float = 0.0
    end: float = 0.0
    resumed: float = 0.0


def ttft(stamps: Stamps) -> float | None:
    """Seconds from the request to the first non-empty delta; None for an answer that did not stream."""
    return stamps.first_delta - stamps.received if stamps.first_delta else None


def output_speed(stamps: Stamps, tokens: int) -> float | None:
    """Tokens per second between the first and the last delta that were counted; None when there is no such span."""
    span = stamps.last_delta - (stamps.resumed or stamps.first_delta)
    return (tokens - 1) / span if tokens > 1 and stamps.first_delta and span > 0 else None


def delivered_speed(stamps: Stamps, tokens: int) -> float | None:
    """Tokens per second over the whole exchange; None when nothing was counted."""
    span = stamps.end - stamps.received
    return tokens / span if tokens > 0 and stamps.end and span > 0 else None


def time_per_output_token(stamps: Stamps, tokens: int) -> float | None:
    """Mean seconds per output token after the first, as vLLM defines TPOT."""
    if tokens <= 1 or not stamps.first_delta or not stamps.end:
        return None
    return (stamps.end - (stamps.resumed or stamps.first_delta)) / (tokens - 1)


def mean_ttft(microseconds: int, calls: int) -> float | None:
    """Seconds to the first token of so many streams, which all of them took so long for; None where there is none."""
    return microseconds / calls / MICROSECONDS if calls else None


def mean_speed(tokens: int, microseconds: int) -> float | None:
    """Tokens of output per second of all the time in which they were made; None where no time was measured."""
    return tokens * MICROSECONDS / microseconds if microseconds else None
