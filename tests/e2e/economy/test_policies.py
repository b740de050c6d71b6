"""What a key may do, told to callers of every dialect in their own words, and to the vendors' SDKs as they know it.

One gateway has a key for each policy. Whatever is refused here is refused before anything is sent, and costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import anthropic
import httpx
import httpx2
import openai
import pytest
import pytest_asyncio
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types

from tests.e2e.callers import ANTHROPIC, BEDROCK, CHAT, GEMINI, RESPONSES, Ask, ask, dial, problem_of
from tests.e2e.control import admin_of
from tests.e2e.gateway import KEY, PRICE, WAIT_SECONDS, Gateway, configuration, serving, until
from tests.fake_provider import FakeProvider
from tokenway.model.catalog import Dialect

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINUTE: Final = 60.0
RUN: Final = {"x-tokenway-run": "agent-1"}


class Policy(NamedTuple):
    """What a key has, and what its callers are told. `retry` is `x-should-retry`."""

    key: dict[str, Any]
    status: int
    code: str
    kinds: tuple[str, str, str, str]
    """In OpenAI's, Anthropic's, Google's and Amazon's words."""
    retry: str = "false"
    headers: Mapping[str, str] = MappingProxyType({})


FORBIDDEN: Final = ("permission_error", "permission_error", "PERMISSION_DENIED", "AccessDeniedException")
UNKNOWN: Final = ("authentication_error", "authentication_error", "UNAUTHENTICATED", "UnrecognizedClientException")
UNPAID: Final = ("insufficient_quota", "billing_error", "RESOURCE_EXHAUSTED", "ServiceQuotaExceededException")
TOO_MANY: Final = ("rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED", "ThrottlingException")
COLUMN: Final = {CHAT: 0, RESPONSES: 0, ANTHROPIC: 1, GEMINI: 2, BEDROCK: 3}

POLICIES: Final = {
    "models": Policy({"models": ["other"]}, 403, "model_not_allowed", FORBIDDEN),
    "endpoints": Policy({"endpoints": ["lab/other"]}, 403, "endpoint_not_allowed", FORBIDDEN),
    "addresses": Policy({"addresses": ["10.0.0.0/8", "::1"]}, 403, "address_not_allowed", FORBIDDEN),
    "expired": Policy({"expires": "2026-01-01"}, 401, "invalid_api_key", UNKNOWN),
    "revoked": Policy({}, 401, "invalid_api_key", UNKNOWN),
    "max-cost": Policy({"max_cost": 0.000000001}, 402, "max_cost_exceeded", UNPAID),
    "spent": Policy({}, 402, "insufficient_quota", UNPAID),
    "prepaid": Policy({"project": "prepaid"}, 402, "insufficient_quota", UNPAID),
    "too-large": Policy({"limits": {"tpm": 1}}, 429, "rate_limit_exceeded", TOO_MANY),
    "run-usd": Policy({"project": "run-usd"}, 402, "run_limit_exceeded", UNPAID, headers=RUN),
    "run-calls": Policy({"project": "run-calls"}, 429, "run_limit_exceeded", TOO_MANY, headers=RUN),
    "rate": Policy({"limits": {"rpm": 1}}, 429, "rate_limit_exceeded", TOO_MANY, retry="true"),
}
MADE: Final = ("revoked", "spent")
"""Keys of the store and not of the configuration."""
ENDLESS: Final = tuple(name for name in POLICIES if name != "rate")
"""Policies that refuse at any time."""

EMBED: Final = {"content": {"parts": [{"text": "hi"}]}}
CALLS: Final = {
    **{f"{dialect}": (dialect, ask(dialect, "mock")) for dialect in Dialect},
    **{f"{dialect} stream": (dialect, ask(dialect, "mock", stream=True)) for dialect in Dialect},
    "embeddings": (CHAT, Ask("/v1/embeddings", {"model": "mock", "input": "hi"})),
    "gemini embeddings": (GEMINI, Ask("/v1beta/models/mock:embedContent", EMBED)),
}
FREE: Final = {
    "/v1/messages/count_tokens": (ANTHROPIC, {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}),
    "/v1beta/models/mock:countTokens": (GEMINI, {"contents": [{"parts": [{"text": "hi"}]}]}),
    "/v1/responses/input_tokens": (RESPONSES, {"model": "mock", "input": "hi"}),
    "/v1/moderations": (CHAT, {"model": "mock", "input": "hi"}),
    "/v1/rerank": (CHAT, {"model": "mock", "query": "hi", "documents": ["a", "b"]}),
    "/v1/images/generations": (CHAT, {"model": "mock", "prompt": "hi"}),
    "/v1/audio/speech": (CHAT, {"model": "mock", "input": "hi", "voice": "alloy"}),
    "/v1/completions": (CHAT, {"model": "mock", "prompt": "hi"}),
}
"""Other calls, some of which cost nothing; who may not use a model may not use it for these either."""


class House(NamedTuple):
    """The gateway of this file, and its keys by policy."""

    gateway: Gateway
    keys: dict[str, str]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One key is revoked, one has used up its budget, and runs that may make one call have made it."""
    keys = {name: f"sk-policy-{name}-0123456789" for name in POLICIES if name not in MADE}
    fixed = [{"name": name, "key": key} | POLICIES[name].key for name, key in keys.items()]
    endpoint = {"provider": "lab", "model": "fake", "price": PRICE}
    config = configuration(
        provider.base_url,
        auth={"keys": [{"name": "ci", "key": KEY}, *fixed]},
        projects={"prepaid": {"prepaid": True}, "run-usd": {"run": {"usd": 0}}, "run-calls": {"run": {"calls": 1}}},
        models={"mock": {"endpoints": [endpoint]}, "other": {"endpoints": [endpoint | {"model": "other"}]}},
    )
    async with serving(tmp_path_factory.mktemp("policies"), config) as gateway:
        found = House(gateway, keys)
        async with admin_of(gateway) as admin:
            made = {}
            for name in MADE:
                body = {"name": name, "limits": [{"measure": "usd", "usd": "1"}]}
                made[name] = (await admin.post("/keys", json=body)).json()
                keys[name] = made[name]["secret"]
            for name in (*MADE, "run-calls"):
                await until(lambda: is_served(found, name))  # noqa: B023 - it is awaited here
            await admin.post(f"/keys/{made['revoked']['key']['id']}/revoke")
            lower = {"version": 1, "usd": "0.000001"}
            await admin.patch(f"/limits/{made['spent']['limits'][0]['id']}", json=lower)
        for name in MADE:
            await until(lambda: is_refused(found, name))  # noqa: B023 - the same
        yield found


