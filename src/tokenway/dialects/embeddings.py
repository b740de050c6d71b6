"""Embeddings from one dialect to another: of the five, OpenAI's and Google's have them.

The conversions stand in `gemini.embedding`; this is the table of who reads and writes what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tokenway.dialects.base import CallerRequest, WholeAnswer
from tokenway.dialects.gemini import embedding
from tokenway.dialects.gemini.embedding import Texts, Vectors
from tokenway.model.catalog import Dialect
from tokenway.model.request import Written

SPEAKERS: Final = frozenset({Dialect.OPENAI_CHAT, Dialect.GEMINI})
"""The dialects that have embeddings."""

_READ: Final[dict[Dialect, Callable[[bytes], Texts]]] = {
    Dialect.OPENAI_CHAT: embedding.read_openai_request,
    Dialect.GEMINI: embedding.read_gemini_request,
}
_WRITE: Final[dict[Dialect, Callable[[Texts, str], Written]]] = {
    Dialect.OPENAI_CHAT: embedding.write_openai_request,
    Dialect.GEMINI: embedding.write_gemini_request,
}
_READ_ANSWER: Final[dict[Dialect, Callable[[bytes], Vectors]]] = {
    Dialect.OPENAI_CHAT: embedding.read_openai_answer,
    Dialect.GEMINI: embedding.read_gemini_answer,
}


def write_request(request: CallerRequest, upstream: Dialect, model: str) -> Written:
    """A caller's request for embeddings in an upstream's dialect; raises Refusal (400) for what that cannot say."""
    return _WRITE[upstream](_READ[request.dialect](request.body), model)


def translate(request: CallerRequest, upstream: Dialect, body: bytes) -> tuple[WholeAnswer, bytes]:
    """An upstream's embeddings in the caller's dialect; raises WireError when they are none."""
    vectors = _READ_ANSWER[upstream](body)
    texts = _READ[request.dialect](request.body)
    if request.dialect is Dialect.GEMINI:
        answer = embedding.write_gemini_answer(vectors, is_single=texts.is_single)
    else:
        answer = embedding.write_openai_answer(vectors, request.model, as_base64=texts.as_base64)
    return WholeAnswer(vectors.metered, ""), answer
