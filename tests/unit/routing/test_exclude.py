"""The hard wishes: whom they exclude, and what is told."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from openrouter.components.byokproviderslug import BYOKProviderSlug
from openrouter.components.providername import ProviderName

from tokenway.dialects.providers import KNOWN
from tokenway.model.catalog import (
    DataPolicy,
    Endpoint,
    Grade,
    Hours,
    Listing,
    Model,
    Picture,
    Price,
    Provider,
    Service,
    Tier,
)
from tokenway.model.errors import Problem, Refusal
from tokenway.model.match import Equals
from tokenway.model.money import NanoUsd, Rate, parse_rate
from tokenway.model.snapshot import Snapshot
from tokenway.routing.exclude import (
    FILTERS,
    KEY_POLICY,
    OPENROUTER,
    TOLD,
    Exclusion,
    check_names,
    exclusion,
    is_named,
    nothing_left,
    rank,
)
from tokenway.routing.preferences import MaxPrice, Wishes

PRICE = Price(parse_rate(1), parse_rate(3), request=NanoUsd(5), audio_input=parse_rate(40), image=NanoUsd(7))
FREE = Price(Rate(0), Rate(0))


def code(wishes: Wishes, endpoint: Endpoint | None = None, **data: bool) -> str | None:
    """Why these wishes exclude an endpoint whose provider promises this."""
    provider = Provider("p", "http://p", data=DataPolicy(**data))
    why = exclusion(endpoint or Endpoint("p", "m", PRICE), provider, wishes)
    return None if why is None else why.code


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        ({}, None),
        ({"only": ("p",)}, None),
        ({"only": ("q", "p/m")}, None),
        ({"only": ("p/other",)}, "allowed_providers"),
        ({"order": ("q",)}, None),
        ({"order": ("q",), "allow_fallbacks": False}, "allowed_providers"),
        ({"order": ("q", "p"), "allow_fallbacks": False}, None),
        ({"allow_fallbacks": False}, None),
        ({"ignore": ("q", "p/other")}, None),
        ({"ignore": ("p",)}, "ignored_providers"),
        ({"ignore": ("p/m",)}, "ignored_providers"),
        ({"distillable": True}, "distillable_text"),
    ],
)
def test_endpoints_are_excluded_by_name(wishes: dict[str, Any], why: str | None) -> None:
    """By provider or by endpoint; where there are no fallbacks, an order is a list of all that may serve."""
    assert code(Wishes(**wishes)) == why


def test_names_have_no_case_and_openrouters_are_understood() -> None:
    """For the providers that it calls otherwise; a provider's name is not a part of another's."""
    endpoint = Endpoint("Bedrock", "Claude")
    for name in ("bedrock", "bedrock/claude", "amazon-bedrock", "amazon bedrock"):
        assert is_named(endpoint, (name,))
    for name in ("bed", "claude", "bedrock/clau", "vertex", ""):
        assert not is_named(endpoint, (name,))
    assert [rank(endpoint, order) for order in (("x", "bedrock/claude"), ("bedrock", "x"), ("x", "y"), ())] == [
        1,
        0,
        2,
        0,
    ]


def test_the_table_of_names_is_openrouters() -> None:
    """Each row is of a provider that is known here, under names that OpenRouter's SDK knows and we do not."""
    theirs = {name.casefold() for kind in (ProviderName, BYOKProviderSlug) for name in get_args(get_args(kind)[0])}
    names = {name for row in OPENROUTER.values() for name in row}
    assert names <= theirs
    assert OPENROUTER.keys() <= KNOWN.keys()
    assert names.isdisjoint(KNOWN)


@pytest.mark.parametrize(
    ("training", "zdr", "excluded"),
    [
        (True, False, ["data_policy:training", "data_policy:zdr"]),
        (False, False, [None, "data_policy:zdr"]),
        (False, True, [None, None]),
        (True, True, [None, None]),
    ],
)
def test_endpoints_are_excluded_by_what_their_provider_keeps(
    training: bool, zdr: bool, excluded: list[str | None]
) -> None:
    """What keeps nothing cannot be trained on."""
    wanted = Wishes(no_training=True), Wishes(zdr=True)
    assert [code(each, training=training, zdr=zdr) for each in wanted] == excluded


def test_nothing_is_supposed_of_a_provider_that_says_nothing() -> None:
    """It may train and keep; nor is it known of one that is not there."""
    assert code(Wishes(no_training=True)) == "data_policy:training"
    why = exclusion(Endpoint("p", "m"), None, Wishes(zdr=True))
    assert why is not None
    assert why.code == "data_policy:zdr"


