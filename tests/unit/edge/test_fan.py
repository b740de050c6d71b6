"""Several answers from an endpoint that gives one at a time, over real sockets; tests/simulation draws histories."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.raw import chat, post
from tests.fake_provider import FakeProvider, Script
from tests.unit.edge.inside import PRICE, Inside
from tokenway.metering.ledger import Settlement
from tokenway.model.catalog import Dialect, Endpoint, Model, Provider
from tokenway.model.secret import Secret


def elsewhere(provider: FakeProvider) -> dict[str, Any]:
    """A model whose only provider speaks Anthropic's dialect, which knows no choices."""
    return {
        "providers": {"lab": Provider("lab", provider.base_url, Dialect.ANTHROPIC, api_keys=(Secret("sk-lab"),))},
        "models": {"mock": Model("mock", (Endpoint("lab", "fake", PRICE),))},
        "max_retries": 0,
    }


async def test_each_choice_is_an_exchange_of_its_own(provider: FakeProvider) -> None:
    """Two answers in one, and the sum of what they took; each has its own entry."""
    async with Inside(provider, **elsewhere(provider)) as inside, inside.client() as raw:
        await raw.send(post(chat(n=2)))
        answer = await raw.answer()
    assert answer.status == 200
    assert [choice["index"] for choice in answer.json["choices"]] == [0, 1]
    assert all(choice["message"]["content"] for choice in answer.json["choices"])
    first, second = inside.journal.settled
    assert first.settlement is second.settlement is Settlement.DELIVERED
    usages = [record.lines[0].usage for record in (first, second)]
    assert answer.json["usage"]["completion_tokens"] == sum(usage.output_tokens for usage in usages if usage)
    assert answer.json["usage"]["cost"] == pytest.approx((first.charged + second.charged) / 1e9)


async def test_a_stream_ends_once_with_every_choice(provider: FakeProvider) -> None:
    """Both have their finish reason, and the end mark comes when both are there."""
    async with Inside(provider, **elsewhere(provider)) as inside, inside.client() as raw:
        await raw.send(post(chat(stream=True, n=2)))
        await raw.head()
        body = b"".join([chunk async for chunk in raw.chunks()])
    assert body.count(b"data: [DONE]") == 1
    chunks = [json.loads(event[6:]) for event in body.split(b"\n\n") if event.startswith(b"data: {")]
    finished = [choice["index"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert sorted(finished) == [0, 1]


async def test_nobody_pays_for_half_of_the_answers(provider: FakeProvider) -> None:
    """One failed: the caller gets its error, and what the other took is the gateway's."""
    provider.queue(Script(), Script(status=500))
    async with Inside(provider, **elsewhere(provider)) as inside, inside.client() as raw:
        await raw.send(post(chat(n=2)))
        answer = await raw.answer()
    assert answer.status == 502
    assert sum(record.charged for record in inside.journal.settled) == 0
