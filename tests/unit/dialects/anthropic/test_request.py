"""Requests of the Anthropic dialect: what is read of them, and that their bytes go upstream as they came."""

from __future__ import annotations

import json

import pytest

from tokenway.dialects.anthropic.request import parse, parse_count, path
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import Refusal

CODE_LIKE = (
    b'{\n  "model" : "claude-opus-4-8",\n  "max_tokens": 32000,\n'
    b'  "system": [{"type":"text","text":"attribution"},'
    b'{"type":"text","text":"rules \\u00e9","cache_control":{"type":"ephemeral","ttl":"1h"}}],\n'
    b'  "messages": [{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]},'
    b'{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"c2ln"},'
    b'{"type":"new_block","x":1e2}]}],\n'
    b'  "tools": [{"name":"Bash","input_schema":{"type":"object","properties":{"model":{"type":"string"}}},'
    b'"eager_input_streaming":true}],\n'
    b'  "thinking": {"type":"adaptive","display":"summarized"}, "output_config":{"effort":"xhigh","new":1},\n'
    b'  "context_management": {"edits":[{"type":"clear_thinking_20251015"}]},\n'
    b'  "metadata": {"user_id":"{\\"session_id\\":\\"s\\"}"}, "speed": "fast", "field_of_tomorrow": [1.0, 2e3],\n'
    b'  "stream": true\n}'
)
"""As a coding client writes it: fields, blocks and betas that are newer than this program among them."""


def test_the_body_goes_upstream_byte_for_byte() -> None:
    """Rewriting any byte would break prompt caches and signed thinking."""
    assert parse(Operation.CHAT, CODE_LIKE).upstream_body("claude-opus-4-8") == CODE_LIKE


def test_only_the_models_name_is_replaced() -> None:
    """Where the upstream calls it otherwise."""
    request = parse(Operation.CHAT, CODE_LIKE)
    expected = CODE_LIKE.replace(b'"claude-opus-4-8"', b'"claude-opus-4-8-20260101"')
    assert request.upstream_body("claude-opus-4-8-20260101") == expected
    assert request.upstream_body("claude-opus-4-8") == CODE_LIKE


def test_the_gateways_own_members_are_taken_out() -> None:
    """What stays keeps its bytes and its order."""
    body = (
        b'{"provider":{"only":["a"],"min_tps":20},"model":"m","max_tokens": 5,"models":["n"],'
        b'"messages":[ ],"route":"fallback","session_id":"s","stream":true}'
    )
    request = parse(Operation.CHAT, body)
    assert request.upstream_body("m") == b'{"model":"m","max_tokens": 5,"messages":[ ],"stream":true}'
    assert request.models == ["n"]
    assert request.preferences is not None
    assert (request.preferences.only, request.preferences.min_tps) == (["a"], 20)


def test_what_the_gateway_reads() -> None:
    """Model, stream and limit; usage always comes, and there is one answer."""
    request = parse(Operation.CHAT, CODE_LIKE)
    assert (request.dialect, request.operation) == (Dialect.ANTHROPIC, Operation.CHAT)
    assert (request.model, request.stream, request.max_tokens) == ("claude-opus-4-8", True, 32000)
    assert (request.asks_usage, request.choices, request.answers) == (True, 1, 1)


def test_a_limit_of_zero_fills_the_cache() -> None:
    """Anthropic takes it, to warm a prompt cache without an answer."""
    assert parse(Operation.CHAT, b'{"model":"m","max_tokens":0,"messages":[]}').max_tokens == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"max_tokens":1,"messages":[]}', "model"),
        (b'{"model":"m","messages":[]}', "max_tokens"),
        (b'{"model":"m","max_tokens":null,"messages":[]}', "max_tokens"),
        (b'{"model":"m","max_tokens":1}', "messages"),
        (b'{"model":"m","max_tokens":1,"messages":null}', "messages"),
        (b'{"model":"m","max_tokens":"1","messages":[]}', "max_tokens"),
        (b'{"model":"m","max_tokens":-1,"messages":[]}', "max_tokens"),
        (b'{"model":3,"max_tokens":1,"messages":[]}', "model"),
        (b'{"model":"m","max_tokens":1,"messages":[],"stream":"yes"}', "stream"),
        (b'{"model":"m","max_tokens":1,"messages":[],"model":"n"}', None),
        (b"{", None),
        (b'{"model":"\xff"}', None),
        (b"[]", None),
    ],
)
def test_a_body_that_cannot_be_used_is_refused(body: bytes, param: str | None) -> None:
    """With 400 and the field, as Anthropic does."""
    with pytest.raises(Refusal) as caught:
        parse(Operation.CHAT, body)
    assert (caught.value.problem.status, caught.value.problem.param) == (400, param)


def test_a_body_to_be_counted_has_no_limit() -> None:
    """Its model is named as in any other, and it can be read."""
    request = parse_count(b'{"model":"m","messages":[{"role":"user","content":"hi"}]}')
    assert (request.model, request.max_tokens, request.neutral().max_tokens) == ("m", None, None)
    assert request.upstream_body("n") == b'{"model":"n","messages":[{"role":"user","content":"hi"}]}'
    with pytest.raises(Refusal):
        parse_count(b'{"model":"m"}')


def test_other_operations_are_refused() -> None:
    """The Messages API has one."""
    assert path(Operation.CHAT, "m", True) == "/messages"
    for operation in (Operation.EMBEDDING, Operation.COMPLETION):
        with pytest.raises(Refusal):
            path(operation, "m", False)
        with pytest.raises(Refusal):
            parse(operation, CODE_LIKE)


def test_the_neutral_form_has_the_callers_model() -> None:
    """The name that the caller asks for, and whether to stream."""
    neutral = parse(Operation.CHAT, CODE_LIKE).neutral()
    assert (neutral.model, neutral.stream, neutral.max_tokens) == ("claude-opus-4-8", True, 32000)
    assert json.loads(bytes(neutral.rest["field_of_tomorrow"])) == [1.0, 2000.0]
