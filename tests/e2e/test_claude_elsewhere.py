"""Claude in other clouds: Google's addresses, which have the model in the path, before callers of every dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from tests.e2e.gateway import KEY, PRICE, WAIT_SECONDS, Gateway, configuration, serving
from tests.fake_provider import FakeProvider
from tests.fake_provider.play import Received

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLACE = "/v1/projects/p/locations/us-east5/publishers/anthropic"
MODEL = "claude-sonnet-4-5@20250929"
HI: Any = [{"role": "user", "content": "Say hello."}]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def vertex(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway whose only provider is Vertex AI, with Anthropic's models."""
    address = provider.base_url.removesuffix("/v1") + PLACE
    config = configuration(
        "",
        providers={"vertex-anthropic": {"base_url": address, "api_key": "ya29.token"}},
        models={"claude": {"endpoints": [{"provider": "vertex-anthropic", "model": MODEL, "price": PRICE}]}},
    )
    async with serving(tmp_path_factory.mktemp("gateway"), config) as running:
        yield running


def said(request: Received) -> tuple[str, str | None, str | None]:
    """Path, credential and what the body says of the model."""
    return request.path, request.header("authorization"), request.ask.body.get("model")


async def test_anthropics_client_reaches_it(vertex: Gateway, provider: FakeProvider) -> None:
    """Whole, streamed with a beta, and counted; the fake refuses what Google would."""
    async with anthropic.AsyncAnthropic(
        base_url=vertex.base_url.removesuffix("/v1"), api_key=KEY, max_retries=0, timeout=WAIT_SECONDS
    ) as client:
        whole = await client.messages.create(model="claude", max_tokens=50, messages=HI)
        assert said(provider.requests[-1]) == (f"{PLACE}/models/{MODEL}:rawPredict", "Bearer ya29.token", None)
        async with client.beta.messages.stream(
            model="claude", max_tokens=50, messages=HI, betas=["context-1m-2025-08-07"]
        ) as stream:
            streamed = await stream.get_final_message()
        assert said(provider.requests[-1])[0] == f"{PLACE}/models/{MODEL}:streamRawPredict"
        assert provider.requests[-1].header("anthropic-beta") == "context-1m-2025-08-07"
        counted = await client.messages.count_tokens(model="claude", messages=HI)
        assert said(provider.requests[-1]) == (f"{PLACE}/models/count-tokens:rawPredict", "Bearer ya29.token", MODEL)
    assert [block.to_dict() for block in whole.content] == [block.to_dict() for block in streamed.content]
    assert whole.usage.output_tokens == streamed.usage.output_tokens > 0
    assert counted.input_tokens > 0


async def test_so_does_a_client_of_another_dialect(vertex: Gateway, provider: FakeProvider) -> None:
    """The request is written anew, and has the same form; what it costs is known."""
    async with openai.AsyncOpenAI(base_url=vertex.base_url, api_key=KEY, max_retries=0, timeout=WAIT_SECONDS) as client:
        whole = await client.chat.completions.create(model="claude", messages=HI)
        assert said(provider.requests[-1]) == (f"{PLACE}/models/{MODEL}:rawPredict", "Bearer ya29.token", None)
        stream = await client.chat.completions.create(
            model="claude", messages=HI, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert whole.choices[0].message.content == "".join(
        chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices
    )
    assert whole.usage is not None
    assert whole.usage.to_dict()["cost"] == pytest.approx(
        (whole.usage.prompt_tokens * PRICE["input"] + whole.usage.completion_tokens * PRICE["output"]) / 1e6
    )


async def test_a_picture_by_address_is_refused_in_the_callers_words(vertex: Gateway) -> None:
    """Google's addresses take pictures with their data only."""
    picture: Any = [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
    ]
    async with openai.AsyncOpenAI(base_url=vertex.base_url, api_key=KEY, max_retries=0, timeout=WAIT_SECONDS) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="claude", messages=picture)
    assert refused.value.param == "messages[0].content[0].image_url"