async def status_of(house: House, name: str) -> int:
    """What a plain call of a key comes to."""
    async with dial(house.gateway, house.keys[name]) as http:
        request = ask(CHAT, "mock")
        return (await http.post(request.path, json=request.body, headers=POLICIES[name].headers)).status_code


async def is_served(house: House, name: str) -> bool:
    """Whether a key is let in by now."""
    return await status_of(house, name) == 200


async def is_refused(house: House, name: str) -> bool:
    """Whether a key is told no by now."""
    return await status_of(house, name) == POLICIES[name].status


def check(policy: Policy, dialect: Dialect, answer: httpx2.Response) -> None:
    """An answer that says no, in the words of a dialect."""
    assert answer.status_code == policy.status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == answer.headers["x-generation-id"]
    assert answer.headers.get("x-should-retry") == policy.retry
    assert ("retry-after" in answer.headers) is (policy.retry == "true")
    told = problem_of(dialect, answer.json())
    assert told.kind == policy.kinds[COLUMN[dialect]]
    assert told.message
    assert code_of(dialect, answer.json()) == policy.code


def code_of(dialect: Dialect, body: Any) -> str:
    """Where a dialect has the reason that no status tells."""
    if dialect is GEMINI:
        (info,) = [each for each in body["error"]["details"] if each["@type"].endswith("ErrorInfo")]
        return str(info["reason"]).lower()
    return str(body["metadata" if dialect is BEDROCK else "error"]["code"])


# -- by hand -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENDLESS)
async def test_every_dialect_says_no_in_its_own_words(house: House, provider: FakeProvider, name: str) -> None:
    """Also to who asks for a stream or for vectors: an error before anything is sent is a plain answer."""
    policy, before = POLICIES[name], len(provider.requests)
    async with dial(house.gateway, house.keys[name]) as http:
        for what, (dialect, request) in CALLS.items():
            answer = await http.post(request.path, json=request.body, headers=policy.headers)
            try:
                check(policy, dialect, answer)
            except AssertionError as error:
                error.add_note(f"{name}, {what}: {answer.status_code} {answer.headers} {answer.text}")
                raise
    assert len(provider.requests) == before
    assert house.gateway.reservations() == []


