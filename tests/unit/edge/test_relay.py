"""One exchange between a client and a provider: what is written when, and what happens when it cannot be."""

from __future__ import annotations

import asyncio
import gc
import json
from hashlib import sha256
from typing import Any, cast

import pytest

from tests.contract.upstreams import until
from tests.e2e.gateway import KEY
from tests.e2e.raw import chat, post
from tests.fake_provider import FakeProvider, Script, UsageMode
from tests.unit.edge.bench import (
    ENDPOINT,
    HEAD,
    STREAMED,
    TAIL,
    WHOLE,
    Bench,
    answer,
    bench,
    chunk,
    event,
    request,
    snapshot,
)
from tests.unit.edge.inside import Inside, turns
from tokenway.edge.attempt import AttemptReader
from tokenway.edge.relay import Relay
from tokenway.edge.watch import Watch
from tokenway.metering.ledger import Reserved, Settled
from tokenway.model.catalog import (
    Endpoint,
    Model,
    Price,
    Service,
    Timeouts,
)
from tokenway.model.limits import Limit, Measure, Scope
from tokenway.model.money import Rate
from tokenway.model.snapshot import Principal

BUDGET = 100_000_000


def with_budget(amount: int = BUDGET) -> dict[str, Any]:
    """A snapshot's keys and limits, with a budget in nano-dollars."""
    return {
        "keys": {sha256(KEY.encode()).hexdigest(): Principal("k1", "ci", "default", limits=("budget",))},
        "limits": {"budget": Limit("budget", Scope.KEY, "k1", Measure.USD, amount)},
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_an_exchange_is_reserved_then_settled(inside: Inside, provider: FakeProvider, stream: bool) -> None:
    """Two records with one id, which the answer names; the moments in between are in order."""
    async with inside.client() as raw:
        await raw.send(post(chat(stream=stream), b"x-tokenway-run: nightly"))
        answer = await raw.answer()
    reserved, settled = inside.journal.records
    assert isinstance(reserved, Reserved)
    assert isinstance(settled, Settled)
    assert reserved.id == settled.id == answer.headers["x-request-id"]
    assert (settled.key, settled.project, settled.run, settled.stream) == ("k1", "default", "nightly", stream)
    assert (settled.model, settled.endpoint, settled.finish_reason) == ("mock", "lab/fake", "stop")
    bill = provider.requests[0].bill
    assert settled.charged == bill.prompt * 1000 + bill.completion * 2000 <= reserved.amount
    times = settled.stamps
    assert times.received <= times.sent <= times.head <= times.first_byte <= times.end
    if stream:
        assert times.first_byte <= times.first_delta <= times.last_delta <= times.end


async def test_a_settlement_is_written_before_the_end_is_shown(inside: Inside, provider: FakeProvider) -> None:
    """When the client reads the end mark, the record is there."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=2, gate=gate))
    async with inside.client() as raw:
        await raw.send(post(chat(stream=True)))
        await raw.head()
        assert inside.journal.settled == []
        gate.release()
        data = b""
        while b"[DONE]" not in data:
            data += await raw.chunk()
        assert len(inside.journal.settled) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_without_a_journal_no_call_is_made(
    provider: FakeProvider, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """503 that says when to come back; the money that was set aside is given back."""
    async with Inside(provider, **with_budget()) as inside, inside.client() as raw:
        inside.journal.fails = lambda _record: True
        await raw.send(post(chat(stream=stream)))
        answer = await raw.answer()
        assert (answer.status, answer.error["code"]) == (503, "journal_unavailable")
        assert answer.headers["retry-after"] == "5"
        assert inside.broker.unspent() == BUDGET
        inside.journal.fails = lambda _record: False
        assert await raw.is_usable()
    assert provider.requests == []
    assert "the journal cannot be written" in caplog.text


async def test_nothing_new_is_begun_while_draining(inside: Inside, provider: FakeProvider) -> None:
    """503 that says that a retry helps."""
    inside.state.draining = True
    async with inside.client() as raw:
        await raw.send(post(chat()))
        answer = await raw.answer()
    assert (answer.status, answer.error["code"]) == (503, "draining")
    assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1", "true")
    assert provider.requests == []
    assert inside.journal.records == []


@pytest.mark.parametrize("script", [Script(), Script(status=400), Script(usage=UsageMode.NONE)])
async def test_a_lease_loses_what_was_charged_and_no_more(provider: FakeProvider, script: Script) -> None:
    """What was set aside for the worst case comes back, whatever the end."""
    async with Inside(provider, **with_budget()) as inside:
        for stream in (False, True):
            provider.queue(script)
            async with inside.client() as raw:
                await raw.send(post(chat(stream=stream)))
                await raw.answer()
        charged = sum(record.charged for record in inside.journal.settled)
        assert inside.broker.unspent() == BUDGET - charged
    assert (charged > 0) is (script == Script())


async def test_what_is_set_aside_is_not_there_for_others(provider: FakeProvider) -> None:
    """While one call is under way the next is refused, and let in when the first has cost less than it could."""
    body = chat("mock", max_tokens=300)
    async with Inside(provider, **with_budget(1_000_000)) as inside, inside.client() as one, inside.client() as two:
        gate = asyncio.Semaphore(0)
        provider.queue(Script(chunks=1, gate=gate, delay=0))
        await one.send(post(chat("mock", stream=True, max_tokens=300)))
        await provider.received(1)
        await two.send(post(body))
        assert (await two.answer()).status == 402
        gate.release()
        assert (await one.answer()).status == 200
        await two.send(post(body))
        assert (await two.answer()).status == 200


async def test_usage_that_cannot_be_believed_is_not_charged(inside: Inside, provider: FakeProvider) -> None:
    """It is passed on as it came, marked in the record, and costs nothing."""
    for mode in (UsageMode.ABSURD, UsageMode.NEGATIVE):
        provider.queue(Script(usage=mode))
        async with inside.client() as raw:
            await raw.send(post(chat()))
            answer = await raw.answer()
        assert "cost" not in answer.json["usage"]
        assert "x-tokenway-cost" not in answer.headers
        (line,) = inside.journal.settled[-1].lines
        assert line.absurd
        assert inside.journal.settled[-1].charged == 0


async def test_a_faster_service_is_set_aside_for_and_charged(provider: FakeProvider) -> None:
    """What is asked for decides what is set aside; what the answer says it had decides what is paid."""
    price = Price(Rate(10**9), Rate(2 * 10**9), priority=Service(input=Rate(3 * 10**9), output=Rate(6 * 10**9)))
    models = {"mock": Model("mock", (Endpoint("lab", "fake", price),))}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    said = {"object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop"}], "usage": usage}
    async with Inside(provider, models=models) as inside, inside.client() as raw:
        for asked, served in (("priority", "priority"), ("priority", "default"), ("default", "default")):
            provider.queue(Script(body=json.dumps(said | {"service_tier": served}).encode()))
            await raw.send(post(chat(max_tokens=100, service_tier=asked)))
            assert (await raw.answer()).status == 200
    assert [each.charged for each in inside.journal.settled] == [60_000, 20_000, 20_000]
    assert [each.lines[0].service for each in inside.journal.settled] == ["priority", "", ""]
    first, second, usual = (each.amount for each in inside.journal.records if isinstance(each, Reserved))
    assert first == second
    assert first == 3 * usual + 3000  # the request is a byte longer than the usual one, which may be a token


async def test_the_record_has_the_status_that_the_caller_saw(provider: FakeProvider) -> None:
    """Anthropic's callers know an overload by a status of their own: 529."""
    models = {"mock": Model("mock", (Endpoint("lab", "fake"),))}
    async with Inside(provider, models=models, max_retries=0) as inside, inside.client() as raw:
        provider.queue(Script(status=503))
        body = b'{"model":"mock","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'
        await raw.send(post(body, path=b"/v1/messages"))
        answer = await raw.answer()
        (settled,) = inside.journal.settled
    assert (answer.status, settled.status, settled.error_type) == (529, 529, "provider_overloaded")


async def test_deadlines_are_kept_by_the_sweep(provider: FakeProvider) -> None:
    """A call that takes too long ends in time with the status of a deadline."""
    async with Inside(provider, timeouts=Timeouts(total=0.1)) as inside, inside.client() as raw:
        inside.state.start_sweeping()
        provider.queue(Script(delay=60))
        await raw.send(post(chat()))
        answer = await raw.answer()
        assert (answer.status, answer.error["code"]) == (504, "total_deadline")
        await turns(lambda: provider.open_links == 0)


async def test_waiting_for_a_slow_reader_is_not_the_providers_silence(provider: FakeProvider) -> None:
    """While the caller does not read, the deadline between tokens does not run."""
    timeouts = Timeouts(between_tokens=0.1)
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=3, gate=gate))
    async with Inside(provider, timeouts=timeouts) as inside, inside.client() as raw:
        await raw.send(post(chat(stream=True)))
        await raw.head()
        connection = await inside.connection()
        connection.pause_writing()
        (exchange,) = inside.state.open
        for _ in range(5):
            exchange.wake(exchange.wake_at + 0.01)
        assert inside.journal.settled == []
        connection.resume_writing()
        gate.release()
        gate.release()
        assert b"".join([chunk async for chunk in raw.chunks()]).endswith(b"data: [DONE]\n\n")


