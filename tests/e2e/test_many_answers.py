"""Several answers (`n`, `candidateCount`) from upstreams that give one at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio

from tests.e2e import sdk_matrix
from tests.e2e.callers import ANTHROPIC, BEDROCK, CHAT, GEMINI, RESPONSES, ask, dial, events, problem_of
from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, WAIT_SECONDS, Gateway, configuration, until
from tests.e2e.sdk_matrix import RATES, model
from tests.fake_provider import REPLIES, FakeProvider, Script
from tokenway.model.catalog import Dialect

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALONE = [RESPONSES, ANTHROPIC, BEDROCK]
"""Upstreams that give one answer to a call."""
HI: Any = [{"role": "user", "content": "Say hello."}]
TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
SAID = "Grüße from the fake provider, 你好 👋🏽.\n\nIt speaks “plain” text."
COUNTS = REPLIES["text"].counts
assert COUNTS is not None
COST = RATES.cost(COUNTS)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(five: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client."""
    async with openai.AsyncOpenAI(base_url=five.base_url, api_key=KEY, max_retries=0, timeout=WAIT_SECONDS) as made:
        yield made


@pytest.mark.parametrize("upstream", ALONE)
async def test_three_whole_answers(
    client: openai.AsyncOpenAI, provider: FakeProvider, five: Gateway, upstream: Dialect
) -> None:
    """Three calls, three choices by number, the sum of counts and costs, three entries in the books."""
    before = len(provider.requests), len(five.ledger())
    raw = await client.chat.completions.with_raw_response.create(model=model(upstream, "text"), messages=HI, n=3)
    answer = raw.parse()
    assert [(each.index, each.message.content, each.finish_reason) for each in answer.choices] == [
        (number, SAID, "stop") for number in range(3)
    ]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (33, 21)
    assert answer.usage.total_tokens == 54
    extra: Any = answer.usage.model_extra
    assert round(extra["cost"] * 1e9) == 3 * COST
    assert round(float(raw.headers["x-tokenway-cost"]) * 1e9) == 3 * COST
    assert len(provider.requests) == before[0] + 3
    assert b'"n"' not in provider.requests[-1].body
    entries = (await five.entries(before[1] + 3))[before[1] :]
    assert [(entry.settlement, entry.charged) for entry in entries] == [("delivered", COST)] * 3


