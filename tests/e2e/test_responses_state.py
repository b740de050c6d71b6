"""The Responses API's memory: chains and kept responses, with OpenAI's SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio
from openai.types.responses import Response

from tests.e2e import sdk_matrix
from tests.e2e.conftest import Launch
from tests.e2e.gateway import Gateway
from tests.e2e.memory import CHAT, NATIVE, OTHERS, OUTPUT, SAID, TOOLS, in_order, native, said_in, sdk
from tests.e2e.sdk_matrix import model
from tests.fake_provider import REPLIES, FakeProvider, Script
from tokenway.model.catalog import Dialect

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(five: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """The client of the module's gateway."""
    async with sdk(five) as made:
        yield made


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
    for wrong in ({"limit": 0}, {"order": "up"}, {"after": "msg_nobody"}):
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.input_items.list(made.id, **wrong)
        assert caught.value.param == next(iter(wrong))
    following = await client.responses.create(model=CHAT, input="Four.", previous_response_id=made.id)
    every = await client.responses.input_items.list(
        following.id, order="asc", include=["message.output_text.logprobs"], limit=100
    )
    assert [said_in(item).partition(" ")[0] for item in every.data] == ["One.", "Two.", "Three.", "Grüße", "Four."]
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


# -- what else the API has ---------------------------------------------------------------------------------


async def test_a_conversation_is_compacted_by_a_provider_that_can(
    client: openai.AsyncOpenAI, provider: FakeProvider, five: Gateway
) -> None:
    """As it is, or with all of it where the provider has not kept it; it is paid, and no response to go on from."""
    raw = await client.responses.with_raw_response.compact(model=NATIVE, input="One.")
    made = raw.parse()
    received = provider.requests[-1]
    assert (received.path, received.json) == ("/v1/responses/compact", {"model": "text", "input": "One."})
    assert (made.object, made.output[0].type) == ("response.compaction", "compaction")
    entry = await five.entry(raw.headers["x-generation-id"])
    assert (entry.settlement, entry.charged) == ("delivered", 11 * 1000 + 7 * 4000)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)
    first = await client.responses.create(model=CHAT, input="One.")
    await client.responses.compact(model=NATIVE, previous_response_id=first.id)
    in_order(provider.requests[-1], "One.", SAID)


@pytest.mark.parametrize("upstream", OTHERS)
async def test_no_other_dialect_compacts(client: openai.AsyncOpenAI, upstream: Dialect) -> None:
    """What comes of it, only OpenAI can read."""
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.compact(model=model(upstream, "text"), input="One.")
    assert (caught.value.code, caught.value.param) == ("wrong_endpoint", "model")


async def test_conversations_are_not_kept(client: openai.AsyncOpenAI) -> None:
    """Who asks for one is told what there is in its place."""
    every: list[tuple[Any, dict[str, str]]] = [
        (client.conversations.create, {}),
        (client.conversations.retrieve, {"conversation_id": "conv_1"}),
        (client.conversations.delete, {"conversation_id": "conv_1"}),
        (client.conversations.items.list, {"conversation_id": "conv_1"}),
        (client.conversations.items.retrieve, {"item_id": "msg_1", "conversation_id": "conv_1"}),
    ]
    for call, names in every:
        with pytest.raises(openai.NotFoundError) as unknown:
            await call(**names)
        assert "'previous_response_id'" in unknown.value.message
    for upstream in OTHERS:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(model=model(upstream, "text"), input="One.", conversation="conv_1")
        assert caught.value.param == "conversation"
        assert "'previous_response_id'" in caught.value.message
