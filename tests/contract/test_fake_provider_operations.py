"""What the fake provider does besides chat: counts, vectors, pictures, sound, rankings; and its shapes, strictly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import pytest_asyncio
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.fake_provider import REPLIES, Bill, FakeProvider, Script
from tests.fake_provider.cases import PIXEL
from tests.fake_provider.dialects.base import Ask, Streamed, Whole
from tests.fake_provider.dialects.openai_media import SPEECH_CHUNK, SPEECH_CHUNKS
from tests.fake_provider.routes import VOICES

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRICT: dict[str, tuple[Any, Any]] = {
    "openai_chat": (ChatCompletion, ChatCompletionChunk),
    "openai_responses": (Response, ResponseStreamEvent),
    "anthropic": (Message, RawMessageStreamEvent),
}
"""The SDKs' own types of whole answers and of events, which their clients do not check."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    """A provider whose own code may not fail."""
    async with FakeProvider() as running:
        yield running
        assert running.errors == []


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(provider: FakeProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's SDK."""
    async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="sk-fake", max_retries=0) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def http(provider: FakeProvider) -> AsyncIterator[httpx2.AsyncClient]:
    """For what no SDK calls."""
    async with httpx2.AsyncClient(base_url=provider.origin) as made:
        yield made


def render(dialect: str, case: str, *, stream: bool) -> Whole | Streamed:
    """A reply as a renderer says it."""
    asked = {"stream_options": {"include_usage": True}}
    return VOICES[dialect].answer(REPLIES[case], Ask(dialect, "chat", "m", stream, asked))


@pytest.mark.parametrize("case", REPLIES)
@pytest.mark.parametrize("dialect", STRICT)
async def test_a_rendering_fits_the_sdks_types(dialect: str, case: str) -> None:
    """Every field that the vendor's types require is there, with a value of its type."""
    whole_type, event_type = STRICT[dialect]
    whole, stream = render(dialect, case, stream=False), render(dialect, case, stream=True)
    assert isinstance(whole, Whole)
    assert isinstance(stream, Streamed)
    TypeAdapter(whole_type).validate_json(whole.body)
    adapter: TypeAdapter[Any] = TypeAdapter(event_type)
    for frame in stream.frames:
        data = frame.data.split(b"data: ", 1)[1]
        if json.loads(data).get("type") != "ping":
            adapter.validate_json(data)


@pytest.mark.parametrize("case", REPLIES)
@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic", "gemini", "bedrock"])
async def test_a_stream_delivers_as_many_tokens_as_it_says(dialect: str, case: str) -> None:
    """The frames' tokens add up, so that faults which count tokens hit where they should."""
    stream = render(dialect, case, stream=True)
    assert isinstance(stream, Streamed)
    assert sum(frame.tokens for frame in stream.frames) == stream.total == REPLIES[case].tokens


async def test_counts_of_prompts(provider: FakeProvider, http: httpx2.AsyncClient) -> None:
    """Anthropic and Gemini count a prompt's tokens, for nothing."""
    asked: Any = [{"role": "user", "content": "one two three"}]
    async with anthropic.AsyncAnthropic(base_url=provider.origin, api_key="sk-fake") as client:
        counted = await client.messages.count_tokens(model="text", messages=asked)
    assert counted.input_tokens > 3
    body = {"contents": [{"parts": [{"text": "one two three"}]}]}
    answer = await http.post("/v1beta/models/text:countTokens", json=body)
    assert answer.json()["totalTokens"] > 3
    assert [request.bill for request in provider.requests[-2:]] == [Bill(), Bill()]


async def test_vectors_of_gemini(provider: FakeProvider, http: httpx2.AsyncClient) -> None:
    """One vector, or one for each request, of the size that is asked for; under both versions."""
    content = {"parts": [{"text": "ab"}]}
    one = await http.post("/v1/models/e:embedContent", json={"content": content, "outputDimensionality": 3})
    assert one.json() == {"embedding": {"values": [97 / 256, 98 / 256, 0.0]}}
    many = await http.post("/v1beta/models/e:batchEmbedContents", json={"requests": [{"content": content}] * 2})
    assert [len(each["values"]) for each in many.json()["embeddings"]] == [8, 8]
    assert provider.requests[-1].bill.prompt > 0
    assert provider.requests[-1].bill.completion == 0


