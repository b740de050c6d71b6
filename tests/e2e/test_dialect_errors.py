"""What each dialect's caller is told when something is wrong: in its own shape, with the place of it."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.e2e.callers import ANTHROPIC, BEDROCK, CHAT, GEMINI, RESPONSES, Ask, ask, dial, hear, problem_of
from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, Gateway
from tests.e2e.sdk_matrix import DIALECTS, base_url, model
from tests.fake_provider import REPLIES, FakeProvider, Script
from tests.fake_provider.cases import BROKEN
from tokenway.model.catalog import Dialect

pytestmark = pytest.mark.asyncio(loop_scope="module")

UPSTREAM = {dialect: next(each for each in DIALECTS if each is not dialect) for dialect in DIALECTS}
"""For each caller an upstream of another dialect."""

KINDS = {
    400: ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT", "ValidationException"),
    401: ("authentication_error", "authentication_error", "UNAUTHENTICATED", "UnrecognizedClientException"),
    404: ("invalid_request_error", "not_found_error", "NOT_FOUND", "ResourceNotFoundException"),
    413: ("invalid_request_error", "request_too_large", "INVALID_ARGUMENT", "ValidationException"),
}
"""Status to the kind of error in OpenAI's, Anthropic's, Google's and Amazon's words."""
COLUMN = {CHAT: 0, RESPONSES: 0, ANTHROPIC: 1, GEMINI: 2, BEDROCK: 3}


def kind(dialect: Dialect, status: int) -> str:
    """The word for a status."""
    return KINDS[status][COLUMN[dialect]]


async def refused(http: httpx2.AsyncClient, request: Ask, dialect: Dialect) -> tuple[int, str | None]:
    """Posts what must be refused with 400 in the caller's shape; its status and the field that it names."""
    answer = await http.post(request.path, json=request.body)
    told = problem_of(dialect, answer.json())
    assert told.message
    assert told.kind == kind(dialect, answer.status_code)
    return answer.status_code, told.param


# -- statuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_unknown_key(five: Gateway, dialect: Dialect) -> None:
    """401 in the caller's shape."""
    async with dial(five, "sk-nobody") as http:
        request = ask(dialect, model(dialect, "text"))
        answer = await http.post(request.path, json=request.body)
    assert answer.status_code == 401
    assert problem_of(dialect, answer.json()).kind == kind(dialect, 401)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_unknown_model(http: httpx2.AsyncClient, dialect: Dialect) -> None:
    """404 in the caller's shape, with the nearest names."""
    request = ask(dialect, f"{dialect}--txt")
    answer = await http.post(request.path, json=request.body)
    told = problem_of(dialect, answer.json())
    assert answer.status_code == 404
    assert told.kind == kind(dialect, 404)
    assert f"{dialect}--text" in told.message


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_body_that_is_too_large(launch: Launch, provider: FakeProvider, dialect: Dialect) -> None:
    """413 in the caller's shape."""
    gateway = await launch(
        {
            "server": {"max_body": "2KiB"},
            "auth": {"keys": [{"name": "ci", "key": KEY}]},
            "providers": {"lab": {"dialect": dialect, "base_url": base_url(provider, dialect), "api_key": "x"}},
            "models": {"mock": {"endpoints": [{"provider": "lab", "model": "text"}]}},
        }
    )
    async with dial(gateway) as http:
        request = ask(dialect, "mock", text="x" * 4000)
        answer = await http.post(request.path, json=request.body)
    assert answer.status_code == 413
    assert problem_of(dialect, answer.json()).kind == kind(dialect, 413)


@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_upstreams_limit(http: httpx2.AsyncClient, dialect: Dialect, upstream: Dialect) -> None:
    """429 in the caller's shape, with the pause that the upstream asked for."""
    request = ask(dialect, model(upstream, "rate-limited"))
    answer = await http.post(request.path, json=request.body)
    assert answer.status_code == 429
    problem_of_any(dialect, answer.json(), is_own=upstream is dialect)
    if upstream is not BEDROCK:
        assert answer.headers["retry-after"] == "60"


def problem_of_any(dialect: Dialect, body: Any, *, is_own: bool) -> None:
    """The shape of an error; an upstream's own has not what the gateway adds."""
    if is_own:
        assert "message" in body.get("error", body)
    else:
        problem_of(dialect, body)


