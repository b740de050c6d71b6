"""OpenAI's own SDK against a real gateway: what it calls, what it raises, what it shows of the headers."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import sys
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, WAIT_SECONDS, Gateway, configuration, until
from tests.fake_provider import FakeProvider, Script, UsageMode
from tokenway.local.models import missing
from tokenway.local.probe import Machine, probe

pytestmark = pytest.mark.asyncio(loop_scope="module")

HI: Any = [{"role": "user", "content": "Say hello."}]
LACKS = [*probe(Machine.this()), *missing()]

SEED = """
import openai

client = openai.OpenAI(base_url="{base_url}", api_key="{key}")
try:
    stream = client.chat.completions.create(
        model="claude-3-5-sonnet",
        messages=[{{"role": "user", "content": "Say hello."}}],
        stream=True,
    )
    for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()
except Exception as error:
    print(f"Error: {{error}}")
"""
"""What an application looked like before there was a gateway: it knows one model and catches everything."""


async def run_seed(gateway: Gateway, folder: Path, key: str = KEY) -> str:
    """Runs the program as its author would; what it printed."""
    program = folder / "seed.py"
    program.write_text(SEED.format(base_url=gateway.base_url, key=key))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


# -- the program that was there before ---------------------------------------------------------------------


async def test_the_seed_program_is_told_what_to_configure(gateway: Gateway, tmp_path: Path) -> None:
    """Without a key of Anthropic's the error names the variable to set and the alias to write."""
    out = await run_seed(gateway, tmp_path)
    assert out.startswith("Error: Error code: 404")
    assert "ANTHROPIC_API_KEY" in out
    assert "aliases" in out


async def test_the_seed_program_streams_through_an_alias(
    provider: FakeProvider, launch: Launch, tmp_path: Path
) -> None:
    """With one line of configuration it prints another model's answer, unchanged."""
    config = configuration(provider.base_url, aliases={"claude-3-5-sonnet": "mock"})
    assert await run_seed(await launch(config), tmp_path) == "w0 w1 w2 w3 \n"


@pytest.mark.local
@pytest.mark.slow
@pytest.mark.skipif(bool(LACKS), reason=" ".join(LACKS) or "complete")
async def test_the_seed_program_streams_real_tokens(launch: Launch, tmp_path: Path) -> None:
    """With an alias to the embedded engine it prints what a real model says."""
    config = {"auth": {"keys": [{"name": "ci", "key": KEY}]}, "aliases": {"claude-3-5-sonnet": "local"}}
    gateway = await launch(config, TOKENWAY_LOCAL="on")

    async def is_ready() -> bool:
        async with httpx2.AsyncClient() as http:
            return (await http.get(gateway.base_url.removesuffix("/v1") + "/health/ready")).status_code == 200

    await until(is_ready)
    out = await run_seed(gateway, tmp_path)
    assert not out.startswith("Error"), out
    assert out.strip()


# -- what it calls -----------------------------------------------------------------------------------------