async def test_gemini_streams_an_array_without_alt_sse(http: httpx2.AsyncClient) -> None:
    """Without `alt=sse` the stream is one JSON array; an error in the middle is its last element."""
    path = "/v1beta/models/{}:streamGenerateContent"
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    chunks = (await http.post(path.format("text"), json=body)).json()
    texts = [part["text"] for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert "".join(texts) == REPLIES["text"].parts[0].text  # type: ignore[union-attr]
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    broken = (await http.post(path.format("error-mid"), json=body)).json()
    assert broken[-1]["error"]["status"] == "INTERNAL"


async def test_moderations(client: openai.AsyncOpenAI) -> None:
    """Each input has a result with every category."""
    answer = await client.moderations.create(model="m", input=["be kind", "kill it"])
    assert [result.flagged for result in answer.results] == [False, True]
    assert answer.results[1].categories.violence
    assert answer.results[1].category_scores.violence == 0.9


async def test_images(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """As many as are asked for; an edit's form arrives whole; a stream has partial ones first."""
    answer = await client.images.generate(model="image-out", prompt="a pixel", n=2)
    assert [image.b64_json for image in answer.data or []] == [PIXEL, PIXEL]
    assert answer.usage is not None
    assert answer.usage.total_tokens == 1310
    picture = bytes(range(256)) + b"\r\n--x\r\n"
    edited = await client.images.edit(
        model="image-out", prompt="größer", image=[("a.png", picture, "image/png"), ("b.png", b"b", "image/png")]
    )
    assert edited.data
    form = provider.requests[-1].ask.form
    assert [part.data for part in form if part.filename] == [picture, b"b"]
    assert [part.media_type for part in form if part.filename] == ["image/png", "image/png"]
    assert provider.requests[-1].ask.body["prompt"] == "größer"
    stream = await client.images.generate(model="image-out", prompt="a pixel", stream=True, partial_images=2)
    kinds = [event.type async for event in stream]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert provider.requests[-1].bill == Bill(prompt=10, completion=1300)


async def test_speech_is_binary(client: openai.AsyncOpenAI) -> None:
    """Every byte comes as it was sent; as events, in base64."""
    async with client.audio.speech.with_streaming_response.create(model="text", voice="alloy", input="hi") as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        assert await answer.read() == SPEECH_CHUNK * SPEECH_CHUNKS
    async with client.audio.speech.with_streaming_response.create(
        model="text", voice="alloy", input="hi", stream_format="sse"
    ) as answer:
        kinds = [json.loads(line[6:])["type"] async for line in answer.iter_lines() if line]
    assert kinds == ["speech.audio.delta"] * SPEECH_CHUNKS + ["speech.audio.done"]


async def test_transcriptions(client: openai.AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    """The reply's text, as JSON, as text, and in pieces."""
    said = REPLIES["text"].parts[0].text  # type: ignore[union-attr]
    sound = ("speech.wav", SPEECH_CHUNK, "audio/wav")
    answer = await client.audio.transcriptions.create(model="text", file=sound)
    assert answer.text == said
    plain = await client.audio.transcriptions.create(model="text", file=sound, response_format="text")
    assert plain == f"{said}\n"
    stream = await client.audio.transcriptions.create(model="text", file=sound, stream=True)
    events = [event async for event in stream]
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == said
    form: Any = {"data": {"model": "text"}, "files": {"file": sound}}
    assert (await http.post("/v1/audio/translations", **form)).json()["text"] == said


async def test_rankings(http: httpx2.AsyncClient) -> None:
    """The best first, in Jina's shape, or Cohere's under `/v2`."""
    asked = {"model": "r", "query": "red fish", "documents": ["blue bird", {"text": "red fish"}, "red"], "top_n": 2}
    jina = (await http.post("/v1/rerank", json=asked)).json()
    assert [(each["index"], each["document"]["text"]) for each in jina["results"]] == [(1, "red fish"), (2, "red")]
    assert jina["usage"]["total_tokens"] > 0
    cohere = (await http.post("/v2/rerank", json=asked)).json()
    assert [each["relevance_score"] for each in cohere["results"]] == [1.0, 0.5]
    assert cohere["meta"]["billed_units"] == {"search_units": 1}


async def test_a_case_can_be_changed_by_its_name(provider: FakeProvider, http: httpx2.AsyncClient) -> None:
    """A question mark behind a case's name changes fields of its script, also where the name is in the path."""
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    answer = await http.post("/v1beta/models/text%3Fstatus=404:generateContent", json=body)
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
    chat: dict[str, Any] = {"model": "tools?delay=0.001", "messages": []}
    called = (await http.post("/v1/chat/completions", json=chat)).json()
    assert called["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_script_without_a_reply_speaks_every_dialect(provider: FakeProvider, http: httpx2.AsyncClient) -> None:
    """Made-up words come as any reply does, with lies about usage where the script tells them."""
    script = Script(chunks=3, prompt=10, cached=4, reasoning=1)
    provider.queue(script)
    body: dict[str, Any] = {"model": "m", "messages": [], "max_tokens": 9}
    told = (await http.post("/v1/messages", json=body)).json()
    assert [block.get("text") or block["thinking"] for block in told["content"]] == ["w0 ", "w1 w2 "]
    assert told["usage"]["input_tokens"] == 6
    assert provider.requests[-1].bill == Bill(prompt=10, cached=4, completion=3, reasoning=1)
    answer = await http.post("/model/fake%3Fusage=none/converse", json={"messages": []})
    assert "usage" not in answer.json()
