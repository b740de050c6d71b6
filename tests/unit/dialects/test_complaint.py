"""What an upstream's error says in a sentence only."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.complaint import NO_CREDIT, SPENT, TOO_LONG, advice, code_of
from tokenway.dialects.registry import FORMATS
from tokenway.model.catalog import Dialect
from tokenway.model.faults import Fault
from tokenway.routing.retry import CONTEXT_CODES, SPENT_CODES, Scope, Verdict, scope, verdict


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("prompt is too long: 208310 tokens > 200000 maximum", TOO_LONG),
        ("input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input", TOO_LONG),
        ("The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).", TOO_LONG),
        ("The input token count exceeds the maximum number of tokens allowed 1048576.", TOO_LONG),
        ("Input is too long for requested model.", TOO_LONG),
        ("This model's maximum context length is 4097 tokens, however you requested 4116 tokens", TOO_LONG),
        ("Prompt contains 40000 tokens, too large for model with 32768 maximum context length", TOO_LONG),
        ("the request exceeds the available context size. try increasing the context size", TOO_LONG),
        ("This model's maximum prompt length is 131072 but the request contains 538345 tokens.", TOO_LONG),
        ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193", TOO_LONG),
        ("Your input exceeds the context window of this model.", TOO_LONG),
        ("litellm.ContextWindowExceededError: litellm.BadRequestError: AnthropicError - prompt is too long", TOO_LONG),
        ("Your credit balance is too low to access the Anthropic API.", NO_CREDIT),
        ("Too many tokens per day, please wait before trying again.", SPENT),
        ("The prompt is too long: 140000, model maximum context length: 131071", TOO_LONG),
        ("The model returned the following errors: prompt is too long: 9 tokens > 8 maximum", TOO_LONG),
        ("Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum context", ""),
        (
            "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            TOO_LONG,
        ),
        ("This endpoint's maximum context length is 131072 tokens. However, you requested about 131073", TOO_LONG),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 8192",
            TOO_LONG,
        ),
        ("Requested token count exceeds the model's maximum context length of 4096 tokens.", TOO_LONG),
        ("request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it", TOO_LONG),
        ("Too many tokens, please wait before trying again.", ""),
        ("The model `gpt-5.2-proo` does not exist or you do not have access to it.", ""),
        ("", ""),
    ],
)
def test_sentences_that_stand_for_a_code(message: str, code: str) -> None:
    """As the vendors write them; with a status that is no refusal they are somebody's text."""
    assert code_of(400, message) == code
    assert code_of(429, message.upper()) == code
    assert code_of(500, message) == ""
    assert code_of(200, message) == ""


_ECHOES = [
    "Your credit balance is too low to access the Anthropic API.",
    "Too many tokens per day, please wait before trying again.",
    "prompt is too long: 208310 tokens > 200000 maximum",
]


def in_shape(dialect: Dialect, message: str, code: str) -> bytes:
    """A refused request, as a provider of the dialect tells it; without `code` it says no more than that."""
    error: dict[str, object] = {"message": message, "type": "invalid_request_error", "code": code or None}
    if dialect is Dialect.ANTHROPIC:
        error = {"type": code or "invalid_request_error", "message": message}
        return msgspec.json.encode({"type": "error", "error": error})
    if dialect is Dialect.BEDROCK:
        return msgspec.json.encode({"__type": code or "ValidationException", "message": message})
    if dialect is Dialect.GEMINI:
        details = [{"reason": code}] if code else []
        error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT", "details": details}
    return msgspec.json.encode({"error": error})


@pytest.mark.parametrize("dialect", FORMATS)
@pytest.mark.parametrize("echo", _ECHOES)
@pytest.mark.parametrize(
    "text", ["Invalid value: '%s'. Supported values are: 'user'.", "'%s' is no role", "messages: %s"]
)
def test_what_a_caller_wrote_is_no_sentence_of_a_vendors(dialect: Dialect, echo: str, text: str) -> None:
    """Vendors repeat it in their messages: that closes no key and makes no request too long."""
    found = FORMATS[dialect].read_error(400, in_shape(dialect, text % echo, ""))
    assert (verdict(Fault.STATUS, 400, found.code), scope(Fault.STATUS, 400, found.code)) == (
        Verdict.FATAL,
        Scope.REQUEST,
    )


@pytest.mark.parametrize("dialect", FORMATS)
@pytest.mark.parametrize("echo", _ECHOES)
def test_a_vendors_own_code_goes_first(dialect: Dialect, echo: str) -> None:
    """Where it has one that says more than a kind of error, however the message begins."""
    assert FORMATS[dialect].read_error(400, in_shape(dialect, echo, "invalid_value")).code == "invalid_value"
    assert FORMATS[dialect].read_error(400, in_shape(dialect, echo, "")).code in {TOO_LONG, SPENT, NO_CREDIT}


def test_a_number_is_no_code_that_says_more() -> None:
    """Mistral's codes are numbers, and those of servers that give the status for one."""
    assert code_of(400, "maximum context length is 8 tokens", "3051") == TOO_LONG
    assert code_of(400, "no such thing", "3051") == "3051"


def test_the_codes_are_known_to_retries() -> None:
    """What is found here is acted upon there."""
    assert TOO_LONG in CONTEXT_CODES
    assert {SPENT, NO_CREDIT} <= set(SPENT_CODES)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Limit 30000, Used 14567, Requested 24754. Please try again in 18.642s. Visit https://x", 18.642),
        ("Please try again in 174ms.", 0.174),
        ("Please try again in 7m54.336s.", 474.336),
        ("try again in 1h2m3.5s", 3723.5),
        ("Please try again in 2d", 172_800.0),
        ("limit: 16000, model: gemma\nPlease retry in 31.44s.", 31.44),
        ("exceeded token rate limit. Please retry after 26 seconds.", 26.0),
        ("retry after 1 second", 1.0),
        ("try again in 5", None),
        ("try again in a moment", None),
        ("try again in 3s2m", None),
        ("try again in 99d", None),
        ("try again in " + "9" * 400 + "s", None),
    ],
)
def test_when_to_come_again(message: str, seconds: float | None) -> None:
    """Durations as OpenAI, Groq, Google and Azure write them into sentences."""
    assert advice(message) == (None if seconds is None else pytest.approx(seconds))


@given(st.text(alphabet="tryagainetsfcod 0123456789.hmsd", max_size=60).map(lambda text: "try again in " + text))
def test_advice_is_bounded(text: str) -> None:
    """Whatever stands there: seconds within eleven days, or none."""
    found = advice(text)
    assert found is None or 0.0 <= found < 1e6
