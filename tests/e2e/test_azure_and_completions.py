"""Azure's paths and credential, the other prefixes of OpenAI's API, and legacy completions asked for as chat."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio

from tests.e2e import sdk_matrix
from tests.e2e.callers import CHAT, dial, problem_of
from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, PRICE, WAIT_SECONDS, Gateway, configuration
from tests.e2e.sdk_matrix import DIALECTS, RATES, model
from tests.fake_provider import REPLIES, FakeProvider, Script
from tokenway.model.catalog import Dialect

pytestmark = pytest.mark.asyncio(loop_scope="module")

HI: Any = [{"role": "user", "content": "Say hello."}]
SAID = "Grüße from the fake provider, 你好 👋🏽.\n\nIt speaks “plain” text."


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def azure(five: Gateway) -> AsyncIterator[openai.AsyncAzureOpenAI]:
    """Azure's client, which puts the model into the path and the key into `api-key`."""
    made = openai.AsyncAzureOpenAI(
        azure_endpoint=five.base_url.removesuffix("/v1"),
        api_key=KEY,
        api_version="2024-10-21",
        max_retries=0,
        timeout=WAIT_SECONDS,
    )
    async with made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(five: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client."""
    async with openai.AsyncOpenAI(base_url=five.base_url, api_key=KEY, max_retries=0, timeout=WAIT_SECONDS) as made:
        yield made


# -- Azure -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", DIALECTS)
async def test_azures_client_chats(azure: openai.AsyncAzureOpenAI, provider: FakeProvider, upstream: Dialect) -> None:
    """Whole and streamed, with every upstream."""
    name = model(upstream, "text")
    answer = await azure.chat.completions.create(model=name, messages=HI)
    assert answer.choices[0].message.content == SAID
    assert provider.requests[-1].ask.model == "text"
    assert "api-version" not in provider.requests[-1].path
    stream = await azure.chat.completions.create(model=name, messages=HI, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == SAID


async def test_azures_other_operations(azure: openai.AsyncAzureOpenAI, provider: FakeProvider) -> None:
    """Embeddings, completions and images by deployment; responses and models without one."""
    name = model("openai_chat", "text")
    provider.queue(Script())
    assert len((await azure.embeddings.create(model=name, input="alpha")).data) == 1
    provider.queue(Script())
    assert (await azure.completions.create(model=name, prompt="hi")).choices[0].text == "w0 w1 w2 w3 "
    assert (await azure.images.generate(model=name, prompt="A lake.")).data
    assert provider.requests[-1].json["model"] == "text"
    answer = await azure.responses.create(model=name, input="hi")
    assert answer.output_text == SAID
    assert (await azure.responses.retrieve(answer.id)).output_text == SAID
    assert name in [each.id async for each in azure.models.list()]


async def test_a_form_at_a_deployment(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """Azure's forms need no model; the upstream is told its own name for it, whatever the form says."""
    name = model("openai_chat", "text")
    path = f"/openai/deployments/{name}/audio/transcriptions?api-version=2024-10-21"
    for data in ({}, {"model": "whisper-1"}):
        answer = await http.post(path, data=data, files={"file": ("a.wav", b"RIFF", "audio/wav")})
        assert answer.json()["text"] == SAID
        assert provider.requests[-1].ask.model == "text"


async def test_a_body_at_a_deployment(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """The path's model counts, with or without one in the body."""
    path = f"/openai/deployments/{model('openai_chat', 'text')}/chat/completions?api-version=2024-10-21"
    for body in ({}, {"model": "gpt-4o"}, {"model": None}):
        answer = await http.post(path, json=body | {"messages": HI})
        assert answer.status_code == 200, answer.text
        assert provider.requests[-1].json["model"] == "text"
        assert answer.headers["x-tokenway-model"] == model("openai_chat", "text")


async def test_azures_errors(five: Gateway, azure: openai.AsyncAzureOpenAI) -> None:
    """Unknown deployments and keys, in OpenAI's shape."""
    with pytest.raises(openai.NotFoundError):
        await azure.chat.completions.create(model="nobody", messages=HI)
    wrong = openai.AsyncAzureOpenAI(
        azure_endpoint=five.base_url.removesuffix("/v1"), api_key="sk-nobody", api_version="2024-10-21", max_retries=0
    )
    async with wrong:
        with pytest.raises(openai.AuthenticationError):
            await wrong.chat.completions.create(model=model("openai_chat", "text"), messages=HI)


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", "/openai/v1"])
async def test_the_prefixes_are_the_same(five: Gateway, prefix: str) -> None:
    """OpenAI's client works at each of them: chat, responses with their memory, lists."""
    base_url = five.base_url.removesuffix("/v1") + prefix
    async with openai.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client:
        name = model("anthropic", "text")
        answer = await client.chat.completions.create(model=name, messages=HI)
        assert answer.choices[0].message.content == SAID
        response = await client.responses.create(model=name, input="hi")
        assert (await client.responses.retrieve(response.id)).output_text == SAID
        assert (await client.responses.input_items.list(response.id)).data
        await client.responses.delete(response.id)
        assert name in [each.id async for each in client.models.list()]
        assert (await client.models.retrieve(name)).id == name


# -- legacy completions -------------------------------------------------------------------------------------


async def test_completions_pass(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """Where the provider has them they are asked for as they are."""
    provider.queue(Script())
    answer = await client.completions.create(model=model("openai_chat", "text"), prompt="hi", max_tokens=5)
    assert answer.choices[0].text == "w0 w1 w2 w3 "
    assert provider.requests[-1].path == "/v1/completions"


@pytest.mark.parametrize("upstream", [each for each in DIALECTS if each is not CHAT])
async def test_completions_of_other_dialects(
    client: openai.AsyncOpenAI, provider: FakeProvider, upstream: Dialect
) -> None:
    """The prompt is a user's message; the answer has the old shape, whole and streamed."""
    name = model(upstream, "text")
    answer = await client.completions.create(model=name, prompt="Once upon a time", max_tokens=50)
    assert answer.object == "text_completion"
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (SAID, "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 7)
    assert "Once upon a time" in provider.requests[-1].body.decode()
    stream = await client.completions.create(
        model=name, prompt="Once upon a time", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == SAID
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 7


async def test_a_chat_only_endpoint(launch: Launch, provider: FakeProvider) -> None:
    """With `capabilities: {completions: false}` an endpoint of OpenAI's own dialect is asked for chat."""
    config = configuration(provider.base_url)
    endpoint = {"provider": "lab", "model": "text", "price": PRICE, "capabilities": {"completions": False}}
    config["models"]["mock"]["endpoints"] = [endpoint]
    gateway = await launch(config)
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client:
        raw = await client.completions.with_raw_response.create(model="mock", prompt="hi", stop=["END"], n=2, echo=True)
        answer = raw.parse()
        assert provider.requests[-1].path == "/v1/chat/completions"
        assert provider.requests[-1].json["messages"] == [{"role": "user", "content": "hi"}]
        assert provider.requests[-1].json["n"] == 2
        assert answer.object == "text_completion"
        assert answer.choices[0].text == SAID
        assert raw.headers["x-tokenway-dropped"] == "echo"
        chat = await client.chat.completions.create(model="mock", messages=HI)
        assert chat.object == "chat.completion"
        provider.queue(Script(reply=REPLIES["text"], cut=3, gap=0.03))
        stream = await client.completions.create(model="mock", prompt="hi", stream=True)
        with pytest.raises(openai.APIError):
            _ = [chunk async for chunk in stream]


@pytest.mark.parametrize("prompt", [["one", "two"], [1, 2, 3], [[1, 2]], 7, None])
async def test_prompts_that_are_no_message(http: httpx2.AsyncClient, prompt: Any) -> None:
    """Several prompts, and tokens, are for providers that have completions."""
    answer = await http.post("/v1/completions", json={"model": model("anthropic", "text"), "prompt": prompt})
    assert answer.status_code == 400
    assert problem_of(CHAT, answer.json()).param == "prompt"


async def test_several_completions(client: openai.AsyncOpenAI, provider: FakeProvider, five: Gateway) -> None:
    """`n` of an upstream that gives one: as many calls, in the old shape."""
    before = len(provider.requests)
    raw = await client.completions.with_raw_response.create(model=model("anthropic", "text"), prompt="hi", n=2)
    answer = raw.parse()
    assert [(each.index, each.text) for each in answer.choices] == [(0, SAID), (1, SAID)]
    assert answer.object == "text_completion"
    assert len(provider.requests) == before + 2
    counts = REPLIES["text"].counts
    assert counts is not None
    assert round(float(raw.headers["x-tokenway-cost"]) * 1e9) == 2 * RATES.cost(counts)
    stream = await client.completions.create(model=model("anthropic", "text"), prompt="hi", n=2, stream=True)
    texts = ["", ""]
    async for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [SAID, SAID]


async def test_fallback_from_completions_to_chat(launch: Launch, provider: FakeProvider) -> None:
    """An endpoint that has them first, a chat of another dialect when it fails."""
    config = sdk_matrix.configuration(provider)
    config["models"]["mock"] = {
        "endpoints": [{"provider": "lab-openai_chat", "model": "text"}, {"provider": "lab-gemini", "model": "text"}]
    }
    gateway = await launch(config)
    provider.queue(Script(status=500, error="Broken."))
    async with dial(gateway) as http:
        answer = await http.post("/v1/completions", json={"model": "mock", "prompt": "hi"})
    assert answer.json()["choices"][0]["text"] == SAID
    assert answer.json()["object"] == "text_completion"
    assert answer.headers["x-tokenway-endpoint"] == "lab-gemini/text"
