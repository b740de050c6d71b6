"""What an upstream's error says in a sentence only: that a request is too long, that money is gone, when to come again.

Most vendors have no code of their own for it, and all have for years kept the wording, which clients rely on. The codes
are OpenAI's, since `routing.retry` and callers know them.

A message can repeat what a caller wrote, and what a code stands for can close a key for everybody. So a code of the
vendor's own goes first wherever it names more than a kind of error, and a sentence is one at the message's start only.

Sources: answers of OpenAI, Anthropic, Google, Amazon, Mistral, xAI, Together and Fireworks in public reports; the error
texts of vLLM, SGLang and llama.cpp.
"""

from __future__ import annotations

import re
from typing import Final

from tokenway.model.units import seconds_of

TOO_LONG: Final = "context_length_exceeded"
SPENT: Final = "insufficient_quota"
NO_CREDIT: Final = "credit_balance_too_low"

_SENTENCES: Final = re.compile(
    r"(?:the model returned the following errors: )?"  # Amazon, before what a vendor's model says
    r"(?:(?P<context_length_exceeded>"
    r"(?:the )?prompt is too long"  # Anthropic, Fireworks
    r"|input length and `?max_tokens`? exceed context limit"  # Anthropic
    r"|(?:the )?input token count \(?\d*\)? ?exceeds the maximum"  # Google
    r"|input is too long for requested model"  # Amazon
    r"|(?:'max_tokens' or 'max_completion_tokens' is too large: \d+\. )?"  # vLLM, before the next one
    r"(?:th(?:is|e) (?:model|endpoint)'s )?maximum context length"  # OpenAI's older answers, vLLM, DeepSeek, OpenRouter
    r"|requested token count exceeds the model's maximum context length"  # SGLang
    r"|prompt contains \d+ tokens[\w ]{0,40}, too large for model with (?:a )?\d+ maximum context length"  # Mistral
    r"|(?:the )?request (?:\(\d+ tokens\) )?exceeds the available context size"  # llama.cpp
    r"|this model's maximum prompt length is \d"  # xAI
    r"|(?:input validation error: )?`inputs` tokens \+ `max_new_tokens` must be"  # Together
    r"|your input exceeds the context window"  # OpenAI
    r"|litellm\.ContextWindowExceededError: "  # a LiteLLM proxy, before whatever its provider says
    r")"
    r"|(?P<credit_balance_too_low>your credit balance is too low)"  # Anthropic, with status 400
    r"|(?P<insufficient_quota>too many tokens per day))",  # Amazon
    re.IGNORECASE,
)
_KINDS: Final = frozenset(
    {
        "",
        *("invalid_request_error", "rate_limit_error"),  # OpenAI, Anthropic, and who speaks as they do
        "invalid_prompt",  # OpenAI's Responses API
        *("badrequest", "badrequesterror"),  # Azure; vLLM, SGLang
        *("invalid_argument", "resource_exhausted"),  # Google
        *("validationexception", "throttlingexception"),  # Amazon
    }
)
"""Codes, in lower case, that only say what kind of error it is."""
_AGAIN: Final = re.compile(
    r"\b(?:try again|retry) in ((?:\d{1,12}(?:\.\d{1,12})?(?:ms|[dhms]))+)|\bretry after (\d{1,6}) seconds?\b", re.ASCII
)
"""OpenAI's and Groq's `Please try again in 6m0s`, Google's `Please retry in 37.5s`, Azure's `retry after 7 seconds`."""


def code_of(status: int, message: str, told: str = "") -> str:
    """An error's code: `told`, the vendor's own, unless that only names a kind and a sentence says more.

    `status` is 4xx for all of these sentences; a number is no code that would say more than it.
    """
    if not 400 <= status < 500 or not (told.isdigit() or told.lower() in _KINDS):
        return told
    found = _SENTENCES.match(message)
    return told if found is None else found.lastgroup or told


def advice(message: str) -> float | None:
    """After how many seconds a sentence asks to try again; None beyond eleven days."""
    found = _AGAIN.search(message)
    if found is None:
        return None
    seconds = seconds_of(found[1]) if found[1] else float(found[2])
    return seconds if seconds is not None and seconds < 1e6 else None
