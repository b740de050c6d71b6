"""Moderations, images, sound, texts from sound and ranking: with OpenAI's SDK where it has them, else by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from typing import Any

import httpx2
import openai
import pytest

from tests.e2e.callers import CHAT, dial, problem_of
from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, PRICE, Gateway, configuration, until
from tests.fake_provider import REPLIES, FakeProvider, Script
from tests.fake_provider.cases import PIXEL
from tests.fake_provider.dialects.openai_media import SPEECH_CHUNK, SPEECH_CHUNKS

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),  # variations and translations
]

MIB = 1024 * 1024
PNG = base64.b64decode(PIXEL)
SOUND = ("hello.wav", b"RIFF" + bytes(range(256)) * 8, "audio/wav")
WHOLE = REPLIES["text"]
SAID = WHOLE.joined(type(WHOLE.parts[0]))  # type: ignore[arg-type]
COST = 11e-6 * PRICE["input"] + 7e-6 * PRICE["output"]
"""What the reply `text` costs: eleven tokens in, seven out."""


@pytest.fixture(autouse=True)
def text_reply(provider: FakeProvider) -> None:
    """Every answer here is made of the reply `text`, unless a test says otherwise."""
    provider.default = Script(reply=WHOLE)


async def generation(http: httpx2.AsyncClient, answer: Any) -> dict[str, Any]:
    """The record of an exchange."""
    found = await http.get("/v1/generation", params={"id": answer.headers["x-generation-id"]})
    data: dict[str, Any] = found.json()["data"]
    return data


# -- moderations, ranking ------------------------------------------------------------------------------------


async def test_moderations(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """One text or several; they cost nothing."""
    answer = await client.moderations.with_raw_response.create(model="mock", input=["I love you.", "I will kill you."])
    found = answer.parse()
    assert [each.flagged for each in found.results] == [False, True]
    assert found.results[1].categories.violence
    received = provider.requests[-1]
    assert received.path == "/v1/moderations"
    assert received.json == {"model": "fake", "input": ["I love you.", "I will kill you."]}
    assert answer.headers["x-tokenway-endpoint"] == "lab/fake"


async def test_moderations_without_a_model(launch: Launch, provider: FakeProvider) -> None:
    """OpenAI's default model is meant, here as an alias."""
    gateway = await launch(configuration(provider.base_url, aliases={"omni-moderation-latest": "mock"}))
    async with dial(gateway) as http:
        answer = await http.post("/v1/moderations", json={"input": "hi"})
    assert answer.status_code == 200
    assert provider.requests[-1].json["model"] == "fake"


@pytest.mark.parametrize("path", ["/v1/rerank", "/api/v1/rerank"])
async def test_a_ranking_as_jina_answers(
    raw: httpx2.AsyncClient, gateway: Gateway, provider: FakeProvider, path: str
) -> None:
    """Order and documents are the provider's; its tokens are priced."""
    body = {"model": "mock", "query": "a lake", "documents": ["a hill", "a lake", "the sea"], "top_n": 2}
    answer = await raw.post(path, json=body)
    assert [each["index"] for each in answer.json()["results"]] == [1, 0]
    tokens = answer.json()["usage"]["total_tokens"]
    entry = await gateway.entry(answer.headers["x-generation-id"])
    assert (entry.prompt, entry.completion, entry.charged) == (tokens, 0, tokens * 1000)
    assert answer.headers["x-tokenway-cost"] == f"{tokens * 1e-6:f}".rstrip("0")
    assert provider.requests[-1].json == body | {"model": "fake"}


async def test_a_ranking_as_cohere_answers(launch: Launch, provider: FakeProvider) -> None:
    """Cohere bills searches, which have a price of their own."""
    config = configuration(provider.base_url.replace("/v1", "/v2"))
    config["models"]["mock"]["endpoints"][0]["price"] = PRICE | {"search": 0.002}
    gateway = await launch(config)
    async with dial(gateway) as http:
        answer = await http.post("/v1/rerank", json={"model": "mock", "query": "a", "documents": ["a", "b"]})
    assert provider.requests[-1].path == "/v2/rerank"
    assert answer.json()["meta"]["billed_units"] == {"search_units": 1}
    assert (await gateway.entry(answer.headers["x-generation-id"])).charged == 2_000_000


