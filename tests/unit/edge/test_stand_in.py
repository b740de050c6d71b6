"""Limits of a model that serves in the place of another: they hold, they keep nobody from the first, and it pays."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import ENDPOINT, WHOLE, Bench, answer, bench, request, snapshot
from tokenway.model.catalog import Endpoint, Model
from tokenway.model.limits import Limit, Measure, Scope
from tokenway.model.snapshot import Snapshot

BODY = b'{"model":"m","max_tokens":10,"messages":[]}'
SPARE = Endpoint("p", "spare", ENDPOINT.price)
BROKEN = b"HTTP/1.1 500 E\r\ncontent-length: 2\r\n\r\n{}"


def two(amount: int, *, of: str = "n", **more: Any) -> Snapshot:
    """`m` falls back to `n`; one of them may spend so much."""
    limit = Limit("bound", Scope.MODEL, of, Measure.USD, amount)
    return snapshot(
        models={"m": Model("m", (ENDPOINT,), fallbacks=("n",)), "n": Model("n", (SPARE,))},
        limits={limit.id: limit},
        model_limits={of: (limit.id,)},
        max_retries=1,
        **more,
    )


async def served(made: Bench, body: bytes = BODY) -> tuple[int, bytes]:
    """A call's status and body."""
    client = made.connect()
    client.send(request(body))
    await until(lambda: bool(client.statuses))
    return client.statuses[0], client.written.partition(b"\r\n\r\n")[2]


async def test_the_model_that_answers_pays() -> None:
    """The books say its name, and its budget has lost what the call was charged."""
    async with bench([[BROKEN], [answer(WHOLE)]], what=two(10**9)) as made:
        assert (await served(made))[0] == 200
        [record] = made.books.settled
        assert (record.model, record.endpoint) == ("n", "p/spare")
        [draw] = record.draws
        assert (draw.limit, draw.amount) == ("bound", record.charged)
        assert record.charged > 0


async def test_a_model_that_did_not_answer_pays_nothing() -> None:
    """What the first one had drawn comes back."""
    async with bench([[BROKEN], [answer(WHOLE)]], what=two(10**9, of="m")) as made:
        assert (await served(made))[0] == 200
        [record] = made.books.settled
        assert [draw.amount for draw in record.draws] == [0]


async def test_a_fallback_that_has_nothing_left_keeps_nobody_from_the_first() -> None:
    """Its limits are not even asked."""
    async with bench([[answer(WHOLE)]], what=two(0)) as made:
        assert (await served(made))[0] == 200
        assert made.books.settled[0].model == "m"
        assert made.broker.wants == []


async def test_a_fallback_whose_limit_does_not_hold_it_is_not_asked() -> None:
    """The caller hears which model's limit it was; nothing is sent to it and nobody pays."""
    async with bench([[BROKEN]], what=two(0)) as made:
        status, body = await served(made)
        error = json.loads(body)["error"]
        assert (status, error["code"]) == (429, "model_limit_reached")
        assert "The model 'n'" in error["message"]
        assert len(made.network.transports) == 1
        assert made.books.settled[0].charged == 0


@pytest.mark.parametrize("body", [b'{"model":"m","models":["n"],"max_tokens":10,"messages":[]}'])
async def test_a_callers_own_fallbacks_have_their_limits_too(body: bytes) -> None:
    """It is no way round them."""
    what = two(0)
    models = what.models | {"m": Model("m", (ENDPOINT,))}
    async with bench([[BROKEN]], what=msgspec.structs.replace(what, models=models)) as made:
        assert (await served(made, body))[0] == 429


@pytest.mark.parametrize("name", ["n", "other", "p/spare", "n:nitro", "other:floor"])
async def test_no_name_is_a_way_round_a_models_limit(name: str) -> None:
    """An alias, its endpoint, a suffix: 402 for all."""
    async with bench(what=two(0, aliases={"other": "n"})) as made:
        status, body = await served(made, BODY.replace(b'"m"', b'"%b"' % name.encode()))
        assert (status, json.loads(body)["error"]["code"]) == (402, "insufficient_quota")
