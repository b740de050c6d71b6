"""Requests of the dialect: what the path and the body say, and what goes upstream."""

from __future__ import annotations

import json

import pytest

from tests.unit.dialects.gemini.samples import HELLO, request
from tokenway.dialects.gemini.request import parse, path, wants_array
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import Refusal

CHAT = Operation.CHAT
EMBEDDING = Operation.EMBEDDING


def test_the_path_has_the_model_and_the_stream() -> None:
    """The body has neither, and its limits are read in both spellings."""
    body = {**HELLO, "generation_config": {"max_output_tokens": 50, "candidateCount": 3}}
    found = parse(CHAT, json.dumps(body).encode(), "models/gemini-x", True)
    assert (found.dialect, found.model, found.stream, found.asks_usage) == (Dialect.GEMINI, "gemini-x", True, True)
    assert (found.max_tokens, found.choices, found.answers) == (50, 3, 3)
    assert not request(stream=False).stream


def test_the_body_goes_up_as_it_came() -> None:
    """Byte for byte, whatever the upstream calls the model."""
    body = b'{ "contents" : [ {"parts":[{"text":"\\u00e9"}]} ],\n "topLevel":1e2 }'
    found = parse(CHAT, body, "m", False)
    assert found.upstream_body("other") == body


def test_the_gateway_s_own_members_stay_here() -> None:
    """The same goes for a model's name in the body, which the path overrules."""
    body = b'{"contents": [], "models": ["b"], "provider": {"order": ["x"]}, "session_id": "s", "model": "models/m"}'
    found = parse(CHAT, body, "m", False)
    assert found.models == ["b"]
    assert found.preferences is not None
    assert found.preferences.order == ["x"]
    assert found.upstream_body("other") == b'{"contents": []}'


def test_each_request_of_a_batch_has_the_upstream_s_name() -> None:
    """Google wants the path's model in every one of them."""
    body = {"requests": [{"model": "models/m", "content": {"parts": [{"text": "a"}]}}]}
    found = parse(EMBEDDING, json.dumps(body).encode(), "m", False)
    assert json.loads(found.upstream_body("other"))["requests"][0]["model"] == "models/other"
    assert found.max_tokens == 0


@pytest.mark.parametrize(
    ("operation", "body", "param"),
    [
        (CHAT, b"{}", "contents"),
        (CHAT, b'{"contents":null}', "contents"),
        (EMBEDDING, b"{}", "content"),
        (CHAT, b'{"contents":[],"generationConfig":{"maxOutputTokens":0}}', "generationConfig.maxOutputTokens"),
        (CHAT, b'{"contents":[],"generationConfig":{"candidateCount":"2"}}', "generationConfig.candidateCount"),
        (CHAT, b"[", None),
        (CHAT, b'{"contents":"\xff"}', None),
    ],
)
def test_bad_bodies_are_refused(operation: Operation, body: bytes, param: str | None) -> None:
    """Each is a 400 that names the field, where there is one."""
    with pytest.raises(Refusal) as caught:
        parse(operation, body, "m", False)
    assert (caught.value.problem.status, caught.value.problem.param) == (400, param)


@pytest.mark.parametrize(
    "body",
    [
        b'{"contents":[],"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":9}}',
        b'{"contents":[],"generationConfig":{"maxOutputTokens":1},"generationConfig":{}}',
        b'{"contents":[],"generationConfig":{"maxOutputTokens":1},"generation_config":{}}',
        b'{"contents":[],"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}',
    ],
)
def test_what_decides_the_price_comes_once(body: bytes) -> None:
    """Two readers could make different things of a limit that comes twice."""
    with pytest.raises(Refusal) as caught:
        parse(CHAT, body, "m", False)
    assert caught.value.problem.code == "duplicate_key"


def test_a_tool_may_have_a_limit_as_its_argument() -> None:
    """The same name somewhere else is no repetition."""
    body = b'{"contents":[],"tools":[{"maxOutputTokens":1}],"generationConfig":{"maxOutputTokens":5}}'
    assert parse(CHAT, body, "m", False).max_tokens == 5


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"alt=sse", False),
        (b"key=k&alt=sse", False),
        (b"$alt=sse&key=k", False),
        (b"", True),
        (b"alt=json", True),
        (b"x-alt=sse", True),
        (b"alt=ssed", True),
    ],
)
def test_only_sse_asks_for_events(query: bytes, expected: bool) -> None:
    """Everybody else gets an array."""
    assert wants_array(query) is expected


def test_paths() -> None:
    """What is added to a base URL that ends with the version."""
    assert path(CHAT, "gemini-x", False) == "/models/gemini-x:generateContent"
    assert path(CHAT, "gemini-x", True) == "/models/gemini-x:streamGenerateContent?alt=sse"
    assert path(EMBEDDING, "e", False) == "/models/e:batchEmbedContents"
    assert path(CHAT, "tunedModels/t", False) == "/tunedModels/t:generateContent"
    assert path(CHAT, "x HTTP/1.1\r\nhost: y?é", False) == "/x%20HTTP/1.1%0D%0Ahost%3A%20y%3F%C3%A9:generateContent"
