"""Requests: read once, rewritten without touching what is not the gateway's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.base import GATEWAY_FIELDS
from tokenway.dialects.openai_chat.request import PATHS, parse
from tokenway.dialects.side.request import PATHS as SIDE_PATHS
from tokenway.model.catalog import Operation
from tokenway.model.errors import Problem, Refusal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OPTIONS = st.none() | st.fixed_dictionaries({}, optional={"include_usage": st.none() | st.booleans(), "other": JSON})
REQUESTS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["m", 'q"uote', "é/x", "back\\"]),
        "messages": JSON.filter(lambda value: value is not None),
    },
    optional={
        "stream": st.booleans(),
        "stream_options": OPTIONS,
        "models": st.lists(st.text(max_size=3), max_size=2),
        "provider": st.just({"order": ["a"]}),
        "session_id": JSON,
        "route": JSON,
        "x": JSON,
        "model2": st.just("m"),
    },
)


def refused(operation: Operation, body: bytes) -> Problem:
    """The problem that reading this body ends in."""
    with pytest.raises(Refusal) as raised:
        parse(operation, body)
    assert raised.value.problem.status == 400
    return raised.value.problem


@given(
    REQUESTS,
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]),
    st.booleans(),
    st.text(min_size=1, max_size=5),
)
def test_rewriting_is_decoding_changing_and_encoding(
    request_: dict[str, Any], spacing: tuple[str, str], ascii_only: bool, upstream: str
) -> None:
    """The model's name, the usage flag of a stream and the gateway's own members change, and nothing else."""
    body = json.dumps(request_, separators=spacing, ensure_ascii=ascii_only).encode()
    request = parse(Operation.CHAT, body)
    expected = {**request_, "model": upstream}
    if any(request_.get(name) for name in ("models", "provider", "route")) or request_.get("session_id") is not None:
        expected = {key: value for key, value in expected.items() if key not in GATEWAY_FIELDS}
    if request_.get("stream"):
        expected["stream_options"] = {**(request_.get("stream_options") or {}), "include_usage": True}
    sent = json.loads(request.upstream_body(upstream))
    if "session_id" in request_ or "route" in request_:
        # A null member that is the gateway's may stay: it says nothing to anybody.
        sent = {key: value for key, value in sent.items() if key not in GATEWAY_FIELDS}
        expected = {key: value for key, value in expected.items() if key not in GATEWAY_FIELDS}
    assert sent == expected
    assert request.body == body
    assert request.upstream_body(upstream) == request.upstream_body(upstream)


def test_what_needs_no_change_keeps_every_byte() -> None:
    """The same name, and no stream: the caller's bytes go on as they came, and only the name changes otherwise."""
    body = b' { "messages" : [ 1.0 , 1e2 ] ,\n"model":"m" , "x":"\\u00e9" } '
    request = parse(Operation.CHAT, body)
    assert request.upstream_body("m") == body
    assert request.upstream_body("other") == body.replace(b'"m"', b'"other"')


def test_a_name_written_with_escapes_is_replaced() -> None:
    """However the caller spells it, and wherever else the same name stands."""
    body = b'{"x":"gpt-4","model":"gpt\\u002d4","messages":["gpt-4"]}'
    assert parse(Operation.CHAT, body).upstream_body("n") == body.replace(b'"gpt\\u002d4"', b'"n"')


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","messages":[],"model":"b"}',
        b'{"model":"a","messages":[],"mod\\u0065l":"b"}',
        b'{"model":"a","messages":[],"stream":true,"stream":false}',
        b'{"model":"a","messages":[],"max_tokens":100000,"max_tokens":1}',
        b'{"n":5,"model":"a","messages":[],"n":1}',
    ],
    ids=range(5),
)
def test_a_deciding_key_twice_is_refused(body: bytes) -> None:
    """An upstream that takes the other one would run another model, or run up another bill, than was reserved for."""
    problem = refused(Operation.CHAT, body)
    assert (problem.status, problem.code) == (400, "duplicate_key")
    assert "twice" in problem.message


def test_the_same_word_elsewhere_is_no_key_twice() -> None:
    """As in a tool's schema, in a text, or as a value."""
    body = b'{"model":"a","messages":["model","\\"n\\":1"],"n":2,"tools":[{"model":{"n":1,"stream":"model"}}],"x":"n"}'
    assert parse(Operation.CHAT, body).upstream_body("a") == body