# -- images ----------------------------------------------------------------------------------------------------


async def test_images(client: openai.AsyncOpenAI, raw: httpx2.AsyncClient) -> None:
    """Two images, with usage and its cost."""
    answer = await client.images.with_raw_response.generate(model="mock", prompt="A lake.", n=2)
    found = answer.parse()
    assert found.data is not None
    assert [each.b64_json for each in found.data] == [PIXEL, PIXEL]
    assert found.usage is not None
    assert (found.usage.input_tokens, found.usage.output_tokens) == (11, 7)
    record = await generation(raw, answer)
    assert record["total_cost"] == pytest.approx(COST)
    assert float(answer.headers["x-tokenway-cost"]) == pytest.approx(COST)


async def test_images_that_stream(client: openai.AsyncOpenAI, gateway: Gateway, provider: FakeProvider) -> None:
    """Partial images arrive as they are made, the whole one last, and then the books are right."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(reply=WHOLE, gate=gate))
    answer = await client.images.with_raw_response.generate(
        model="mock", prompt="A lake.", stream=True, partial_images=2
    )
    events = answer.parse()
    kinds = []
    async for event in events:
        kinds.append(event.type)
        gate.release()
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    entry = await gateway.entry(answer.headers["x-generation-id"])
    assert (entry.prompt, entry.charged) == (11, round(COST * 1e9))


async def test_an_image_stream_that_breaks(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """The caller is told in the stream."""
    provider.queue(Script(reply=WHOLE, cut=1, gap=0.03))
    events = await client.images.generate(model="mock", prompt="A lake.", stream=True, partial_images=2)
    with pytest.raises(openai.APIError, match="lab/fake"):
        _ = [event async for event in events]


async def test_edits_of_several_images(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """Each image arrives as it was, the model by its upstream name."""
    pictures = [(f"{number}.png", PNG + bytes([number]) * 100, "image/png") for number in range(3)]
    answer = await client.images.edit(model="mock", prompt="Add a boat.", image=pictures, n=1)
    assert answer.data is not None
    form = provider.requests[-1].ask.form
    assert [(part.filename, part.data) for part in form if part.filename] == [each[:2] for each in pictures]
    assert {part.name: part.data for part in form if not part.filename} == {
        "model": b"fake",
        "prompt": b"Add a boat.",
        "n": b"1",
    }


async def test_edits_that_stream(client: openai.AsyncOpenAI) -> None:
    """The form asks for a stream, and gets one."""
    events = await client.images.edit(
        model="mock", prompt="Add a boat.", image=("a.png", PNG, "image/png"), stream=True, partial_images=1
    )
    assert [event.type async for event in events] == ["image_edit.partial_image", "image_edit.completed"]


async def test_variations(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """A form without a prompt."""
    answer = await client.images.create_variation(model="mock", image=("a.png", PNG, "image/png"), n=2)
    assert answer.data is not None
    assert len(answer.data) == 2
    assert provider.requests[-1].path == "/v1/images/variations"


async def test_variations_without_a_model(launch: Launch, provider: FakeProvider) -> None:
    """OpenAI's default is meant, and the upstream is told its own name for it."""
    gateway = await launch(configuration(provider.base_url, aliases={"dall-e-2": "mock"}))
    async with dial(gateway) as http:
        answer = await http.post("/v1/images/variations", files={"image": ("a.png", PNG, "image/png")})
    assert answer.status_code == 200, answer.text
    assert provider.requests[-1].ask.model == "fake"


# -- speech ----------------------------------------------------------------------------------------------------


