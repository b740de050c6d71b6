"""Responses in the background, and the streams of responses, with OpenAI's SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio

from tests.e2e import sdk_matrix
from tests.e2e.callers import dial
from tests.e2e.conftest import Launch
from tests.e2e.gateway import Gateway, until
from tests.e2e.memory import CHAT, NATIVE, SAID, TOOLS, in_order, sdk, settled
from tests.e2e.sdk_matrix import DIALECTS, model
from tests.fake_provider import REPLIES, FakeProvider, Script
from tokenway.model.catalog import Dialect

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(five: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """The client of the module's gateway."""
    async with sdk(five) as made:
        yield made


# -- in the background -------------------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", DIALECTS)
async def test_work_in_the_background(
    client: openai.AsyncOpenAI, provider: FakeProvider, five: Gateway, upstream: Dialect
) -> None:
    """The caller gets a response that is under way, then asks until it is there; it is billed as any other."""
    provider.queue(Script(reply=REPLIES["text"], delay=0.5))
    raw = await client.responses.with_raw_response.create(model=model(upstream, "text"), input="One.", background=True)
    begun = raw.parse()
    assert begun.status in {"queued", "in_progress"}
    assert begun.background is True
    assert begun.output == []
    assert (await client.responses.retrieve(begun.id)).status in {"queued", "in_progress"}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=CHAT, input="Two.", previous_response_id=begun.id)
    assert caught.value.code == "response_not_ready"
    done = await settled(client, begun.id)
    assert done.status == "completed"
    assert done.background is True
    assert done.id == begun.id
    assert SAID in done.output_text
    assert "background" not in provider.requests[-1].json
    entry = await five.entry(raw.headers["x-generation-id"])
    assert (entry.settlement, entry.status, entry.charged) == ("delivered", 200, 11 * 1000 + 7 * 4000)
    await client.responses.create(model=CHAT, input="Two.", previous_response_id=begun.id)
    in_order(provider.requests[-1], "One.", SAID, "Two.")
    assert (await client.responses.cancel(begun.id)).status == "completed"


async def test_background_work_is_cancelled(client: openai.AsyncOpenAI, provider: FakeProvider, five: Gateway) -> None:
    """The upstream is left at once, and the response says so from then on."""
    provider.queue(Script(reply=REPLIES["text"], delay=30))
    begun = await client.responses.create(model=CHAT, input="One.", background=True)
    await until(lambda: bool(provider.requests) and b"One." in provider.requests[-1].body)
    received = provider.requests[-1]
    cancelled = await client.responses.cancel(begun.id)
    assert cancelled.status == "cancelled"
    async with asyncio.timeout(5):
        await received.over.wait()
    assert (await settled(client, begun.id)).status == "cancelled"
    assert (await client.responses.cancel(begun.id)).status == "cancelled"
    await until(lambda: not five.reservations())


async def test_background_work_is_forgotten(client: openai.AsyncOpenAI, provider: FakeProvider, five: Gateway) -> None:
    """Nobody could ever see what comes of it: it ends, and nothing of it comes back."""
    provider.queue(Script(reply=REPLIES["text"], delay=30))
    begun = await client.responses.create(model=CHAT, input="Forget me.", background=True)
    await until(lambda: bool(provider.requests) and b"Forget me." in provider.requests[-1].body)
    await client.responses.delete(begun.id)
    async with asyncio.timeout(5):
        await provider.requests[-1].over.wait()
    await until(lambda: not five.reservations())
    for call in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
        with pytest.raises(openai.NotFoundError):
            await call(begun.id)


async def test_only_background_work_is_cancelled(client: openai.AsyncOpenAI) -> None:
    """A response that its caller waited for has ended already."""
    made = await client.responses.create(model=CHAT, input="One.")
    with pytest.raises(openai.BadRequestError):
        await client.responses.cancel(made.id)


@pytest.mark.parametrize("upstream", DIALECTS)
async def test_background_work_fails(client: openai.AsyncOpenAI, provider: FakeProvider, upstream: Dialect) -> None:
    """What its caller would have been told is the response's error."""
    provider.queue(Script(status=500, error="The fake provider is broken."))
    begun = await client.responses.create(model=model(upstream, "text"), input="One.", background=True)
    done = await settled(client, begun.id)
    assert done.status == "failed"
    assert done.error is not None
    assert "The fake provider is broken" in done.error.message


async def test_a_wrong_request_in_the_background_is_refused_at_once(client: openai.AsyncOpenAI) -> None:
    """Nothing is kept of what could never be served."""
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="nobody", input="One.", background=True)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=CHAT, input="One.", background=True, store=False)
    assert caught.value.param == "background"