def test_other_keys_twice_pass_where_nothing_is_cut() -> None:
    """They are the caller's and the upstream's affair; where the body must change they are refused."""
    body = b'{"model":"a","messages":[],"seed":1,"seed":2}'
    assert parse(Operation.CHAT, body).upstream_body("a") == body


@pytest.mark.parametrize(
    ("operation", "body", "param"),
    [
        (Operation.CHAT, b'{"model":"m"}', "messages"),
        (Operation.CHAT, b'{"model":"m","messages":null}', "messages"),
        (Operation.COMPLETION, b'{"model":"m"}', "prompt"),
        (Operation.EMBEDDING, b'{"model":"m"}', "input"),
        (Operation.CHAT, b'{"messages":[]}', "model"),
        (Operation.CHAT, b'{"model":"","messages":[]}', "model"),
        (Operation.CHAT, b'{"model":5,"messages":[]}', "model"),
        (Operation.CHAT, b'{"model":"m","messages":[],"n":0}', "n"),
        (Operation.CHAT, b'{"model":"m","messages":[],"max_tokens":-1}', "max_tokens"),
        (Operation.CHAT, b'{"model":"m","messages":[],"max_completion_tokens":0}', "max_completion_tokens"),
        (Operation.CHAT, b'{"model":"m","messages":[],"n":"x"}', "n"),
        (Operation.CHAT, b'{"model":"m","messages":[],"stream":1}', "stream"),
        (
            Operation.CHAT,
            b'{"model":"m","messages":[],"stream_options":{"include_usage":"y"}}',
            "stream_options.include_usage",
        ),
        (Operation.COMPLETION, b'{"model":"m","prompt":"p","best_of":0}', "best_of"),
    ],
)
def test_the_field_that_is_wrong_is_named(operation: Operation, body: bytes, param: str) -> None:
    """400 with the path of the field."""
    assert refused(operation, body).param == param


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'{"model":"\xff"}', b"[" * 10_000, b'{"model":"\\ud800"}'], ids=range(7)
)
def test_other_bytes_are_no_request(body: bytes) -> None:
    """Invalid UTF-8, broken JSON and JSON of another shape are the caller's mistake."""
    refused(Operation.CHAT, body)


def test_what_the_caller_asks_for() -> None:
    """Stream, usage, limits and the number of answers."""
    request = parse(
        Operation.CHAT,
        b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true},"max_tokens":5,'
        b'"max_completion_tokens":7,"n":3}',
    )
    assert request.stream
    assert request.asks_usage
    assert request.max_tokens == 7
    assert request.answers == 3
    plain = parse(Operation.CHAT, b'{"model":"m","messages":[]}')
    assert (plain.stream, plain.asks_usage, plain.max_tokens, plain.answers) == (False, False, None, 1)


def test_embeddings_write_nothing() -> None:
    """They do not stream and have no tokens to bound."""
    request = parse(Operation.EMBEDDING, b'{"model":"m","input":"x","stream":true,"max_tokens":9}')
    assert not request.stream
    assert request.max_tokens == 0


@pytest.mark.parametrize(
    ("prompt", "answers"),
    [
        ('"one"', 2),
        ("[1,2,3]", 2),
        ('["one"]', 2),
        ('["one","two","three"]', 6),
        ("[[1,2],[3]]", 4),
        ("[]", 2),
    ],
)
def test_each_prompt_has_its_answers(prompt: str, answers: int) -> None:
    """A list of prompts is answered prompt by prompt, and `best_of` are made for each; a list of tokens is one."""
    body = f'{{"model":"m","prompt":{prompt},"best_of":2}}'.encode()
    assert parse(Operation.COMPLETION, body).answers == answers


def test_every_operation_has_a_path() -> None:
    """What is added to a provider's address."""
    assert set(PATHS) | set(SIDE_PATHS) | {Operation.COUNT, Operation.COMPACT, Operation.EMBED_CONTENT} == set(
        Operation
    )


def test_a_request_in_the_neutral_form() -> None:
    """With the name that the caller asks for, and whether it streams."""
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'
    neutral = parse(Operation.CHAT, body).neutral()
    assert (neutral.model, neutral.stream, len(neutral.messages)) == ("m", True, 1)


def test_the_neutral_form_names_what_is_wrong() -> None:
    """What stays in the dialect is not looked into, what leaves it is."""
    request = parse(Operation.CHAT, b'{"model":"m","messages":[{"role":"robot","content":"hi"}]}')
    with pytest.raises(Refusal) as raised:
        request.neutral()
    assert raised.value.problem.param == "messages[0].role"