async def test_speech_arrives_in_pieces(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """Sound is passed on while it is made, to the byte."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(reply=WHOLE, gate=gate))
    heard = b""
    async with client.audio.speech.with_streaming_response.create(
        model="mock", voice="alloy", input="Hello."
    ) as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        async for piece in answer.iter_bytes():
            heard += piece
            while len(heard) >= len(SPEECH_CHUNK) * (provider.requests[-1].sent):
                gate.release()
                await asyncio.sleep(0.01)
                if provider.requests[-1].sent == SPEECH_CHUNKS:
                    break
    assert heard == SPEECH_CHUNK * SPEECH_CHUNKS
    assert provider.requests[-1].json["input"] == "Hello."


async def test_speech_at_once(client: openai.AsyncOpenAI, gateway: Gateway) -> None:
    """The usual call has it all; no usage is told, and spoken text has no price here, so none is charged."""
    answer = await client.audio.speech.with_raw_response.create(model="mock", voice="alloy", input="Hello.")
    assert answer.content == SPEECH_CHUNK * SPEECH_CHUNKS
    entry = await gateway.entry(answer.headers["x-generation-id"])
    assert (entry.settlement, entry.charged, entry.cost, entry.prompt) == ("delivered", 0, None, 0)


async def test_speech_in_events(client: openai.AsyncOpenAI, gateway: Gateway) -> None:
    """With `stream_format: sse` it comes as events, and its usage is billed."""
    async with client.audio.speech.with_streaming_response.create(
        model="mock", voice="alloy", input="Hello.", stream_format="sse"
    ) as answer:
        text = "".join([piece async for piece in answer.iter_text()])
    assert text.count("speech.audio.delta") == SPEECH_CHUNKS
    assert text.count("speech.audio.done") == 1
    entry = await gateway.entry(answer.headers["x-generation-id"])
    assert entry.charged == round(COST * 1e9)


@pytest.mark.parametrize("how", ["close", "rst"])
async def test_speech_that_is_cut(client: openai.AsyncOpenAI, provider: FakeProvider, how: str) -> None:
    """A cut in the middle is one for the caller too: nothing looks like the end of the sound."""
    provider.queue(Script(reply=WHOLE, cut=4, cut_how=how, gap=0.03))
    heard = b""

    async def listen() -> None:
        nonlocal heard
        making = client.audio.speech.with_streaming_response.create(model="mock", voice="alloy", input="Hello.")
        async with making as answer:
            async for piece in answer.iter_bytes():
                heard += piece

    with pytest.raises((httpx2.TransportError, openai.APIConnectionError)):
        await listen()
    assert heard == SPEECH_CHUNK * 4


async def test_speech_that_fails(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """An error before the first byte is an error answer."""
    provider.queue(Script(status=400, error="No such voice."))
    with pytest.raises(openai.BadRequestError, match="No such voice"):
        await client.audio.speech.create(model="mock", voice="alloy", input="Hello.")


# -- texts from sound ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["transcriptions", "translations"])
async def test_texts_in_json(client: openai.AsyncOpenAI, gateway: Gateway, provider: FakeProvider, kind: str) -> None:
    """The text, the provider's usage, and what it cost; the sound arrived as it was."""
    answer = await getattr(client.audio, kind).with_raw_response.create(model="mock", file=SOUND)
    assert answer.parse().text == SAID
    received = provider.requests[-1]
    assert received.path == f"/v1/audio/{kind}"
    assert [(part.filename, part.data) for part in received.ask.form if part.filename] == [SOUND[:2]]
    assert received.ask.model == "fake"
    entry = await gateway.entry(answer.headers["x-generation-id"])
    assert (entry.prompt, entry.completion, entry.charged) == (11, 7, round(COST * 1e9))


@pytest.mark.parametrize("kind", ["transcriptions", "translations"])
@pytest.mark.parametrize("wanted", ["text", "srt", "vtt"])
async def test_texts_that_are_no_json(client: openai.AsyncOpenAI, kind: str, wanted: Any) -> None:
    """They pass with the provider's media type."""
    answer = await getattr(client.audio, kind).with_raw_response.create(
        model="mock", file=SOUND, response_format=wanted
    )
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.endswith(f"{SAID}\n")
    assert ("-->" in answer.text) == (wanted != "text")


async def test_a_text_with_its_times(client: openai.AsyncOpenAI, gateway: Gateway) -> None:
    """A usage of seconds is passed on and not taken for tokens; sound has no price here."""
    answer = await client.audio.transcriptions.with_raw_response.create(
        model="mock", file=SOUND, response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert answer.parse().text == SAID
    entry = await gateway.entry(answer.headers["x-generation-id"])
    assert (entry.prompt, entry.charged, entry.cost) == (0, 0, None)


async def test_a_text_that_streams(client: openai.AsyncOpenAI, gateway: Gateway, provider: FakeProvider) -> None:
    """Piece by piece, the whole last; billed by the usage of the last event."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(reply=WHOLE, gate=gate))
    answer = await client.audio.transcriptions.with_raw_response.create(model="mock", file=SOUND, stream=True)
    heard = ""
    async for event in answer.parse():
        gate.release()
        if event.type == "transcript.text.delta":
            heard += event.delta
        else:
            assert event.type == "transcript.text.done"
            assert event.text == SAID
    assert heard == SAID
    assert (await gateway.entry(answer.headers["x-generation-id"])).charged == round(COST * 1e9)


async def test_a_large_recording_is_not_held_in_memory(gateway: Gateway, provider: FakeProvider) -> None:
    """Twenty megabytes arrive to the byte, and the worker is not larger by them at any time."""
    (worker,) = gateway.workers()
    sound = os.urandom(MIB) * 20
    peaks: list[int] = []

    async def watch() -> None:
        while True:
            peaks.append(worker.memory_info().rss)
            await asyncio.sleep(0.005)

    async with dial(gateway) as http:
        warm = {"file": ("a.wav", sound[:MIB], "audio/wav")}
        await http.post("/v1/audio/transcriptions", data={"model": "mock"}, files=warm)
        before = worker.memory_info().rss
        watching = asyncio.get_running_loop().create_task(watch())
        form = {"file": ("a.wav", sound, "audio/wav")}
        answer = await http.post("/v1/audio/transcriptions", data={"model": "mock"}, files=form)
        watching.cancel()
    assert answer.json()["text"] == SAID
    (part,) = [part for part in provider.requests[-1].ask.form if part.filename]
    assert part.data == sound
    shared = 20 * MIB
    """The mapped file counts while it is read; it is no memory that the process holds."""
    assert max(peaks) - before < shared + 8 * MIB
    await until(lambda: worker.memory_info().rss - before < 8 * MIB)


async def test_an_upload_that_is_too_large(launch: Launch, provider: FakeProvider) -> None:
    """413, with and without a length said before."""
    gateway = await launch(configuration(provider.base_url, server={"max_body": "1MiB"}))
    before = len(provider.requests)
    sound = bytes(2 * MIB)
    async with dial(gateway) as http:
        form = {"file": ("a.wav", sound, "audio/wav")}
        answer = await http.post("/v1/audio/transcriptions", data={"model": "mock"}, files=form)
        assert answer.status_code == 413
        assert problem_of(CHAT, answer.json()).message
    assert len(provider.requests) == before


# -- forms that are wrong ----------------------------------------------------------------------------------------

LINE = b"--b\r\n"
FILE = b'content-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'
MODEL = b'content-disposition: form-data; name="model"\r\n\r\nmock\r\n'
END = b"--b--\r\n"
BROKEN = {
    "no form": (b"{}", "application/json", None),
    "no boundary": (b"--b--\r\n", "multipart/form-data", None),
    "empty": (b"", "multipart/form-data; boundary=b", None),
    "another boundary": (LINE + MODEL + LINE + FILE + END, "multipart/form-data; boundary=c", None),
    "no end": (LINE + MODEL + LINE + FILE, "multipart/form-data; boundary=b", None),
    "no model": (LINE + FILE + END, "multipart/form-data; boundary=b", "model"),
    "no file": (LINE + MODEL + END, "multipart/form-data; boundary=b", "file"),
    "no name": (LINE + b"content-type: text/plain\r\n\r\nx\r\n" + END, "multipart/form-data; boundary=b", None),
    "no head": (LINE + b"x" * 10_000 + END, "multipart/form-data; boundary=b", None),
    "long model": (
        LINE + MODEL.replace(b"mock", b"m" * 300) + LINE + FILE + END,
        "multipart/form-data; boundary=b",
        "model",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_form_that_is_wrong(raw: httpx2.AsyncClient, provider: FakeProvider, name: str) -> None:
    """400 in OpenAI's shape, with the field where one is missing; the connection goes on."""
    body, content_type, param = BROKEN[name]
    before = len(provider.requests)
    answer = await raw.post("/v1/audio/transcriptions", content=body, headers={"content-type": content_type})
    assert answer.status_code == 400, answer.text
    told = problem_of(CHAT, answer.json())
    assert (told.kind, told.param) == ("invalid_request_error", param)
    assert len(provider.requests) == before


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("moderations", {}, "input"),
        ("images/generations", {}, "prompt"),
        ("audio/speech", {}, "input"),
        ("rerank", {"documents": []}, "query"),
        ("rerank", {"query": "x"}, "documents"),
        ("images/generations", {"prompt": "x", "model": None}, "model"),
        ("audio/speech", {"input": "x", "model": 7}, "model"),
    ],
)
async def test_a_body_that_is_wrong(raw: httpx2.AsyncClient, path: str, body: dict[str, Any], param: str) -> None:
    """400 with the field."""
    answer = await raw.post(f"/v1/{path}", json={"model": "mock"} | body)
    assert answer.status_code == 400
    assert problem_of(CHAT, answer.json()).param == param


