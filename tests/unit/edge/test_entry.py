"""What an exchange costs, in the books; how it gets there in full is in `test_relay`."""

from __future__ import annotations

import json
from hashlib import sha256
from time import monotonic
from typing import Any

import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import (
    ENDPOINT,
    HEAD,
    KEY,
    STREAMED,
    TAIL,
    WHOLE,
    answer,
    bench,
    chunk,
    event,
    request,
    snapshot,
)
from tokenway.edge import watch as watch_module
from tokenway.edge.entry import MARGIN
from tokenway.metering.estimate import OUTPUT_ASSUMED
from tokenway.metering.ledger import Draw, Reserved, Settled, Settlement
from tokenway.model.catalog import Timeouts
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.snapshot import Principal, Snapshot

BUDGET = 10**12


@pytest.mark.parametrize("stream", [False, True])
async def test_a_mistake_in_noting_loses_neither_entry_nor_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    """The caller has its answer, the books its price, the key what is left of its budget; the place is free."""

    def mistaken(*_: object) -> None:
        raise KeyError("what a caller wrote")

    monkeypatch.setattr(watch_module, "sample_of", mistaken)
    script = [HEAD + chunk(event("hi")), TAIL] if stream else [answer(WHOLE)]
    async with bench([script], what=snapshot(BUDGET)) as made:
        client = made.connect()
        client.send(request(STREAMED) if stream else request())
        await until(lambda: client.written.endswith(b"[DONE]\n\n\r\n0\r\n\r\n" if stream else b"}"))
        [settled] = made.books.settled
        assert settled.charged == 25_000
        assert made.broker.unspent() == BUDGET - 25_000
        assert made.state.fleet.standing(ENDPOINT).in_flight == 0
    [record] = [each for each in caplog.records if each.message == "an exchange could not be noted"]
    assert record.__dict__["mistake"].startswith("KeyError at ")


LIMITS = {
    "budget": Limit("budget", Scope.KEY, "k1", Measure.USD, BUDGET),
    "rpm": Limit("rpm", Scope.KEY, "k1", Measure.REQUESTS, 5, Term.MINUTE),
    "tpm": Limit("tpm", Scope.KEY, "k1", Measure.TOKENS, 10**6, Term.MINUTE),
}
ALICE = Principal("k1", "alice", "default", user="ann", limits=tuple(LIMITS), markup=100_000)


def limited(principal: Principal = ALICE, **more: Any) -> Snapshot:
    """Alice with a budget and rates, who pays ten per cent more than it costs."""
    return snapshot(keys={sha256(KEY).hexdigest(): principal}, limits=LIMITS, **more)


async def test_what_is_told_is_what_is_paid() -> None:
    """With what comes on top of cost; the line of the attempt has the cost itself, and the parts add up."""
    async with bench([[answer(WHOLE)]], what=limited()) as made:
        client = made.connect()
        client.send(request())
        await until(lambda: client.written.endswith(b"}"))
        [settled] = made.books.settled
        told = json.loads(client.written.partition(b"\r\n\r\n")[2])["usage"]
    assert (settled.charged, settled.lines[0].cost) == (27_500, 25_000)
    assert (told["cost"], told["cost_details"]["upstream_inference_cost"]) == (0.0000275, 0.0000275)
    parts = ("upstream_inference_prompt_cost", "upstream_inference_completions_cost")
    assert [told["cost_details"][name] for name in parts] == [0.000011, 0.0000165]
    assert b"x-tokenway-cost: 0.0000275\r\n" in client.written


async def test_the_books_are_told_of_budgets_and_of_when() -> None:
    """What rates lose is nobody's but the minute's; the exchange belongs to when it was admitted, and to its user."""
    async with bench([[answer(WHOLE)]], what=limited()) as made:
        client = made.connect()
        client.send(request())
        await until(lambda: client.written.endswith(b"}"))
        reserved, settled = made.books.records
        assert isinstance(reserved, Reserved)
        assert isinstance(settled, Settled)
        assert made.broker.unspent("rpm") == 4
        assert made.broker.unspent("tpm") == 10**6 - 15
        assert made.broker.unspent() == BUDGET - 27_500
    assert settled.draws == (Draw("budget", 0, 27_500),)
    assert (settled.admitted, settled.belongs, settled.user) == (reserved.at, reserved.at, "ann")
    most = (27 * 1000 + OUTPUT_ASSUMED * 3000) * 11 // 10
    assert reserved.amount == most


async def test_callers_see_what_remains_of_their_rates() -> None:
    """In answers, streams and errors."""
    async with bench([[answer(WHOLE)], [HEAD + chunk(event("hi")), TAIL]], what=limited()) as made:
        client = made.connect()
        client.send(request())
        await until(lambda: client.written.endswith(b"}"))
        client.send(request(STREAMED))
        await until(lambda: client.written.endswith(b"0\r\n\r\n"))
    first, second = (part.split(b"\r\n") for part in client.written.split(b"HTTP/1.1 ")[1:])
    assert b"x-ratelimit-limit-requests: 5" in first
    assert b"x-ratelimit-remaining-requests: 4" in first
    assert b"x-ratelimit-limit-tokens: 1000000" in first
    assert b"x-ratelimit-remaining-requests: 3" in second


async def test_a_stream_that_is_left_is_kept_back_by_what_was_seen_of_it() -> None:
    """Nothing is charged that nobody counted; the budget keeps back the prompt, and a token for each byte."""
    async with bench([[HEAD + chunk(event("hi"))]], what=limited()) as made:
        client = made.connect()
        client.send(request(STREAMED))
        await until(lambda: b"hi" in client.written)
        client.lose()
        [settled] = made.books.settled
        [reserved] = [each for each in made.books.records if isinstance(each, Reserved)]
        assert made.broker.unspent() == BUDGET - settled.withheld
    seen = len(event("hi"))
    bound = len(STREAMED) * 1000 + (seen + MARGIN) * 3000
    assert (settled.charged, settled.lines[0].usage) == (0, None)
    assert settled.withheld == bound * 11 // 10 < reserved.amount
    assert settled.draws == (Draw("budget", 0, settled.withheld),)


async def test_a_whole_answer_that_is_left_is_kept_back_whole() -> None:
    """It may have been made to its end; of one that was never sent nothing is."""
    async with bench([[]], what=limited()) as made:
        client = made.connect()
        client.send(request())
        await until(lambda: bool(made.network.transports) and bool(made.network.transports[0].requests))
        client.lose()
        [settled] = made.books.settled
        [reserved] = [each for each in made.books.records if isinstance(each, Reserved)]
    assert (settled.settlement, settled.charged) == (Settlement.UPSTREAM_BILLED, 0)
    assert settled.withheld == reserved.amount


async def test_a_caller_that_leaves_while_it_waits_owes_nothing() -> None:
    """It has not been admitted, and nobody waits for it any more."""
    async with bench(what=limited()) as made:
        made.broker._later = lambda _work: None
        client = made.connect()
        client.send(request())
        assert made.state.admission.is_waiting
        client.lose()
        assert (made.books.records, made.state.admission._waiting._count) == ([], 0)


async def test_who_is_not_admitted_in_time_is_told() -> None:
    """By the deadline of the whole call: 504, and nothing is owed."""
    timeouts = Timeouts(total=0.01)
    async with bench(what=limited(timeouts=timeouts)) as made:
        made.broker._later = lambda _work: None
        client = made.connect()
        client.send(request())
        [relay] = made.state.open
        relay.wake(monotonic() + 1.0)
        assert client.statuses == [504]
        assert (made.books.records, made.state.admission._waiting._count) == ([], 0)
