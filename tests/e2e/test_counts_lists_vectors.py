"""Counts of tokens, lists of models and embeddings, in the shapes of all who ask for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import pytest_asyncio

from tests.e2e import sdk_matrix
from tests.e2e.callers import ANTHROPIC, BEDROCK, CHAT, GEMINI, RESPONSES, ask, dial, problem_of
from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, PRICE, WAIT_SECONDS, Gateway, configuration
from tests.e2e.sdk_matrix import DIALECTS, model
from tests.fake_provider import FakeProvider, Script
from tokenway.model.catalog import Dialect

pytestmark = pytest.mark.asyncio(loop_scope="module")

HI: Any = [{"role": "user", "content": "Say hello."}]
HELLO: Any = [{"role": "user", "parts": [{"text": "Say hello."}]}]
CLAUDE = {"anthropic-version": "2023-06-01"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(five: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client."""
    async with openai.AsyncOpenAI(base_url=five.base_url, api_key=KEY, max_retries=0, timeout=WAIT_SECONDS) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def claude(five: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Anthropic's client."""
    origin = five.base_url.removesuffix("/v1")
    async with anthropic.AsyncAnthropic(base_url=origin, api_key=KEY, max_retries=0, timeout=WAIT_SECONDS) as made:
        yield made


# -- counts ------------------------------------------------------------------------------------------------


async def test_anthropic_counts_itself(claude: anthropic.AsyncAnthropic, provider: FakeProvider, five: Gateway) -> None:
    """The upstream's own count passes, and costs nothing."""
    answer = await claude.messages.with_raw_response.count_tokens(
        model=model("anthropic", "text"), messages=HI, system="Be brief."
    )
    received = provider.requests[-1]
    assert received.path == "/v1/messages/count_tokens"
    assert received.json == {"model": "text", "messages": HI, "system": "Be brief."}
    assert (await answer.parse()).input_tokens > 0
    assert "x-tokenway-estimated" not in answer.headers
    entry = await five.entry(answer.headers["x-generation-id"])
    assert (entry.settlement, entry.charged) == ("delivered", 0)


@pytest.mark.parametrize("upstream", [each for each in DIALECTS if each is not ANTHROPIC])
async def test_an_estimate_for_an_anthropic_caller(
    claude: anthropic.AsyncAnthropic, provider: FakeProvider, upstream: Dialect
) -> None:
    """Elsewhere it is estimated, says so, and nobody is asked."""
    before = len(provider.requests)
    answer = await claude.messages.with_raw_response.count_tokens(
        model=model(upstream, "text"), messages=[{"role": "user", "content": "word " * 400}]
    )
    assert 300 < (await answer.parse()).input_tokens < 800
    assert answer.headers["x-tokenway-estimated"] == "true"
    assert answer.headers["x-tokenway-model"] == model(upstream, "text")
    assert len(provider.requests) == before


@pytest.mark.parametrize("upstream", DIALECTS)
async def test_an_estimate_for_a_caller_of_responses(
    client: openai.AsyncOpenAI, provider: FakeProvider, upstream: Dialect
) -> None:
    """Few providers of the API count at all: where none is known to, it is estimated, says so, and nobody is asked."""
    before = len(provider.requests)
    answer = await client.responses.input_tokens.with_raw_response.count(
        model=model(upstream, "text"), input="word " * 400, instructions="Be brief."
    )
    counted = answer.parse()
    assert (counted.object, 300 < counted.input_tokens < 800) == ("response.input_tokens", True)
    assert answer.headers["x-tokenway-estimated"] == "true"
    assert len(provider.requests) == before
    made = await client.responses.create(model=model(upstream, "text"), input="word " * 400)
    more = await client.responses.input_tokens.count(
        model=model(upstream, "text"), input="Go on.", previous_response_id=made.id
    )
    assert more.input_tokens > 300


async def test_a_provider_of_responses_that_counts(launch: Launch, provider: FakeProvider) -> None:
    """Its own count passes, and costs nothing; what a chain holds is counted too."""
    config = sdk_matrix.configuration(provider)
    config["providers"]["lab-openai_responses"]["quirks"] = {"input_tokens": True}
    gateway = await launch(config)
    name = model("openai_responses", "text")
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client:
        answer = await client.responses.input_tokens.with_raw_response.count(model=name, input="Say hello.")
        received = provider.requests[-1]
        assert (received.path, received.json) == (
            "/v1/responses/input_tokens",
            {"model": "text", "input": "Say hello."},
        )
        assert answer.parse().input_tokens > 0
        assert "x-tokenway-estimated" not in answer.headers
        entry = await gateway.entry(answer.headers["x-generation-id"])
        assert (entry.settlement, entry.charged) == ("delivered", 0)
        made = await client.responses.create(model=model("openai_chat", "text"), input="Say hello.")
        await client.responses.input_tokens.count(model=name, input="Again.", previous_response_id=made.id)
        assert [each["role"] for each in provider.requests[-1].json["input"]] == ["user", "assistant", "user"]


async def test_wrong_counts_for_a_caller_of_responses(client: openai.AsyncOpenAI) -> None:
    """An id that nobody knows, an input that is none, a model that is none."""
    name = model("openai_chat", "text")
    with pytest.raises(openai.BadRequestError) as unknown:
        await client.responses.input_tokens.count(model=name, input="x", previous_response_id="resp_nobody")
    assert unknown.value.code == "previous_response_not_found"
    wrong: Any = [{"role": "nobody", "content": "x"}]
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.input_tokens.count(model=name, input=wrong)
    assert caught.value.param == "input[0].role"
    with pytest.raises(openai.NotFoundError):
        await client.responses.input_tokens.count(model="nobody", input="x")


async def test_gemini_counts_itself(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """Contents as they are, or a whole request inside, with the upstream's name of the model in it."""
    name = model("gemini", "text")
    answer = await http.post(f"/v1beta/models/{name}:countTokens", json={"contents": HELLO})
    assert answer.json()["totalTokens"] > 0
    assert "x-tokenway-estimated" not in answer.headers
    assert provider.requests[-1].path == "/v1beta/models/text:countTokens"
    inner = {"model": f"models/{name}", "contents": HELLO}
    answer = await http.post(f"/v1beta/models/{name}:countTokens", json={"generateContentRequest": inner})
    assert answer.status_code == 200
    assert provider.requests[-1].json == {"generateContentRequest": inner | {"model": "models/text"}}


@pytest.mark.parametrize("upstream", [each for each in DIALECTS if each is not GEMINI])
async def test_an_estimate_for_a_gemini_caller(http: httpx2.AsyncClient, upstream: Dialect) -> None:
    """Both forms are estimated."""
    path = f"/v1beta/models/{model(upstream, 'text')}:countTokens"
    plain = await http.post(path, json={"contents": HELLO})
    assert plain.headers["x-tokenway-estimated"] == "true"
    whole = await http.post(path, json={"generateContentRequest": {"contents": HELLO, "model": "models/x"}})
    assert plain.json()["totalTokens"] == whole.json()["totalTokens"] > 0
    wrong = await http.post(path, json={"contents": [{"role": "wizard", "parts": []}]})
    assert wrong.status_code == 400
    assert problem_of(GEMINI, wrong.json()).param == "contents[0].role"


async def test_a_count_that_an_upstream_refuses(claude: anthropic.AsyncAnthropic, provider: FakeProvider) -> None:
    """Its own error, unchanged."""
    provider.queue(Script(status=400, error="Too many images."))
    with pytest.raises(anthropic.BadRequestError, match="Too many images"):
        await claude.messages.count_tokens(model=model("anthropic", "text"), messages=HI)


async def test_is_anybody_there(five: Gateway) -> None:
    """`HEAD /api/hello` needs no key and has no body."""
    async with dial(five, "") as http:
        answer = await http.head("/api/hello")
    assert answer.status_code == 200
    assert answer.content == b""


# -- lists of models ---------------------------------------------------------------------------------------


async def test_the_list_as_openai_has_it(client: openai.AsyncOpenAI) -> None:
    """All of it, and one of it, also with a slash in its name."""
    names = [each.id async for each in client.models.list()]
    assert model("anthropic", "text") in names
    assert len(names) == len(set(names))
    one = await client.models.retrieve(model("anthropic", "text"))
    assert (one.id, one.object) == (model("anthropic", "text"), "model")
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nobody")


async def test_a_name_with_a_slash(http: httpx2.AsyncClient) -> None:
    """A provider's own model is found by its whole name, as one of the list and with its endpoints."""
    for prefix in ("/v1", "/api/v1"):
        answer = await http.get(f"{prefix}/models/lab-anthropic/some-model")
        assert (answer.status_code, answer.json()["id"]) == (200, "lab-anthropic/some-model")
        answer = await http.get(f"{prefix}/models/lab-anthropic/some-model/endpoints")
        (endpoint,) = answer.json()["data"]["endpoints"]
        assert endpoint["tag"] == "lab-anthropic/some-model"


async def test_endpoints_with_their_prices(http: httpx2.AsyncClient) -> None:
    """OpenRouter's shape: USD per token in texts."""
    answer = await http.get(f"/v1/models/{model('anthropic', 'text')}/endpoints")
    data = answer.json()["data"]
    assert data["id"] == model("anthropic", "text")
    (endpoint,) = data["endpoints"]
    assert endpoint["provider_name"] == "lab-anthropic"
    assert (endpoint["pricing"]["prompt"], endpoint["pricing"]["completion"]) == ("0.000001", "0.000004")
    assert (await http.get("/v1/models/nobody/endpoints")).status_code == 404


async def test_the_list_as_anthropic_has_it(claude: anthropic.AsyncAnthropic, client: openai.AsyncOpenAI) -> None:
    """Page by page to the end: the same models, each once."""
    names = [each.id async for each in claude.models.list(limit=7)]
    assert names == [each.id async for each in client.models.list()]
    first = await claude.models.list(limit=1)
    assert first.has_more
    assert (first.first_id, first.last_id) == (names[0], names[0])
    assert first.data[0].type == "model"
    assert first.data[0].created_at.year >= 1970
    one = await claude.models.retrieve(names[3])
    assert one.id == names[3]
    with pytest.raises(anthropic.NotFoundError):
        await claude.models.retrieve("nobody")


async def test_the_pages_before(http: httpx2.AsyncClient) -> None:
    """`before_id` walks the list backwards, as Anthropic's API has it."""
    names = [each["id"] for each in (await http.get("/v1/models?limit=1000", headers=CLAUDE)).json()["data"]]
    page = (await http.get(f"/v1/models?limit=3&before_id={names[5]}", headers=CLAUDE)).json()
    assert [each["id"] for each in page["data"]] == names[2:5]
    assert page["has_more"] is True
    page = (await http.get(f"/v1/models?limit=30&before_id={names[5]}", headers=CLAUDE)).json()
    assert [each["id"] for each in page["data"]] == names[:5]
    assert page["has_more"] is False


async def test_what_claude_code_looks_for(http: httpx2.AsyncClient) -> None:
    """It asks for a thousand and reads id and name."""
    answer = await http.get("/v1/models?limit=1000", headers=CLAUDE)
    page = answer.json()
    assert page["has_more"] is False
    assert all({"id", "display_name", "type", "created_at"} <= each.keys() for each in page["data"])
    answer = await http.get("/v1/models?after_id=nobody", headers=CLAUDE)
    assert (answer.status_code, problem_of(ANTHROPIC, answer.json()).param) == (400, "after_id")
    for wrong in ("0", "1001", "x", "-1"):
        answer = await http.get(f"/v1/models?limit={wrong}", headers=CLAUDE)
        assert answer.status_code == 400
        assert problem_of(ANTHROPIC, answer.json()).param == "limit"


@pytest.mark.parametrize("base", ["/v1beta", "/v1"])
async def test_the_list_as_google_has_it(http: httpx2.AsyncClient, client: openai.AsyncOpenAI, base: str) -> None:
    """Page by page to the end, under both versions that Google's clients call."""
    headers = {"x-goog-api-key": KEY}
    names, token = [], ""
    while True:
        query = {"pageSize": "9"} | ({"pageToken": token} if token else {})
        page = (await http.get(f"{base}/models", params=query, headers=headers)).json()
        assert len(page["models"]) <= 9
        names += [each["name"] for each in page["models"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert names == [f"models/{each.id}" async for each in client.models.list()]
    one = (await http.get(f"{base}/{names[2]}", headers=headers)).json()
    assert one["name"] == names[2]
    assert "generateContent" in one["supportedGenerationMethods"]


@pytest.mark.parametrize("token", ["x", "-1", "99999999999", "1.5"])
async def test_a_page_that_is_none(http: httpx2.AsyncClient, token: str) -> None:
    """400 for a token that no page gave."""
    answer = await http.get("/v1beta/models", params={"pageToken": token})
    assert answer.status_code == 400
    assert problem_of(GEMINI, answer.json()).param == "pageToken"


# -- embeddings --------------------------------------------------------------------------------------------

EMBED = {
    "auth": {"keys": [{"name": "ci", "key": KEY}]},
    "models": {
        "google": {"endpoints": [{"provider": "lab-gemini", "model": "embed-g", "price": PRICE}]},
        "openai": {"endpoints": [{"provider": "lab-openai_chat", "model": "embed-o", "price": PRICE}]},
        "claude": {"endpoints": [{"provider": "lab-anthropic", "model": "embed-a"}]},
    },
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def vectors(
    provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[openai.AsyncOpenAI, httpx2.AsyncClient, Gateway]]:
    """Clients of a gateway whose models embed."""
    config = sdk_matrix.configuration(provider, **EMBED)
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), config)
    await gateway.start()
    async with (
        openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as made,
        dial(gateway) as plain,
    ):
        yield made, plain, gateway
    assert await gateway.stop() == 0
    assert "Traceback" not in gateway.complaints, gateway.complaints


Vectors = tuple[openai.AsyncOpenAI, httpx2.AsyncClient, Gateway]


async def test_openais_client_and_google(vectors: Vectors, provider: FakeProvider) -> None:
    """A list of texts becomes a batch; base64, which the client asks for, and floats are the same vectors."""
    client, _, _ = vectors
    packed = await client.embeddings.create(model="google", input=["alpha", "beta"], dimensions=8)
    received = provider.requests[-1]
    assert received.path == "/v1beta/models/embed-g:batchEmbedContents"
    assert received.json == {
        "requests": [
            {"model": "models/embed-g", "content": {"parts": [{"text": text}]}, "outputDimensionality": 8}
            for text in ("alpha", "beta")
        ]
    }
    plain = await client.embeddings.create(model="google", input=["alpha", "beta"], encoding_format="float")
    assert [row.index for row in packed.data] == [0, 1]
    assert [len(row.embedding) for row in packed.data] == [8, 8]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, rel=1e-6)
    assert packed.model == "google"
    single = await client.embeddings.create(model="google", input="alpha")
    assert len(single.data) == 1
    assert single.data[0].embedding == pytest.approx(plain.data[0].embedding, rel=1e-6)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": [1, 2]}, "input[0]"),
        ({"input": [[1, 2]]}, "input[0]"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
    ],
)
async def test_what_google_does_not_embed(vectors: Vectors, more: dict[str, Any], param: str) -> None:
    """400 with the place of it."""
    _, http, _ = vectors
    answer = await http.post("/v1/embeddings", json={"model": "google", "input": "x"} | more)
    assert answer.status_code == 400
    assert problem_of(CHAT, answer.json()).param == param


async def test_google_callers_and_openai(vectors: Vectors, provider: FakeProvider) -> None:
    """One content gives one vector, a batch a list; OpenAI's count of tokens is billed."""
    client, http, gateway = vectors
    content = {"parts": [{"text": "alpha"}]}
    body = {"model": "models/openai", "content": content, "outputDimensionality": 8, "taskType": "RETRIEVAL_QUERY"}
    single = await http.post("/v1beta/models/openai:embedContent", json=body)
    assert provider.requests[-1].path == "/v1/embeddings"
    assert provider.requests[-1].json == {
        "model": "embed-o",
        "input": ["alpha"],
        "encoding_format": "float",
        "dimensions": 8,
    }
    assert single.headers["x-tokenway-dropped"] == "taskType"
    entry = await gateway.entry(single.headers["x-generation-id"])
    assert entry.charged == (entry.prompt or 0) * 1000 > 0
    requests = [{"model": "models/openai", "content": {"parts": [{"text": text}]}} for text in ("alpha", "beta")]
    batch = await http.post("/v1beta/models/openai:batchEmbedContents", json={"requests": requests})
    direct = await client.embeddings.create(model="openai", input=["alpha", "beta"], encoding_format="float")
    wanted = [row.embedding for row in direct.data]
    assert [each["values"] for each in batch.json()["embeddings"]] == wanted
    assert single.json()["embedding"]["values"] == wanted[0]


async def test_google_callers_and_google(vectors: Vectors, provider: FakeProvider) -> None:
    """Both calls pass, each request of a batch under the upstream's name of the model."""
    _, http, _ = vectors
    content = {"parts": [{"text": "alpha"}]}
    body = {"content": content, "taskType": "RETRIEVAL_QUERY"}
    answer = await http.post("/v1beta/models/google:embedContent", json=body)
    assert len(answer.json()["embedding"]["values"]) == 8
    assert provider.requests[-1].path == "/v1beta/models/embed-g:embedContent"
    assert provider.requests[-1].json == body
    requests = [{"model": "models/google", "content": content}] * 2
    answer = await http.post("/v1/models/google:batchEmbedContents", json={"requests": requests})
    assert len(answer.json()["embeddings"]) == 2
    assert provider.requests[-1].json == {"requests": [{"model": "models/embed-g", "content": content}] * 2}


async def test_nobody_else_embeds(vectors: Vectors) -> None:
    """400 in the caller's shape."""
    _, http, _ = vectors
    answer = await http.post("/v1/embeddings", json={"model": "claude", "input": "x"})
    assert (answer.status_code, problem_of(CHAT, answer.json()).param) == (400, "model")
    answer = await http.post("/v1beta/models/claude:embedContent", json={"content": {"parts": [{"text": "x"}]}})
    assert (answer.status_code, problem_of(GEMINI, answer.json()).param) == (400, "model")
    for dialect in (RESPONSES, ANTHROPIC, BEDROCK):
        request = ask(dialect, "nobody")
        assert (await http.post(request.path, json=request.body)).status_code == 404


async def test_fallbacks_between_dialects(launch: Launch, provider: FakeProvider) -> None:
    """Where Google fails, OpenAI's vectors are given in the caller's form."""
    lab = {"base_url": provider.base_url, "api_key": "x"}
    config = configuration(provider.base_url, retries={"max": 1})
    config["providers"] = {"g": {"dialect": "gemini", "base_url": provider.origin, "api_key": "x"}, "lab": lab}
    config["models"]["mock"]["endpoints"] = [{"provider": "g", "model": "a"}, {"provider": "lab", "model": "b"}]
    gateway = await launch(config)
    provider.queue(Script(status=500, error="Broken."))
    async with dial(gateway) as http:
        content = {"content": {"parts": [{"text": "alpha"}]}}
        answer = await http.post("/v1beta/models/mock:embedContent", json=content)
    assert len(answer.json()["embedding"]["values"]) == 8
    assert answer.headers["x-tokenway-endpoint"] == "lab/b"
