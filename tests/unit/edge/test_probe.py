"""Probes as a worker makes them: a call like any other, in nobody's name, and only where it can be made now."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import msgspec
import pytest

from tests.fake_provider import FakeProvider, Script, UsageMode
from tests.unit.edge.inside import PRICE, Inside, turns
from tokenway.edge.probe import STALE, Probes
from tokenway.metering.ledger import Settlement
from tokenway.model.catalog import Dialect, Endpoint, EndpointLimits, Model, Provider, Quirks
from tokenway.model.link import Probe
from tokenway.model.probe import OUTPUT_MOST, asked_as
from tokenway.model.sample import Outcome
from tokenway.model.secret import Secret

IDENTITY = "probe-20454-43200-beef"
AMOUNT = 10_000_000
CHOICE = Model("mock", (Endpoint("lab", "other", PRICE), Endpoint("lab", "fake", PRICE)), fallbacks=("spare",))
SPARE = Model("spare", (Endpoint("lab", "spare", PRICE),))


class Probing(Inside):
    """A worker's inside with probes, and what was told of them."""

    def __init__(self, provider: FakeProvider, **changes: Any) -> None:
        super().__init__(provider, **({"models": {"mock": CHOICE, "spare": SPARE}} | changes))
        self.told: list[str] = []

    def begin(self, **changes: Any) -> Probes:
        """Begins one, of `lab/fake` unless it is said otherwise."""
        probes = Probes(self.state, lambda probed: self.told.append(probed.exchange))
        wanted: dict[str, Any] = {"model": "mock", "endpoint": "lab/fake", "amount": AMOUNT, "at": time.time()}
        probes.begin(Probe(IDENTITY, **(wanted | changes)))
        return probes

    async def over(self) -> None:
        """Waits until it is over."""
        self.state.start_sweeping()
        await turns(lambda: self.told == [IDENTITY])


async def test_a_probe_is_an_exchange_of_its_own(provider: FakeProvider) -> None:
    """A short stream of that endpoint alone, set aside and settled under its own id, key, project, model and run."""
    async with Probing(provider) as inside:
        inside.begin()
        (reserved,) = inside.journal.reserved
        assert provider.requests == []
        assert (reserved.id, reserved.key, reserved.project) == (IDENTITY, asked_as("mock"), "tokenway-probe")
        assert reserved.amount == AMOUNT
        await inside.over()
        (received,) = provider.requests
        body = json.loads(received.body)
        assert (body["model"], body["stream"], body["max_completion_tokens"]) == ("fake", True, OUTPUT_MOST)
        assert body["stream_options"] == {"include_usage": True}
        (settled,) = inside.journal.settled
        assert (settled.id, settled.key, settled.project) == (IDENTITY, asked_as("mock"), "tokenway-probe")
        assert (settled.model, settled.endpoint, settled.run) == (asked_as("mock"), "lab/fake", f"probe:{AMOUNT}")
        assert (settled.status, settled.settlement, settled.slow) == (200, Settlement.DELIVERED, False)
        bill = received.bill
        assert settled.charged == bill.prompt * 1000 + bill.completion * 2000


async def test_its_sample_is_the_endpoints_and_no_callers(provider: FakeProvider) -> None:
    """It has a first token and a speed; what the model's requests are like is not learnt from it."""
    provider.queue(Script(chunks=8, gap=0.01))
    async with Probing(provider) as inside:
        inside.begin()
        await inside.over()
        (sample,) = inside.state.fleet.take_outbox(0.0)
        assert (sample.endpoint, sample.outcome, sample.is_probe) == ("lab/fake", Outcome.ANSWERED, True)
        assert sample.ttft > 0.0
        assert sample.speed > 0.0
        board = inside.state.fleet.board
        assert board.of("lab/fake").is_known
        assert not board.of("lab/other").is_known
        assert board.habits("mock").output.seen == 0.0
        assert board.habits("mock").bytes_per_token.seen == 0.0