@pytest.mark.parametrize(("dialect", "name"), [(ANTHROPIC, "request-id"), (BEDROCK, "x-amzn-requestid")])
async def test_where_a_dialects_callers_look_for_the_id(http: httpx2.AsyncClient, dialect: Dialect, name: str) -> None:
    """It is the gateway's in the dialect's own header too, unless the upstream's own stands there."""
    for case in ("text", "error-before"):
        request = ask(dialect, model(CHAT, case))
        answer = await http.post(request.path, json=request.body)
        assert answer.headers[name] == answer.headers["x-request-id"]
    request = ask(dialect, "nobody")
    answer = await http.post(request.path, json=request.body)
    assert answer.headers[name] == answer.headers["x-request-id"]
    request = ask(dialect, model(dialect, "text"))
    answer = await http.post(request.path, json=request.body)
    assert answer.headers[name] not in {"", answer.headers["x-request-id"]}


# -- paths that are not relayed -----------------------------------------------------------------------------

COLD = [
    ("GET", "/v1/models/nothing-of-the-kind", {}, CHAT, 404),
    ("GET", "/v1/nothing", {}, CHAT, 404),
    ("GET", "/v1/chat/completions", {}, CHAT, 405),
    ("GET", "/v1/models/nothing-of-the-kind", {"anthropic-version": "2023-06-01"}, ANTHROPIC, 404),
    ("GET", "/v1/models?limit=0", {"anthropic-version": "2023-06-01"}, ANTHROPIC, 400),
    ("GET", "/v1/messages", {}, ANTHROPIC, 405),
    ("POST", "/v1/messages/batches", {}, ANTHROPIC, 404),
    ("GET", "/v1beta/models/nothing-of-the-kind", {}, GEMINI, 404),
    ("GET", "/v1beta/models?pageSize=x", {}, GEMINI, 400),
    ("GET", "/v1beta/nothing", {}, GEMINI, 404),
    ("POST", "/v1beta/models/gemini--text:doSomething", {}, GEMINI, 404),
    ("POST", "/v1/models/gemini--text:doSomething", {}, GEMINI, 404),
    ("GET", "/v1/models/nothing", {"x-goog-api-key": KEY}, GEMINI, 404),
    ("GET", "/model/bedrock--text/converse", {}, BEDROCK, 405),
    ("POST", "/model/bedrock--text/invoke", {}, BEDROCK, 404),
]


@pytest.mark.parametrize(("method", "path", "headers", "dialect", "status"), COLD)
async def test_a_path_that_is_not_relayed(
    http: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str], dialect: Dialect, status: int
) -> None:
    """Its errors have the shape of the dialect that the path or the headers speak."""
    answer = await http.request(method, path, headers=headers)
    assert answer.status_code == status, answer.text
    assert problem_of(dialect, answer.json()).message


@pytest.mark.parametrize(
    ("path", "headers", "dialect"),
    [
        ("/v1/models", {}, CHAT),
        ("/v1/models", {"anthropic-version": "2023-06-01"}, ANTHROPIC),
        ("/v1beta/models", {}, GEMINI),
    ],
)
async def test_a_list_without_a_key(five: Gateway, path: str, headers: dict[str, str], dialect: Dialect) -> None:
    """401 in the shape of who asks."""
    async with dial(five, "") as http:
        answer = await http.get(path, headers=headers)
    assert answer.status_code == 401
    assert problem_of(dialect, answer.json()).kind == kind(dialect, 401)


