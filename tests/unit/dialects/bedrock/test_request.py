"""Requests for Converse: read once, forwarded as they came."""

from __future__ import annotations

import json

import pytest

from tokenway.dialects.bedrock.request import parse
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import Problem, Refusal
from tokenway.model.request import Message, Role, Text

ARN = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-v1:0"
BODY = b'{ "messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":{"maxTokens":7}}'


def refused(body: bytes, operation: Operation = Operation.CHAT, model: str = "m") -> Problem:
    """The problem that reading this body ends in."""
    with pytest.raises(Refusal) as raised:
        parse(operation, body, model, stream=False)
    assert raised.value.problem.status == 400
    return raised.value.problem


@pytest.mark.parametrize(
    "model", [ARN, "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.claude-v1%3A0"]
)
def test_the_path_says_model_and_stream(model: str) -> None:
    """The model is the path's, decoded or not; so is whether the answer streams."""
    request = parse(Operation.CHAT, BODY, model, stream=True)
    assert (request.model, request.stream, request.max_tokens) == (ARN, True, 7)
    assert (request.dialect, request.asks_usage, request.choices) == (Dialect.BEDROCK, True, 1)
    assert request.upstream_body("another") == BODY
    assert request.neutral().messages == (Message(Role.USER, (Text("hi"),)),)
    assert request.neutral().model == ARN


def test_the_gateways_own_members_go() -> None:
    """What is meant for the gateway is read and not sent on."""
    body = json.dumps({"messages": [], "models": ["a"], "provider": {"order": ["x"]}, "session_id": "s"}).encode()
    request = parse(Operation.CHAT, body, "m", stream=False)
    assert request.models == ["a"]
    assert request.preferences is not None
    assert json.loads(request.upstream_body("m")) == {"messages": []}


def test_bodies_that_are_refused() -> None:
    """Text that is no JSON, types that are wrong and a path without a model, with the place."""
    assert "JSON" in refused(b"{").message
    assert "UTF-8" in refused(b'{"a":"\xff"}').message
    assert refused(b'{"inferenceConfig":{"maxTokens":"7"}}').param == "inferenceConfig.maxTokens"
    assert refused(b'{"inferenceConfig":{"maxTokens":0}}').param == "inferenceConfig.maxTokens"
    assert refused(b"{}", model="").param == "model"
    assert refused(b"{}", Operation.EMBEDDING).code == "unsupported_operation"


@pytest.mark.parametrize(
    "body",
    [
        b'{"inferenceConfig":{"maxTokens":1,"maxTokens":99}}',
        b'{"inferenceConfig":{"maxTokens":1},"inferenceConfig":{"maxTokens":99}}',
        b'{"inferenceConfig":{"maxTokens":1},"inference\\u0043onfig":{"maxTokens":99}}',
        b'{"inferenceConfig":{"maxTokens":1,"max\\u0054okens":99}}',
    ],
)
def test_a_limit_that_comes_twice(body: bytes) -> None:
    """Two readers could make different things of it, and one of them could be who is billed."""
    assert refused(body).code == "duplicate_key"


@pytest.mark.parametrize(
    "body",
    [
        b'{"inferenceConfig":{"maxTokens":1},"additionalModelRequestFields":{"inferenceConfig":{"topK":1}}}',
        b'{"inferenceConfig":null,"messages":[{"role":"user","content":[{"text":"\\u0041"}]}]}',
        b'{"messages":[{"role":"user","content":[{"text":"\\"maxTokens\\":1, \\"maxTokens\\":2"}]}]}',
    ],
)
def test_what_only_looks_like_it(body: bytes) -> None:
    """The same words elsewhere are no second limit."""
    assert parse(Operation.CHAT, body, "m", stream=False).body == body
