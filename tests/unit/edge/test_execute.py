"""Each command of the exchange machine, as its endpoints and its caller see it."""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import Any

import pytest

from tests.contract.upstreams import until
from tests.e2e.raw import chat, post
from tests.fake_provider import FakeProvider
from tests.unit.edge.bench import (
    ENDPOINT,
    HEAD,
    LAST_CHUNK,
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
from tests.unit.edge.inside import Inside
from tokenway.exchange.events import UpstreamFailed
from tokenway.metering.ledger import Settled
from tokenway.model.catalog import (
    Capabilities,
    Endpoint,
    EndpointLimits,
    Model,
    Provider,
    Routing,
)
from tokenway.model.faults import Fault
from tokenway.model.preferences import Rescue
from tokenway.model.sample import Outcome
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Snapshot
from tokenway.routing.breaker import State
from tokenway.routing.hints import NONE
from tokenway.upstream.mock import Ending


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unsettled_answer_has_no_end(inside: Inside, stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    """If the settlement cannot be written the connection breaks: the caller never takes it for whole."""
    inside.journal.fails = lambda record: isinstance(record, Settled)
    async with inside.client() as raw:
        await raw.send(post(chat(stream=stream)))
        received = b""
        with contextlib.suppress(ConnectionResetError):
            received = await raw.reader.read()
        assert b"[DONE]" not in received
        assert not received.endswith((b"0\r\n\r\n", b"}"))
    assert "could not be settled" in caplog.text


async def test_a_provider_that_is_gone_is_an_attempt_that_failed(provider: FakeProvider) -> None:
    """An endpoint whose provider is not enabled leads to the next one."""
    models = {"mock": Model("mock", (Endpoint("ghost", "x"), Endpoint("lab", "fake")))}
    async with Inside(provider, models=models) as inside, inside.client() as raw:
        await raw.send(post(chat()))
        answer = await raw.answer()
        assert (answer.status, answer.headers["x-tokenway-attempts"]) == (200, "2")


async def test_a_reader_that_is_slow_before_the_first_bytes_slows_its_upstream_too() -> None:
    """The pause came before there was anything to pause: it holds from the splice on."""
    async with bench([[]]) as made:
        client = made.connect()
        client.send(request(STREAMED))
        await until(lambda: bool(made.network.requests))
        client.protocol.pause_writing()
        [upstream] = made.network.transports
        upstream.feed([HEAD, chunk(event("one")), chunk(event("two")), TAIL])
        await until(lambda: b"one" in client.written)
        for _ in range(20):
            await asyncio.sleep(0)
        assert b"two" not in client.written
        client.protocol.resume_writing()
        await until(lambda: b"[DONE]" in client.written)


def raced(**routing: Any) -> Snapshot:
    """A model `m` at two providers, each of which takes one call at a time, and models `at-p` and `at-q` at one."""
    able, limits = Capabilities(prefill=True), EndpointLimits(concurrency=1)
    p, q = (Endpoint(each, "up", capabilities=able, limits=limits) for each in ("p", "q"))
    models = {"m": Model("m", (p, q), routing=Routing(**routing)), "at-p": Model("n", (p,)), "at-q": Model("n", (q,))}
    providers = {each: Provider(each, f"http://{each}/v1", api_keys=(Secret("sk"),)) for each in ("p", "q")}
    return snapshot(providers=providers, models=models, max_retries=1)


async def test_the_loser_of_a_race_makes_room_at_once() -> None:
    """Whoever waits for its place need not wait for the winner's end; what it was like is told once that is there."""
    async with bench([[]], [[]], [[answer(WHOLE)]], what=raced(hedge_share=1.0)) as made:
        racer, waiting = made.connect(), made.connect()
        racer.send(request(STREAMED))
        await until(lambda: len(made.network.requests) == 1)
        [exchange] = made.state.open
        exchange.wake(monotonic() + 5.0)
        await until(lambda: len(made.network.requests) == 2)
        waiting.send(request(b'{"model":"at-q","messages":[]}'))
        assert len(made.state.fleet.line) == 1
        upstream = made.network.transports[0]
        upstream.feed([HEAD, chunk(event("one"))])
        await until(lambda: waiting.statuses == [200])
        assert b"[DONE]" not in racer.written
        upstream.feed([TAIL])
        await until(lambda: len(made.books.settled) == 2)
        samples = {(each.endpoint, each.outcome): each for each in made.state.fleet.take_outbox(0.0)}
        lost = samples["q/up", Outcome.LEFT]
        assert (len(samples), lost.ttft, lost.weight) == (3, lost.took, 1.0)


async def test_who_is_given_up_for_a_deadline_has_failed() -> None:
    """Its end is told with its failure: where it was to try whether its endpoint works again, that does not."""
    async with bench([[]]) as made:
        fleet, before = made.state.fleet, monotonic() - 100.0
        for _ in range(5):
            fleet.begin(ENDPOINT, 0, 9, before).failed(UpstreamFailed(before, 1, Fault.RESET), NONE)
        breaker = fleet.standing(ENDPOINT).breaker
        client = made.connect()
        client.send(request(STREAMED))
        await until(lambda: bool(made.network.requests))
        assert (breaker.state, breaker.open_until < monotonic()) == (State.HALF_OPEN, True)
        [exchange] = made.state.open
        late = monotonic() + 61.0
        exchange.wake(late)
        assert (client.statuses, breaker.state, breaker.open_until > late) == ([504], State.OPEN, True)


async def test_a_stream_that_was_too_slow_makes_room_at_once() -> None:
    """When another one has gone on with it, and not before: as long as it is frozen, it may thaw."""
    async with bench([[]], [[]], [[answer(WHOLE)]], what=raced(rescue=Rescue.ON)) as made:
        reader, waiting = made.connect(), made.connect()
        reader.send(request(STREAMED.replace(b"[]", b'[{"role":"user","content":"hi"}]')))
        await until(lambda: len(made.network.requests) == 1)
        made.network.transports[0].feed([HEAD, chunk(event("one"))])
        await until(lambda: b"one" in reader.written)
        [exchange] = made.state.open
        exchange.wake(monotonic() + 5.0)
        await until(lambda: len(made.network.requests) == 2)
        waiting.send(request(b'{"model":"at-p","messages":[]}'))
        assert len(made.state.fleet.line) == 1
        made.network.transports[1].feed([HEAD, chunk(event("two"))])
        await until(lambda: waiting.statuses == [200])
        assert b"[DONE]" not in reader.written
        made.network.transports[1].feed([TAIL])
        await until(lambda: len(made.books.settled) == 2)
        assert b"two" in reader.written


async def test_sound_that_breaks_off_is_cut() -> None:
    """It has no place for a message: the caller sees that its end is missing."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n"
    async with bench([[head, chunk(b"ID3"), Ending.RESET]]) as made:
        client = made.connect()
        client.send(request(b'{"model":"m","input":"hi","voice":"alloy"}', b"/v1/audio/speech"))
        await until(lambda: client.is_closed)
        assert client.written.endswith(b"3\r\nID3\r\n")
        assert b"\r\ncontent-type: audio/mpeg\r\n" in client.written
        [settled] = made.books.settled
        assert settled.error_type


async def test_sound_passes_to_its_end() -> None:
    """As it comes, in the provider's own type."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n"
    async with bench([[head, chunk(b"ID3"), chunk(b"\0\1"), LAST_CHUNK]]) as made:
        client = made.connect()
        client.send(request(b'{"model":"m","input":"hi","voice":"alloy"}', b"/v1/audio/speech"))
        await until(lambda: client.written.endswith(b"0\r\n\r\n"))
        assert b"3\r\nID3\r\n2\r\n\0\1\r\n" in client.written
        assert not client.is_closed


async def test_a_stream_that_breaks_off_ends_with_an_error() -> None:
    """The rest of the answer is one event that says what happened, and the body ends as a whole one does."""
    async with bench([[HEAD, chunk(event("one")), Ending.RESET]], what=snapshot(max_retries=0)) as made:
        client = made.connect()
        client.send(request(STREAMED))
        await until(lambda: bool(made.books.settled))
        assert client.written.index(b"one") < client.written.index(b'"error":{')
        assert client.written.endswith(b"0\r\n\r\n")
        assert not client.is_closed