@pytest.mark.parametrize("upstream", ALONE)
async def test_three_streams_in_one(client: openai.AsyncOpenAI, provider: FakeProvider, upstream: Dialect) -> None:
    """Deltas of all of them by number, one finish each, one usage at the end, one id."""
    stream = await client.chat.completions.create(
        model=model(upstream, "text"), messages=HI, n=3, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    texts = dict.fromkeys(range(3), "")
    finishes: dict[int, list[str]] = {number: [] for number in range(3)}
    roles: dict[int, list[str]] = {number: [] for number in range(3)}
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.delta.role:
                roles[choice.index].append(choice.delta.role)
            if choice.finish_reason:
                finishes[choice.index].append(choice.finish_reason)
    assert texts == dict.fromkeys(range(3), SAID)
    assert finishes == {number: ["stop"] for number in range(3)}
    assert roles == {number: ["assistant"] for number in range(3)}
    assert len({chunk.id for chunk in chunks}) == 1
    last = chunks[-1]
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (33, 21)
    cost: Any = last.usage.model_extra
    assert round(cost["cost"] * 1e9) == 3 * COST
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_a_stream_without_usage(client: openai.AsyncOpenAI) -> None:
    """Who does not ask for it gets none."""
    stream = await client.chat.completions.create(model=model(ANTHROPIC, "text"), messages=HI, n=2, stream=True)
    chunks = [chunk async for chunk in stream]
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("upstream", ALONE)
async def test_calls_of_tools(client: openai.AsyncOpenAI, upstream: Dialect) -> None:
    """Each choice has its own, whole and through the SDK's stream helper."""
    name = model(upstream, "parallel-tools")
    answer = await client.chat.completions.create(model=name, messages=HI, n=3, tools=TOOLS)
    wanted = [("get_weather", {"city": "Zürich", "unit": "celsius"}), ("get_time", {"zone": "Europe/Zurich"})]
    for choice in answer.choices:
        calls: Any = choice.message.tool_calls
        assert [(each.function.name, json.loads(each.function.arguments)) for each in calls] == wanted
    async with client.chat.completions.stream(model=name, messages=HI, n=3, tools=TOOLS) as stream:
        async for _ in stream:
            pass
        streamed = await stream.get_final_completion()
    for choice in streamed.choices:
        calls = choice.message.tool_calls
        assert [(each.function.name, json.loads(each.function.arguments)) for each in calls] == wanted
        assert choice.finish_reason == "tool_calls"


async def test_google_gives_several_itself(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """One call with `candidateCount`."""
    before = len(provider.requests)
    await client.chat.completions.create(model=model(GEMINI, "text"), messages=HI, n=3)
    assert len(provider.requests) == before + 1
    assert provider.requests[-1].json["generationConfig"]["candidateCount"] == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_a_google_caller(http: httpx2.AsyncClient, provider: FakeProvider, stream: bool) -> None:
    """`candidateCount` of an upstream that knows no such thing."""
    before = len(provider.requests)
    request = ask(GEMINI, model(ANTHROPIC, "text"), stream=stream, generationConfig={"candidateCount": 2})
    answer = await http.post(request.path, json=request.body)
    assert answer.status_code == 200, answer.text
    bodies = [data for _, data in events(answer.content)] if stream else [answer.json()]
    texts: dict[int, str] = {}
    for body in bodies:
        for candidate in body.get("candidates", []):
            index = candidate.get("index", 0)
            parts = candidate.get("content", {}).get("parts", [])
            texts[index] = texts.get(index, "") + "".join(part.get("text", "") for part in parts)
    assert texts == {0: SAID, 1: SAID}
    usage = bodies[-1]["usageMetadata"]
    assert (usage["promptTokenCount"], usage["candidatesTokenCount"], usage["totalTokenCount"]) == (22, 14, 36)
    assert len(provider.requests) == before + 2


# -- when it goes wrong --------------------------------------------------------------------------------------


async def test_one_of_them_is_refused(client: openai.AsyncOpenAI, provider: FakeProvider, five: Gateway) -> None:
    """The caller gets that error, with its pause; the others are given up and everything is settled."""
    held = Script(reply=REPLIES["text"], delay=5)
    provider.queue(held, Script(status=429, error="Enough.", retry_after="7"), held)
    before = len(provider.requests)
    with pytest.raises(openai.RateLimitError, match="Enough") as caught:
        await client.chat.completions.create(model=model(ANTHROPIC, "text"), messages=HI, n=3)
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.response.headers["x-request-id"]
    await until(lambda: all(each.over.is_set() for each in provider.requests[before:]), 4)
    await until(lambda: not five.reservations())


async def test_one_stream_breaks_before_any(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """An error answer, as for one."""
    held = Script(reply=REPLIES["text"], delay=5)
    provider.queue(held, Script(status=500, error="Broken."), held)
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model=model(ANTHROPIC, "text"), messages=HI, n=3, stream=True)
    assert caught.value.status_code in {500, 502}


async def test_one_stream_breaks_in_the_middle(
    client: openai.AsyncOpenAI, provider: FakeProvider, five: Gateway
) -> None:
    """The caller is told in the stream, and the upstreams of the others are left."""
    slow = Script(reply=REPLIES["text"], gap=1)
    provider.queue(slow, Script(reply=REPLIES["text"], cut=3, gap=0.03), slow)
    before = len(provider.requests)
    stream = await client.chat.completions.create(model=model(ANTHROPIC, "text"), messages=HI, n=3, stream=True)
    heard = []

    async def listen() -> None:
        async for chunk in stream:
            heard.append(chunk)  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(openai.APIError):
        await listen()
    assert heard
    assert all(choice.finish_reason is None for chunk in heard for choice in chunk.choices)
    await until(lambda: all(each.over.is_set() for each in provider.requests[before:]), 4)
    await until(lambda: not five.reservations())


@pytest.mark.parametrize("stream", [False, True])
async def test_the_caller_leaves(provider: FakeProvider, five: Gateway, stream: bool) -> None:
    """All upstreams are left with it, and nothing stays reserved."""
    slow = Script(reply=REPLIES["text"], gap=1, delay=0 if stream else 30)
    provider.queue(slow, slow, slow)
    before = len(provider.requests)
    request = ask(CHAT, model(BEDROCK, "text"), n=3, stream=stream)
    async with dial(five) as http:
        calling = asyncio.get_running_loop().create_task(http.post(request.path, json=request.body))
        await until(lambda: len(provider.requests) == before + 3)
        await asyncio.sleep(0.3)
        calling.cancel()
    await until(lambda: all(each.over.is_set() for each in provider.requests[before:]), 10)
    await until(lambda: not five.reservations())


async def test_a_budget_holds_for_all_of_them(launch: Launch, provider: FakeProvider) -> None:
    """What three could cost at most is above what is left: 402, and nobody is asked."""
    config = configuration(
        provider.base_url,
        auth={"keys": [{"name": "ci", "key": KEY, "budget": 0.0015}]},
        providers={"lab": {"dialect": "anthropic", "base_url": provider.origin, "api_key": "x"}},
    )
    config["models"]["mock"]["endpoints"][0]["price"] = {"input": 1.0, "output": 1.0}
    gateway = await launch(config)
    before = len(provider.requests)
    # With the SDK's retries: where the control process is slow to answer, the first call has a 503.
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="mock", messages=HI, n=3, max_tokens=600)
        assert caught.value.status_code == 402
        assert len(provider.requests) == before
        answer = await client.chat.completions.create(model="mock", messages=HI, n=2, max_tokens=600)
        assert len(answer.choices) == 2
    await until(lambda: not gateway.reservations())


async def test_a_limit_for_the_call_holds_for_all_of_them(http: httpx2.AsyncClient) -> None:
    """`provider.max_cost` is compared with what all can cost."""
    request = ask(CHAT, model(ANTHROPIC, "text"), n=3, max_tokens=1000, provider={"max_cost": 0.01})
    answer = await http.post(request.path, json=request.body)
    assert answer.status_code == 402
    assert problem_of(CHAT, answer.json()).param == "provider.max_cost"
    request = ask(CHAT, model(ANTHROPIC, "text"), n=3, max_tokens=1000, provider={"max_cost": 0.02})
    assert (await http.post(request.path, json=request.body)).status_code == 200


@pytest.mark.parametrize("count", [0, -1, "two", 1.5, 100_000])
async def test_a_number_that_is_none(http: httpx2.AsyncClient, count: Any) -> None:
    """400 with the field; a caller cannot start thousands of calls with one."""
    request = ask(CHAT, model(ANTHROPIC, "text"), n=count)
    answer = await http.post(request.path, json=request.body)
    assert answer.status_code == 400
    assert problem_of(CHAT, answer.json()).param == "n"


async def test_where_one_of_the_endpoints_gives_several(launch: Launch, provider: FakeProvider) -> None:
    """It is asked, whatever the order: one call is better than three."""
    config = sdk_matrix.configuration(provider)
    config["models"]["mock"] = {
        "endpoints": [{"provider": "lab-anthropic", "model": "text"}, {"provider": "lab-openai_chat", "model": "text"}]
    }
    gateway = await launch(config)
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client:
        before = len(provider.requests)
        await client.chat.completions.create(model="mock", messages=HI, n=3)
    assert len(provider.requests) == before + 1
    assert provider.requests[-1].json["n"] == 3