@pytest.mark.slow
async def test_background_work_whose_worker_dies(launch: Launch, provider: FakeProvider) -> None:
    """It has failed, and says so; its reservation expires."""
    gateway = await launch(sdk_matrix.configuration(provider))
    provider.queue(Script(reply=REPLIES["text"], delay=60))
    async with sdk(gateway) as client:
        begun = await client.responses.create(model=CHAT, input="One.", background=True)
        (worker,) = gateway.workers()
        worker.kill()
        await until(lambda: [each.pid for each in gateway.workers()] not in ([], [worker.pid]))

    async def has_failed() -> bool:
        async with dial(gateway) as http:
            try:
                answer = await http.get(f"/v1/responses/{begun.id}")
            except httpx2.TransportError:
                return False
            return bool(answer.json().get("status") == "failed" and answer.json()["error"]["message"])

    await until(has_failed)


@pytest.mark.slow
async def test_background_work_of_a_gateway_that_dies(launch: Launch, provider: FakeProvider) -> None:
    """After the next start it has failed: nobody is at work on it any more."""
    gateway = await launch(sdk_matrix.configuration(provider))
    provider.queue(Script(reply=REPLIES["text"], delay=60))
    async with sdk(gateway) as client:
        begun = await client.responses.create(model=CHAT, input="One.", background=True)
        assert (await client.responses.retrieve(begun.id)).status == "in_progress"
    await gateway.kill()
    await gateway.start()
    async with sdk(gateway) as client:
        found = await client.responses.retrieve(begun.id)
        assert found.status == "failed"
        assert found.error is not None
        assert found.error.message == "The process that made this response ended."
        stream = await client.responses.retrieve(begun.id, stream=True, starting_after=40)
        assert [(event.sequence_number, event.type) for event in await told(stream)] == [(41, "response.failed")]
        assert (await client.responses.cancel(begun.id)).status == "failed"


@pytest.mark.slow
async def test_background_work_is_finished_before_a_stop(launch: Launch, provider: FakeProvider) -> None:
    """A drain waits for it as for an open stream."""
    gateway = await launch(sdk_matrix.configuration(provider))
    provider.queue(Script(reply=REPLIES["text"], delay=2))
    async with sdk(gateway) as client:
        begun = await client.responses.create(model=CHAT, input="One.", background=True)
    assert await gateway.stop() == 0
    await gateway.start()
    async with sdk(gateway) as client:
        assert SAID in (await client.responses.retrieve(begun.id)).output_text


@pytest.mark.slow
async def test_background_work_that_outlasts_the_drain(launch: Launch, provider: FakeProvider) -> None:
    """It is given up at the end of the drain, and nobody is told that it goes on."""
    gateway = await launch(sdk_matrix.configuration(provider, server={"drain": "1s"}))
    provider.queue(Script(reply=REPLIES["text"], delay=60))
    async with sdk(gateway) as client:
        begun = await client.responses.create(model=CHAT, input="One.", background=True)
    assert await gateway.stop() == 0
    await gateway.start()
    async with sdk(gateway) as client:
        found = await client.responses.retrieve(begun.id)
        assert (found.status, found.output) == ("failed", [])
        assert found.error is not None
        assert found.error.message == "The gateway was stopped before this response was made."
    assert not gateway.reservations()


# -- streams -----------------------------------------------------------------------------------------------


def open_wide(gate: asyncio.Semaphore) -> None:
    """Lets a provider send all that is left."""
    for _ in range(100):
        gate.release()


async def told(stream: openai.AsyncStream[Any]) -> list[Any]:
    """All events of a stream."""
    return [event async for event in stream]


@pytest.mark.parametrize("case", ["text", "reasoning", "tools"])
@pytest.mark.parametrize("upstream", DIALECTS)
async def test_a_background_stream(client: openai.AsyncOpenAI, upstream: Dialect, case: str) -> None:
    """It is followed as it is made, told again as it was, and gone on with from any place."""
    asked: Any = {"model": model(upstream, case), "input": "One.", "tools": TOOLS if case == "tools" else []}
    live = await told(await client.responses.create(**asked, background=True, stream=True))
    assert [event.sequence_number for event in live] == list(range(len(live)))
    assert [event.type for event in live][:2] == ["response.created", "response.in_progress"]
    assert live[-1].type == "response.completed"
    name = live[0].response.id
    done = live[-1].response
    assert (live[0].response.background, done.background, done.id) == (True, True, name)
    assert (await client.responses.retrieve(name)).model_dump() == done.model_dump()
    assert await told(await client.responses.retrieve(name, stream=True)) == live
    assert await told(await client.responses.retrieve(name, stream=True, starting_after=4)) == live[5:]
    async with client.responses.stream(response_id=name, starting_after=4) as stream:
        helped = [event async for event in stream]
        assert helped[0].sequence_number == 5
        assert (await stream.get_final_response()).output_text == done.output_text


