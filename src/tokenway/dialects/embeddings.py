"""Embeddings from one form to another: OpenAI's and Google's, which callers speak too, and Cohere's.

The conversions stand in `gemini.embedding` and `cohere`; this is the table of who reads and writes what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tokenway.dialects import cohere
from tokenway.dialects.base import CallerRequest, WholeAnswer
from tokenway.dialects.gemini import embedding
from tokenway.dialects.gemini.embedding import Texts, Vectors
from tokenway.model.catalog import Dialect, Quirks
from tokenway.model.request import Written

SPEAKERS: Final = frozenset({Dialect.OPENAI_CHAT, Dialect.GEMINI})
"""The dialects that have embeddings."""

COHERE: Final = "cohere"
"""The form of a provider whose quirk says so."""

_READ: Final[dict[Dialect, Callable[[bytes], Texts]]] = {
    Dialect.OPENAI_CHAT: embedding.read_openai_request,
    Dialect.GEMINI: embedding.read_gemini_request,
}
_WRITE: Final[dict[str, Callable[[Texts, str], Written]]] = {
    Dialect.OPENAI_CHAT: embedding.write_openai_request,
    Dialect.GEMINI: embedding.write_gemini_request,
    COHERE: cohere.write_request,
}
_READ_ANSWER: Final[dict[str, Callable[[bytes], Vectors]]] = {
    Dialect.OPENAI_CHAT: embedding.read_openai_answer,
    Dialect.GEMINI: embedding.read_gemini_answer,
    COHERE: cohere.read_answer,
}
PATHS: Final = {COHERE: cohere.PATH}
"""What is added to the base URL for a form that is no dialect."""


def form_of(dialect: Dialect, quirks: Quirks) -> str:
    """The form in which a provider is asked for embeddings."""
    return quirks.embeddings or dialect


def write_request(request: CallerRequest, form: str, model: str) -> Written:
    """A caller's request for embeddings in an upstream's form; raises Refusal (400) for what that cannot say."""
    return _WRITE[form](_READ[request.dialect](request.body), model)


def translate(request: CallerRequest, form: str, body: bytes) -> tuple[WholeAnswer, bytes]:
    """An upstream's embeddings in the caller's dialect; raises WireError when they are none."""
    vectors = _READ_ANSWER[form](body)
    texts = _READ[request.dialect](request.body)
    if request.dialect is Dialect.GEMINI:
        answer = embedding.write_gemini_answer(vectors, is_single=texts.is_single)
    else:
        answer = embedding.write_openai_answer(vectors, request.model, as_base64=texts.as_base64)
    return WholeAnswer(vectors.metered, ""), answer
