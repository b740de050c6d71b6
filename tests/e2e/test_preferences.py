"""OpenRouter's `provider` object as its users send it: OpenAI's SDK with `extra_body`, a model at several providers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.e2e.gateway import KEY, WAIT_SECONDS, Gateway, configuration, serving
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

HI: Any = [{"role": "user", "content": "Say hello."}]
PROVIDERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "quiet": {"data": {"training": False}},
    "vault": {"data": {"training": False, "zdr": True}},
    "gift": {},
}
ENDPOINTS: dict[str, dict[str, Any]] = {
    "plain": {"quantization": "bf16", "price": {"input": 2, "output": 8, "request": 0.01}},
    "quiet": {"quantization": "nvfp4", "price": {"input": 1, "output": 4}, "capabilities": {"tools": False}},
    "vault": {"quantization": "fp8_block"},
    "gift": {"quantization": "Q4_K_M", "price": {"input": 0, "output": 0}},
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def fleet(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway with a model of four endpoints, and another one."""
    config = configuration(
        provider.base_url,
        providers={
            name: {"base_url": provider.base_url, "api_key": f"sk-{name}", **more} for name, more in PROVIDERS.items()
        },
        models={
            "fleet": {"endpoints": [{"provider": name, "model": "fake", **more} for name, more in ENDPOINTS.items()]},
            "spare": {"endpoints": [{"provider": "plain", "model": "spare"}]},
        },
        retries={"max": 3},
    )
    async with serving(tmp_path_factory.mktemp("gateway"), config) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def caller(fleet: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client, without retries of its own."""
    async with openai.AsyncOpenAI(base_url=fleet.base_url, api_key=KEY, max_retries=0, timeout=WAIT_SECONDS) as made:
        yield made


async def served_by(caller: openai.AsyncOpenAI, model: str = "fleet", **body: Any) -> str:
    """The endpoint that answers a call with these members."""
    raw = await caller.chat.completions.with_raw_response.create(model=model, messages=HI, extra_body=body)
    assert raw.parse().choices[0].message.content
    return str(raw.headers["x-tokenway-endpoint"])


@pytest.mark.parametrize(
    ("wishes", "fitting"),
    [
        ({}, "plain quiet vault gift"),
        ({"only": ["vault", "gift/fake"]}, "vault gift"),
        ({"order": ["gift"]}, "gift"),
        ({"order": ["GIFT/fake", "vault"], "ignore": ["gift"]}, "vault"),
        ({"quantizations": ["fp4"]}, "quiet"),
        ({"quantizations": ["fp8"]}, "vault"),
        ({"quantizations": ["int4", "bf16"]}, "gift plain"),
        ({"max_price": {"prompt": "1.5"}}, "quiet gift"),
        ({"max_price": {"prompt": 2, "completion": 8, "request": 0.01}}, "plain quiet gift"),
        ({"max_price": {"request": 0}, "ignore": ["gift"]}, "quiet"),
        ({"max_cost": 1}, "plain quiet gift"),
        ({"data_collection": "deny"}, "quiet vault"),
        ({"zdr": True}, "vault"),
        ({"data_collection": "allow", "only": ["plain"], "options": {"x": 1}, "brand_new": [1]}, "plain"),
    ],
)
async def test_hard_wishes_choose_among_the_endpoints(
    caller: openai.AsyncOpenAI, provider: FakeProvider, wishes: dict[str, Any], fitting: str
) -> None:
    """Whoever fits serves, by slug, grade, price and promise; nothing of the object goes to a provider."""
    endpoint = await served_by(caller, provider=wishes, route="fallback")
    assert endpoint.removesuffix("/fake") in fitting.split()
    assert not {"provider", "route"} & provider.requests[-1].json.keys()


@pytest.mark.parametrize(
    "wishes",
    [
        {"sort": {"by": "price", "partition": "model"}},
        {"preferred_min_throughput": {"p50": 10**6, "p90": 10**6}, "preferred_max_latency": 0.001},
        {"min_tps": 10**6, "hedge": False, "rescue": "off", "stream": False, "timeouts": {"connect": 60}},
    ],
)
async def test_soft_wishes_refuse_nobody(caller: openai.AsyncOpenAI, wishes: dict[str, Any]) -> None:
    """What no endpoint reaches is a preference all the same."""
    assert await served_by(caller, provider=wishes)


async def test_a_model_of_the_caller_comes_behind_unless_models_make_no_difference(caller: openai.AsyncOpenAI) -> None:
    """Its endpoints wait for the model's own, whatever the order; across models they do not."""
    order: dict[str, Any] = {"order": ["plain/spare"]}
    assert (await served_by(caller, provider=order, models=["spare"])).endswith("/fake")
    across = {**order, "sort": {"partition": "none"}}
    assert await served_by(caller, provider=across, models=["spare"]) == "plain/spare"


async def test_suffixes(caller: openai.AsyncOpenAI) -> None:
    """`:free` is served by what costs nothing, the others by anybody; a provider's own name stays whole."""
    assert await served_by(caller, "fleet:free") == "gift/fake"
    assert await served_by(caller, "fleet:nitro") in {f"{name}/fake" for name in ENDPOINTS}
    assert await served_by(caller, "gift/llama3:free") == "gift/llama3:free"


async def test_without_fallbacks_the_order_is_all_there_is(caller: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """Each of it is tried, and then the provider's error is the answer."""
    before = len(provider.requests)
    provider.queue(*[Script(status=500, error="Broken.")] * 4)
    with pytest.raises(openai.InternalServerError):
        await served_by(caller, provider={"order": ["vault", "gift"], "allow_fallbacks": False})
    provider._queue.clear()
    keys = {dict(each.headers)["authorization"] for each in provider.requests[before:]}
    assert keys == {"Bearer sk-vault", "Bearer sk-gift"}


async def test_a_deadline_of_the_caller(caller: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """504 when it has passed."""
    provider.queue(*[Script(delay=30)] * 4)
    with pytest.raises(openai.APIStatusError) as raised:
        await served_by(caller, provider={"timeouts": {"total": 0.4}})
    provider._queue.clear()
    assert raised.value.status_code == 504


async def test_what_excluded_each_endpoint(caller: openai.AsyncOpenAI) -> None:
    """503 raises the SDK's own error: a sentence for people, codes for programs, and no use in trying again."""
    wishes = {"quantizations": ["bf16", "fp8"], "max_price": {"prompt": 1}, "ignore": ["gift"]}
    with pytest.raises(openai.InternalServerError) as raised:
        await served_by(caller, provider=wishes)
    error: Any = raised.value
    assert (error.status_code, error.code, error.param) == (503, "no_endpoints", "provider")
    assert error.body["metadata"]["availability"] == {
        "code": "constraint_filtered",
        "excluded_by": {
            "plain/fake": "max_price",
            "quiet/fake": "quantization",
            "vault/fake": "max_price",
            "gift/fake": "ignored_providers",
        },
    }
    assert "plain/fake costs 2 USD per million tokens, above the 1 of 'provider.max_price.prompt'" in error.message
    assert "vault/fake has no price" in error.message
    assert error.response.headers["x-should-retry"] == "false"


async def test_what_cannot_be_told_all_is_among_the_reasons(caller: openai.AsyncOpenAI) -> None:
    """Beside what the other wishes leave out."""
    with pytest.raises(openai.InternalServerError) as raised:
        await served_by(
            caller,
            provider={"require_parameters": True, "only": ["quiet"]},
            tools=[{"type": "function", "function": {"name": "f"}}],
        )
    error: Any = raised.value
    reasons = dict.fromkeys((f"{name}/fake" for name in ENDPOINTS), "allowed_providers")
    availability = error.body["metadata"]["availability"]
    assert availability["excluded_by"] == {**reasons, "quiet/fake": "require_parameters"}


@pytest.mark.parametrize(
    ("wishes", "param", "words"),
    [
        ({"only": ["vualt"]}, "provider.only[0]", "vault"),
        ({"only": ["gift"], "ignore": ["gift"]}, "provider.ignore", "'provider.only'"),
        ({"quantizations": ["fp9"]}, "provider.quantizations[0]", "fp8"),
        ({"sort": "exacto"}, "provider.sort", "not measured here"),
        ({"max_price": {"prmopt": 1}}, "provider.max_price.prmopt", "prompt"),
    ],
)
async def test_what_is_wrong_raises_bad_request_error(
    caller: openai.AsyncOpenAI, wishes: dict[str, Any], param: str, words: str
) -> None:
    """With its place, and what was probably meant."""
    with pytest.raises(openai.BadRequestError) as raised:
        await served_by(caller, provider=wishes)
    assert raised.value.param == param
    assert words in raised.value.message


async def test_a_known_provider_that_is_not_here_can_be_preferred(caller: openai.AsyncOpenAI) -> None:
    """By its own name or OpenRouter's; whoever asks for nobody else is told who is left out."""
    wishes = {"order": ["deepinfra/turbo", "Amazon Bedrock", "quiet"], "ignore": ["groq"]}
    assert await served_by(caller, provider=wishes) == "quiet/fake"
    with pytest.raises(openai.InternalServerError) as raised:
        await served_by(caller, provider={"only": ["groq"]})
    assert "plain/fake is not in 'provider.only'" in raised.value.message


async def test_the_grades_are_listed_in_openrouters_words(caller: openai.AsyncOpenAI) -> None:
    """So that what a caller reads is what it can filter by."""
    listed: Any = await caller.get("/models/fleet/endpoints", cast_to=object)
    assert [each["quantization"] for each in listed["data"]["endpoints"]] == ["bf16", "nvfp4", "fp8", "int4"]