def exchanges() -> list[object]:
    """The relays and attempts that are in memory."""
    return [each for each in gc.get_objects() if isinstance(each, Relay | AttemptReader)]


@pytest.mark.parametrize("body", [STREAMED, b'{"model":"m","messages":[]}'], ids=["stream", "whole"])
@pytest.mark.parametrize("leaves", [False, True], ids=["served", "left"])
async def test_a_finished_exchange_leaves_nothing_to_collect(body: bytes, leaves: bool) -> None:
    """Served or abandoned, it is freed by its last reference: a worker must not wait for the cycle collector."""
    gc.collect()
    gc.disable()
    before = exchanges()
    first = [HEAD + chunk(event("hi")), TAIL] if body == STREAMED else [answer(WHOLE)]
    try:
        async with bench([first]) as made:
            client = made.connect()
            client.send(request(body))
            if leaves:
                await until(lambda: bool(made.network.requests))
                client.lose()
            else:
                await until(lambda: bool(made.books.settled))
                await until(lambda: made.state.open == set())
                client.lose()
            del client
            made.clients.clear()
            await asyncio.sleep(0)
            assert [each for each in exchanges() if each not in before] == []
    finally:
        gc.enable()


async def test_a_slow_reader_slows_its_upstream() -> None:
    """Paused, nothing more is read from the provider; resumed, the rest comes, and in order."""
    async with bench([[HEAD, chunk(event("one"))]]) as made:
        client = made.connect()
        client.send(request(STREAMED))
        await until(lambda: b"one" in client.written)
        client.protocol.pause_writing()
        [upstream] = made.network.transports
        upstream.feed([chunk(event("two")), TAIL])
        for _ in range(20):
            await asyncio.sleep(0)
        assert b"two" not in client.written
        client.protocol.resume_writing()
        await until(lambda: bool(made.books.settled))
        assert client.written.index(b"one") < client.written.index(b"two") < client.written.index(b"[DONE]")


