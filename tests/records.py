"""Ledger records for tests, with every field at a plausible value unless the test names it."""

from __future__ import annotations

from typing import Any

from tokenway.metering.ledger import Line, Reserved, Settled, Settlement
from tokenway.metering.stamps import Stamps
from tokenway.model.usage import Usage

NOON = 1_767_268_800.0
"""Thursday, 1 January 2026, 12:00 UTC."""

USAGE = Usage(input_uncached=100, cache_read=20, output_text=51, reasoning=10, requests=1)
STREAMED = Stamps(
    received=10.0,
    sent=10.001,
    head=10.2,
    first_byte=10.2,
    first_delta=10.25,
    first_answer=10.3,
    last_delta=11.25,
    end=11.3,
)
"""TTFT 250 ms, one second between the first and the last delta, 1.3 s in all."""


def reserved(number: int = 1, **changes: Any) -> Reserved:
    """The reservation of exchange `number`."""
    values: dict[str, Any] = {
        "id": f"gen-{number:06d}",
        "at": NOON + number,
        "key": "key_a",
        "project": "default",
        "amount": 5_000,
    }
    return Reserved(**(values | changes))


def line(**changes: Any) -> Line:
    """A delivered attempt at `lab/mock`."""
    values: dict[str, Any] = {
        "attempt": 1,
        "endpoint": "lab/mock",
        "settlement": Settlement.DELIVERED,
        "usage": USAGE,
        "cost": 1_234,
        "status": 200,
    }
    return Line(**(values | changes))


def settled(number: int = 1, **changes: Any) -> Settled:
    """The settlement of exchange `number`: a streamed answer from the first attempt."""
    values: dict[str, Any] = {
        "id": f"gen-{number:06d}",
        "at": NOON + number,
        "key": "key_a",
        "project": "default",
        "model": "mock",
        "endpoint": "lab/mock",
        "operation": "chat",
        "dialect": "openai_chat",
        "stream": True,
        "settlement": Settlement.DELIVERED,
        "charged": 1_234,
        "status": 200,
        "lines": (line(),),
        "stamps": STREAMED,
        "overhead": 0.0004,
        "finish_reason": "stop",
    }
    return Settled(**(values | changes))
