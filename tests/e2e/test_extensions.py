"""The gateway's own additions to a request, from callers of every dialect, and what each is told was left out."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.e2e import sdk_matrix
from tests.e2e.callers import ANTHROPIC, BEDROCK, CHAT, GEMINI, RESPONSES, ask, dial, hear, problem_of, text_of
from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, Gateway
from tests.e2e.sdk_matrix import DIALECTS, RATES, model
from tests.fake_provider import REPLIES, FakeProvider, Script
from tokenway.model.catalog import Dialect

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAID = "Grüße from the fake provider, 你好 👋🏽.\n\nIt speaks “plain” text."
OWN: dict[str, Any] = {"route": "fallback", "session_id": "s-1"}
"""Members that only the gateway reads."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def mixed(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a gateway whose model `mock` has an endpoint of every dialect."""
    config = sdk_matrix.configuration(provider)
    config["models"]["mock"] = {
        "endpoints": [{"provider": f"lab-{dialect}", "model": "text", "price": RATES.price()} for dialect in DIALECTS]
    }
    config["aliases"] = {"nick": "mock", "claude-3-5-sonnet": model(BEDROCK, "text"), "gpt-4o": "nick"}
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), config)
    await gateway.start()
    async with dial(gateway) as client:
        yield client
    assert await gateway.stop() == 0
    assert "Traceback" not in gateway.complaints, gateway.complaints


