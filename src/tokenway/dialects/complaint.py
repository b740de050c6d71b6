"""What an upstream's error says in a sentence only: that a request is too long, that money is gone, when to come again.

Most vendors have no code of their own for it, and all have for years kept the wording, which clients rely on. The codes
are OpenAI's, since `routing.retry` and callers know them.

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
    r"(?P<context_length_exceeded>"
    r"prompt is too long"  # Anthropic, Fireworks
    r"|exceed context limit"  # Anthropic: input length and `max_tokens` exceed context limit
    r"|input token count \(?\d*\)? ?exceeds the maximum"  # Google
    r"|input is too long for requested model"  # Amazon
    r"|maximum context length"  # OpenAI's older answers, vLLM, SGLang, Mistral, DeepSeek
    r"|exceeds the available context size"  # llama.cpp
    r"|maximum prompt length is \d"  # xAI
    r"|`inputs` tokens \+ `max_new_tokens` must be"  # Together
    r"|exceeds the context window"  # OpenAI
    r")"
    r"|(?P<credit_balance_too_low>credit balance is too low)"  # Anthropic, with status 400
    r"|(?P<insufficient_quota>too many tokens per day)",  # Amazon
    re.IGNORECASE,
)
_AGAIN: Final = re.compile(
    r"\b(?:try again|retry) in ((?:\d{1,12}(?:\.\d{1,12})?(?:ms|[dhms]))+)|\bretry after (\d{1,6}) seconds?\b", re.ASCII
)
"""OpenAI's and Groq's `Please try again in 6m0s`, Google's `Please retry in 37.5s`, Azure's `retry after 7 seconds`."""


def code_of(status: int, message: str) -> str:
    """The code that a sentence stands for, empty where it is none of those; `status` is 4xx for all of them."""
    found = _SENTENCES.search(message) if 400 <= status < 500 else None
    return (found.lastgroup or "") if found is not None else ""


def advice(message: str) -> float | None:
    """After how many seconds a sentence asks to try again; None beyond eleven days."""
    found = _AGAIN.search(message)
    if found is None:
        return None
    seconds = seconds_of(found[1]) if found[1] else float(found[2])
    return seconds if seconds is not None and seconds < 1e6 else None