# -- bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"a": tru}', b"\xff\xfe", b'"text"'])
async def test_a_body_that_is_no_json_object(http: httpx2.AsyncClient, dialect: Dialect, body: bytes) -> None:
    """400 in the caller's shape."""
    request = ask(dialect, model(dialect, "text"))
    answer = await http.post(request.path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert problem_of(dialect, answer.json()).kind == kind(dialect, 400)


IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="

WRONG: list[tuple[Dialect, dict[str, Any], str]] = [
    (CHAT, {"messages": "hi"}, "messages"),
    (CHAT, {"messages": []}, "messages"),
    (CHAT, {"messages": [{"role": "wizard", "content": "hi"}]}, "messages[0].role"),
    (CHAT, {"messages": [{"content": "hi"}]}, "messages[0].role"),
    (CHAT, {"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    (CHAT, {"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]}, "messages[0].tool_call_id"),
    (
        CHAT,
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,?!"}}],
                }
            ]
        },
        "messages[0].content[0].image_url.url",
    ),
    (CHAT, {"temperature": "hot"}, "temperature"),
    (CHAT, {"max_tokens": "many"}, "max_tokens"),
    (CHAT, {"tools": [{"type": "function"}]}, "tools[0].function"),
    (RESPONSES, {"input": 7}, "input"),
    (RESPONSES, {"input": [{"role": "wizard", "content": "hi"}]}, "input[0].role"),
    (RESPONSES, {"input": [{"role": "user", "content": 7}]}, "input[0].content"),
    (
        RESPONSES,
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        "input[0].call_id",
    ),
    (
        RESPONSES,
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,?!"}]}]},
        "input[0].content[0].image_url",
    ),
    (RESPONSES, {"temperature": "hot"}, "temperature"),
    (ANTHROPIC, {"messages": "hi"}, "messages"),
    (ANTHROPIC, {"messages": []}, "messages"),
    (ANTHROPIC, {"messages": [{"role": "wizard", "content": "hi"}]}, "messages[0].role"),
    (ANTHROPIC, {"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    (
        ANTHROPIC,
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "x"}]}]},
        "messages[0].content[0].tool_use_id",
    ),
    (
        ANTHROPIC,
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?!"}}
                    ],
                }
            ]
        },
        "messages[0].content[0].source.data",
    ),
    (ANTHROPIC, {"temperature": "hot"}, "temperature"),
    (ANTHROPIC, {"max_tokens": "many"}, "max_tokens"),
    (GEMINI, {"contents": []}, "contents"),
    (GEMINI, {"contents": [{"role": "wizard", "parts": [{"text": "hi"}]}]}, "contents[0].role"),
    (GEMINI, {"contents": [{"role": "user", "parts": [{"text": 7}]}]}, "contents[0].parts[0].text"),
    (
        GEMINI,
        {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "?!"}}]}]},
        "contents[0].parts[0].inlineData.data",
    ),
    (GEMINI, {"generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
    (BEDROCK, {"messages": []}, "messages"),
    (BEDROCK, {"messages": [{"role": "wizard", "content": [{"text": "hi"}]}]}, "messages[0].role"),
    (BEDROCK, {"messages": [{"role": "user", "content": "hi"}]}, "messages[0].content"),
    (
        BEDROCK,
        {"messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "c", "content": [{"text": "x"}]}}]}]},
        "messages[0].content[0].toolResult.toolUseId",
    ),
    (
        BEDROCK,
        {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "?!"}}}]}]},
        "messages[0].content[0].image.source.bytes",
    ),
    (BEDROCK, {"inferenceConfig": {"temperature": "hot"}}, "inferenceConfig.temperature"),
]


@pytest.mark.parametrize(("dialect", "more", "param"), WRONG)
async def test_a_field_that_is_wrong(
    http: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect, more: dict[str, Any], param: str
) -> None:
    """400 that names its place in the caller's own words, and nothing goes to any upstream."""
    before = len(provider.requests)
    for upstream in DIALECTS:
        if upstream is not dialect:
            assert await refused(http, ask(dialect, model(upstream, "text"), **more), dialect) == (400, param)
    assert len(provider.requests) == before


URL = "http://127.0.0.1:9/cat.png"
MEDIA: list[tuple[Dialect, Dialect, dict[str, Any], str]] = [
    (
        CHAT,
        BEDROCK,
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}]},
        "messages[0].content[0].image_url",
    ),
    (
        RESPONSES,
        BEDROCK,
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL}]}]},
        "input[0].content[0].image_url",
    ),
    (
        ANTHROPIC,
        BEDROCK,
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": URL}}]}]},
        "messages[0].content[0]",
    ),
    (
        GEMINI,
        BEDROCK,
        {"contents": [{"role": "user", "parts": [{"fileData": {"mimeType": "image/png", "fileUri": URL}}]}]},
        "contents[0].parts[0].fileData",
    ),
    (
        CHAT,
        ANTHROPIC,
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}],
                }
            ]
        },
        "messages[0].content[0].input_audio",
    ),
    (
        GEMINI,
        ANTHROPIC,
        {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}]}]},
        "contents[0].parts[0].inlineData",
    ),
    (
        GEMINI,
        RESPONSES,
        {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}]}]},
        "contents[0].parts[0].inlineData",
    ),
]


@pytest.mark.parametrize(("dialect", "upstream", "more", "param"), MEDIA)
async def test_media_that_the_upstream_takes_not(
    http: httpx2.AsyncClient,
    provider: FakeProvider,
    dialect: Dialect,
    upstream: Dialect,
    more: dict[str, Any],
    param: str,
) -> None:
    """400 that names the place, before anything is asked."""
    before = len(provider.requests)
    status, place = await refused(http, ask(dialect, model(upstream, "text"), **more), dialect)
    assert status == 400
    assert place == param
    assert len(provider.requests) == before


async def test_a_url_is_fetched_from_public_addresses_only(launch: Launch, provider: FakeProvider) -> None:
    """With `fetch_urls` an image at this very machine is still refused, with its place; nobody is asked for it."""
    gateway = await launch(
        {
            "auth": {"keys": [{"name": "ci", "key": KEY}]},
            "providers": {
                "lab": {"dialect": "bedrock", "base_url": provider.origin, "api_key": "x", "fetch_urls": True}
            },
            "models": {"mock": {"endpoints": [{"provider": "lab", "model": "text"}]}},
        }
    )
    before = len(provider.requests)
    async with dial(gateway) as http:
        for url in (f"{provider.origin}/cat.png", "http://localhost/x.png", "http://[::1]/x.png", "file:///etc/passwd"):
            part = {"type": "image_url", "image_url": {"url": url}}
            request = ask(CHAT, "mock", messages=[{"role": "user", "content": [part]}])
            answer = await http.post(request.path, json=request.body)
            assert answer.status_code == 400, answer.text
            assert problem_of(CHAT, answer.json()).param == "messages[0].content[0].image_url"
    assert len(provider.requests) == before