@pytest.mark.parametrize(
    ("grade", "wanted", "fits"),
    [
        ("nvfp4", ("fp4",), True),
        ("fp8_block", ("int8", "fp8"), True),
        ("Q4_K_M", ("int4",), True),
        ("unknown", ("unknown",), True),
        ("bf16", ("fp16",), False),
        ("unknown", ("fp8",), False),
    ],
)
def test_endpoints_are_excluded_by_the_grade_of_their_weights(grade: str, wanted: tuple[str, ...], fits: bool) -> None:
    """In OpenRouter's values; the grade of a cache makes no difference."""
    endpoint = Endpoint("p", "m", grade=Grade(weights=grade, kv_cache="int4"))
    assert code(Wishes(quantizations=wanted), endpoint) == (None if fits else "quantization")


@pytest.mark.parametrize(
    ("most", "words"),
    [
        ({"prompt": parse_rate(1), "completion": parse_rate(3), "request": NanoUsd(5)}, ""),
        (
            {"prompt": parse_rate("0.99")},
            "costs 1 USD per million tokens, above the 0.99 of 'provider.max_price.prompt'",
        ),
        ({"completion": Rate(0)}, "costs 3 USD per million tokens, above the 0 of 'provider.max_price.completion'"),
        ({"request": NanoUsd(4)}, "costs 0.000000005 USD, above the 0.000000004 of 'provider.max_price.request'"),
        ({"audio": parse_rate(39)}, "costs 40 USD per million tokens, above the 39 of 'provider.max_price.audio'"),
        ({"image": NanoUsd(6)}, "costs 0.000000007 USD, above the 0.000000006 of 'provider.max_price.image'"),
        ({"image": NanoUsd(7), "audio": parse_rate(40)}, ""),
    ],
)
def test_endpoints_are_excluded_by_their_price(most: dict[str, Any], words: str) -> None:
    """Exactly as much is not too much; the sentence has both amounts."""
    why = exclusion(Endpoint("p", "m", PRICE), None, Wishes(max_price=MaxPrice(**most)))
    assert why == (Exclusion("max_price", words) if words else None)


def test_what_has_no_rate_of_its_own_is_priced_as_it_is_charged() -> None:
    """Sound as input; an image at the dearest of its looks, and as nothing where it has no price by the piece."""
    plain = Endpoint("p", "m", Price(parse_rate(1), parse_rate(3)))
    assert code(Wishes(max_price=MaxPrice(audio=parse_rate("0.5"))), plain) == "max_price"
    assert code(Wishes(max_price=MaxPrice(image=NanoUsd(0))), plain) is None
    looks = Endpoint("p", "m", Price(Rate(0), Rate(0), image=NanoUsd(1), images=(Picture(image=NanoUsd(9)),)))
    assert code(Wishes(max_price=MaxPrice(image=NanoUsd(8))), looks) == "max_price"


def test_without_a_price_no_bound_can_be_kept() -> None:
    """Neither on the price nor on the cost."""
    unpriced = Endpoint("p", "m")
    assert code(Wishes(max_cost=NanoUsd(10**18)), unpriced) == "unknown_price"
    assert code(Wishes(max_price=MaxPrice(request=NanoUsd(10**18))), unpriced) == "max_price"
    assert code(Wishes(is_free=True), unpriced) == "max_price"
    assert code(Wishes(max_cost=NanoUsd(0))) is None


@pytest.mark.parametrize(
    ("price", "is_free"),
    [
        (FREE, True),
        (PRICE, False),
        (Price(Rate(0), Rate(0), search=NanoUsd(1)), False),
        (Price(Rate(0), Rate(0), tiers=(Tier(above=1000, output=Rate(0)),)), True),
        (Price(Rate(0), Rate(0), tiers=(Tier(above=1000, output=Rate(1)),)), False),
        (Price(Rate(0), Rate(0), hours=(Hours(begin=60, end=120, input=Rate(0)),)), True),
        (Price(Rate(0), Rate(0), flex=Service(input=Rate(1))), False),
        (Price(Rate(0), Rate(0), images=(Picture(size="1x1", image=NanoUsd(2)),)), False),
    ],
)
def test_what_is_free_costs_nothing_at_all(price: Price, is_free: bool) -> None:
    """At any length, hour and class of service."""
    assert code(Wishes(is_free=True), Endpoint("p", "m", price)) == (None if is_free else "max_price")


