"""The embedded engine whole: supervisor, child, native runtime and real weights, through the official SDK.

The model is tiny and its words are not to be trusted, so nothing here asserts what it says; only that it says
something, in the right form, with the right counts, and that it stops when told.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import pytest
import pytest_asyncio

from tokenway.aio.tasks import Tasks
from tokenway.local.models import CHAT_WEIGHTS, locate, missing
from tokenway.local.probe import Machine, probe
from tokenway.local.supervise import EngineState, LocalEngine, Phase

LACKS = [*probe(Machine.this()), *missing()]
pytestmark = [
    pytest.mark.local,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(LACKS), reason=" ".join(LACKS) or "complete"),
]
HI: Any = [{"role": "user", "content": "Say hello."}]
LONG: Any = [{"role": "user", "content": "Count from one to one thousand, in words."}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["C", "F"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}


class Running:
    """An engine that is up, and a client for it."""

    def __init__(self, engine: LocalEngine, states: asyncio.Queue[EngineState]) -> None:
        self.engine = engine
        self.states = states
        path = engine.state.base_url.removeprefix("unix:").removesuffix(":/v1")
        self.http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=path), base_url="http://engine")
        self.sdk = openai.AsyncOpenAI(
            base_url="http://engine/v1",
            api_key=engine.state.api_key.reveal(),
            http_client=self.http,
            max_retries=0,
            timeout=100,
        )

    async def until(self, is_it: Callable[[EngineState], bool]) -> EngineState:
        """The next state that is the one."""
        async with asyncio.timeout(100):
            while not is_it(state := await self.states.get()):
                pass
        return state

    async def running(self) -> int:
        """Generations that the chat model is busy with."""
        health = (await self.http.get("/health")).json()
        return int(health["models"]["local"]["running"])

    async def idle(self) -> None:
        """Returns when the chat model has nothing to do."""
        async with asyncio.timeout(30):
            while await self.running():  # noqa: ASYNC110 - another process's state has no event here
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One engine for all tests of this file, with its weights a second time as an own model."""
    folder: Path = tmp_path_factory.mktemp("local")
    weights = locate(CHAT_WEIGHTS)
    assert weights is not None
    failures: list[str] = []
    states: asyncio.Queue[EngineState] = asyncio.Queue()
    tasks = Tasks(lambda name, error: failures.append(f"{name}: {error!r}"))
    engine = LocalEngine(folder / "run", folder, {"mine": weights}, states.put_nowait, tasks)
    engine.start()
    running = Running(engine, states)
    await running.until(lambda state: state.phase is Phase.READY)
    yield running
    await running.http.aclose()
    await engine.stop()
    await tasks.close()
    assert failures == []


async def test_three_models_are_served_and_nothing_is_missing(local: Running) -> None:
    """The two built-in ones and the configured file; the child runs below normal priority."""
    state = local.engine.state
    assert [model.name for model in state.models] == ["local", "local-embed", "mine"]
    assert state.reason == ""
    assert state.pid is not None
    assert psutil.Process(state.pid).nice() >= 5


async def test_log_probabilities_come_with_and_without_alternatives(local: Running) -> None:
    """One for each token; alternatives only for who asks for them."""
    for more in ({}, {"top_logprobs": 2}):
        answer = await local.sdk.chat.completions.create(
            model="local", messages=HI, max_tokens=4, logprobs=True, extra_body=more
        )
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.content
        assert all(entry.logprob <= 0 for entry in logprobs.content)
        assert {len(entry.top_logprobs) for entry in logprobs.content} == {more.get("top_logprobs", 0)}


