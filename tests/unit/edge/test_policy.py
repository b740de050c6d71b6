"""What a key may be used for, and how its callers are told so."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import ENDPOINT, KEY, WHOLE, answer, bench, request, snapshot
from tokenway.edge.doors import CHAT
from tokenway.edge.policy import check_address, check_cost, check_models
from tokenway.model.catalog import Endpoint, Model
from tokenway.model.errors import Refusal
from tokenway.model.money import NanoUsd
from tokenway.model.snapshot import Principal, Snapshot

SNAPSHOT = Snapshot(1, {}, {}, {"fast": "claude"}, {})


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


def test_models_are_those_that_callers_name() -> None:
    """However they name them; a caller's fallbacks count, at their place."""
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


def restricted(**policy: Any) -> Snapshot:
    """Alice with a policy, and two models at two endpoints."""
    endpoints = (ENDPOINT, Endpoint("p", "other", ENDPOINT.price))
    return snapshot(
        keys={sha256(KEY).hexdigest(): Principal("k1", "alice", "default", **policy)},
        models={"m": Model("m", endpoints), "n": Model("n", endpoints[1:])},
    )


@pytest.mark.parametrize(
    ("policy", "body", "status", "code"),
    [
        ({"models": ("n",)}, b'{"model":"m","messages":[]}', 403, "model_not_allowed"),
        ({"models": ("m",)}, b'{"model":"m","models":["n"],"messages":[]}', 403, "model_not_allowed"),
        ({"endpoints": ("q",)}, b'{"model":"m","messages":[]}', 403, "endpoint_not_allowed"),
        ({"endpoints": ("p/up",)}, b'{"model":"n","messages":[]}', 403, "endpoint_not_allowed"),
        ({"addresses": ("10.0.0.0/8",)}, b'{"model":"m","messages":[]}', 403, "address_not_allowed"),
        ({"max_cost": NanoUsd(1000)}, b'{"model":"m","messages":[]}', 402, "max_cost_exceeded"),
        ({"expires_at": 1.0}, b'{"model":"m","messages":[]}', 401, "invalid_api_key"),
    ],
)
async def test_nothing_is_sent_that_a_key_may_not_use(
    policy: dict[str, Any], body: bytes, status: int, code: str
) -> None:
    """In the caller's dialect, and before anybody is asked or anything is set aside."""
    async with bench(what=restricted(**policy)) as made:
        client = made.connect()
        client.send(request(body))
        error = json.loads(client.written.partition(b"\r\n\r\n")[2])["error"]
        assert (client.statuses, error["code"]) == ([status], code)
        assert (made.network.transports, made.books.records) == ([], [])


async def test_a_models_fallbacks_are_those_that_a_key_may_use() -> None:
    """What the configuration names in its place is left out where the key's list does not have it."""
    models = {
        "m": Model("m", (ENDPOINT,), fallbacks=("n",)),
        "n": Model("n", (Endpoint("p", "other", ENDPOINT.price),)),
    }
    for allowed, expected in ((("m",), ["p/up"]), (("m", "n"), ["p/up", "p/other"])):
        async with bench(what=msgspec.structs.replace(restricted(models=allowed), models=models)) as made:
            principal = next(iter(made.state.snapshot.keys.values()))
            route = made.state.routes.find("m", CHAT, None, principal.models)
            assert [each.id for each in route.endpoints] == expected


async def test_the_endpoints_that_a_key_may_use_are_asked() -> None:
    """The first one is left out, though it is the model's first; so it is with preferences of the caller's own."""
    for body in (b'{"model":"m","messages":[]}', b'{"model":"m","messages":[],"provider":{"sort":"price"}}'):
        async with bench([[answer(WHOLE)]], what=restricted(endpoints=("p/other",))) as made:
            client = made.connect()
            client.send(request(body))
            await until(lambda: bool(client.statuses))  # noqa: B023 - it is awaited here
            assert b"x-tokenway-endpoint: p/other\r\n" in client.written


async def test_the_list_has_the_models_that_a_key_may_use() -> None:
    """In every shape; one that it may not use is not described either."""
    async with bench(what=restricted(models=("n",))) as made:
        made.state.date = b""
        for path, header, field in (
            ("/v1/models", "", "data"),
            ("/v1/models", "anthropic-version: 1\r\n", "data"),
            ("/v1beta/models", "", "models"),
        ):
            client = made.connect()
            head = f"GET {path} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY.decode()}\r\n{header}\r\n"
            client.send(head.encode())
            await until(lambda: client.written.endswith(b"}"))  # noqa: B023 - it is awaited here
            listed = json.loads(client.written.partition(b"\r\n\r\n")[2])[field]
            assert [each.get("id", each.get("baseModelId")) for each in listed] == ["n"]
        client = made.connect()
        client.send(b"GET /v1/models/m HTTP/1.1\r\nhost: g\r\nauthorization: Bearer %b\r\n\r\n" % KEY)
        await until(lambda: client.written.endswith(b"}"))
        assert client.statuses == [403]