@pytest.mark.parametrize("dialect", [Dialect.ANTHROPIC, Dialect.GEMINI, Dialect.OPENAI_RESPONSES, Dialect.OPENAI_CHAT])
async def test_it_speaks_the_endpoints_dialect(provider: FakeProvider, dialect: Dialect) -> None:
    """The limit is in it by whatever name, and its usage is known."""
    address = provider.base_url if dialect is not Dialect.GEMINI else provider.base_url.replace("/v1", "/v1beta")
    lab = Provider("lab", address, dialect, (Secret("sk"),), quirks=Quirks(limit_field="max_tokens"))
    async with Probing(provider, providers={"lab": lab}) as inside:
        inside.begin()
        await inside.over()
        (received,) = provider.requests
        assert b"%d" % OUTPUT_MOST in received.body
        (settled,) = inside.journal.settled
        assert (settled.settlement, settled.lines[0].endpoint) == (Settlement.DELIVERED, "lab/fake")
        assert settled.charged > 0


@pytest.mark.parametrize(
    "script",
    [Script(status=503), Script(status=429), Script(cut=2), Script(status=401)],
    ids=["503", "429", "cut", "401"],
)
async def test_it_ends_with_its_first_attempt(provider: FakeProvider, script: Script) -> None:
    """Nothing is tried again, there or elsewhere, and nothing goes on elsewhere."""
    provider.queue(script)
    async with Probing(provider) as inside:
        inside.begin()
        await inside.over()
        assert len(provider.requests) == 1
        (settled,) = inside.journal.settled
        assert settled.settlement in {Settlement.ABSORBED, Settlement.RELEASED}
        (sample,) = inside.state.fleet.take_outbox(0.0)
        assert sample.outcome is not Outcome.ANSWERED


@pytest.mark.parametrize(
    "changes",
    [
        {"at": time.time() - STALE - 1},
        {"model": "gone"},
        {"endpoint": "lab/gone"},
        {"amount": 1},
    ],
)
async def test_what_is_not_as_it_was_ordered_is_not_made(provider: FakeProvider, changes: dict[str, Any]) -> None:
    """An old order, a model or an endpoint that is not there, more than it may cost: nothing is sent or set aside."""
    async with Probing(provider) as inside:
        inside.begin(**changes)
        assert inside.told == [IDENTITY]
        assert inside.journal.records == []
        assert provider.requests == []


async def test_an_endpoint_without_a_price_is_not_probed(provider: FakeProvider) -> None:
    """Nobody could say what it costs."""
    model = Model("mock", (Endpoint("lab", "other", PRICE), Endpoint("lab", "fake")))
    async with Probing(provider, models={"mock": model}) as inside:
        inside.begin()
        assert (inside.told, inside.journal.records) == ([IDENTITY], [])


async def test_a_limit_of_the_endpoint_is_kept_to(provider: FakeProvider) -> None:
    """One call a minute: the first probe takes it, a second is not made, nor is one while the worker stops."""
    limited = msgspec.structs.replace(CHOICE.endpoints[1], limits=EndpointLimits(rpm=1))
    async with Probing(provider, models={"mock": Model("mock", (CHOICE.endpoints[0], limited))}) as inside:
        inside.begin()
        await inside.over()
        inside.begin()
        assert inside.told == [IDENTITY] * 2
        inside.state.draining = True
        inside.begin(endpoint="lab/other")
        assert inside.told == [IDENTITY] * 3
        assert len(provider.requests) == 1


async def test_a_journal_that_cannot_be_written_forbids_it(provider: FakeProvider) -> None:
    """Nothing is sent that nobody would remember."""
    async with Probing(provider) as inside:
        inside.journal.fails = lambda _record: True
        inside.begin()
        assert inside.told == [IDENTITY]
        assert provider.requests == []


async def test_it_is_given_up_when_the_worker_ends(provider: FakeProvider) -> None:
    """Settled, so that nothing of it is lost; what it cost is not known."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=2, gate=gate, usage=UsageMode.ASKED))
    async with Probing(provider) as inside:
        probes = inside.begin()
        await provider.received(1)
        await turns(lambda: inside.state.streams == 1)
        probes.stop()
        probes.stop()
        assert inside.told == [IDENTITY]
        (settled,) = inside.journal.settled
        assert (settled.settlement, settled.lines[0].cost) == (Settlement.UPSTREAM_BILLED, None)
    gate.release()