@pytest.mark.parametrize("name", ENDLESS)
async def test_a_response_in_the_background_has_failed_for_the_same_reason(
    house: House, provider: FakeProvider, name: str
) -> None:
    """What is known by its request alone is told at once; what its limits say is told by the response."""
    policy, before = POLICIES[name], len(provider.requests)
    async with dial(house.gateway, house.keys[name]) as http:
        request = ask(RESPONSES, "mock", background=True)
        answer = await http.post(request.path, json=request.body, headers=policy.headers)
        if answer.status_code == 200:
            kept: dict[str, Any] = {"status": "in_progress"}

            async def has_ended() -> bool:
                kept.update((await http.get(f"{request.path}/{answer.json()['id']}")).json())
                return kept["status"] not in {"queued", "in_progress"}

            await until(has_ended)
            assert (kept["status"], kept["output"]) == ("failed", [])
            assert code_of(RESPONSES, kept) == policy.code
        else:
            check(policy, RESPONSES, answer)
    assert len(provider.requests) == before


@pytest.mark.parametrize("name", ["models", "endpoints", "addresses", "expired", "revoked"])
async def test_nothing_else_goes_round_it(house: House, provider: FakeProvider, name: str) -> None:
    """Counts of tokens, pictures, rankings."""
    before = len(provider.requests)
    async with dial(house.gateway, house.keys[name]) as http:
        for path, (dialect, body) in FREE.items():
            answer = await http.post(path, json=body)
            try:
                check(POLICIES[name], dialect, answer)
            except AssertionError as error:
                error.add_note(f"{name}, {path}: {answer.status_code} {answer.text}")
                raise
    assert len(provider.requests) == before


async def in_a_minute(seconds: float = 8.0) -> None:
    """Waits for the next minute where this one has not so much left."""
    left = MINUTE - time.time() % MINUTE
    if left < seconds:
        await asyncio.sleep(left + 0.1)


async def test_every_dialect_says_when_to_come_back(house: House) -> None:
    """In seconds and in milliseconds, in headers that SDKs read, and where Google's read it; with what remains."""
    await in_a_minute()
    await status_of(house, "rate")
    async with dial(house.gateway, house.keys["rate"]) as http:
        for dialect, request in CALLS.values():
            left = MINUTE - time.time() % MINUTE
            answer = await http.post(request.path, json=request.body)
            check(POLICIES["rate"], dialect, answer)
            wait = int(answer.headers["retry-after-ms"]) / 1000
            assert left - 2 < wait <= left + 0.1
            assert wait <= int(answer.headers["retry-after"]) < wait + 1.001
            assert answer.headers["x-ratelimit-limit-requests"] == "1"
            assert answer.headers["x-ratelimit-remaining-requests"] == "0"
            if dialect is GEMINI:
                (info,) = [each for each in answer.json()["error"]["details"] if each["@type"].endswith("RetryInfo")]
                assert abs(float(info["retryDelay"].removesuffix("s")) - wait) < 0.01


@pytest.mark.parametrize("name", ["addresses", "expired", "revoked"])
async def test_who_may_not_come_in_sees_no_list(house: House, name: str) -> None:
    """Neither of models nor of what a key has spent, in the shape of who asks."""
    shapes = {
        "/v1/models": CHAT,
        "/v1/key": CHAT,
        "/v1/credits": CHAT,
        "/v1/runs": CHAT,
        "/v1/generation?id=x": CHAT,
        "/v1beta/models": GEMINI,
    }
    async with dial(house.gateway, house.keys[name]) as http:
        for path, dialect in shapes.items():
            answer = await http.get(path)
            assert (path, answer.status_code) == (path, POLICIES[name].status)
            assert code_of(dialect, answer.json()) == POLICIES[name].code


async def test_who_has_no_money_may_still_look(house: House) -> None:
    """What is left is told to those with whom nothing is left; counts of tokens cost nothing, but are calls."""
    for name in ("spent", "prepaid", "max-cost"):
        async with dial(house.gateway, house.keys[name]) as http:
            for path in ("/v1/models", "/v1/key", "/v1/credits"):
                assert (await http.get(path)).status_code == 200
    async with dial(house.gateway, house.keys["spent"]) as http:
        figures = (await http.get("/v1/key")).json()["data"]
    assert figures["limit_remaining"] == 0
    assert figures["usage"] > figures["limit"]


@pytest.mark.parametrize("name", ["models", "endpoints"])
async def test_what_a_key_may_use_it_uses(house: House, name: str) -> None:
    """The other model, through every dialect."""
    async with dial(house.gateway, house.keys[name]) as http:
        for dialect in Dialect:
            request = ask(dialect, "other")
            answer = await http.post(request.path, json=request.body)
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-tokenway-endpoint"] == "lab/other"


