"""What a key may be used for; how callers are told so over HTTP is in `test_limited`."""

from __future__ import annotations

import pytest

from tokenway.edge.policy import allows, check_address, check_cost, check_models
from tokenway.model.errors import Refusal
from tokenway.model.money import NanoUsd
from tokenway.model.snapshot import Principal, Snapshot

SNAPSHOT = Snapshot(1, {}, {}, {"fast": "gpt-4o"}, {})


@pytest.mark.parametrize(
    ("networks", "peer", "is_allowed"),
    [
        (None, "", True),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("192.0.2.1", "10.0.0.0/8"), "192.0.2.1", True),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("2001:db8::/32",), "10.0.0.1", False),
        (("0.0.0.0/0",), "::1", False),
        (("0.0.0.0/0", "::/0"), "", False),
        (("0.0.0.0/0",), "/run/socket", False),
        ((), "10.0.0.1", False),
    ],
)
def test_a_key_is_used_from_its_networks(networks: tuple[str, ...] | None, peer: str, is_allowed: bool) -> None:
    """An address of IPv4 is the same one when a socket of IPv6 tells it; who has none is nowhere."""
    principal = Principal("k", "key", "p", addresses=networks)
    if is_allowed:
        check_address(principal, peer)
        return
    with pytest.raises(Refusal) as refused:
        check_address(principal, peer)
    assert (refused.value.problem.status, refused.value.problem.code) == (403, "address_not_allowed")


@pytest.mark.parametrize(
    ("models", "name", "is_allowed"),
    [
        (None, "anything", True),
        (("gpt-4o",), "gpt-4o", True),
        (("gpt-4o",), "gpt-4o-mini", False),
        (("gpt-*",), "gpt-4o-mini", True),
        (("*",), "x", True),
        ((), "x", False),
    ],
)
def test_a_star_stands_for_all_that_begin_so(models: tuple[str, ...] | None, name: str, is_allowed: bool) -> None:
    """At the end of a name only."""
    assert allows(models, name) is is_allowed


def test_models_are_those_that_callers_name() -> None:
    """An alias is a name of its own, a suffix is none; a caller's fallbacks count, at their place."""
    principal = Principal("k", "key", "p", models=("gpt-4o",))
    check_models(SNAPSHOT, principal, "gpt-4o:nitro", ("gpt-4o",))
    for name, more, place in (("fast", (), "model"), ("gpt-4o", ("gpt-4o", "o3"), "models[1]")):
        with pytest.raises(Refusal) as refused:
            check_models(SNAPSHOT, principal, name, more)
        problem = refused.value.problem
        assert (problem.status, problem.code, problem.param) == (403, "model_not_allowed", place)


def test_one_call_may_cost_so_much() -> None:
    """402 above it, with both amounts."""
    principal = Principal("k", "key", "p", max_cost=NanoUsd(1_000_000_000))
    check_cost(principal, 1_000_000_000)
    with pytest.raises(Refusal) as refused:
        check_cost(principal, 1_000_000_001)
    problem = refused.value.problem
    assert (problem.status, problem.code, problem.should_retry) == (402, "max_cost_exceeded", False)
    assert problem.details == {"worst_case": "1.000000001", "max_cost": "1"}
