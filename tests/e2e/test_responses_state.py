"""The Responses API's memory: chains, kept responses and work in the background, with OpenAI's SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio
from openai.types.responses import Response

from tests.e2e import sdk_matrix
from tests.e2e.callers import dial
from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, WAIT_SECONDS, Gateway, until
from tests.e2e.sdk_matrix import DIALECTS, model
from tests.fake_provider import REPLIES, FakeProvider, Script
from tests.fake_provider.play import Received
from tokenway.model.catalog import Dialect

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHERS = [each for each in DIALECTS if each is not Dialect.OPENAI_RESPONSES]
NATIVE = "openai_responses--text"
CHAT = "openai_chat--text"
SAID = "Grüße from the fake provider"
TOOLS: Any = [
    {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]
OUTPUT: Any = [{"type": "function_call_output", "call_id": "call_fake_1", "output": "It is sunny."}]


def sdk(gateway: Gateway, key: str = KEY) -> openai.AsyncOpenAI:
    """OpenAI's client without retries of its own."""
    return openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0, timeout=WAIT_SECONDS)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(five: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """The client of the module's gateway."""
    async with sdk(five) as made:
        yield made


def in_order(received: Received, *texts: str) -> None:
    """Fails unless these texts stand in what the upstream got, each once, in this order."""
    body = json.dumps(received.json, ensure_ascii=False)
    places = [body.find(text) for text in texts]
    assert -1 not in places, (texts, places, body)
    assert places == sorted(places), (places, body)
    assert [body.count(text) for text in texts] == [1] * len(texts), body


def said_in(item: Any) -> str:
    """The text of an item of the input."""
    text: str = item.content[0].text
    return text


def native(name: str, text: str) -> bytes:
    """What a provider of the Responses API answers, under an id of its own."""
    item = {
        "id": f"msg_{name}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    usage = {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 8,
    }
    shape = {
        "id": f"resp_{name}",
        "object": "response",
        "created_at": 1_760_000_000,
        "status": "completed",
        "model": "text",
        "output": [item],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    }
    return json.dumps(shape).encode()


# -- chains ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("upstream", OTHERS)
async def test_a_chain_of_three_turns(
    client: openai.AsyncOpenAI, provider: FakeProvider, upstream: Dialect, stream: bool
) -> None:
    """Each turn brings only what is new; the upstream gets all of it, calls and their outputs included."""

    async def turn(case: str, said: Any, previous: str | None = None) -> Response:
        more: dict[str, Any] = {} if previous is None else {"previous_response_id": previous}
        asked = {"model": model(upstream, case), "input": said, "tools": TOOLS, **more}
        if not stream:
            made: Response = await client.responses.create(**asked)
            return made
        *_, last = [event async for event in await client.responses.create(**asked, stream=True)]
        assert last.type == "response.completed"
        done: Response = last.response
        return done

    first = await turn("tools", "What is the weather?")
    second = await turn("text", OUTPUT, first.id)
    in_order(provider.requests[-1], "What is the weather?", "Let me look", "Zürich", "It is sunny.")
    assert second.previous_response_id == first.id
    third = await turn("text", "Thank you.", second.id)
    in_order(
        provider.requests[-1],
        *("What is the weather?", "Let me look", "Zürich", "It is sunny.", SAID, "Thank you."),
    )
    assert len({first.id, second.id, third.id}) == 3
    assert (await client.responses.retrieve(third.id)).output_text == third.output_text


async def test_a_chain_forks(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """Two responses may follow the same one; neither sees the other."""
    first = await client.responses.create(model=CHAT, input="One.")
    await client.responses.create(model=CHAT, input="Two.", previous_response_id=first.id)
    await client.responses.create(model=CHAT, input="Three.", previous_response_id=first.id)
    in_order(provider.requests[-1], "One.", SAID, "Three.")
    assert "Two." not in provider.requests[-1].body.decode()


async def test_instructions_hold_for_one_turn(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """As OpenAI has it: the instructions of the response before are not carried over."""
    first = await client.responses.create(model=CHAT, input="One.", instructions="Be brief.")
    assert "Be brief." in provider.requests[-1].body.decode()
    await client.responses.create(model=CHAT, input="Two.", previous_response_id=first.id, instructions="Be kind.")
    body = provider.requests[-1].body.decode()
    assert "Be brief." not in body
    assert "Be kind." in body


async def test_an_item_reference(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """An item that is only named by its id is put in where it is named."""
    first = await client.responses.create(model=model("openai_chat", "tools"), input="Weather?", tools=TOOLS)
    call = next(item for item in first.output if item.type == "function_call")
    said: Any = [{"type": "item_reference", "id": call.id}, *OUTPUT]
    await client.responses.create(model=CHAT, input=said, previous_response_id=first.id)
    assert provider.requests[-1].json["messages"][-1]["content"] == "It is sunny."
    wrong: Any = [{"type": "item_reference", "id": "msg_nobody"}]
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=CHAT, input=wrong, previous_response_id=first.id)
    assert caught.value.param == "input[0].id"


async def test_a_native_chain_passes_through(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """Where the provider keeps the response itself, the id goes there and nothing else is added."""
    provider.queue(Script(body=native("a1", "Alpha.")), Script(body=native("a2", "Beta.")))
    first = await client.responses.create(model=NATIVE, input="One.")
    assert first.id == "resp_a1"
    await client.responses.create(model=NATIVE, input="Two.", previous_response_id=first.id)
    assert provider.requests[-1].json == {"model": "text", "input": "Two.", "previous_response_id": "resp_a1"}


async def test_an_id_that_only_the_provider_knows_passes_through(
    client: openai.AsyncOpenAI, provider: FakeProvider
) -> None:
    """A chain that began before there was a gateway goes on at the provider that has it."""
    await client.responses.create(model=NATIVE, input="Two.", previous_response_id="resp_of_old")
    assert provider.requests[-1].json["previous_response_id"] == "resp_of_old"


@pytest.mark.parametrize("upstream", OTHERS)
async def test_a_native_chain_moves_away(client: openai.AsyncOpenAI, provider: FakeProvider, upstream: Dialect) -> None:
    """Asked of another dialect, what the provider kept is written out."""
    name = f"m{upstream}"
    provider.queue(Script(body=native(f"{name}1", "Alpha.")), Script(body=native(f"{name}2", "Beta.")))
    first = await client.responses.create(model=NATIVE, input="One.")
    second = await client.responses.create(model=NATIVE, input="Two.", previous_response_id=first.id)
    third = await client.responses.create(model=model(upstream, "text"), input="Three.", previous_response_id=second.id)
    in_order(provider.requests[-1], "One.", "Alpha.", "Two.", "Beta.", "Three.")
    assert third.previous_response_id == "resp_" + f"{name}2"


async def test_a_chain_moves_to_a_native_provider(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """It gets all of it and no id that it cannot know; from then on it has the chain itself."""
    first = await client.responses.create(model=CHAT, input="One.")
    provider.queue(Script(body=native("n1", "Alpha.")), Script(body=native("n2", "Beta.")))
    second = await client.responses.create(model=NATIVE, input="Two.", previous_response_id=first.id)
    sent = provider.requests[-1]
    in_order(sent, "One.", SAID, "Two.")
    assert "previous_response_id" not in sent.json
    await client.responses.create(model=NATIVE, input="Three.", previous_response_id=second.id)
    assert provider.requests[-1].json["previous_response_id"] == "resp_n1"
    await client.responses.create(model=CHAT, input="Four.", previous_response_id="resp_n2")
    in_order(provider.requests[-1], "One.", SAID, "Two.", "Alpha.", "Three.", "Beta.", "Four.")


# -- kept responses ----------------------------------------------------------------------------------------


async def test_a_kept_response(client: openai.AsyncOpenAI) -> None:
    """It is read as it was given, until it is deleted."""
    made = await client.responses.create(model=CHAT, input="One.", metadata={"team": "blue"})
    found = await client.responses.retrieve(made.id)
    assert found.model_dump() == made.model_dump()
    assert found.metadata == {"team": "blue"}
    await client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.delete(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=CHAT, input="Two.", previous_response_id=made.id)
    assert (caught.value.param, caught.value.code) == ("previous_response_id", "previous_response_not_found")


async def test_the_items_that_went_in(client: openai.AsyncOpenAI) -> None:
    """Newest first, or oldest first, in pages; each has an id by which it can be named."""
    said: Any = [{"role": "user", "content": text} for text in ("One.", "Two.", "Three.")]
    made = await client.responses.create(model=CHAT, input=said)
    newest = [item async for item in client.responses.input_items.list(made.id)]
    texts = [said_in(item) for item in newest]
    assert texts == ["Three.", "Two.", "One."]
    assert len({item.id for item in newest}) == 3
    page = await client.responses.input_items.list(made.id, limit=2, order="asc")
    assert [said_in(item) for item in page.data] == ["One.", "Two."]
    assert page.has_more
    last = await client.responses.input_items.list(made.id, limit=2, order="asc", after=str(page.data[-1].id))
    assert [said_in(item) for item in last.data] == ["Three."]
    assert not last.has_more
    with pytest.raises(openai.BadRequestError):
        await client.responses.input_items.list(made.id, limit=0)
    with pytest.raises(openai.NotFoundError):
        await client.responses.input_items.list("resp_nobody")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_not_to_be_kept(client: openai.AsyncOpenAI, stream: bool) -> None:
    """With `store: false` nothing is."""
    if stream:
        events = await client.responses.create(model=CHAT, input="One.", store=False, stream=True)
        *_, last = [event async for event in events]
        made: Response = last.response  # type: ignore[union-attr]
    else:
        made = await client.responses.create(model=CHAT, input="One.", store=False)
    assert made.model_dump()["store"] is False
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)


async def test_a_failed_answer_is_not_kept(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """A stream that broke gave no response to go on from."""
    provider.queue(Script(reply=REPLIES["text"], cut=3, gap=0.03))
    events = await client.responses.create(model=CHAT, input="One.", stream=True)
    *_, last = [event async for event in events]
    assert last.type == "response.failed"
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(last.response.id)


async def test_unknown_ids(http: httpx2.AsyncClient) -> None:
    """404 everywhere, in OpenAI's shape; a strange id is no error of the server."""
    for name in ("resp_nobody", "x" * 500, "%27;drop", "%00", "é"):
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
            answer = await http.request(method, f"/v1/responses/{name}{path}")
            assert answer.status_code == 404, (name, method, path)
            assert answer.json()["error"]["code"] == "response_not_found"


async def test_another_projects_response_is_not_there(launch: Launch, provider: FakeProvider) -> None:
    """Who asks with a key of another project is told that there is none; a key of the same project has it."""
    config = sdk_matrix.configuration(provider)
    config["auth"] = {
        "keys": [
            {"name": "a1", "key": "sk-a1-0123456789", "project": "a"},
            {"name": "a2", "key": "sk-a2-0123456789", "project": "a"},
            {"name": "b", "key": "sk-b-01234567890", "project": "b"},
        ]
    }
    gateway = await launch(config)
    async with (
        sdk(gateway, "sk-a1-0123456789") as mine,
        sdk(gateway, "sk-a2-0123456789") as ours,
        sdk(gateway, "sk-b-01234567890") as theirs,
    ):
        made = await mine.responses.create(model=CHAT, input="One.")
        assert (await ours.responses.retrieve(made.id)).id == made.id
        for call in (theirs.responses.retrieve, theirs.responses.delete, theirs.responses.cancel):
            with pytest.raises(openai.NotFoundError):
                await call(made.id)
        with pytest.raises(openai.NotFoundError):
            await theirs.responses.input_items.list(made.id)
        with pytest.raises(openai.BadRequestError):
            await theirs.responses.create(model=CHAT, input="Two.", previous_response_id=made.id)
        assert (await mine.responses.retrieve(made.id)).id == made.id


async def test_a_gateway_that_keeps_nothing(launch: Launch, provider: FakeProvider) -> None:
    """With a retention of nothing there is nothing to go on from, and no work in the background."""
    gateway = await launch(sdk_matrix.configuration(provider, responses={"retention": "0s"}))
    async with sdk(gateway) as client:
        made = await client.responses.create(model=CHAT, input="One.")
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(made.id)
        with pytest.raises(openai.BadRequestError) as chained:
            await client.responses.create(model=CHAT, input="Two.", previous_response_id=made.id)
        assert chained.value.code == "previous_response_not_found"
        with pytest.raises(openai.BadRequestError) as behind:
            await client.responses.create(model=CHAT, input="Two.", background=True)
        assert behind.value.param == "background"


async def test_a_restart_in_between(launch: Launch, provider: FakeProvider) -> None:
    """What was kept is there after a restart, for a chain too."""
    gateway = await launch(sdk_matrix.configuration(provider))
    async with sdk(gateway) as client:
        first = await client.responses.create(model=CHAT, input="One.")
    assert await gateway.stop() == 0
    await gateway.start()
    async with sdk(gateway) as client:
        await client.responses.create(model=CHAT, input="Two.", previous_response_id=first.id)
        in_order(provider.requests[-1], "One.", SAID, "Two.")


@pytest.mark.slow
async def test_two_workers_share_one_memory(launch: Launch, provider: FakeProvider) -> None:
    """Whoever serves the next turn knows the one before, at once."""
    gateway = await launch(sdk_matrix.configuration(provider, server={"workers": 2}))

    async def chat(number: int) -> None:
        previous: Any = openai.omit
        for turn in range(5):
            async with sdk(gateway) as client:  # a connection of its own: any worker may get it
                said = f"Turn {turn} of {number}."
                made = await client.responses.create(model=CHAT, input=said, previous_response_id=previous)
                previous = made.id
        async with sdk(gateway) as client:
            items = await client.responses.input_items.list(str(previous))
            assert said_in(items.data[0]) == f"Turn 4 of {number}."

    await asyncio.gather(*(chat(number) for number in range(12)))
    last = [received for received in provider.requests if b"Turn 4 of" in received.body]
    for received in last:
        texts = [message["content"] for message in received.json["messages"] if message["role"] == "user"]
        assert [str(text)[:6] for text in texts] == [f"Turn {turn}" for turn in range(5)]
    assert len(last) == 12


# -- in the background -------------------------------------------------------------------------------------


async def settled(client: openai.AsyncOpenAI, name: str) -> Response:
    """The response when it is not under way any more."""
    found: list[Response] = []

    async def look() -> bool:
        found[:] = [await client.responses.retrieve(name)]
        return found[0].status not in {"queued", "in_progress"}

    await until(look)
    return found[0]


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


async def test_a_background_stream_is_a_stream(client: openai.AsyncOpenAI) -> None:
    """Who streams waits; it is kept like any other."""
    events = await client.responses.create(model=CHAT, input="One.", background=True, stream=True)
    *_, last = [event async for event in events]
    assert last.type == "response.completed"
    assert (await client.responses.retrieve(last.response.id)).status == "completed"


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
        assert (await client.responses.retrieve(begun.id)).status in {"cancelled", "failed"}
    assert not gateway.reservations()