# -- upstreams that break their format ----------------------------------------------------------------------

GAP = 0.03
"""Seconds between events: enough for the first ones to be passed on before the break."""

GARBAGE = {
    "html": (b"<html>It works!</html>", "text/html"),
    "json": (b'{"hello": "world"}', "application/json"),
    "no-json": (b"data: hello\n\n", "text/event-stream"),
    "other-events": (b'event: x\ndata: {"hello": "world"}\n\n', "text/event-stream"),
    "binary": (bytes(range(256)), "application/vnd.amazon.eventstream"),
    "empty": (b"", "text/event-stream"),
}


@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_garbage_before_the_first_byte(
    http: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect, upstream: Dialect
) -> None:
    """502 in the caller's shape, streamed or not, whatever the nonsense is."""
    for stream in (False, True):
        for name, (body, content_type) in GARBAGE.items():
            provider.queue(Script(body=body, content_type=content_type))
            request = ask(dialect, model(upstream, "text"), stream=stream)
            answer = await http.post(request.path, json=request.body)
            assert answer.status_code == 502, (name, stream, answer.text)
            told = problem_of(dialect, answer.json())
            assert f"lab-{upstream}/text" in told.message, (name, told)


@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_error_in_the_middle(
    http: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect, upstream: Dialect
) -> None:
    """What came before it, then an error in the caller's dialect, and no end that looks like one."""
    provider.queue(Script(reply=REPLIES["text"], error=BROKEN, error_after=3, gap=GAP))
    request = ask(dialect, model(upstream, "text"), stream=True)
    answer = await http.post(request.path, json=request.body)
    heard = hear(dialect, answer.content)
    assert answer.status_code == 200
    assert heard.text == "Grüße from the "
    assert not heard.is_whole
    assert BROKEN.removesuffix(".") in heard.error


@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_cut_in_the_middle(
    http: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect, upstream: Dialect
) -> None:
    """The same, in the gateway's words."""
    provider.queue(Script(reply=REPLIES["text"], cut=3, gap=GAP))
    request = ask(dialect, model(upstream, "text"), stream=True)
    answer = await http.post(request.path, json=request.body)
    heard = hear(dialect, answer.content)
    assert heard.text == "Grüße from the "
    assert not heard.is_whole
    assert f"lab-{upstream}/text" in heard.error


@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_garbage_in_the_middle(
    http: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect, upstream: Dialect
) -> None:
    """The connection breaks in the middle of an event, or with noise behind it: an error, and no end."""
    for script in (
        Script(reply=REPLIES["text"], cut=3, cut_inside=11, gap=GAP),
        Script(reply=REPLIES["text"], cut=3, cut_inside=11, gap=GAP, cut_how="end"),
    ):
        provider.queue(script)
        request = ask(dialect, model(upstream, "text"), stream=True)
        answer = await http.post(request.path, json=request.body)
        heard = hear(dialect, answer.content)
        assert heard.text == "Grüße from the "
        assert not heard.is_whole
        assert heard.error


@pytest.mark.parametrize("upstream", [each for each in DIALECTS if each is not BEDROCK])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_malformed_event_in_the_middle(
    http: httpx2.AsyncClient, provider: FakeProvider, dialect: Dialect, upstream: Dialect
) -> None:
    """An event that is no JSON, in a stream that goes on as if nothing were missing: an error, and no end."""
    provider.queue(Script(reply=REPLIES["text"], malformed=3, gap=GAP))
    request = ask(dialect, model(upstream, "text"), stream=True)
    answer = await http.post(request.path, json=request.body)
    heard = hear(dialect, answer.content)
    assert heard.text == "Grüße from the "
    assert not heard.is_whole
    assert "not one of this dialect" in heard.error


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_wrong_key_of_the_gateway(http: httpx2.AsyncClient, dialect: Dialect) -> None:
    """An upstream that refuses the gateway's credential: 401, the kind tells whose it was, the body not the key."""
    for upstream in DIALECTS:
        request = ask(dialect, model(upstream, "unauthorized"))
        answer = await http.post(request.path, json=request.body)
        assert answer.status_code == 401
        assert "does not know this key" not in answer.text
        assert "provider_authentication" in json.dumps(answer.json())
