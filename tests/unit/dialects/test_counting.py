"""Counts of input tokens: estimated in the caller's dialect, or read from a provider that counts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokenway.dialects.base import WholeAnswer
from tokenway.dialects.counting import estimate, read_count
from tokenway.dialects.registry import FORMATS
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import Refusal, WireError
from tokenway.model.usage import Metered, Usage

ANTHROPIC = b'{"model":"m","messages":[{"role":"user","content":"12345678"}]}'
RESPONSES = b'{"model":"m","input":"12345678"}'
GEMINI = b'{"contents":[{"role":"user","parts":[{"text":"12345678"}]}]}'


def estimated(dialect: Dialect, body: bytes) -> Any:
    """The estimate as its caller sees it."""
    return msgspec.json.decode(estimate(FORMATS[dialect].parse(Operation.COUNT, body, "m", False)))


def test_an_estimate_has_its_callers_shape_and_says_what_it_is() -> None:
    """Eight characters are two tokens, and around them stand 8 for the request and 4 for the message."""
    assert estimated(Dialect.ANTHROPIC, ANTHROPIC) == {"input_tokens": 14, "estimated": True}
    assert estimated(Dialect.GEMINI, GEMINI) == {"totalTokens": 14, "estimated": True}
    told = {"object": "response.input_tokens", "input_tokens": 14, "estimated": True}
    assert estimated(Dialect.OPENAI_RESPONSES, RESPONSES) == told
    assert estimated(Dialect.OPENAI_RESPONSES, b'{"model":"m","instructions":"12345678"}')["input_tokens"] == 14


def test_a_wrong_request_is_refused_and_not_estimated() -> None:
    """At the field that is wrong."""
    with pytest.raises(Refusal) as caught:
        estimated(Dialect.ANTHROPIC, b'{"model":"m","messages":[{"role":"nobody","content":"x"}]}')
    assert (caught.value.problem.status, caught.value.problem.param) == (400, "messages[0].role")


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (Dialect.ANTHROPIC, b'{"input_tokens":14}'),
        (Dialect.ANTHROPIC, b'{"input_tokens":0,"context_management":{}}'),
        (Dialect.GEMINI, b'{"totalTokens":14,"promptTokensDetails":[]}'),
        (Dialect.OPENAI_RESPONSES, b'{"object":"response.input_tokens","input_tokens":14}'),
    ],
)
def test_a_providers_count_costs_nothing(dialect: Dialect, body: bytes) -> None:
    """It is metered, with nothing in it."""
    assert read_count(dialect, body) == WholeAnswer(Metered(given=True, usage=Usage()), "")


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (Dialect.ANTHROPIC, b""),
        (Dialect.ANTHROPIC, b"[]"),
        (Dialect.ANTHROPIC, b"{}"),
        (Dialect.ANTHROPIC, b'{"input_tokens":null}'),
        (Dialect.ANTHROPIC, b'{"input_tokens":-1}'),
        (Dialect.ANTHROPIC, b'{"input_tokens":"14"}'),
        (Dialect.ANTHROPIC, b'{"totalTokens":14}'),
        (Dialect.ANTHROPIC, b'{"input_tokens":14'),
        (Dialect.GEMINI, b'{"input_tokens":14}'),
    ],
)
def test_what_is_no_count(dialect: Dialect, body: bytes) -> None:
    """Something else, half of one, or another dialect's."""
    with pytest.raises(WireError, match="not a count"):
        read_count(dialect, body)
