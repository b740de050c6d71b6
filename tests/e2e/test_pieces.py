"""What is not sold by the token: counted, reserved, charged and shown by the image, hour, character and search."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio

from tests.e2e.gateway import Gateway, configuration, serving, until
from tests.fake_provider import REPLIES, FakeProvider, Script

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),  # variations and translations
]

SOUND = ("hello.wav", b"RIFF" + bytes(range(256)) * 8, "audio/wav")
PNG = ("a.png", b"PNG", "image/png")
UNCOUNTED = replace(REPLIES["text"], counts=None)
"""An answer that says nothing of tokens."""
PRICES: dict[str, dict[str, Any]] = {
    "whisper": {"sound_hour": 0.36},
    "speech": {"characters": 15},
    "narrator": {"characters": 15},
    "painter": {
        "image": 0.04,
        "images": [
            {"quality": "hd", "size": "1024x1792", "image": 0.12},
            {"quality": "hd", "image": 0.08},
            {"size": "1024x1792", "image": 0.08},
        ],
    },
    "ranker": {"search": 0.002},
    "plain": {},
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway with a model for each way of selling, and one that has only a price by the token."""
    models = {
        name: {"endpoints": [{"provider": "lab", "model": "fake", "price": {"input": 1, "output": 2} | price}]}
        for name, price in PRICES.items()
    }
    base_url = provider.base_url.replace("/v1", "/v2")
    async with serving(tmp_path_factory.mktemp("gateway"), configuration(base_url, models=models)) as running:
        yield running


@pytest.fixture(autouse=True)
def uncounted(provider: FakeProvider) -> None:
    """No answer here tells any tokens, unless a test says otherwise."""
    provider.default = Script(reply=UNCOUNTED)


async def billed(http: httpx2.AsyncClient, gateway: Gateway, answer: Any) -> tuple[int, dict[str, int]]:
    """What an exchange was charged in nano-dollars, and its pieces."""
    exchange = answer.headers["x-generation-id"]
    entry = await gateway.entry(exchange)
    data = (await http.get("/v1/generation", params={"id": exchange})).json()["data"]
    assert round(data["total_cost"] * 1e9) == entry.charged
    return entry.charged, data["pieces"]


async def test_sound_by_the_second(client: openai.AsyncOpenAI, raw: httpx2.AsyncClient, gateway: Gateway) -> None:
    """A second at 0.36 USD an hour, as it was measured; the header says what it cost."""
    heard = await client.audio.transcriptions.with_raw_response.create(
        model="whisper", file=SOUND, response_format="verbose_json"
    )
    assert heard.headers["x-tokenway-cost"] == "0.0001"
    assert await billed(raw, gateway, heard) == (100_000, {"sound_ms": 1_000})


async def test_sound_that_is_billed(
    client: openai.AsyncOpenAI, raw: httpx2.AsyncClient, gateway: Gateway, provider: FakeProvider
) -> None:
    """The provider's own seconds; its usage has the cost beside them."""
    provider.default = Script(reply=REPLIES["text"])
    answer = await client.audio.translations.with_raw_response.create(
        model="whisper", file=SOUND, response_format="verbose_json"
    )
    told = json.loads(answer.text)["usage"]
    assert (told["seconds"], told["cost"]) == (1, 0.0001)
    assert await billed(raw, gateway, answer) == (100_000, {"sound_ms": 1_000})


async def test_text_of_which_nobody_says_how_long_it_sounded(client: openai.AsyncOpenAI, gateway: Gateway) -> None:
    """Unmetered, and seen as such; no length is made up."""
    answer = await client.audio.transcriptions.with_raw_response.create(
        model="whisper", file=SOUND, response_format="text"
    )
    entry = await gateway.entry(answer.headers["x-generation-id"])
    assert (entry.charged, entry.cost, entry.prompt) == (0, None, None)


async def test_speech_by_the_character(client: openai.AsyncOpenAI, raw: httpx2.AsyncClient, gateway: Gateway) -> None:
    """Eight characters of nine bytes at 15 USD a million."""
    answer = await client.audio.speech.with_raw_response.create(model="speech", voice="alloy", input="Na schön")
    assert await billed(raw, gateway, answer) == (120_000, {"characters": 8})


async def test_speech_that_is_cut(client: openai.AsyncOpenAI, gateway: Gateway, provider: FakeProvider) -> None:
    """What was not spoken to its end is not counted as if it had been."""
    before = len(gateway.ledger())
    provider.queue(Script(reply=UNCOUNTED, cut=4, gap=0.03))
    with pytest.raises((httpx2.TransportError, openai.APIConnectionError)):
        await client.audio.speech.create(model="speech", voice="alloy", input="Hello.")
    entry = (await gateway.entries(before + 1))[-1]
    assert (entry.settlement, entry.charged, entry.prompt) == ("absorbed", 0, None)


