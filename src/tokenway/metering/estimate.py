"""The most an exchange can cost: the amount to reserve before anything is sent.

A token covers at least one byte of text, so a request of B bytes cannot be more than B prompt tokens;
a model's context bounds it too. The answer is bounded by `max_tokens`, else by what the endpoint says it
can write. Only where neither is known does a bound have to be assumed.

What is sold by the piece is bounded too: a character covers at least one byte, sound is bounded by the tokens that it
can be, and images and searches are counted by the request (`answers`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from tokenway.model.catalog import HEARING, PICTURES, Endpoint, Operation, Price, Rates
from tokenway.model.money import UNITS_PER_RATE, cost_ceiling, hourly

OUTPUT_ASSUMED: Final = 16_384
"""Output tokens assumed where neither the caller nor the endpoint names a limit."""
UNBOUNDED: Final = 2**62
_DEARER: Final = (b'"priority"', b'"PRIORITY"', b'"fast"')
"""How requests ask for a class of service that costs more, in whatever dialect."""
SOUND_MS_PER_TOKEN: Final = 100
"""A second of sound is ten tokens where its bytes are taken for tokens."""
_LISTS: Final = frozenset({Operation.RERANK, Operation.EMBEDDING, Operation.EMBED_CONTENT, Operation.MODERATION})
"""Operations that take many texts at once, each of which may fill the context."""
_IN: Final = ("input", "cache_read", "cache_write", "cache_write_1h")


class Bound(msgspec.Struct, frozen=True, gc=False):
    """What one endpoint can charge at most: its dearest rates, its bounds in tokens, and the price of a call.

    `each` is what an answer costs beside its tokens, as a sum of `units * rate`.
    """

    rate_in: int
    rate_out: int
    context: int
    max_output: int
    request: int
    each: int = 0


def bounds_of(
    endpoints: Iterable[Endpoint], operation: Operation = Operation.CHAT, *, any_service: bool = False
) -> tuple[Bound, ...]:
    """The bounds of the endpoints that have a price for this operation; worked out once for a route.

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
            context = UNBOUNDED if able.context is None or operation in _LISTS else able.context
            if operation is Operation.SPEECH and price.characters:
                rate_in, context = rate_in + price.characters, UNBOUNDED
            if operation in HEARING and price.sound_hour:
                heard = hourly(SOUND_MS_PER_TOKEN * UNITS_PER_RATE, price.sound_hour) // UNITS_PER_RATE + 1
                rate_in, context = rate_in + heard, UNBOUNDED
            each = _each(price, operation) * UNITS_PER_RATE
            bounds.append(Bound(rate_in, rate_out, context, able.max_output or OUTPUT_ASSUMED, price.request, each))
    return tuple(bounds)


def asks_more(body: object) -> bool:
    """Whether a request may ask for a dearer class of service: it has the word in it, or is a form and does not."""
    return isinstance(body, bytes) and any(word in body for word in _DEARER)


def tokens_most(
    endpoints: Iterable[Endpoint], operation: Operation, body_bytes: int, max_tokens: int | None, answers: int
) -> tuple[int, int]:
    """The most tokens that a request takes in, and that come out, at whichever of these endpoints it is served."""
    if operation is Operation.COUNT:
        return 0, 0
    ables = [each.capabilities for each in endpoints]
    is_bound = operation not in _LISTS and all(able.context is not None for able in ables)
    context = max((able.context or 0 for able in ables), default=0) if is_bound and ables else UNBOUNDED
    if operation in _LISTS:
        return body_bytes, 0
    if max_tokens is None:
        max_tokens = max((able.max_output or OUTPUT_ASSUMED for able in ables), default=OUTPUT_ASSUMED)
    return min(context, body_bytes), max_tokens * answers


def _each(price: Price, operation: Operation) -> int:
    """The most that an answer costs beside its tokens: an image of the dearest kind, or a search."""
    if operation in PICTURES:
        return max([price.image or 0, *(each.image for each in price.images)])
    return price.search if operation is Operation.RERANK else 0


def dearest(rates: Iterable[Price | Rates], names: Iterable[str]) -> int:
    """The highest of these rates under any condition."""
    names = tuple(names)
    return max((getattr(each, name) or 0 for each in rates for name in names), default=0)


def worst_case(bounds: Iterable[Bound], body_bytes: int, max_tokens: int | None, answers: int) -> int:
    """Nano-dollars for `answers` answers at the dearest endpoint, rounded up; zero when none has a price."""
    most = 0
    for bound in bounds:
        prompt = min(bound.context, body_bytes)
        output = bound.max_output if max_tokens is None else max_tokens
        amount = cost_ceiling(prompt * bound.rate_in + (output * bound.rate_out + bound.each) * answers)
        most = max(most, amount + bound.request)
    return most
