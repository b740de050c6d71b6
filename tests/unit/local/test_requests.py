"""What callers may send, what becomes of it, and how a wrong field is named."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.local.requests import (
    MAX_TOKENS_DEFAULT,
    BadRequest,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    completion_task,
    decode,
    embedding_texts,
    sampling_task,
)

HELLO = {"model": "local", "messages": [{"role": "user", "content": "Hi"}]}


def chat(**fields: object) -> ChatRequest:
    """A request with these fields besides the necessary ones."""
    return decode(json.dumps(HELLO | fields).encode(), ChatRequest)


def completion(**fields: object) -> dict[str, Any]:
    """The task of a text completion with these fields."""
    return completion_task(decode(json.dumps({"model": "local"} | fields).encode(), CompletionRequest))


def test_defaults_suit_a_small_model() -> None:
    """Low temperature, and an end even when the model finds none."""
    task = sampling_task(chat())
    assert (task["temperature"], task["top_p"], task["max_tokens"]) == (0.2, 0.9, MAX_TOKENS_DEFAULT)
    assert task["stream"] is True


def test_what_the_caller_sets_is_passed_on() -> None:
    """Zeros are values, nulls are defaults, a single stop is a list."""
    task = sampling_task(
        chat(temperature=0, top_p=None, max_tokens=3, seed=-1, stop="x", presence_penalty=1, frequency_penalty=None)
    )
    assert (task["temperature"], task["top_p"], task["max_tokens"]) == (0, 0.9, 3)
    assert (task["seed"], task["stop"], task["presence_penalty"]) == (2**32 - 1, ["x"], 1)
    assert "frequency_penalty" not in task


def test_the_runtimes_own_switches_cannot_be_reached() -> None:
    """Unknown fields are ignored and never passed on."""
    task = sampling_task(chat(id_slot=1, cache_prompt=False, user="me", lora=[]))
    assert not {"id_slot", "cache_prompt", "user", "lora"} & set(task)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 5}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], param: str) -> None:
    """The error carries the path of the field, in the message too."""
    with pytest.raises(BadRequest) as caught:
        chat(**fields)
    assert caught.value.param == param
    assert param in caught.value.message
    assert caught.value.status == 400


def test_a_missing_field_is_named() -> None:
    """OpenAI's code for it is used."""
    with pytest.raises(BadRequest) as caught:
        decode(b'{"messages": [{"role": "user"}]}', ChatRequest)
    assert (caught.value.param, caught.value.code) == ("model", "missing_required_parameter")


@given(st.binary(max_size=80) | st.sampled_from([b"null", b"[]", b"\xff", b'{"model": "\\ud800"}']))
def test_any_body_is_a_request_or_the_one_error(body: bytes) -> None:
    """No garbage raises anything else."""
    with contextlib.suppress(BadRequest):
        assert decode(body, ChatRequest).messages
    with contextlib.suppress(BadRequest):
        assert isinstance(decode(body, EmbeddingRequest).model, str)


def test_logit_bias_is_refused_not_ignored() -> None:
    """Its numbers would mean other words here."""
    with pytest.raises(BadRequest, match="logit_bias"):
        sampling_task(chat(logit_bias={"50256": -100}))


def test_a_completion_takes_one_prompt_or_several() -> None:
    """One prompt stays a string."""
    assert completion(prompt="Once")["prompt"] == "Once"
    assert completion(prompt=["Once"])["prompt"] == "Once"
    assert completion(prompt=["a", "b"])["prompt"] == ["a", "b"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prompt": ""},
        {"prompt": ["a", ""]},
        {"prompt": ["a"] * 5},
        {"prompt": ["a", "b"], "n": 2},
        {"prompt": "a", "echo": True},
        {"prompt": "a", "suffix": "b"},
        {"prompt": "a", "best_of": 2},
        {"prompt": "a", "logprobs": 1},
        {"prompt": [1, 2]},
    ],
)
def test_a_completion_that_cannot_be_served_is_refused(fields: dict[str, object]) -> None:
    """Empty or too many prompts, tokens of another vocabulary, and what only some models offer."""
    with pytest.raises(BadRequest):
        completion(**fields)


def test_embedding_inputs_are_a_list() -> None:
    """A single text and the model's own dimension are fine."""
    request = EmbeddingRequest(model="local-embed", input="a", dimensions=384)
    assert embedding_texts(request, 384) == ["a"]


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (EmbeddingRequest(model="e", input="a", dimensions=256), "dimensions"),
        (EmbeddingRequest(model="e", input=[]), "input"),
        (EmbeddingRequest(model="e", input=["a", ""]), "input"),
        (EmbeddingRequest(model="e", input=["a"] * 2049), "input"),
    ],
)
def test_embedding_inputs_that_cannot_be_served_are_refused(request_: EmbeddingRequest, param: str) -> None:
    """Other dimensions, nothing, an empty text, too many."""
    with pytest.raises(BadRequest) as caught:
        embedding_texts(request_, 384)
    assert caught.value.param == param
