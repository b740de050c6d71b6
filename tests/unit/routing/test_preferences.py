"""What a caller prefers: what is read, what is refused, and where."""

from __future__ import annotations

from math import inf
from typing import Any

import msgspec
import pytest

from tokenway.model.catalog import Timeouts
from tokenway.model.errors import Problem, Refusal
from tokenway.model.money import NanoUsd, Rate
from tokenway.model.preferences import Partition, Preferences, Rescue, SortOrder
from tokenway.routing.preferences import (
    LIST_MAX,
    NO_WISHES,
    Floor,
    MaxPrice,
    Wishes,
    nearest_of,
    read_wishes,
)


def wishes(**said: Any) -> Wishes:
    """What an object of these members means, as it comes in a body."""
    return read_wishes(msgspec.convert(said, Preferences))


def refusal(**said: Any) -> Problem:
    """Why it is refused."""
    with pytest.raises(Refusal) as raised:
        wishes(**said)
    return raised.value.problem


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, NO_WISHES),
        (dict.fromkeys(Preferences.__struct_fields__), NO_WISHES),
        ({"something_new": 1}, NO_WISHES),
        ({"order": ["DeepInfra/Turbo", " together "]}, Wishes(order=("deepinfra/turbo", "together"))),
        ({"only": ["a"], "ignore": ["a/x"]}, Wishes(only=("a",), ignore=("a/x",))),
        ({"order": ["a"], "only": ["a/x", "b"]}, Wishes(order=("a",), only=("a/x", "b"))),
        ({"order": ["a", "b"], "ignore": ["b"]}, Wishes(order=("a", "b"), ignore=("b",))),
        (
            {"allow_fallbacks": False, "require_parameters": True},
            Wishes(allow_fallbacks=False, require_parameters=True),
        ),
        ({"allow_fallbacks": True, "require_parameters": False}, NO_WISHES),
        ({"data_collection": "deny"}, Wishes(no_training=True)),
        ({"data_collection": "allow", "zdr": False, "enforce_distillable_text": False}, NO_WISHES),
        ({"zdr": True, "enforce_distillable_text": True}, Wishes(zdr=True, distillable=True)),
        ({"quantizations": ["fp8", "unknown"]}, Wishes(quantizations=("fp8", "unknown"))),
        ({"sort": "price"}, Wishes(sort=SortOrder.PRICE)),
        ({"sort": "finish"}, Wishes(sort=SortOrder.FINISH)),
        ({"sort": {"by": "weight"}}, Wishes(sort=SortOrder.WEIGHT)),
        (
            {"sort": {"by": "throughput", "partition": "none"}},
            Wishes(sort=SortOrder.THROUGHPUT, partition=Partition.NONE),
        ),
        ({"sort": {"by": None, "partition": "none"}}, Wishes(partition=Partition.NONE)),
        ({"sort": {"partition": "model"}}, NO_WISHES),
        ({"preferred_min_throughput": 50}, Wishes(min_throughput=(Floor(0.5, 50.0),))),
        (
            {"preferred_min_throughput": {"p90": 20.5, "p50": 100, "p99": None}},
            Wishes(min_throughput=(Floor(0.5, 100.0), Floor(0.9, 20.5))),
        ),
        ({"preferred_max_latency": 2.5}, Wishes(max_latency=(Floor(0.5, 2.5),))),
        (
            {"preferred_max_latency": {"p75": 0, "p99": 9}},
            Wishes(max_latency=(Floor(0.75, 0.0), Floor(0.99, 9.0))),
        ),
        ({"preferred_max_latency": {}, "max_price": {}, "timeouts": {}, "sort": {}}, NO_WISHES),
        (
            {"max_price": {"prompt": "0.5", "completion": 2, "request": 0.01, "image": "1e-3", "audio": None}},
            Wishes(
                max_price=MaxPrice(
                    Rate(500_000_000), Rate(2_000_000_000), request=NanoUsd(10_000_000), image=NanoUsd(1_000_000)
                )
            ),
        ),
        ({"max_price": {"audio": 0}}, Wishes(max_price=MaxPrice(audio=Rate(0)))),
        ({"max_cost": 0.05}, Wishes(max_cost=NanoUsd(50_000_000))),
        ({"max_cost": "0"}, Wishes(max_cost=NanoUsd(0))),
        ({"min_tps": 30}, Wishes(min_tps=30.0)),
        ({"min_tps": 0}, Wishes(min_tps=0.0)),
        ({"hedge": False, "stream": True}, Wishes(hedge=False, stream=True)),
        ({"rescue": "on"}, Wishes(rescue=Rescue.ON)),
        ({"timeouts": {"first_token": 2, "total": 0.5}}, Wishes(timeouts=Timeouts(inf, 2.0, inf, 0.5))),
    ],
)
def test_what_is_said_is_meant(said: dict[str, Any], meant: Wishes) -> None:
    """In OpenRouter's units; null, an empty object and what nobody knows are no wish. Wishes can be keys of a table."""
    assert wishes(**said) == meant
    assert hash(wishes(**said)) == hash(meant)