# -- provider, models, aliases --------------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_caller_chooses_a_provider(
    mixed: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect, upstream: Dialect
) -> None:
    """`only` and `order` decide, and nothing of the gateway's own goes upstream."""
    for wishes in ({"only": [f"lab-{upstream}"]}, {"order": [f"lab-{upstream}"]}):
        request = ask(dialect, "mock", provider=wishes, models=[], **OWN)
        answer = await mixed.post(request.path, json=request.body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-tokenway-endpoint"] == f"lab-{upstream}/text"
        assert text_of(dialect, answer.json()) == SAID
        assert not {"provider", "models", "route", "session_id"} & provider.requests[-1].json.keys()


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_caller_leaves_a_provider_out(mixed: httpx2.AsyncClient, dialect: Dialect) -> None:
    """`ignore`; and where nobody is left, 503 with the reason for each endpoint, in words and in the details."""
    others = [f"lab-{each}" for each in DIALECTS if each is not GEMINI]
    request = ask(dialect, "mock", provider={"ignore": others})
    answer = await mixed.post(request.path, json=request.body)
    assert answer.headers["x-tokenway-endpoint"] == "lab-gemini/text"
    request = ask(dialect, "mock", provider={"ignore": others, "quantizations": ["int4", "fp8"]})
    answer = await mixed.post(request.path, json=request.body)
    assert answer.status_code == 503
    told = problem_of(dialect, answer.json()).message
    assert "lab-gemini/text has the quantization unknown, which is not in 'provider.quantizations'" in told
    assert all(f"{each}/text is in 'provider.ignore'" in told for each in others)
    details = json.dumps(answer.json())
    assert "constraint_filtered" in details
    assert "ignored_providers" in details
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_callers_fallbacks(mixed: httpx2.AsyncClient, dialect: Dialect, stream: bool) -> None:
    """`models` are tried in order, whatever their dialect, before the first byte."""
    names = [model(upstream, "text") for upstream in DIALECTS if upstream is not dialect]
    for name in names:
        request = ask(dialect, model(dialect, "broken"), models=[name], stream=stream)
        answer = await mixed.post(request.path, json=request.body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-tokenway-endpoint"] == f"lab-{name.replace('--', '/')}"
        # What has failed often enough is not tried first any more.
        assert int(answer.headers["x-tokenway-attempts"]) >= (2 if name == names[0] and not stream else 1)
        text = hear(dialect, answer.content).text if stream else text_of(dialect, answer.json())
        assert text == SAID


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_no_fallbacks_are_wanted(mixed: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect) -> None:
    """`allow_fallbacks: false` asks the first endpoint only."""
    provider.queue(*[Script(status=500, error="Broken.")] * 3)
    before = len(provider.requests)
    request = ask(dialect, "mock", provider={"allow_fallbacks": False})
    answer = await mixed.post(request.path, json=request.body)
    provider._queue.clear()
    assert answer.status_code in {500, 502}
    asked = {received.ask.dialect for received in provider.requests[before:]}
    assert len(asked) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"provider": "lab"}, "provider"),
        ({"provider": {"order": "lab"}}, "provider.order"),
        ({"provider": {"min_tps": "fast"}}, "provider.min_tps"),
        ({"provider": {"max_cost": "much"}}, "provider.max_cost"),
        ({"provider": {"only": ["nobody"]}}, "provider.only[0]"),
        ({"provider": {"order": ["lab-gemini"], "only": ["lab-bedrock"]}}, "provider.order"),
        ({"provider": {"quantizations": ["fp8", "fp5"]}}, "provider.quantizations[1]"),
        ({"provider": {"sort": {"by": "speed"}}}, "provider.sort.by"),
        ({"provider": {"preferred_max_latency": {"p95": 1}}}, "provider.preferred_max_latency.p95"),
        ({"models": "other"}, "models"),
        ({"models": [7]}, "models[0]"),
    ],
)
async def test_wishes_that_are_none(
    mixed: httpx2.AsyncClient, dialect: Dialect, more: dict[str, Any], param: str
) -> None:
    """400 with the field."""
    request = ask(dialect, "mock", **more)
    answer = await mixed.post(request.path, json=request.body)
    assert answer.status_code == 400
    assert problem_of(dialect, answer.json()).param == param


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_suffixes(mixed: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect) -> None:
    """`:nitro` and `:floor` are not part of a model's name, in a path neither; `:free` admits only what is free."""
    for name in ("mock:nitro", "nick:floor"):
        request = ask(dialect, name)
        answer = await mixed.post(request.path, json=request.body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-tokenway-model"] == name
        assert provider.requests[-1].ask.model == "text"
    request = ask(dialect, "mock:free")
    answer = await mixed.post(request.path, json=request.body)
    assert answer.status_code == 503
    assert "is not free" in problem_of(dialect, answer.json()).message


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_aliases(mixed: httpx2.AsyncClient, dialect: Dialect) -> None:
    """An alias means a model, another alias, or one of a provider's own."""
    for alias in ("nick", "claude-3-5-sonnet", "gpt-4o"):
        request = ask(dialect, alias)
        answer = await mixed.post(request.path, json=request.body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-tokenway-model"] == alias


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_providers_own_model(mixed: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect) -> None:
    """`provider/model` in the body, or quoted or not in the path."""
    for name in ("lab-anthropic/some.model-v1:0", "lab-openai_chat/a/b"):
        request = ask(dialect, name)
        answer = await mixed.post(request.path, json=request.body)
        assert answer.status_code == 200, answer.text
        assert provider.requests[-1].ask.model == name.partition("/")[2]
    if dialect is GEMINI:
        answer = await mixed.post("/v1beta/models/lab-anthropic/some-model:generateContent", json=ask(GEMINI, "x").body)
        assert provider.requests[-1].ask.model == "some-model"


# -- deadlines, money ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_callers_deadline(mixed: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect) -> None:
    """504 in the caller's shape when it has passed and nobody else could be asked; in a stream an error at its end."""
    provider.queue(Script(reply=REPLIES["text"], delay=30))
    request = ask(dialect, "lab-openai_chat/mock")
    began = time.monotonic()
    answer = await mixed.post(request.path, json=request.body, headers={"x-tokenway-timeout": "0.4"})
    assert time.monotonic() - began < 5
    assert answer.status_code == 504
    assert problem_of(dialect, answer.json()).message
    provider.queue(Script(reply=REPLIES["text"], gap=0.15))
    request = ask(dialect, "mock", stream=True)
    answer = await mixed.post(request.path, json=request.body, headers={"x-tokenway-timeout": "0.5"})
    heard = hear(dialect, answer.content)
    assert heard.text
    assert SAID.startswith(heard.text)
    assert not heard.is_whole
    assert heard.error


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("value", ["0", "-1", "soon", "inf", "nan"])
async def test_a_deadline_that_is_none(mixed: httpx2.AsyncClient, dialect: Dialect, value: str) -> None:
    """400 that names the header."""
    request = ask(dialect, "mock")
    answer = await mixed.post(request.path, json=request.body, headers={"x-tokenway-timeout": value})
    assert answer.status_code == 400
    assert problem_of(dialect, answer.json()).param == "x-tokenway-timeout"


MONEY = {
    CHAT: "insufficient_quota",
    RESPONSES: "insufficient_quota",
    ANTHROPIC: "billing_error",
    GEMINI: "RESOURCE_EXHAUSTED",
    BEDROCK: "ServiceQuotaExceededException",
}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_call_that_is_too_dear(mixed: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect) -> None:
    """402 in the caller's shape, and nobody is asked."""
    before = len(provider.requests)
    request = ask(dialect, "mock", provider={"max_cost": 0.0000001})
    answer = await mixed.post(request.path, json=request.body)
    assert answer.status_code == 402
    told = problem_of(dialect, answer.json())
    assert told.param == "provider.max_cost"
    assert told.kind == MONEY[dialect]
    assert len(provider.requests) == before


async def test_a_budget_that_is_spent(launch: Launch, provider: FakeProvider) -> None:
    """402 for callers of every dialect."""
    config = sdk_matrix.configuration(provider)
    config["auth"] = {"keys": [{"name": "ci", "key": KEY, "budget": 0.000001}]}
    gateway = await launch(config)
    async with dial(gateway) as http:
        for dialect in DIALECTS:
            request = ask(dialect, model(dialect, "text"))
            answer = await http.post(request.path, json=request.body)
            assert answer.status_code == 402, answer.text
            assert problem_of(dialect, answer.json()).kind == MONEY[dialect]


@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_upstream_that_forbids(
    mixed: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect, upstream: Dialect
) -> None:
    """403 speaks of the gateway's credential: the caller's shape, the gateway's words, the kind of failure."""
    provider.queue(Script(status=403, error="Your account may not."))
    request = ask(dialect, model(upstream, "text"))
    answer = await mixed.post(request.path, json=request.body)
    assert answer.status_code == 403
    assert problem_of(dialect, answer.json()).message.startswith(f"The endpoint lab-{upstream}/text")
    assert "provider_authentication" in answer.text


# -- what was left out -----------------------------------------------------------------------------------------

TOOL = {"type": "object", "properties": {}}
LEFT_OUT: list[tuple[Dialect, Dialect, dict[str, Any], set[str]]] = [
    (
        CHAT,
        ANTHROPIC,
        {"seed": 7, "logit_bias": {"1": 5}, "frequency_penalty": 1},
        {"seed", "logit_bias", "frequency_penalty"},
    ),
    (
        CHAT,
        GEMINI,
        {"logit_bias": {"1": 5}, "user": "u", "prediction": {"type": "content", "content": "x"}},
        {"logit_bias", "user", "prediction"},
    ),
    (CHAT, BEDROCK, {"seed": 7, "something_new": 1}, {"seed", "something_new"}),
    (CHAT, RESPONSES, {"seed": 7, "stop": ["END"]}, {"seed", "stop"}),
    (RESPONSES, CHAT, {"truncation": "auto", "max_tool_calls": 3}, {"truncation", "max_tool_calls"}),
    (
        RESPONSES,
        ANTHROPIC,
        {"top_logprobs": 3, "include": ["message.output_text.logprobs"]},
        {"top_logprobs", "include"},
    ),
    (ANTHROPIC, CHAT, {"top_k": 5, "container": "c"}, {"top_k", "container"}),
    (ANTHROPIC, RESPONSES, {"stop_sequences": ["END"], "top_k": 5}, {"stop_sequences", "top_k"}),
    (GEMINI, CHAT, {"generationConfig": {"topK": 5}, "safetySettings": []}, {"topK", "safetySettings"}),
    (GEMINI, ANTHROPIC, {"generationConfig": {"seed": 7, "presencePenalty": 1}}, {"seed", "presencePenalty"}),
    (BEDROCK, CHAT, {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}, {"guardrailConfig"}),
    (BEDROCK, RESPONSES, {"inferenceConfig": {"stopSequences": ["END"]}}, {"inferenceConfig.stopSequences"}),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("dialect", "upstream", "more", "names"), LEFT_OUT)
async def test_what_the_upstream_cannot_be_told(
    mixed: httpx2.AsyncClient, dialect: Dialect, upstream: Dialect, more: dict[str, Any], names: set[str], stream: bool
) -> None:
    """A header lists it in the caller's own spelling."""
    request = ask(dialect, model(upstream, "text"), stream=stream, **more)
    answer = await mixed.post(request.path, json=request.body)
    assert answer.status_code == 200, answer.text
    assert set(answer.headers.get("x-tokenway-dropped", "").split(",")) == names


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_nothing_is_left_out_of_a_plain_request(mixed: httpx2.AsyncClient, dialect: Dialect) -> None:
    """No header where nothing was dropped, nor within a dialect whatever is sent."""
    for upstream in DIALECTS:
        request = ask(dialect, model(upstream, "text"))
        answer = await mixed.post(request.path, json=request.body)
        assert "x-tokenway-dropped" not in answer.headers
    request = ask(dialect, model(dialect, "text"), something_new={"a": 1})
    answer = await mixed.post(request.path, json=request.body)
    assert "x-tokenway-dropped" not in answer.headers


@pytest.mark.parametrize(("dialect", "upstream", "more", "names"), LEFT_OUT)
async def test_all_parameters_are_required(
    mixed: httpx2.AsyncClient,
    provider: FakeProvider,
    dialect: Dialect,
    upstream: Dialect,
    more: dict[str, Any],
    names: set[str],
) -> None:
    """An endpoint that cannot be told all is left out; where none is left, 503 with what each lacks."""
    before = len(provider.requests)
    whole = {"provider": {"require_parameters": True}, **more}
    request = ask(dialect, model(upstream, "text"), **whole)
    answer = await mixed.post(request.path, json=request.body)
    assert answer.status_code == 503
    assert len(provider.requests) == before
    told = json.dumps(answer.json())
    assert f"lab-{upstream}/text" in told
    assert "require_parameters" in told
    assert all(name in told for name in names)
    request = ask(dialect, "mock", **whole)
    answer = await mixed.post(request.path, json=request.body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-tokenway-endpoint"] != f"lab-{upstream}/text"
    assert "x-tokenway-dropped" not in answer.headers


async def test_tools_are_required(launch: Launch, provider: FakeProvider) -> None:
    """An endpoint that calls no tools is left out where all parameters are required, within its dialect too."""
    config = sdk_matrix.configuration(provider)
    config["models"]["mock"] = {
        "endpoints": [
            {"provider": "lab-openai_chat", "model": "text", "capabilities": {"tools": False}},
            {"provider": "lab-anthropic", "model": "text"},
        ]
    }
    gateway = await launch(config)
    tools = [{"type": "function", "function": {"name": "f", "parameters": TOOL}}]
    async with dial(gateway) as http:
        request = ask(CHAT, "mock", tools=tools, provider={"require_parameters": True})
        answer = await http.post(request.path, json=request.body)
        assert answer.headers["x-tokenway-endpoint"] == "lab-anthropic/text"
        request = ask(CHAT, "mock", tools=tools)
        answer = await http.post(request.path, json=request.body)
        assert answer.headers["x-tokenway-endpoint"] in {"lab-openai_chat/text", "lab-anthropic/text"}