def test_the_first_of_several_reasons_is_told() -> None:
    """Each filter excludes by itself, and says so in words."""
    all_of_them = Wishes(
        allowed=("q",),
        only=("q",),
        ignore=("p",),
        quantizations=("fp8",),
        max_cost=NanoUsd(1),
        is_free=True,
        zdr=True,
        no_training=True,
        distillable=True,
    )
    endpoint = Endpoint("p", "m")
    assert code(all_of_them, endpoint) == FILTERS[0][0]
    assert all(excluding(endpoint, DataPolicy(), all_of_them) for _, excluding in FILTERS)
    assert not any(excluding(endpoint, DataPolicy(), Wishes()) for _, excluding in FILTERS)


@pytest.mark.parametrize("allowed", [None, ("p",), ("p/m",), ("q", "p/m")])
def test_a_key_may_use_providers_or_endpoints(allowed: tuple[str, ...] | None) -> None:
    """By their own names; None is all of them."""
    assert code(Wishes(allowed=allowed), Endpoint("p", "m")) is None
    assert code(Wishes(allowed=("p/n", "P")), Endpoint("p", "m")) == KEY_POLICY


def test_where_the_key_may_use_nothing_it_is_403() -> None:
    """Where anything else excludes one of the endpoints, it is the caller's wishes that left none."""
    mine, other = Exclusion(KEY_POLICY, "may not be used with this API key"), Exclusion("max_price", "is too dear")
    denied = nothing_left("m", {"p/m": mine, "q/m": mine}).problem
    assert (denied.status, denied.code, denied.param) == (403, "endpoint_not_allowed", "model")
    assert denied.details["availability"] == {
        "code": "constraint_filtered",
        "excluded_by": {"p/m": KEY_POLICY, "q/m": KEY_POLICY},
    }
    assert nothing_left("m", {"p/m": mine, "q/m": other}).problem.status == 503


SNAPSHOT = Snapshot(
    1,
    {"Lab": Provider("Lab", "http://a"), "openai": Provider("openai", "http://b")},
    {"m": Model("m", (Endpoint("Lab", "Big"),)), "n": Model("n", (Endpoint("openai", "x"),))},
    {},
    {},
    listings={"openai": (Listing("gpt-4o", Equals("gpt-4o")),)},
    known=("openai", "deepinfra", "bedrock"),
)


def named(field: str, *names: str) -> Problem | None:
    """What is wrong with these names, for a plan of one endpoint."""
    try:
        check_names(SNAPSHOT, (Endpoint("gone", "y"),), Wishes(**{field: names}))  # type: ignore[arg-type]
    except Refusal as refusal:
        return refusal.problem
    return None


@pytest.mark.parametrize(
    "name",
    [
        *("lab", "openai", "deepinfra", "deepinfra/turbo", "amazon-bedrock", "google-vertex/us-east5"),
        *("lab/big", "openai/x", "openai/gpt-4o", "gone", "gone/y"),
    ],
)
def test_names_that_mean_something(name: str) -> None:
    """Providers that are here, their endpoints and models, the plan's own, and known ones that are not enabled."""
    assert [named(field, name) for field in ("order", "only", "ignore")] == [None] * 3


@pytest.mark.parametrize(
    ("name", "near"),
    [("labb", "Lab"), ("deepinfro", "deepinfra"), ("lab/small", ""), ("openai/y", ""), ("gone/z", "gone/y"), ("", "")],
)
def test_names_that_mean_nothing(name: str, near: str) -> None:
    """400 at the place in the list, and what looks alike."""
    for field in ("order", "only", "ignore"):
        problem = named(field, "openai", name)
        assert problem is not None
        assert (problem.status, problem.param, problem.code) == (400, f"provider.{field}[1]", "unknown_provider")
        assert near in problem.message


def test_what_is_excluded_is_told_in_words() -> None:
    """For each endpoint, up to a bound; the details have all."""
    excluded = {f"p/{n}": Exclusion("quantization", "is too coarse") for n in range(TOLD + 2)}
    problem = nothing_left("big", excluded).problem
    assert (problem.status, problem.code, problem.should_retry) == (503, "no_endpoints", False)
    assert "p/0 is too coarse; p/1 is too coarse" in problem.message
    assert problem.message.endswith("and 2 more are excluded too.")
    availability = msgspec.convert(problem.details["availability"], dict[str, Any])
    assert availability == {"code": "constraint_filtered", "excluded_by": dict.fromkeys(excluded, "quantization")}
