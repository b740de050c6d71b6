"""The amount to reserve: never less than what an answer within its bounds costs."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.metering.test_price import FREE, PRICES
from tokenway.metering.estimate import OUTPUT_ASSUMED, SOUND_MS_PER_TOKEN, Bound, asks_more, bounds_of, worst_case
from tokenway.metering.price import cost
from tokenway.model.catalog import Capabilities, Endpoint, Operation, Picture, Price, Service, Tier
from tokenway.model.money import NanoUsd, parse_rate, parse_usd
from tokenway.model.usage import Usage

PRICE = Price(parse_rate(1), parse_rate(2))


def test_by_hand() -> None:
    """100 bytes at 1 USD and two answers of 50 tokens at 2 USD a million are 0.0003 USD."""
    assert worst_case(bounds_of([Endpoint("a", "m", PRICE)]), 100, 50, 2) == parse_usd("0.0003")


def test_endpoints_without_price_cost_nothing() -> None:
    """What has no price has no worst case."""
    assert bounds_of([Endpoint("a", "m")]) == ()
    assert worst_case((), 100, 50, 1) == 0


def test_the_dearest_endpoint_decides() -> None:
    """A retry may land on any of them."""
    dear = Price(parse_rate(1), parse_rate(50), request=NanoUsd(5))
    bounds = bounds_of([Endpoint("a", "m", PRICE), Endpoint("b", "m", dear), Endpoint("c", "m")])
    assert worst_case(bounds, 0, 10**6, 1) == parse_usd(50) + 5


def test_the_endpoints_own_limits_bound_it() -> None:
    """Its context bounds the prompt; its longest answer bounds an answer to which the caller set no bound."""
    able = Capabilities(context=10, max_output=20)
    assert worst_case(bounds_of([Endpoint("a", "m", PRICE, capabilities=able)]), 10**9, None, 1) == 10_000 + 40_000


@pytest.mark.parametrize(
    "operation", [Operation.EMBEDDING, Operation.EMBED_CONTENT, Operation.MODERATION, Operation.RERANK]
)
def test_a_context_bounds_each_of_many_texts_and_not_their_sum(operation: Operation) -> None:
    """A thousand texts of a context each are a thousand contexts."""
    assert worst_case(bound(operation, PRICE, context=10), 10_000, 0, 1) == 10_000_000


def test_something_is_assumed_where_nothing_is_known() -> None:
    """Without any bound on the answer a large one is assumed."""
    assert worst_case(bounds_of([Endpoint("a", "m", PRICE)]), 0, None, 1) == OUTPUT_ASSUMED * 2000


def test_embeddings_have_no_output() -> None:
    """No tokens to write, nothing to reserve for them."""
    assert worst_case(bounds_of([Endpoint("a", "m", PRICE)]), 1, 0, 1) == 1000


@given(st.lists(PRICES, min_size=1, max_size=3), st.lists(st.integers(0, 5000), min_size=10, max_size=10), st.data())
def test_no_answer_within_its_bounds_costs_more(prices: list[Price], counts: list[int], data: st.DataObject) -> None:
    """Whatever buckets the tokens fall into, and whichever endpoint answers, the reservation holds it."""
    usage = Usage(*counts)
    answers = data.draw(st.integers(1, 3))
    longest = -(-usage.output_tokens // answers)
    bounds = bounds_of([Endpoint(f"p{n}", "m", price) for n, price in enumerate(prices)])
    amount = worst_case(bounds, usage.input_tokens, longest, answers)
    assert all((cost(usage, price) or 0) <= amount for price in prices)


def bound(operation: Operation, price: Price, context: int | None = None) -> tuple[Bound, ...]:
    """The bounds of one endpoint."""
    return bounds_of([Endpoint("a", "m", price, capabilities=Capabilities(context=context))], operation)


def test_images_are_reserved_at_the_dearest() -> None:
    """Three of them, whatever they look like; a chat makes none."""
    price = msgspec.structs.replace(
        FREE, image=NanoUsd(40), images=(Picture(quality="hd", image=NanoUsd(120)), Picture(image=NanoUsd(80)))
    )
    assert worst_case(bound(Operation.IMAGE, price), 100, None, 3) == 360
    assert worst_case(bound(Operation.IMAGE_EDIT, PRICE), 0, 0, 3) == 0
    assert worst_case(bound(Operation.CHAT, price), 100, None, 3) == 0


def test_searches_are_reserved_for_a_ranking() -> None:
    """As many as the request can take; what a chat looks up on its own is not known before."""
    price = msgspec.structs.replace(FREE, search=parse_usd("0.002"))
    assert worst_case(bound(Operation.RERANK, price), 100, 0, 2) == parse_usd("0.004")
    assert worst_case(bound(Operation.CHAT, price), 100, 0, 2) == 0


def test_characters_are_no_more_than_bytes() -> None:
    """Beside the tokens that they may be charged as, and not bounded by a context, which is of tokens."""
    price = msgspec.structs.replace(FREE, input=parse_rate(1), characters=parse_rate(15))
    assert worst_case(bound(Operation.SPEECH, price, context=10), 10**6, 0, 1) == parse_usd(16)
    assert worst_case(bound(Operation.CHAT, price, context=10), 10**6, 0, 1) == 10_000


@given(st.integers(1, 10**9), st.integers(0, 10**10))
def test_sound_is_no_longer_than_its_tokens(tokens: int, per_hour: int) -> None:
    """At ten tokens a second, to the nano-dollar and never less."""
    price = msgspec.structs.replace(FREE, sound_hour=NanoUsd(per_hour))
    longest = cost(Usage(sound_ms=tokens * SOUND_MS_PER_TOKEN), price)
    amount = worst_case(bound(Operation.TRANSCRIPTION, price, context=10), tokens, 0, 1)
    assert longest is not None
    assert longest <= amount <= longest + tokens // 10**6 + 2


def test_another_service_is_reserved_for_where_it_is_asked_for() -> None:
    """Its dearest rate, that of its tiers too; a batch is no answer to a call."""
    price = Price(
        parse_rate(1),
        parse_rate(2),
        batch=Service(output=parse_rate(90)),
        priority=Service(input=parse_rate(3), tiers=(Tier(above=10, input=parse_rate(4)),)),
        flex=Service(input=parse_rate("0.5")),
    )
    usual, any_service = (bounds_of([Endpoint("a", "m", price)], any_service=each) for each in (False, True))
    assert worst_case(usual, 1000, 0, 1) == parse_usd("0.001")
    assert worst_case(any_service, 1000, 0, 1) == parse_usd("0.004")
    assert worst_case(any_service, 0, 1000, 1) == parse_usd("0.002")


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (b'{"service_tier":"priority"}', True),
        (b'{"serviceTier":{"type": "priority"}}', True),
        (b'{"serviceTier":"PRIORITY"}', True),
        (b'{"speed":"fast"}', True),
        (b'{"service_tier":"flex"}', False),
        (b'{"content":"a priority is fast"}', False),
        (memoryview(b'"priority"'), False),
    ],
)
def test_which_requests_may_ask_for_more(body: object, more: bool) -> None:
    """Those with the word as a whole string; a form's body is not searched."""
    assert asks_more(body) is more