async def test_a_chat_answer_with_its_cost(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """The answer is the provider's, and its usage says in dollars what the provider's bill comes to."""
    answer = await client.chat.completions.create(model="mock", messages=HI)
    bill = provider.requests[-1].bill
    assert answer.choices[0].message.content == "w0 w1 w2 w3 "
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "fake"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (bill.prompt, bill.completion)
    extra: Any = answer.usage.model_extra
    assert extra["cost"] == pytest.approx(bill.prompt * 1e-6 + bill.completion * 2e-6)
    assert extra["cost_details"]["upstream_inference_cost"] == extra["cost"]
    assert extra["cost_details"]["upstream_inference_prompt_cost"] == pytest.approx(bill.prompt * 1e-6)


async def test_a_stream_without_usage_has_none(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """The gateway asks the provider for usage, and takes the chunk out again: every chunk has a choice."""
    stream = await client.chat.completions.create(model="mock", messages=HI, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "w0 w1 w2 w3 "
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)
    assert provider.requests[-1].json["stream_options"] == {"include_usage": True}


async def test_a_stream_with_usage_ends_with_what_it_took(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """The last chunk has no choices, the usage with its cost, and the gateway's own figures."""
    stream = await client.chat.completions.create(
        model="mock",
        messages=HI,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers={"x-tokenway-run": "run-7"},
    )
    *chunks, last = [chunk async for chunk in stream]
    bill = provider.requests[-1].bill
    assert all(chunk.choices for chunk in chunks)
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (bill.prompt, 4)
    usage: Any = last.usage.model_extra
    assert usage["cost"] == pytest.approx(bill.prompt * 1e-6 + 8e-6)
    own: Any = (last.model_extra or {})["tokenway"]
    assert (own["endpoint"], own["attempts"], own["run"]) == ("lab/fake", 1, "run-7")
    assert own["ttft_ms"] > 0
    assert own["slow"] is False


async def test_a_stream_whose_provider_tells_no_usage(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """Usage that nobody gave is not invented."""
    provider.queue(Script(usage=UsageMode.NONE))
    stream = await client.chat.completions.create(
        model="mock", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert all(chunk.usage is None for chunk in chunks)


async def test_embeddings_in_base64_and_as_floats(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """The SDK asks for base64 unless told otherwise, and both give the same vectors."""
    texts = ["alpha", "beta"]
    packed = await client.embeddings.create(model="mock", input=texts)
    assert provider.requests[-1].json["encoding_format"] == "base64"
    plain = await client.embeddings.create(model="mock", input=texts, encoding_format="float")
    assert [row.embedding for row in packed.data] == [row.embedding for row in plain.data]
    assert plain.data[0].embedding[0] == ord("a") / 256
    raw: Any = await client.embeddings.with_raw_response.create(model="mock", input=texts, encoding_format="base64")
    first = json.loads(raw.content)["data"][0]["embedding"]
    assert struct.unpack("<8f", base64.b64decode(first))[1] == ord("l") / 256
    assert packed.usage.prompt_tokens == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_completions(client: openai.AsyncOpenAI, stream: bool) -> None:
    """The older API works as well, whole and streaming."""
    if stream:
        chunks = await client.completions.create(model="mock", prompt="Once", stream=True)
        text = "".join([chunk.choices[0].text async for chunk in chunks])
    else:
        text = (await client.completions.create(model="mock", prompt="Once")).choices[0].text
    assert text == "w0 w1 w2 w3 "


async def test_models_are_listed_and_retrieved(client: openai.AsyncOpenAI) -> None:
    """What can be asked for, with owner and price; one of them by its name."""
    listed = {model.id: model async for model in client.models.list()}
    assert listed["mock"].owned_by
    one = await client.models.retrieve("mock")
    assert one.id == "mock"
    assert one.object == "model"
    pricing: Any = (one.model_extra or {})["pricing"]
    assert (pricing["prompt"], pricing["completion"]) == ("0.000001", "0.000002")
    assert (await client.models.retrieve("lab/whatever")).id == "lab/whatever"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("mokc")


async def test_the_blocking_client_does_the_same(gateway: Gateway) -> None:
    """Chat, stream, embeddings and models through `openai.OpenAI`."""

    def use() -> None:
        with openai.OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client:
            assert client.chat.completions.create(model="mock", messages=HI).choices[0].message.content
            stream = client.chat.completions.create(
                model="mock", messages=HI, stream=True, stream_options={"include_usage": True}
            )
            *chunks, last = list(stream)
            assert [chunk.choices[0].delta.content for chunk in chunks[:-1]] == ["w0 ", "w1 ", "w2 ", "w3 "]
            assert last.usage is not None
            assert len(client.embeddings.create(model="mock", input="x").data[0].embedding) == 8
            assert "mock" in [model.id for model in client.models.list()]
            with pytest.raises(openai.NotFoundError):
                client.chat.completions.create(model="nothing", messages=HI)

    await asyncio.to_thread(use)


async def test_openrouters_base_url_works_as_well(gateway: Gateway) -> None:
    """`/api/v1` is the same as `/v1`."""
    base = gateway.base_url.removesuffix("/v1") + "/api/v1"
    async with openai.AsyncOpenAI(base_url=base, api_key=KEY, max_retries=0) as client:
        assert (await client.chat.completions.create(model="mock", messages=HI)).choices
        assert "mock" in [model.id async for model in client.models.list()]


# -- headers -----------------------------------------------------------------------------------------------


async def test_every_header_of_a_whole_answer(client: openai.AsyncOpenAI, gateway: Gateway) -> None:
    """Identity, what answered, how often was tried, what it cost and how fast it was."""
    raw = await client.chat.completions.with_raw_response.create(model="mock", messages=HI)
    headers = raw.headers
    answer: Any = raw.parse()
    assert headers["x-request-id"].startswith("gen-")
    assert headers["x-generation-id"] == headers["x-request-id"] == answer._request_id
    assert headers["x-tokenway-model"] == "mock"
    assert headers["x-tokenway-endpoint"] == "lab/fake"
    assert headers["x-tokenway-attempts"] == "1"
    assert 0 < float(headers["x-tokenway-overhead-ms"]) < 1000
    assert float(headers["x-tokenway-cost"]) == answer.usage.cost
    assert float(headers["x-tokenway-tps"]) > 0
    assert headers["server"] == "tokenway"
    assert headers["date"].endswith("GMT")
    await until(lambda: any(entry.id == headers["x-request-id"] for entry in gateway.ledger()))
    assert gateway.ledger()[-1].charged == round(answer.usage.cost * 1e9)


async def test_every_header_of_a_stream(client: openai.AsyncOpenAI) -> None:
    """The same, but for what is only known at its end."""
    async with client.chat.completions.with_streaming_response.create(model="mock", messages=HI, stream=True) as raw:
        headers = raw.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["x-generation-id"] == headers["x-request-id"]
        assert headers["x-tokenway-model"] == "mock"
        assert headers["x-tokenway-endpoint"] == "lab/fake"
        assert headers["x-tokenway-attempts"] == "1"
        assert float(headers["x-tokenway-overhead-ms"]) > 0
        assert "x-tokenway-cost" not in headers
        text = "".join([line async for line in raw.iter_lines()])
    assert text.endswith("data: [DONE]")


async def test_ids_of_exchanges_are_never_repeated(client: openai.AsyncOpenAI) -> None:
    """Fifty answers at once, fifty ids."""
    raws = await asyncio.gather(
        *(client.chat.completions.with_raw_response.create(model="mock", messages=HI) for _ in range(50))
    )
    assert len({raw.headers["x-request-id"] for raw in raws}) == 50


# -- errors ------------------------------------------------------------------------------------------------


async def test_a_wrong_key_raises_authentication_error(gateway: Gateway) -> None:
    """401, and the message says nothing about the keys that are right."""
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key="sk-wrong", max_retries=0) as client:
        for call in (
            client.chat.completions.create(model="mock", messages=HI),
            client.embeddings.create(model="mock", input="x"),
            client.models.retrieve("mock"),
        ):
            with pytest.raises(openai.AuthenticationError) as caught:
                await call
            assert caught.value.code == "invalid_api_key"
            assert caught.value.request_id
            assert "sk-wrong" not in str(caught.value)


async def test_an_unknown_model_raises_not_found_with_the_nearest(client: openai.AsyncOpenAI) -> None:
    """404 names what was probably meant, streaming or not."""
    for stream in (False, True):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="mokc", messages=HI, stream=stream)
        assert "mock" in caught.value.message
        assert caught.value.code == "model_not_found"
        assert caught.value.param == "model"
        body: Any = caught.value.body
        assert body["metadata"]["availability"]["nearest"] == ["mock"]


async def test_a_bad_request_raises_bad_request_error(client: openai.AsyncOpenAI) -> None:
    """400 with the field at fault."""
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="mock", messages=HI, max_tokens=-1)
    assert caught.value.param == "max_tokens"


async def test_the_providers_own_400_passes_unchanged(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """The caller sees the provider's words, and no attempt is wasted on repeating a mistake."""
    before = len(provider.requests)
    provider.queue(Script(status=400, error="temperature is out of range"))
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="mock", messages=HI)
    assert caught.value.body == {
        "message": "temperature is out of range",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert len(provider.requests) == before + 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_429_raises_rate_limit_error_with_its_pause(
    client: openai.AsyncOpenAI, provider: FakeProvider, stream: bool
) -> None:
    """A pause that is too long to wait through is the caller's to know: `retry-after` passes."""
    provider.queue(Script(status=429, retry_after="60"))
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(model="mock", messages=HI, stream=stream)
    assert caught.value.response.headers["retry-after"] == "60"
    assert caught.value.response.headers["x-should-retry"] == "true"
    assert caught.value.response.headers["x-tokenway-endpoint"] == "lab/fake"


async def test_a_gateway_deadline_raises_a_server_error(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """The caller's own total time is kept by the gateway: 504, which the SDK may try again."""
    provider.queue(Script(delay=60))
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model="mock", messages=HI, extra_headers={"x-tokenway-timeout": "0.3"})
    assert caught.value.status_code == 504
    assert caught.value.response.headers["x-should-retry"] == "true"
    await provider.requests[-1].over.wait()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_side_timeout_ends_the_exchange(
    client: openai.AsyncOpenAI, provider: FakeProvider, gateway: Gateway, stream: bool
) -> None:
    """The SDK gives up, the provider is left at once, and the exchange is settled."""
    before = len(gateway.ledger())
    provider.queue(Script(delay=60))
    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(model="mock", messages=HI, stream=stream, timeout=0.3)
    async with asyncio.timeout(WAIT_SECONDS):
        await provider.requests[-1].over.wait()
    assert not provider.requests[-1].complete
    await until(lambda: len(gateway.ledger()) > before and not gateway.reservations())
    assert gateway.ledger()[-1].status == 499


async def test_an_error_in_the_middle_raises_api_error(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """What was streamed before it arrives, then the SDK raises: a cut is never a quiet end."""
    provider.queue(Script(chunks=5, cut=3))
    stream = await client.chat.completions.create(model="mock", messages=HI, stream=True)
    seen: list[str | None] = []

    async def read() -> None:
        async for chunk in stream:
            seen.append(chunk.choices[0].delta.content)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(openai.APIError) as caught:
        await read()
    assert seen[:3] == ["w0 ", "w1 ", "w2 "]
    assert "lab/fake" in str(caught.value)


async def test_the_sdks_retry_meets_a_recovered_gateway(gateway: Gateway, provider: FakeProvider) -> None:
    """With its usual retries the SDK gets through a 503 that outlasts the gateway's own attempts."""
    provider.queue(*[Script(status=503)] * 3)
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=3) as client:
        answer = await client.chat.completions.create(model="mock", messages=HI)
    assert answer.choices[0].message.content
    assert not provider._queue
