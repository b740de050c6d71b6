"""Choosing: which endpoint is tried first, and why."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.catalog import Endpoint, Price
from tokenway.model.money import NanoUsd, Rate
from tokenway.model.preferences import SortOrder
from tokenway.model.sample import Outcome, Sample
from tokenway.routing.choose import EXPLORE_SHARE, Asked, Chooser, Taste, cost_of
from tokenway.routing.preferences import Floor
from tokenway.routing.velocity import Board

AT = 1_800_000_000.0
ASKED = Asked("m", 400)
USUAL = Taste()


def endpoints(*names: str, **prices: float) -> list[Endpoint]:
    """Endpoints of one model; prices in USD per million tokens, the same for input and output."""
    made = []
    for name in names:
        usd = prices.get(name)
        rate = None if usd is None else Rate(round(usd * 1e9))
        made.append(Endpoint(name, "m", price=None if rate is None else Price(rate, rate)))
    return made


def streams(provider: str, speed: float, count: int = 20, *, at: float = AT, ttft: float = 0.3) -> list[Sample]:
    """Streams of a hundred tokens."""
    span = 99 / speed
    return [
        Sample(f"{provider}/m", "m", at, Outcome.ANSWERED, ttft + span, ttft, span, 100, tokens=100, size=400)
        for _ in range(count)
    ]


def chooser(*samples: list[Sample]) -> Chooser:
    """A chooser that has seen these."""
    board = Board()
    for some in samples:
        board.take(some)
    return Chooser(board)


def order(made: Chooser, among: list[Endpoint], taste: Taste = USUAL, asked: Asked = ASKED, **loads: int) -> list[str]:
    """The providers in the order in which they are tried, without looking around."""
    busy = {f"{name}/m": load for name, load in loads.items()}
    return [row.endpoint.provider for row in made.rank(among, asked, taste, busy, AT, lambda: 0.5)]


def test_what_nobody_knows_stays_in_the_order_of_the_list() -> None:
    """Nothing speaks for another one."""
    rng = Random(3)
    made = chooser()
    for _ in range(20):
        ranked = made.rank(endpoints("a", "b", "c"), ASKED, Taste(), {}, AT, rng.random)
        assert [row.endpoint.provider for row in ranked] == ["a", "b", "c"]


def test_the_fastest_goes_first() -> None:
    """By the time to a whole answer."""
    made = chooser(streams("a", 25.0), streams("b", 60.0), streams("c", 8.0))
    assert order(made, endpoints("a", "b", "c")) == ["b", "a", "c"]


def test_a_short_answer_prefers_a_quick_start_and_a_long_one_speed() -> None:
    """Finish time is the first token and all the others."""
    made = chooser(streams("quick", 25.0, ttft=0.1), streams("fast", 100.0, ttft=1.5))
    among = endpoints("quick", "fast")
    assert order(made, among, asked=Asked("m", 400, most=5)) == ["quick", "fast"]
    made.board.take([Sample("x/m", "m", AT, Outcome.ANSWERED, 9.0, tokens=2000, size=400)] * 60)
    assert order(made, among, asked=Asked("m", 400)) == ["fast", "quick"]


def test_the_least_number_of_the_dice_is_a_number() -> None:
    """Zero is one of [0, 1)."""
    made = chooser(streams("a", 50.0), streams("b", 40.0))
    rows = made.rank(endpoints("a", "b"), ASKED, USUAL, {}, AT, lambda: 0.0)
    assert [row.endpoint.provider for row in rows] == ["a", "b"]


def test_what_it_costs_counts_in_seconds() -> None:
    """A little slower and much cheaper wins, unless an hour is worth more."""
    among = endpoints("dear", "cheap", dear=50.0, cheap=1.0)
    made = chooser(streams("dear", 60.0), streams("cheap", 50.0))
    assert order(made, among, Taste(hour=36.0)) == ["cheap", "dear"]
    assert order(made, among, Taste(hour=3600.0)) == ["dear", "cheap"]
    assert order(made, among, Taste(hour=0.0)) == ["dear", "cheap"]


def test_an_unknown_price_is_no_low_price() -> None:
    """It counts like the dearest of the others, so that forgetting one does not draw the calls."""
    among = endpoints("cheap", "dear", "unknown", cheap=1.0, dear=50.0)
    assert order(chooser(), among) == ["cheap", "dear", "unknown"]
    assert order(chooser(), endpoints("unknown", "other")) == ["unknown", "other"]


def test_one_that_fails_is_worth_what_its_failures_cost() -> None:
    """Twice as fast and failing every other time, after five seconds each, is not faster."""
    failed = [Sample("a/m", "m", AT, Outcome.FAILED, 5.0)] * 20
    made = chooser(streams("a", 60.0), failed, streams("b", 30.0))
    assert order(made, endpoints("a", "b")) == ["b", "a"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (SortOrder.THROUGHPUT, ["fast", "quick", "cheap"]),
        (SortOrder.LATENCY, ["quick", "cheap", "fast"]),
        (SortOrder.PRICE, ["cheap", "quick", "fast"]),
    ],
)
def test_other_orders(sort: SortOrder, expected: list[str]) -> None:
    """By speed, by the first token, by the price of this call."""
    made = chooser(streams("fast", 90.0, ttft=2.0), streams("quick", 40.0, ttft=0.1), streams("cheap", 30.0, ttft=0.6))
    among = endpoints("quick", "fast", "cheap", fast=9.0, quick=5.0, cheap=1.0)
    assert order(made, among, Taste(sort)) == expected


def test_weights_share_out_the_calls() -> None:
    """Three to one, whatever is known of their speed."""
    among = [Endpoint("a", "m", weight=3.0), Endpoint("b", "m", weight=1.0)]
    made, rng = chooser(streams("b", 90.0)), Random(5)
    first = Counter(
        made.rank(among, ASKED, Taste(SortOrder.WEIGHT), {}, AT, rng.random)[0].endpoint.provider for _ in range(4000)
    )
    assert first["a"] / 4000 == pytest.approx(0.75, abs=0.03)


def test_a_cached_prompt_is_worth_the_detour() -> None:
    """An endpoint that holds most of a long prompt goes before one that is otherwise a little faster."""
    keys, size = (1 << 32, 2 << 32, 3 << 32, 4 << 32), 40_000
    made = chooser(streams("a", 55.0), streams("b", 50.0))
    slow = [
        Sample(f"{name}/m", "m", AT, Outcome.ANSWERED, 4.0, 2.0, 2.0, 10_000, tokens=100, size=size)
        for name in ("a", "b")
    ]
    made.board.take(slow * 10)
    cached = [Sample("b/m", "m", AT, Outcome.ANSWERED, 2.5, 0.5, 2.0, 1000, 9000, 100, size, keys=keys)]
    made.board.take(cached * 10)
    among = endpoints("a", "b")
    assert order(made, among, asked=Asked("m", size)) == ["a", "b"]
    assert order(made, among, asked=Asked("m", size, keys=keys)) == ["b", "a"]


@pytest.mark.parametrize(
    ("taste", "missed"),
    [
        (Taste(min_tps=50.0), "min_tps"),
        (Taste(min_throughput=(Floor(0.5, 45.0),)), "preferred_min_throughput"),
        (Taste(max_latency=(Floor(0.9, 0.2),)), "preferred_max_latency"),
    ],
)
def test_soft_wishes_put_last_and_never_out(taste: Taste, missed: str) -> None:
    """What misses one comes behind what does not, even if it would finish first."""
    made = chooser(streams("misses", 40.0, ttft=0.3), streams("meets", 55.0, ttft=0.1))
    made.board.take([Sample("meets/m", "m", AT, Outcome.FAILED, 30.0)] * 5)
    among = endpoints("misses", "meets")
    assert order(made, among) == ["misses", "meets"]
    ranked = made.rank(among, ASKED, taste, {}, AT, lambda: 0.5)
    assert [(row.endpoint.provider, row.missed) for row in ranked] == [("meets", ()), ("misses", (missed,))]


@pytest.mark.parametrize("seed", range(4))
def test_who_was_under_the_floor_is_looked_at_again(seed: int) -> None:
    """An endpoint that was slow for ten minutes is first again soon after it has recovered."""
    rng, now, asked = Random(seed), AT, []
    made = chooser()
    for _ in range(300):
        now += 20.0
        first = made.rank(endpoints("a", "b"), ASKED, Taste(min_tps=20.0), {}, now, rng.random)[0].endpoint
        speed = 25.0 if first.provider == "b" else 10.0 if now < AT + 600.0 else 60.0
        made.board.take(streams(first.provider, speed, 1, at=now))
        asked.append(first.provider)
    assert asked[:30].count("b") > 20
    assert asked[-100:].count("a") > 80


def test_an_unknown_speed_misses_nothing() -> None:
    """A floor judges what was seen."""
    ranked = chooser().rank(
        endpoints("a"), ASKED, Taste(min_tps=1e6, min_throughput=(Floor(0.5, 1e6),)), {}, AT, lambda: 0.5
    )
    assert ranked[0].missed == ()


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.LEFT])
def test_an_endpoint_that_never_answers_is_not_asked_first(outcome: Outcome) -> None:
    """Neither for being unknown nor for the good guess that stands for what was never seen."""
    made, rng, asked = chooser(), Random(5), []
    for number in range(20):
        first = made.rank(endpoints("gone", "slow"), ASKED, Taste(), {}, AT + number, rng.random)[0].endpoint.provider
        asked.append(first)
        if first == "gone":
            made.board.take([Sample("gone/m", "m", AT + number, outcome, 0.02)])
        made.board.take(streams("slow", 30.0, 1, at=AT + number))
    assert asked.count("gone") <= 2
    assert asked[-10:] == ["slow"] * 10


@pytest.mark.parametrize("order", [*permutations((60.0, 25.0, 8.0))])
def test_of_thirty_calls_the_two_slower_endpoints_get_one_each(order: tuple[float, ...]) -> None:
    """They are asked once; to ask them again has to be earned."""
    for seed in range(20):
        made, rng, asked = chooser(), Random(seed), Counter[str]()
        speeds = {f"at{speed:.0f}": speed for speed in order}
        for number in range(30):
            now = AT + 2.0 * number
            first = made.rank(endpoints(*speeds), ASKED, Taste(), {}, now, rng.random)[0].endpoint.provider
            asked[first] += 1
            made.board.take(streams(first, speeds[first] * rng.uniform(0.9, 1.1), 1, at=now))
        assert asked["at60"] >= 28


def test_looking_around_is_bounded() -> None:
    """Over many calls, what is lost to slower endpoints stays within its share of all the time."""
    made, rng, lost, spent = chooser(), Random(11), 0.0, 0.0
    speeds = {"a": 20.0, "b": 60.0, "c": 30.0, "d": 6.0}
    among = endpoints(*speeds)
    now = AT
    for _ in range(3000):
        first = made.rank(among, ASKED, Taste(), {}, now, rng.random)[0].endpoint.provider
        took = 0.3 + 99 / speeds[first]
        now += took
        spent += took
        lost += took - (0.3 + 99 / 60.0)
        made.board.take(streams(first, speeds[first], 1, at=now))
    assert lost < 2 * EXPLORE_SHARE * spent + 60.0


def test_a_recovered_endpoint_is_found_again() -> None:
    """It had collapsed; some hundred calls after it is well again, it gets them."""
    made, rng, now = chooser(streams("a", 60.0), streams("b", 30.0)), Random(2), AT
    made.board.take(streams("a", 4.0, 5, at=AT))
    counts: Counter[str] = Counter()
    among = endpoints("a", "b")
    for call in range(1500):
        first = made.rank(among, ASKED, Taste(), {}, now, rng.random)[0].endpoint.provider
        now += 4.0
        made.board.take(streams(first, 60.0 if first == "a" else 30.0, 1, at=now))
        if call >= 1000:
            counts[first] += 1
    assert counts["a"] > 400


def test_the_cost_of_a_call() -> None:
    """By bucket; a cached token at its own rate, or at the input's."""
    price = Price(Rate(2_000_000_000), Rate(10_000_000_000), cache_read=Rate(200_000_000), request=NanoUsd(1_000_000))
    assert cost_of(Endpoint("a", "m", price=price), 1000, 5000, 100) == pytest.approx(0.002 + 0.001 + 0.001 + 0.001)
    assert cost_of(Endpoint("a", "m"), 1000, 0, 100) is None


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.5, 500)), max_size=40),
    st.sampled_from(SortOrder),
    st.integers(),
)
def test_every_endpoint_is_there_once(seen: list[tuple[str, float]], sort: SortOrder, seed: int) -> None:
    """An order is a permutation."""
    made = chooser(*(streams(name, speed, 1) for name, speed in seen))
    ranked = made.rank(
        endpoints("a", "b", "c", "d", a=3.0), ASKED, Taste(sort, min_tps=20), {}, AT, Random(seed).random
    )
    assert sorted(row.endpoint.provider for row in ranked) == ["a", "b", "c", "d"]
