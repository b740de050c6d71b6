"""The engine's HTTP side, through a real server on a Unix socket and the official SDK."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import uvicorn

from tests.unit.local.scripted import ScriptedModel
from tokenway.aio.tasks import Tasks
from tokenway.local.app import WAITING_MAX, LocalApp, Served
from tokenway.local.child import listen
from tokenway.local.models import CHAT_MODEL, EMBED_MODEL
from tokenway.local.requests import PARALLEL
from tokenway.local.slots import Slots

KEY = "secret-of-the-engine"
HI: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def model() -> ScriptedModel:
    """What the engine runs."""
    return ScriptedModel()


@pytest.fixture
def slots() -> Slots:
    """The line in front of the chat model."""
    return Slots(PARALLEL, WAITING_MAX)


@pytest.fixture
async def http(tmp_path: Path, model: ScriptedModel, slots: Slots) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the running application."""
    served = [Served(CHAT_MODEL, chat=model, slots=slots), Served(EMBED_MODEL, embed=model)]
    config = uvicorn.Config(LocalApp(served, KEY), lifespan="off", ws="none", log_level="warning")
    server = uvicorn.Server(config)
    tasks = Tasks(lambda name, error: pytest.fail(f"{name}: {error!r}"))
    path = tmp_path / "s"
    listener = listen(path)
    running = tasks.start("server", server._serve([listener]))
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    async with httpx2.AsyncClient(transport=transport, base_url="http://engine") as client:
        yield client
    model.go.set()
    server.should_exit = True
    await running
    listener.close()


@pytest.fixture
def sdk(http: httpx2.AsyncClient) -> openai.AsyncOpenAI:
    """The official client, with the right key and no retries."""
    return openai.AsyncOpenAI(base_url="http://engine/v1", api_key=KEY, http_client=http, max_retries=0)


async def until(slots: Slots, running: int, waiting: int = 0) -> None:
    """Returns when the line is in this state."""
    async with asyncio.timeout(20):
        while (slots.running, slots.waiting) != (running, waiting):  # noqa: ASYNC110 - the line has no event
            await asyncio.sleep(0.005)


async def test_health_needs_no_key_and_everything_else_does(http: httpx2.AsyncClient) -> None:
    """A wrong key is a 401 in OpenAI's shape."""
    health = await http.get("/health")
    assert health.json()["models"]["local"] == {"running": 0, "waiting": 0}
    for headers in ({}, {"authorization": "Bearer wrong"}):
        answer = await http.get("/v1/models", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"


async def test_models_say_what_they_are(sdk: openai.AsyncOpenAI) -> None:
    """The demonstration model is called one."""
    models = (await sdk.models.list()).data
    assert [one.id for one in models] == ["smollm2-135m-instruct", "all-minilm-l6-v2"]
    assert "Demonstration model" in str(models[0].model_extra)


@pytest.mark.parametrize("name", ["local", "smollm2-135m-instruct"])
async def test_a_conversation_is_answered(sdk: openai.AsyncOpenAI, name: str) -> None:
    """Either name reaches the model, and the counts are the runtime's."""
    answer = await sdk.chat.completions.create(model=name, messages=HI)
    assert answer.choices[0].message.content == "one two three"
    assert answer.model == "smollm2-135m-instruct"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 3)


@pytest.mark.parametrize("with_usage", [True, False])
async def test_a_stream_has_usage_only_when_asked(sdk: openai.AsyncOpenAI, *, with_usage: bool) -> None:
    """The last chunk carries it, the others a null; without the wish there is no trace of it."""
    options: Any = {"include_usage": True} if with_usage else openai.omit
    stream = await sdk.chat.completions.create(model="local", messages=HI, stream=True, stream_options=options)
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "one two three"
    assert [chunk.usage is not None for chunk in chunks].count(True) == with_usage
    assert all(("usage" in chunk.model_fields_set) == with_usage for chunk in chunks)