async def test_a_caller_that_leaves_cancels_its_upstream() -> None:
    """The provider's connection is cut at once, and the exchange is settled as left."""
    async with bench([[HEAD + chunk(event("one"))]]) as made:
        client = made.connect()
        client.send(request(STREAMED))
        await until(lambda: b"one" in client.written)
        client.lose(ConnectionResetError())
        assert [each.is_closing() for each in made.network.transports] == [True]
        assert [record.status for record in made.books.settled] == [499]


def swept(made: Bench) -> None:
    """The deadlines of all exchanges are looked at, as if all had come."""
    for exchange in made.state.open:
        cast("Any", exchange)._machine.deadlines.armed = 0.0
    made.state._sweep()


def mistaken(*_: object, **__: object) -> None:
    """Meets a value that nobody has thought of."""
    raise KeyError("what a caller wrote")


@pytest.mark.parametrize("stream", [False, True])
async def test_who_meets_a_mistake_of_ours_hears_of_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    """As an answer, or in the stream; its upstream is cut, the books have it, and it is looked at no more."""
    async with bench([[HEAD, chunk(event("one"))] if stream else []]) as made:
        client = made.connect()
        client.send(request(STREAMED if stream else b'{"model":"m","messages":[]}'))
        await until(lambda: b"one" in client.written if stream else bool(made.network.requests))
        monkeypatch.setattr(Watch, "looks", mistaken)
        swept(made)
        swept(made)
        assert b"by a mistake of its own" in client.written
        assert client.statuses == [200 if stream else 500]
        assert [each.is_closing() for each in made.network.transports] == [True]
        [settled] = made.books.settled
        assert (settled.error_type, settled.charged) == ("server", 0)
    [record] = [each for each in caplog.records if each.message == "an exchange could not go on"]
    assert record.__dict__["mistake"].startswith("KeyError at ")


async def test_who_cannot_even_hear_of_a_mistake_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has to end an exchange can fail too; nobody waits for ever, and no place stays taken."""
    async with bench([[HEAD, chunk(event("one"))]]) as made:
        client = made.connect()
        client.send(request(STREAMED))
        await until(lambda: b"one" in client.written)
        monkeypatch.setattr(AttemptReader, "look", mistaken)
        swept(made)
        assert client.is_closed
        assert [each.is_closing() for each in made.network.transports] == [True]
        assert made.state.fleet.standing(ENDPOINT).in_flight == 0


async def test_who_meets_a_mistake_as_it_is_admitted_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it drew comes back, whether it had to wait for it or not: a place would stay taken for ever."""
    async with bench([], what=snapshot(BUDGET)) as made:
        made.broker.extra = BUDGET // 2
        monkeypatch.setattr(made.books, "append", mistaken)
        for count in (1, 2):
            client = made.connect()
            client.send(request())
            await until(lambda: client.statuses == [500])  # noqa: B023 - it is asked at once
            assert made.broker.unspent() == BUDGET, count