async def test_other_runs_and_calls_of_none_go_on(house: House) -> None:
    """A run that has come to its limit keeps nobody else."""
    async with dial(house.gateway, house.keys["run-calls"]) as http:
        for headers in ({}, {"x-tokenway-run": "agent-2"}):
            request = ask(ANTHROPIC, "mock")
            assert (await http.post(request.path, json=request.body, headers=headers)).status_code == 200


# -- the vendors' own SDKs ---------------------------------------------------------------------------------


class Asked:
    """How often an SDK has really asked."""

    times = 0

    async def note(self, _request: object) -> None:
        """Once more."""
        self.times += 1


OPENAI: Final = {401: openai.AuthenticationError, 402: openai.APIStatusError, 403: openai.PermissionDeniedError}
CLAUDE: Final = {
    401: anthropic.AuthenticationError,
    402: anthropic.PaymentRequiredError,
    403: anthropic.PermissionDeniedError,
}


async def raised(call: Callable[[], Awaitable[object]]) -> Any:
    """What an SDK raises."""
    with pytest.raises(Exception, match=r".") as caught:
        await call()
    return caught.value


@pytest.mark.parametrize("name", ENDLESS)
async def test_openais_sdk_raises_what_it_has_for_it(house: House, name: str) -> None:
    """Once: where another attempt does not help it makes none, though it would make two of every 429."""
    policy, asked = POLICIES[name], Asked()
    async with (
        httpx2.AsyncClient(event_hooks={"request": [asked.note]}, timeout=WAIT_SECONDS) as http,
        openai.AsyncOpenAI(
            base_url=house.gateway.base_url,
            api_key=house.keys[name],
            max_retries=2,
            http_client=http,
            default_headers=policy.headers,
        ) as client,
    ):
        message: Any = {"role": "user", "content": "hi"}
        calls = (
            lambda: client.chat.completions.create(model="mock", messages=[message]),
            lambda: client.chat.completions.create(model="mock", messages=[message], stream=True),
            lambda: client.responses.create(model="mock", input="hi"),
            lambda: client.embeddings.create(model="mock", input="hi"),
        )
        for call in calls:
            error = await raised(call)
            assert type(error) is OPENAI.get(policy.status, openai.RateLimitError)
            assert (error.status_code, error.code, error.type) == (policy.status, policy.code, policy.kinds[0])
            assert str(error.request_id).startswith("gen-")
    assert asked.times == len(calls)


@pytest.mark.parametrize("name", ENDLESS)
async def test_anthropics_sdk_raises_what_it_has_for_it(house: House, name: str) -> None:
    """The same of messages, whole and streamed."""
    policy, asked = POLICIES[name], Asked()
    async with (
        httpx2.AsyncClient(event_hooks={"request": [asked.note]}, timeout=WAIT_SECONDS) as http,
        anthropic.AsyncAnthropic(
            base_url=house.gateway.base_url.removesuffix("/v1"),
            api_key=house.keys[name],
            max_retries=2,
            http_client=http,
            default_headers=policy.headers,
        ) as client,
    ):
        common: Any = {"model": "mock", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}

        async def stream() -> None:
            async with client.messages.stream(**common):
                pass

        for call in (lambda: client.messages.create(**common), stream):
            error = await raised(call)
            assert type(error) is CLAUDE.get(policy.status, anthropic.RateLimitError)
            body: Any = error.body
            assert (error.status_code, body["error"]["type"]) == (policy.status, policy.kinds[1])
            assert body["error"]["code"] == policy.code
            assert error.request_id == body["request_id"]
    assert asked.times == 2


@pytest.mark.parametrize("name", ENDLESS)
async def test_googles_sdk_raises_what_it_has_for_it(house: House, name: str) -> None:
    """A client's error with Google's word for it; its key travels in a header of its own."""
    policy = POLICIES[name]
    async with httpx.AsyncClient(timeout=WAIT_SECONDS) as http:
        client = genai.Client(
            api_key=house.keys[name],
            http_options=google_types.HttpOptions(
                base_url=house.gateway.base_url.removesuffix("/v1"),
                httpx_async_client=http,
                headers=dict(policy.headers),
            ),
        )
        models = client.aio.models

        async def stream() -> None:
            async for _ in await models.generate_content_stream(model="mock", contents="hi"):
                pass

        calls = (
            lambda: models.generate_content(model="mock", contents="hi"),
            stream,
            lambda: models.embed_content(model="mock", contents="hi"),
        )
        for call in calls:
            error = await raised(call)
            assert type(error) is google_errors.ClientError
            assert (error.code, error.status) == (policy.status, policy.kinds[2])
        await client.aio.aclose()