@pytest.mark.parametrize("case", ["text", "reasoning", "tools", "refusal"])
@pytest.mark.parametrize("upstream", DIALECTS)
async def test_the_stream_of_a_response_that_was_waited_for(
    client: openai.AsyncOpenAI, upstream: Dialect, case: str
) -> None:
    """It is made of the response, and ends with it; the SDK gathers the same from it."""
    made = await client.responses.create(model=model(upstream, case), input="One.", tools=TOOLS)
    events = await told(await client.responses.retrieve(made.id, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", f"response.{made.status}")
    assert events[-1].response.model_dump() == made.model_dump()
    items = [event.item.model_dump() for event in events if event.type == "response.output_item.done"]
    assert items == [item.model_dump() for item in made.output]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == made.output_text
    async with client.responses.stream(response_id=made.id) as stream:
        gathered: list[Any] = [event async for event in stream]
    last = gathered[-1]
    assert (last.response.id, last.response.output_text) == (made.id, made.output_text)


@pytest.mark.parametrize("name", [CHAT, NATIVE])
async def test_a_caller_that_leaves_its_background_stream(
    client: openai.AsyncOpenAI, provider: FakeProvider, five: Gateway, name: str
) -> None:
    """The response is made to its end and paid for; who comes back goes on where it was, while it is made or after."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(reply=REPLIES["text"], gate=gate))
    raw = await client.responses.with_raw_response.create(model=name, input="One.", background=True, stream=True)
    stream: Any = raw.parse()
    seen = []
    async for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    identity = seen[0].response.id
    assert (await client.responses.retrieve(identity)).status == "in_progress"
    following = await client.responses.retrieve(identity, stream=True, starting_after=seen[-1].sequence_number)
    again = await client.responses.retrieve(identity, stream=True)
    left = await client.responses.retrieve(identity, stream=True)
    assert await anext(aiter(left)) == seen[0]
    await left.close()
    open_wide(gate)
    rest = await told(following)
    assert rest[0].sequence_number == seen[-1].sequence_number + 1
    assert rest[-1].type == "response.completed"
    assert SAID in rest[-1].response.output_text
    assert await told(again) == seen + rest
    later = await client.responses.retrieve(identity, stream=True, starting_after=seen[-1].sequence_number)
    assert await told(later) == rest
    entry = await five.entry(raw.headers["x-generation-id"])
    assert (entry.settlement, entry.status, entry.charged) == ("delivered", 200, 11 * 1000 + 7 * 4000)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_that_is_cancelled_is_paid_as_it_was_billed(
    client: openai.AsyncOpenAI, provider: FakeProvider, five: Gateway, stream: bool
) -> None:
    """What the provider had counted, here the prompt; its stream says so too, whoever follows it."""
    provider.queue(Script(reply=REPLIES["text"], gate=asyncio.Semaphore(1), prompt=11))
    asked: Any = {"model": model("anthropic", "text"), "input": "One.", "background": True}
    if stream:
        raw = await client.responses.with_raw_response.create(**asked, stream=True)
        events: Any = raw.parse()
    else:
        raw = await client.responses.with_raw_response.create(**asked)
        events = await client.responses.retrieve(raw.parse().id, stream=True)
    seen = []
    async for event in events:
        seen.append(event)
        if event.type == "response.output_text.delta":
            cancelled = await client.responses.cancel(seen[0].response.id)
            assert (cancelled.status, cancelled.id) == ("cancelled", seen[0].response.id)
    assert seen[-1].type == "response.cancelled"
    entry = await five.entry(raw.headers["x-generation-id"])
    assert (entry.settlement, entry.status, entry.prompt) == ("upstream_billed", 499, 11)
    assert entry.charged == entry.cost
    assert entry.charged > 0
    for _ in range(2):
        assert (await client.responses.cancel(seen[0].response.id)).status == "cancelled"
    assert await told(await client.responses.retrieve(seen[0].response.id, stream=True)) == seen


@pytest.mark.parametrize("name", [CHAT, NATIVE])
async def test_a_background_stream_that_fails(client: openai.AsyncOpenAI, provider: FakeProvider, name: str) -> None:
    """Its caller has had its beginning: the failure is an event, and is kept."""
    provider.queue(Script(status=500, error="The fake provider is broken."))
    events = await told(await client.responses.create(model=name, input="One.", background=True, stream=True))
    assert [event.type for event in events] == ["response.created", "response.in_progress", "response.failed"]
    assert "The fake provider is broken" in events[-1].response.error.message
    assert (await client.responses.retrieve(events[0].response.id)).status == "failed"
    assert await told(await client.responses.retrieve(events[0].response.id, stream=True)) == events


@pytest.mark.parametrize("name", [CHAT, NATIVE])
async def test_a_background_stream_that_breaks(client: openai.AsyncOpenAI, provider: FakeProvider, name: str) -> None:
    """What had come of it is told again, with its failure."""
    provider.queue(Script(reply=REPLIES["text"], cut=3, gap=0.03))
    events = await told(await client.responses.create(model=name, input="One.", background=True, stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.id == events[0].response.id
    assert "response.output_text.delta" in [event.type for event in events]
    assert await told(await client.responses.retrieve(events[0].response.id, stream=True)) == events


async def test_wrong_streams(client: openai.AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    """An id that is none, and a number that is none, are errors and no streams."""
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.responses.retrieve("resp_nobody", stream=True)
    assert unknown.value.code == "response_not_found"
    made = await client.responses.create(model=CHAT, input="One.")
    answer = await http.get(f"/v1/responses/{made.id}?stream=true&starting_after=x")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "starting_after")
    with pytest.raises(openai.BadRequestError):
        await client.responses.create(model=CHAT, input="One.", background=True, stream=True, store=False)
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="nobody", input="One.", background=True, stream=True)
    with pytest.raises(openai.NotFoundError):
        await client.responses.cancel("resp_nobody")


async def test_another_projects_stream_is_not_there(launch: Launch, provider: FakeProvider) -> None:
    """Neither while it is made nor after."""
    config = sdk_matrix.configuration(provider)
    config["auth"] = {
        "keys": [
            {"name": "a", "key": "sk-a-01234567890", "project": "a"},
            {"name": "b", "key": "sk-b-01234567890", "project": "b"},
        ]
    }
    gateway = await launch(config)
    gate = asyncio.Semaphore(1)
    provider.queue(Script(reply=REPLIES["text"], gate=gate))
    async with sdk(gateway, "sk-a-01234567890") as mine, sdk(gateway, "sk-b-01234567890") as theirs:
        begun = await mine.responses.create(model=CHAT, input="One.", background=True)
        for _ in range(2):
            with pytest.raises(openai.NotFoundError):
                await theirs.responses.retrieve(begun.id, stream=True)
            with pytest.raises(openai.NotFoundError):
                await theirs.responses.cancel(begun.id)
            open_wide(gate)
            assert (await settled(mine, begun.id)).status == "completed"


@pytest.mark.slow
async def test_two_workers_and_one_stream(launch: Launch, provider: FakeProvider) -> None:
    """Whichever worker is asked, the same events come, while it is made; any of them can end it."""
    gateway = await launch(sdk_matrix.configuration(provider, server={"workers": 2}))
    gate = asyncio.Semaphore(1)
    provider.queue(Script(reply=REPLIES["text"], gate=gate))
    async with sdk(gateway) as client:
        begun = await client.responses.create(model=CHAT, input="One.", background=True)

    async def follow(number: int) -> list[Any]:
        async with sdk(gateway) as client:  # a connection of its own: any worker may get it
            events = []
            async for event in await client.responses.retrieve(begun.id, stream=True):
                events.append(event)
                if event.type == "response.output_text.delta":
                    waiting.discard(number)
                    if not waiting:  # everybody has seen some of it before there is more
                        open_wide(gate)
            return events

    waiting = set(range(12))
    streams = await asyncio.gather(*(follow(number) for number in range(12)))
    assert streams[0][-1].type == "response.completed"
    assert all(stream == streams[0] for stream in streams)
    for _ in range(6):
        provider.queue(Script(reply=REPLIES["text"], delay=30))
        async with sdk(gateway) as client:
            begun = await client.responses.create(model=CHAT, input="Two.", background=True)
        async with sdk(gateway) as client:
            assert (await client.responses.cancel(begun.id)).status == "cancelled"
            assert (await client.responses.retrieve(begun.id)).status == "cancelled"
