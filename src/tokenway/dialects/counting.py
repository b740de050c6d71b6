"""Counts of input tokens: an answer of the caller's dialect made of an estimate, which says that it is one.

A provider that counts itself is asked; this is for models whose provider does not.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.dialects.anthropic.count import count
from tokenway.dialects.base import UNREADABLE, CallerRequest, WholeAnswer
from tokenway.model.catalog import Dialect
from tokenway.model.errors import WireError
from tokenway.model.usage import Metered, Tokens, Usage

_MEMBERS: Final[dict[Dialect, str]] = {
    Dialect.ANTHROPIC: "input_tokens",
    Dialect.GEMINI: "totalTokens",
    Dialect.OPENAI_RESPONSES: "input_tokens",
}
_KINDS: Final = {Dialect.OPENAI_RESPONSES: {"object": "response.input_tokens"}}
"""What a dialect's count says besides."""


class _Counted(msgspec.Struct):
    input_tokens: Tokens | None = None
    totalTokens: Tokens | None = None  # noqa: N815 - the vendor's name


_decode: Final = msgspec.json.Decoder(_Counted).decode


def estimate(request: CallerRequest) -> bytes:
    """The answer for a model whose provider does not count; raises Refusal (400) where the request is wrong."""
    counted = {_MEMBERS[request.dialect]: count(request.neutral()), "estimated": True}
    return msgspec.json.encode({**_KINDS.get(request.dialect, {}), **counted})


def read_count(dialect: Dialect, body: bytes) -> WholeAnswer:
    """A provider's own count, which costs nothing; raises WireError when it is none."""
    try:
        counted = _decode(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not a count: {error}") from None
    if getattr(counted, _MEMBERS[dialect]) is None:
        raise WireError("the answer is not a count")
    return WholeAnswer(Metered(given=True, usage=Usage()), "")
