"""Embeddings in Cohere's own form: its address for OpenAI's clients has neither their sizes nor their counts.

    OpenAI                         Cohere, `/v2/embed`
    input: text or list of texts   texts
    dimensions                     output_dimension
    encoding_format                always asked for as float; base64 is made here
    nothing                        input_type: search_document, what the text is embedded for

Source: Cohere API reference, Embed (v2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, fault_text
from tokenway.dialects.gemini.embedding import Texts, Vectors
from tokenway.model.errors import WireError
from tokenway.model.request import Written
from tokenway.model.usage import UNMETERED, Metered, Tokens, Usage

PATH: Final = "/embed"
"""What is added to the base URL."""
INPUT_TYPE: Final = "search_document"
"""Cohere's models want to know what a text is embedded for; OpenAI's callers cannot say it."""


class _Kinds(msgspec.Struct):
    floats: list[list[float]] | None = msgspec.field(default=None, name="float")


class _Billed(msgspec.Struct):
    input_tokens: Tokens | float | None = None


class _Meta(msgspec.Struct):
    billed_units: _Billed | None = None


class _Answer(msgspec.Struct):
    embeddings: _Kinds | None = None
    meta: _Meta | None = None
    message: Any = None


_decode: Final = msgspec.json.Decoder(_Answer).decode


def write_request(texts: Texts, model: str) -> Written:
    """The body of an embed call."""
    body: dict[str, object] = {
        "model": model,
        "texts": texts.inputs,
        "input_type": INPUT_TYPE,
        "embedding_types": ["float"],
    }
    if texts.dimensions is not None:
        body["output_dimension"] = texts.dimensions
    return Written(msgspec.json.encode(body), texts.rest)


def read_answer(body: bytes) -> Vectors:
    """An answer of an embed call; raises WireError when it is none."""
    try:
        answer = _decode(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of Cohere's: {error}") from None
    vectors: Sequence[Sequence[float]] | None = None if answer.embeddings is None else answer.embeddings.floats
    if vectors is None:
        raise WireError(f"the answer has no embeddings: {fault_text(answer.message)}")
    billed = None if answer.meta is None else answer.meta.billed_units
    if billed is None or billed.input_tokens is None:
        return Vectors(tuple(vectors), UNMETERED)
    return Vectors(tuple(vectors), Metered(given=True, usage=Usage(input_uncached=int(billed.input_tokens))))