@pytest.mark.parametrize("model", ["local", "mine"])
async def test_a_stream_brings_real_tokens_and_exact_counts(local: Running, model: str) -> None:
    """As many chunks as tokens, the reason why it ended, and the usage last."""
    stream = await local.sdk.chat.completions.create(
        model=model, messages=LONG, max_tokens=8, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert 1 <= len(pieces) <= 8
    assert "".join(pieces).strip()
    assert chunks[-2].choices[0].finish_reason in {"length", "stop"}
    usage = chunks[-1].usage
    assert usage is not None
    assert len(pieces) <= usage.completion_tokens <= 8
    assert usage.prompt_tokens > 10


async def test_a_required_call_is_made_with_valid_arguments(local: Running) -> None:
    """The forced schema holds, and the answer is a call like any other model's."""
    answer = await local.sdk.chat.completions.create(
        model="local",
        messages=[{"role": "user", "content": "What is the weather in Paris, in C?"}],
        tools=[WEATHER],
        tool_choice="required",
        max_tokens=100,
    )
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    assert isinstance(arguments["city"], str)
    assert arguments["unit"] in {"C", "F"}
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 5


async def test_a_free_choice_gives_a_call_or_text(local: Running) -> None:
    """Whatever the model chooses, no wrapping is left in the answer."""
    stream = await local.sdk.chat.completions.create(
        model="local", messages=HI, tools=[WEATHER], max_tokens=60, stream=True
    )
    text, arguments, finish = "", "", None
    async for chunk in stream:
        delta = chunk.choices[0].delta
        text += delta.content or ""
        arguments += "".join(call.function.arguments or "" for call in delta.tool_calls or [] if call.function)
        finish = chunk.choices[0].finish_reason or finish
    assert not (text and arguments)
    assert finish in ({"tool_calls", "length"} if arguments else {"stop", "length"})
    assert not text.lstrip().startswith('{"answer"')


async def test_a_json_schema_is_kept_to(local: Running) -> None:
    """`response_format` without tools goes straight to the runtime."""
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    answer = await local.sdk.chat.completions.create(
        model="local",
        messages=HI,
        max_tokens=100,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    )
    assert json.loads(answer.choices[0].message.content or "")["n"] in {1, 2}


async def test_an_impossible_schema_is_a_400(local: Running) -> None:
    """The runtime's complaint reaches the caller as a bad request."""
    tool: Any = {"type": "function", "function": {"name": "t", "parameters": {"properties": {"a": {"type": "odd"}}}}}
    with pytest.raises(openai.BadRequestError, match="odd"):
        await local.sdk.chat.completions.create(model="local", messages=HI, tools=[tool], tool_choice="required")


async def test_several_answers_and_completions(local: Running) -> None:
    """`n` gives as many choices, prompts as many texts."""
    answers = await local.sdk.chat.completions.create(model="local", messages=HI, n=3, max_tokens=4)
    assert [choice.index for choice in answers.choices] == [0, 1, 2]
    texts = await local.sdk.completions.create(model="local", prompt=["Once upon", "The sea"], max_tokens=4)
    assert [choice.index for choice in texts.choices] == [0, 1]
    assert texts.usage is not None
    assert texts.usage.completion_tokens <= 8


async def test_a_prompt_beyond_the_context_is_named(local: Running) -> None:
    """The code is the one that clients look for."""
    message: Any = {"role": "user", "content": "word " * 6000}
    for stream in (True, False):
        with pytest.raises(openai.BadRequestError) as caught:
            await local.sdk.chat.completions.create(model="local", messages=[message], stream=stream)
        assert caught.value.code == "context_length_exceeded"


async def test_embeddings_tell_texts_apart_and_take_long_ones(local: Running) -> None:
    """384 dimensions, the paraphrase nearer than the stranger, an over-long text cut instead of refused."""
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "The stock market fell today.", "word " * 3000]
    answer = await local.sdk.embeddings.create(model="local-embed", input=texts)
    cat, kitten, stocks, long = (row.embedding for row in answer.data)
    assert len(cat) == len(long) == 384

    def near(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert near(cat, kitten) > near(cat, stocks) + 0.2


@pytest.mark.parametrize("words", [1, 1500])
async def test_a_caller_who_leaves_stops_the_generation(local: Running, words: int) -> None:
    """While it writes and while it still reads a long prompt, leaving frees the slot long before the answer's end."""
    messages: Any = [{"role": "user", "content": "Tell me a very long story. " + "word " * words}]
    tasks = Tasks(lambda _name, _error: None)
    call = tasks.start("call", local.sdk.chat.completions.create(model="local", messages=messages, max_tokens=2000))
    async with asyncio.timeout(30):
        while not await local.running():  # noqa: ASYNC110 - another process's state has no event here
            await asyncio.sleep(0.01)
    call.cancel()
    await local.idle()


async def test_a_killed_engine_comes_back_where_it_was(local: Running) -> None:
    """The same address and key answer again, from another process."""
    before = local.engine.state
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    after = await local.until(lambda state: state.phase is Phase.READY and state.pid != before.pid)
    assert after.base_url == before.base_url
    answer = await local.sdk.chat.completions.create(model="local", messages=HI, max_tokens=4)
    assert answer.usage is not None
    assert answer.usage.completion_tokens >= 1
