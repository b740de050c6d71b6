"""Requests as they come in: what is read of them, and what goes on."""

from __future__ import annotations

import json

import pytest

from tests.unit.dialects.openai_responses.made import asked
from tokenway.dialects.base import CallerRequest
from tokenway.dialects.openai_responses.request import parse, path, without_foreign
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import Refusal


def test_what_the_gateway_reads() -> None:
    """Model, stream, the limit, and the three members that ask for state."""
    request = asked(stream=True, max_output_tokens=50, store=False, background=True, previous_response_id="resp_0")
    seen: CallerRequest = request
    assert (seen.dialect, seen.model, seen.stream, seen.max_tokens) == (Dialect.OPENAI_RESPONSES, "m", True, 50)
    assert (seen.asks_usage, seen.choices, seen.answers) == (True, 1, 1)
    assert (request.store, request.background, request.previous) == (False, True, "resp_0")


def test_a_response_is_kept_unless_the_caller_says_otherwise() -> None:
    """`store` is true where it is absent or null, as OpenAI has it."""
    assert asked().store
    assert asked(store=None).store
    assert not asked().background
    assert not asked().previous


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"input":"hi"}', "model"),
        (b'{"model":"m"}', "input"),
        (b'{"model":"m","input":null}', "input"),
        (b'{"model":"m","input":"hi","max_output_tokens":0}', "max_output_tokens"),
        (b'{"model":"m","input":"hi","store":"yes"}', "store"),
        (b'{"model":"m","input":"hi"', None),
        (b'{"model":"m","input":"\xff"}', None),
    ],
)
def test_a_body_that_cannot_be_served_is_refused(body: bytes, param: str | None) -> None:
    """Status 400, and the field that is wrong."""
    with pytest.raises(Refusal) as refused:
        parse(Operation.CHAT, body, "", False)
    assert (refused.value.problem.status, refused.value.problem.param) == (400, param)


def test_a_model_that_is_named_twice_is_refused() -> None:
    """Two readers could take different ones."""
    with pytest.raises(Refusal) as refused:
        parse(Operation.CHAT, b'{"model":"a","input":"hi","model":"b"}', "", False)
    assert refused.value.problem.code == "duplicate_key"


@pytest.mark.parametrize("instead", ["previous_response_id", "conversation", "prompt"])
def test_what_stands_for_input_may_come_without_it(instead: str) -> None:
    """A chain, a conversation or a template brings its own."""
    body = json.dumps({"model": "m", instead: "x"}).encode()
    assert parse(Operation.CHAT, body, "", False).model == "m"


CODEX = (
    b'{"model": "gpt-5-codex", "instructions": "You are Codex.", "input": [{"type":"message","role":"user",'
    b'"content":[{"type":"input_text","text":"fix it"}]}], "tools": [{"type":"local_shell"},'
    b'{"type":"custom","name":"apply_patch","format":{"type":"grammar","syntax":"lark","definition":"start: x"}}],'
    b' "tool_choice": "auto", "parallel_tool_calls": false, "reasoning": {"effort":"high","summary":"auto"},'
    b' "store": false, "stream": true, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "thread-1"}'
)


def test_a_request_of_codex_passes_byte_for_byte() -> None:
    """But for the name of the model: its tools, its include, its cache key, and the spaces between them."""
    request = parse(Operation.CHAT, CODEX, "", False)
    assert request.upstream_body("gpt-5-codex") == CODEX
    assert request.upstream_body("up") == CODEX.replace(b'"gpt-5-codex"', b'"up"')
    assert (request.stream, request.store) == (True, False)


def test_members_for_the_gateway_are_not_sent_on() -> None:
    """`models`, `provider`, `route` and `session_id` stop here."""
    request = asked(models=["x"], provider={"order": ["lab"]}, session_id="s")
    assert json.loads(request.upstream_body("m")) == {"model": "m", "input": "hi"}
    assert request.models == ["x"]
    assert request.preferences is not None
    assert request.preferences.order == ["lab"]


def test_another_vendors_sealed_reasoning_is_not_sent_on() -> None:
    """Neither its reasoning nor the signature of its call; one's own and everything else keeps its bytes."""
    own = b'{"type":"reasoning", "summary":[],"encrypted_content":"gAAA"}'
    quoting = b'{"role":"user","content":"tw1."}'
    marked = b'{"role":"user","content":"\\"tw1.x"}'
    foreign = b'{"type":"reasoning","summary":[],"encrypted_content":"tw1.anthropic-claude-v1.c2ln"}'
    call = b'{"type":"reasoning","summary":[],"encrypted_content":"tw1.google-gemini-v1@call_1.c2ln"}'
    body = b'{"model":"m", "input":[%b , %b,%b,%b,%b], "stream":true}' % (quoting, own, foreign, marked, call)

    passed = parse(Operation.CHAT, body, "", False).upstream_body("m")

    assert passed == b'{"model":"m", "input":[%b,%b,%b], "stream":true}' % (quoting, own, marked)


def test_a_text_that_looks_sealed_stays() -> None:
    """An input that is a text has no items to take out."""
    body = b'{"model":"m","input":"tw1.x"}'
    assert without_foreign(body) == body
    odd = b'{"model":"m","input":[{"type":3,"encrypted_content":"tw1.x"}]}'
    assert without_foreign(odd) == odd


def test_the_path_is_the_same_for_all() -> None:
    """What is added to the base URL names no model."""
    assert path(Operation.CHAT, "m", True) == "/responses"