async def test_an_unknown_model_in_a_form(client: openai.AsyncOpenAI) -> None:
    """404 as anywhere."""
    with pytest.raises(openai.NotFoundError):
        await client.audio.transcriptions.create(model="nobody", file=SOUND)


async def test_a_model_of_another_dialect(launch: Launch, provider: FakeProvider) -> None:
    """400: nobody can make that of it."""
    lab = {"dialect": "anthropic", "base_url": provider.origin, "api_key": "x"}
    gateway = await launch(configuration(provider.base_url, providers={"lab": lab}))
    async with dial(gateway) as http:
        for path, body in (("moderations", {"input": "x"}), ("rerank", {"query": "x", "documents": ["y"]})):
            answer = await http.post(f"/v1/{path}", json={"model": "mock"} | body)
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] == "wrong_endpoint"


async def test_a_provider_of_the_responses_api_has_the_others_too(launch: Launch, provider: FakeProvider) -> None:
    """OpenAI's other operations are at the same address."""
    lab = {"dialect": "openai_responses", "base_url": provider.base_url, "api_key": "x"}
    gateway = await launch(configuration(provider.base_url, providers={"lab": lab}))
    async with dial(gateway) as http:
        answer = await http.post("/v1/moderations", json={"model": "mock", "input": "x"})
        assert answer.status_code == 200
        provider.queue(Script())
        answer = await http.post("/v1/embeddings", json={"model": "mock", "input": "x"})
        assert answer.status_code == 200


async def test_fallbacks_of_a_form(launch: Launch, provider: FakeProvider) -> None:
    """The next endpoint gets the whole form under its own name of the model."""
    config = configuration(provider.base_url)
    config["models"]["mock"]["endpoints"].append({"provider": "lab", "model": "second", "price": PRICE})
    config["models"]["mock"]["endpoints"][0]["model"] = "broken"
    config["retries"] = {"max": 1}
    gateway = await launch(config)
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client:
        answer = await client.audio.transcriptions.create(model="mock", file=SOUND)
    assert answer.text == SAID
    assert [received.ask.model for received in provider.requests[-2:]] == ["broken", "second"]
    assert re.sub(rb"broken", b"second", provider.requests[-2].body) == provider.requests[-1].body
    assert json.dumps(provider.requests[-1].ask.body) == '{"model": "second"}'