@pytest.mark.parametrize(
    ("look", "many", "nano"),
    [
        ({}, 1, 40_000_000),
        ({"quality": "standard", "size": "1024x1792"}, 1, 80_000_000),
        ({"quality": "hd"}, 2, 160_000_000),
        ({"quality": "hd", "size": "1024x1792"}, 1, 120_000_000),
    ],
)
async def test_images_by_size_and_quality(
    client: openai.AsyncOpenAI, raw: httpx2.AsyncClient, gateway: Gateway, look: Any, many: int, nano: int
) -> None:
    """Each image that came, at the price of what was asked for."""
    answer = await client.images.with_raw_response.generate(model="painter", prompt="A lake.", n=many, **look)
    assert await billed(raw, gateway, answer) == (nano, {"images": many})


async def test_images_in_forms(client: openai.AsyncOpenAI, raw: httpx2.AsyncClient, gateway: Gateway) -> None:
    """A variation is an image too."""
    answer = await client.images.with_raw_response.create_variation(model="painter", image=PNG, n=2)
    assert await billed(raw, gateway, answer) == (80_000_000, {"images": 2})


async def test_an_image_that_streams(raw: httpx2.AsyncClient, gateway: Gateway) -> None:
    """The whole one counts, those on the way do not."""
    body = {"model": "painter", "prompt": "A lake.", "stream": True, "partial_images": 2}
    answer = await raw.post("/v1/images/generations", json=body)
    assert answer.text.count("partial_image") > 1
    assert await billed(raw, gateway, answer) == (40_000_000, {"images": 1})


async def test_an_image_by_the_token(
    client: openai.AsyncOpenAI, gateway: Gateway, raw: httpx2.AsyncClient, provider: FakeProvider
) -> None:
    """Where images have no price of their own, the tokens are what is paid for: 11 at 1 and 7 at 2 USD a million."""
    provider.default = Script(reply=REPLIES["text"])
    answer = await client.images.with_raw_response.generate(model="plain", prompt="A lake.")
    assert await billed(raw, gateway, answer) == (25_000, {"images": 1})


async def test_a_ranking_by_the_search(raw: httpx2.AsyncClient, gateway: Gateway) -> None:
    """As Cohere bills it."""
    answer = await raw.post("/v1/rerank", json={"model": "ranker", "query": "a", "documents": ["a", "b"]})
    assert await billed(raw, gateway, answer) == (2_000_000, {"searches": 1})


async def test_a_piece_without_a_price(client: openai.AsyncOpenAI, gateway: Gateway, raw: httpx2.AsyncClient) -> None:
    """Counted, not charged, and no header says that it cost nothing."""
    answer = await client.images.with_raw_response.generate(model="plain", prompt="A lake.", n=3)
    assert "x-tokenway-cost" not in answer.headers
    exchange = answer.headers["x-generation-id"]
    entry = await gateway.entry(exchange)
    assert (entry.charged, entry.cost) == (0, None)
    data = (await raw.get("/v1/generation", params={"id": exchange})).json()["data"]
    assert (data["pieces"], data["num_media_completion"]) == ({"images": 3}, 3)


async def test_pieces_are_bounded_before_they_are_made(raw: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """Three images of the dearest kind can cost 0.36 USD, whatever these would; a ranking of 250 documents 0.006."""
    before = len(provider.requests)
    body = {"model": "painter", "prompt": "x", "n": 3, "provider": {"max_cost": "0.35"}}
    refused = await raw.post("/v1/images/generations", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "max_cost_exceeded")
    many = {"model": "ranker", "query": "a", "documents": ["a"] * 250}
    refused = await raw.post("/v1/rerank", json=many | {"provider": {"max_cost": "0.006"}})
    assert refused.status_code == 402
    assert len(provider.requests) == before
    assert (await raw.post("/v1/rerank", json=many | {"provider": {"max_cost": "0.01"}})).status_code == 200


async def test_what_decides_a_price_comes_once(raw: httpx2.AsyncClient) -> None:
    """Else the provider could read another size than was paid for."""
    body = b'{"model":"painter","prompt":"x","size":"1024x1024","size":"1024x1792"}'
    answer = await raw.post("/v1/images/generations", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "duplicate_key")


async def test_pieces_are_listed_and_summed(raw: httpx2.AsyncClient, gateway: Gateway) -> None:
    """In the list of models, the metrics and the report."""
    said = await raw.post("/v1/audio/speech", json={"model": "narrator", "voice": "alloy", "input": "Na schön"})
    await gateway.entry(said.headers["x-generation-id"])
    listed = {model["id"]: model["pricing"] for model in (await raw.get("/v1/models")).json()["data"]}
    assert listed["painter"]["image_output"] == "0.04"
    assert listed["whisper"]["sound_hour"] == "0.36"
    assert listed["speech"]["character"] == "0.000015"
    assert listed["ranker"]["web_search"] == "0.002"
    (row,) = [row for row in json.loads(await gateway.run("usage", "--json")) if row["model"] == "narrator"]
    assert (row["usage"]["characters"], row["charged_usd"]) == (8, "0.00012")
    wanted = 'tokenway_tokens_total{bucket="characters",endpoint="lab/fake",model="narrator"} 8.0'

    async def is_counted() -> bool:
        async with httpx2.AsyncClient() as http:
            return wanted in (await http.get(f"{gateway.control_url.rstrip('/')}/metrics")).text

    await until(is_counted)