async def test_a_stream_arrives_as_it_is_made(sdk: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    """The first chunk is here while the model waits to go on."""
    model.go.clear()
    stream = await sdk.chat.completions.create(model="local", messages=HI, stream=True)
    first = await anext(aiter(stream))
    assert first.choices[0].delta.role == "assistant"
    model.go.set()
    assert [chunk async for chunk in stream][-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_who_leaves_stops_the_model(
    http: httpx2.AsyncClient, model: ScriptedModel, slots: Slots, *, stream: bool
) -> None:
    """The generation ends at its next token, and its slot is free again."""
    model.words = ["word "] * 100_000
    body = {"model": "local", "messages": HI, "stream": stream, "max_tokens": 100_000}
    model.go.clear()
    tasks = Tasks(lambda _name, _error: None)
    caller = tasks.start("caller", http.post("/v1/chat/completions", json=body, headers=bearer()))
    await until(slots, 1)
    caller.cancel()
    model.go.set()
    await until(slots, 0)
    assert model.stopped.is_set()


async def test_a_caller_who_leaves_the_line_is_forgotten(
    sdk: openai.AsyncOpenAI, model: ScriptedModel, slots: Slots
) -> None:
    """Who waits for a slot and goes never reaches the model."""
    model.go.clear()
    tasks = Tasks(lambda _name, _error: None)
    running = [tasks.start("call", sdk.chat.completions.create(model="local", messages=HI)) for _ in range(PARALLEL)]
    await until(slots, PARALLEL)
    leaving = tasks.start("call", sdk.chat.completions.create(model="local", messages=HI))
    await until(slots, PARALLEL, 1)
    leaving.cancel()
    await until(slots, PARALLEL)
    model.go.set()
    await asyncio.gather(*running)
    await until(slots, 0)
    assert len(model.tasks) == PARALLEL


async def test_a_full_line_is_a_503_that_says_when(sdk: openai.AsyncOpenAI, model: ScriptedModel, slots: Slots) -> None:
    """Running and waiting requests are served all the same."""
    model.go.clear()
    tasks = Tasks(lambda _name, _error: None)
    count = PARALLEL + WAITING_MAX
    calls = [tasks.start("call", sdk.chat.completions.create(model="local", messages=HI)) for _ in range(count)]
    await until(slots, PARALLEL, WAITING_MAX)
    with pytest.raises(openai.InternalServerError) as caught:
        await sdk.chat.completions.create(model="local", messages=HI)
    assert (caught.value.status_code, caught.value.code) == (503, "local_engine_busy")
    assert int(caught.value.response.headers["retry-after"]) > 0
    model.go.set()
    answers = await asyncio.gather(*calls)
    assert {answer.choices[0].finish_reason for answer in answers} == {"stop"}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_before_the_first_chunk_is_a_plain_error(
    sdk: openai.AsyncOpenAI, model: ScriptedModel, slots: Slots, *, stream: bool
) -> None:
    """Also for a stream the status says it, with OpenAI's code for a prompt that is too long."""
    model.error = {"code": 400, "message": "request exceeds the available context size (4096 tokens)"}
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(model="local", messages=HI, stream=stream)
    assert caught.value.code == "context_length_exceeded"
    await until(slots, 0)


async def test_a_failure_within_a_stream_is_told_in_the_stream(sdk: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    """The SDK raises, so that nobody takes the beginning for the whole."""
    model.error, model.error_late = {"code": 500, "message": "out of memory"}, True
    stream = await sdk.chat.completions.create(model="local", messages=HI, stream=True)
    with pytest.raises(openai.APIError, match="out of memory"):
        _ = [chunk async for chunk in stream]


async def test_a_forced_call_streams_as_tool_calls(sdk: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    """Name and id come first, then the arguments, then the reason."""
    model.words = ['{"name": "ping", "argu', 'ments": {"a"', ": 1}}"]
    tool: Any = {"type": "function", "function": {"name": "ping"}}
    stream = await sdk.chat.completions.create(
        model="local", messages=HI, tools=[tool], tool_choice="required", stream=True
    )
    calls, finish = [], None
    async for chunk in stream:
        calls += chunk.choices[0].delta.tool_calls or []
        finish = chunk.choices[0].finish_reason or finish
    assert calls[0].id is not None
    assert calls[0].id.startswith("call_")
    assert calls[0].function is not None
    assert calls[0].function.name == "ping"
    assert "".join(call.function.arguments or "" for call in calls if call.function) == '{"a": 1}'
    assert finish == "tool_calls"


async def test_text_is_completed(sdk: openai.AsyncOpenAI) -> None:
    """Whole and streamed give the same text."""
    whole = await sdk.completions.create(model="local", prompt="Count")
    stream = await sdk.completions.create(model="local", prompt="Count", stream=True)
    streamed = "".join([chunk.choices[0].text async for chunk in stream])
    assert whole.choices[0].text == streamed == "one two three"


async def test_embeddings_in_both_encodings(sdk: openai.AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    """The SDK asks for base64 by itself; the numbers are the same."""
    texts = ["a" * size for size in range(1, 40)]
    answer = await sdk.embeddings.create(model="local-embed", input=texts)
    assert [row.embedding[0] for row in answer.data] == [float(size) for size in range(1, 40)]
    assert answer.usage.total_tokens == 39
    body = {"model": "local-embed", "input": "abc", "encoding_format": "base64"}
    raw = (await http.post("/v1/embeddings", json=body, headers=bearer())).json()["data"][0]["embedding"]
    assert struct.unpack("<384f", base64.b64decode(raw))[:2] == (3.0, 0.0)


async def test_an_over_long_text_is_cut_before_it_is_embedded(sdk: openai.AsyncOpenAI) -> None:
    """The model sees at most as much as it can take."""
    answer = await sdk.embeddings.create(model="local-embed", input="word " * 2000)
    assert answer.data[0].embedding[0] == float(len("word " * 510) - 1)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/chat/completions", {"model": "gpt-9", "messages": HI}, 404, "model_not_found"),
        ("/v1/chat/completions", {"model": "local-embed", "messages": HI}, 400, None),
        ("/v1/embeddings", {"model": "local", "input": "a"}, 400, None),
        ("/v1/embeddings", {"model": "local-embed", "input": "a", "dimensions": 12}, 400, None),
        ("/v1/nothing", {}, 404, "not_found"),
    ],
)
async def test_wrong_requests_are_answered_in_openais_shape(
    http: httpx2.AsyncClient, path: str, body: dict[str, Any], status: int, code: str | None
) -> None:
    """Every error has message, type, param and code."""
    answer = await http.post(path, json=body, headers=bearer())
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code


def bearer() -> dict[str, str]:
    """The header with the key."""
    return {"authorization": f"Bearer {KEY}"}
