"""The most an exchange can cost: the amount to reserve before anything is sent.

A token covers at least one byte of text, so a request of B bytes cannot be more than B prompt tokens;
a model's context bounds it too. The answer is bounded by `max_tokens`, else by what the endpoint says it
can write. Only where neither is known does a bound have to be assumed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from tokenway.model.catalog import Endpoint, Price, Rates
from tokenway.model.money import NanoUsd, cost_ceiling

OUTPUT_ASSUMED: Final = 16_384
"""Output tokens assumed where neither the caller nor the endpoint names a limit."""
UNBOUNDED: Final = 2**62
_DEARER: Final = (b'"priority"', b'"PRIORITY"', b'"fast"')
"""How requests ask for a class of service that costs more, in whatever dialect."""
_IN: Final = ("input", "cache_read", "cache_write", "cache_write_1h")


class Bound(msgspec.Struct, frozen=True, gc=False):
    """What one endpoint can charge at most: its dearest rates, and its bounds in tokens."""

    rate_in: int
    rate_out: int
    context: int
    max_output: int
    request: int


def bounds_of(endpoints: Iterable[Endpoint], *, any_service: bool = False) -> tuple[Bound, ...]:
    """The bounds of the endpoints that have a price; worked out once for a route.

    `any_service` is for requests that may ask for another class of service than the usual one.
    """
    bounds = []
    for endpoint in endpoints:
        price, able = endpoint.price, endpoint.capabilities
        if price is not None:
            rates: list[Price | Rates] = [price, *price.tiers, *price.hours]
            for service in (price.flex, price.priority, price.fast):
                if any_service and service is not None:
                    rates += [service, *service.tiers]
            rate_in = max(dearest(rates, _IN), price.audio_input or 0, price.image_input or 0)
            rate_out = max(
                dearest(rates, ("output",)), price.reasoning or 0, price.audio_output or 0, price.image_output or 0
            )
            context = able.context if able.context is not None else UNBOUNDED
            bounds.append(Bound(rate_in, rate_out, context, able.max_output or OUTPUT_ASSUMED, price.request))
    return tuple(bounds)


def asks_more(body: object) -> bool:
    """Whether a request may ask for a dearer class of service: it has the word in it, or is a form and does not."""
    return isinstance(body, bytes) and any(word in body for word in _DEARER)


def dearest(rates: Iterable[Price | Rates], names: Iterable[str]) -> int:
    """The highest of these rates under any condition."""
    names = tuple(names)
    return max((getattr(each, name) or 0 for each in rates for name in names), default=0)


def worst_case(bounds: Iterable[Bound], body_bytes: int, max_tokens: int | None, answers: int) -> NanoUsd:
    """Nano-dollars for `answers` answers at the dearest endpoint, rounded up; zero when none has a price."""
    most = 0
    for bound in bounds:
        prompt = min(bound.context, body_bytes)
        output = bound.max_output if max_tokens is None else max_tokens
        amount = cost_ceiling(prompt * bound.rate_in + output * answers * bound.rate_out) + bound.request
        most = max(most, amount)
    return NanoUsd(most)