@pytest.mark.parametrize(
    ("said", "place", "words"),
    [
        ({"order": []}, "order", "at least one"),
        ({"only": []}, "only", "not an empty list"),
        ({"ignore": []}, "ignore", "at least one"),
        ({"quantizations": []}, "quantizations", "at least one"),
        ({"order": ["a", " "]}, "order[1]", "name of a provider"),
        ({"only": ["a"] * (LIST_MAX + 1)}, "only", "128"),
        ({"quantizations": ["fp8", "pf8"]}, "quantizations[1]", "The nearest: fp8"),
        ({"quantizations": ["FP8"]}, "quantizations[0]", "fp8"),
        ({"data_collection": "denied"}, "data_collection", "The nearest: deny"),
        ({"data_collection": True}, "data_collection", "allow or deny, not true"),
        ({"data_collection": ["deny"]}, "data_collection", "not a list"),
        ({"sort": "prize"}, "sort", "The nearest: price"),
        ({"sort": "exacto"}, "sort", "not measured here"),
        ({"sort": {"by": "exacto"}}, "sort.by", "not measured here"),
        ({"sort": 3}, "sort", "one of finish, price, throughput, latency, weight, not 3"),
        ({"sort": ["price"]}, "sort", "not a list"),
        ({"sort": {"by": "latncy"}}, "sort.by", "The nearest: latency"),
        ({"sort": {"partition": "all"}}, "sort.partition", "one of model, none"),
        ({"sort": {"bye": "price"}}, "sort.bye", "The nearest: by"),
        (
            {"preferred_min_throughput": "fast"},
            "preferred_min_throughput",
            "tokens per second, zero or more, not 'fast'",
        ),
        ({"preferred_min_throughput": True}, "preferred_min_throughput", "not true"),
        ({"preferred_min_throughput": [50]}, "preferred_min_throughput", "not a list"),
        ({"preferred_min_throughput": {"p95": 1}}, "preferred_min_throughput.p95", "The nearest: p"),
        ({"preferred_min_throughput": {"p50": -1}}, "preferred_min_throughput.p50", "not -1"),
        ({"preferred_min_throughput": 10**400}, "preferred_min_throughput", "so large"),
        ({"preferred_max_latency": -0.1}, "preferred_max_latency", "seconds, zero or more, not -0.1"),
        ({"preferred_max_latency": inf}, "preferred_max_latency", "so large"),
        ({"preferred_max_latency": float("nan")}, "preferred_max_latency", "seconds"),
        ({"preferred_max_latency": {"p99": {}}}, "preferred_max_latency.p99", "not an object"),
        ({"max_price": 3}, "max_price", "an object with prompt, completion"),
        ({"max_price": {"input": 1}}, "max_price.input", "prompt"),
        ({"max_price": {"prompt": "cheap"}}, "max_price.prompt", "an amount of USD, not 'cheap'"),
        ({"max_price": {"prompt": -1}}, "max_price.prompt", "from 0"),
        ({"max_price": {"image": False}}, "max_price.image", "not false"),
        ({"max_price": {"request": float("nan")}}, "max_price.request", "an amount"),
        ({"max_price": {"audio": "9" * 100}}, "max_price.audio", "an amount"),
        ({"max_cost": "nan"}, "max_cost", "an amount"),
        ({"max_cost": -0.5}, "max_cost", "from 0"),
        ({"min_tps": "20"}, "min_tps", "tokens per second"),
        ({"min_tps": -1}, "min_tps", "zero or more"),
        ({"rescue": True}, "rescue", "one of off, fault, on, not true"),
        ({"rescue": "of"}, "rescue", "The nearest: off"),
        ({"timeouts": 5}, "timeouts", "connect, first_token, between_tokens, total"),
        ({"timeouts": {"total": 0}}, "timeouts.total", "above zero, not 0"),
        ({"timeouts": {"connect": "5s"}}, "timeouts.connect", "seconds"),
        ({"timeouts": {"first": 5}}, "timeouts.first", "first_token"),
    ],
)
def test_what_is_wrong_is_refused_at_its_place(said: dict[str, Any], place: str, words: str) -> None:
    """400, with the nearest value where there is one."""
    problem = refusal(**said)
    assert (problem.status, problem.param) == (400, f"provider.{place}")
    assert f"'provider.{place.rpartition('.')[0] or place}" in problem.message
    assert words in problem.message


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"only": ["a", "b"], "ignore": ["b"]}, "ignore"),
        ({"only": ["a/x"], "ignore": ["A"]}, "ignore"),
        ({"order": ["a"], "only": ["b"]}, "order"),
        ({"order": ["a/x"], "only": ["a/y", "ab"]}, "order"),
        ({"order": ["a", "b/x"], "ignore": ["a", "b"]}, "order"),
    ],
)
def test_contradictions_are_refused(said: dict[str, Any], place: str) -> None:
    """What is wanted and not wanted, wholly; the sentence names both lists."""
    problem = refusal(**said)
    assert (problem.status, problem.code, problem.param) == (400, "contradiction", f"provider.{place}")
    assert all(f"'provider.{name}'" in problem.message for name in said)


def test_what_a_caller_wrote_does_not_come_back_without_bound() -> None:
    """However long it is."""
    for said in (
        {"sort": "x" * 10_000},
        {"max_price": {"y" * 10_000: 1}},
        {"only": ["z" * 10_000], "ignore": ["z" * 10_000]},
    ):
        assert len(refusal(**said).message) < 400


def test_the_nearest_are_told() -> None:
    """Or nothing, where nothing looks alike."""
    assert nearest_of("Deepinfro", ["deepinfra", "groq"]) == " The nearest: deepinfra."
    assert nearest_of("x", ["deepinfra", "groq"]) == ""
