"""Embeddings between OpenAI's form and Gemini's, both ways.

    OpenAI                         Gemini
    input: text or list of texts   requests[].content.parts[].text (batchEmbedContents)
    dimensions                     requests[].outputDimensionality
    encoding_format                only OpenAI has base64: float32, little-endian
    user                           nothing
    nothing                        taskType, title

A caller of Gemini who embeds one content (embedContent) gets one vector back, not a list. Where no provider counted
tokens, no usage is made up.

Source: OpenAI API reference, Embeddings; Gemini API reference, `models.embedContent` and `models.batchEmbedContents`.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from tokenway.dialects.base import GATEWAY_FIELDS, UNREADABLE, fault_text
from tokenway.dialects.gemini.names import many, member, members, needed
from tokenway.dialects.gemini.request import MODELS
from tokenway.dialects.gemini.schema import ABSENT, NOTHING
from tokenway.dialects.gemini.usage import meter
from tokenway.dialects.walk import Node, walk
from tokenway.model.errors import WireError
from tokenway.model.request import Written
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Tokens, Usage

_encode: Final = msgspec.json.encode
_FLOAT32: Final = 4


class Texts(msgspec.Struct, frozen=True):
    """What is to be embedded. `is_single` is whether the caller's answer is one vector and no list of them.

    `rest` are the caller's names of what has no neutral place.
    """

    inputs: tuple[str, ...]
    dimensions: int | None = None
    as_base64: bool = False
    is_single: bool = False
    rest: tuple[str, ...] = ()


class Vectors(msgspec.Struct, frozen=True):
    """The embeddings, in the order of what was embedded."""

    values: tuple[Sequence[float], ...]
    metered: Metered = UNMETERED


# -- requests --------------------------------------------------------------------------------------------


def read_openai_request(body: bytes) -> Texts:
    """A request of OpenAI's embeddings; raises Refusal (400) for what only its own models embed, such as token ids."""
    root = walk(body)
    given = root.need("input")
    inputs = [given] if given.is_text else given.items()
    if not inputs:
        raise given.wrong("it must not be empty")
    for each in inputs:
        if not each.is_text:
            raise each.wrong("this model takes texts, not token ids", code="unsupported_parameter")
    dimensions = root.at("dimensions")
    encoding = root.at("encoding_format")
    known = {"input", "model", "dimensions", "encoding_format", *GATEWAY_FIELDS}
    return Texts(
        tuple(each.text() for each in inputs),
        None if dimensions is None else dimensions.whole(1),
        as_base64=encoding is not None and encoding.one_of({"float": False, "base64": True}),
        rest=tuple(name for name, _ in root.members() if name not in known),
    )


def read_gemini_request(body: bytes) -> Texts:
    """A request of embedContent or batchEmbedContents; raises Refusal (400) for content that is no text."""
    root = walk(body)
    batch = member(root, "requests")
    requests = [root] if batch is None else many(batch)
    rest: dict[str, None] = {}
    found = [_embedded(each, rest) for each in requests]
    if not found:
        raise Node([], "requests").wrong("it must not be empty")
    sizes = {size for _, size in found}
    if len(sizes) > 1:
        raise Node(None, "requests").wrong(
            "all must ask for the same outputDimensionality", code="unsupported_parameter"
        )
    return Texts(
        tuple(text for text, _ in found),
        sizes.pop(),
        is_single=batch is None,
        rest=tuple(rest),
    )


def _embedded(request: Node, rest: dict[str, None]) -> tuple[str, int | None]:
    """The text of one request, and the size that it wants."""
    content = needed(request, "content")
    texts = []
    for part in many(needed(content, "parts")):
        text = member(part, "text")
        if text is None:
            raise part.wrong("this model embeds text only", code="unsupported_media")
        texts.append(text.text())
    # Newer clients put the options into an object of their own.
    options = [request, *([config] if (config := member(request, "embedContentConfig")) is not None else [])]
    size = None
    for option in options:
        for name, value in members(option):
            if name == "outputDimensionality":
                size = value.whole(1)
            elif (
                name not in {"content", "model", "embedContentConfig", *GATEWAY_FIELDS}
                and value.path not in GATEWAY_FIELDS
            ):
                rest[name] = None
    return "".join(texts), size


def write_gemini_request(texts: Texts, model: str) -> Written:
    """The body of batchEmbedContents."""
    requests = []
    for text in texts.inputs:
        each: dict[str, object] = {"model": MODELS + model, "content": {"parts": [{"text": text}]}}
        if texts.dimensions is not None:
            each["outputDimensionality"] = texts.dimensions
        requests.append(each)
    return Written(_encode({"requests": requests}), texts.rest)


def write_openai_request(texts: Texts, model: str) -> Written:
    """The body of OpenAI's embeddings."""
    body: dict[str, object] = {"model": model, "input": texts.inputs, "encoding_format": "float"}
    if texts.dimensions is not None:
        body["dimensions"] = texts.dimensions
    return Written(_encode(body), texts.rest)


# -- answers ---------------------------------------------------------------------------------------------


class _Values(msgspec.Struct):
    values: list[float]


class _GeminiAnswer(msgspec.Struct, rename="camel"):
    embedding: _Values | None = None
    embeddings: list[_Values] | None = None
    usage_metadata: msgspec.Raw = ABSENT
    error: Any = None


class _Item(msgspec.Struct):
    embedding: list[float] | str
    index: int | None = None


class _OpenaiUsage(msgspec.Struct):
    prompt_tokens: Tokens | None = None


class _OpenaiAnswer(msgspec.Struct):
    data: list[_Item] | None = None
    usage: msgspec.Raw = ABSENT
    error: Any = None


_decode_gemini: Final = msgspec.json.Decoder(_GeminiAnswer).decode
_decode_openai: Final = msgspec.json.Decoder(_OpenaiAnswer).decode
_decode_usage: Final = msgspec.json.Decoder(_OpenaiUsage | None).decode
_T = TypeVar("_T", _GeminiAnswer, _OpenaiAnswer)


def read_gemini_answer(body: bytes) -> Vectors:
    """An answer of either embedding call; raises WireError when it is none."""
    answer = _answer(_decode_gemini, body)
    items = [answer.embedding] if answer.embedding is not None else answer.embeddings
    if items is None:
        raise WireError("the answer has no embeddings")
    return Vectors(tuple(each.values for each in items), meter(answer.usage_metadata))


def read_openai_answer(body: bytes) -> Vectors:
    """An answer of OpenAI's embeddings; raises WireError when it is none."""
    answer = _answer(_decode_openai, body)
    if answer.data is None:
        raise WireError("the answer has no embeddings")
    items = sorted(answer.data, key=lambda each: each.index or 0)
    return Vectors(tuple(_numbers(each.embedding) for each in items), _openai_metered(answer.usage))


def _openai_metered(raw: msgspec.Raw) -> Metered:
    if raw in NOTHING:
        return UNMETERED
    try:
        usage = _decode_usage(raw)
    except UNREADABLE:
        return ABSURD
    if usage is None or usage.prompt_tokens is None:
        return UNMETERED
    return Metered(given=True, usage=Usage(input_uncached=usage.prompt_tokens))


def write_openai_answer(vectors: Vectors, model: str, *, as_base64: bool) -> bytes:
    """The answer for a caller of OpenAI's embeddings."""
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(values) if as_base64 else values}
        for index, values in enumerate(vectors.values)
    ]
    body: dict[str, object] = {"object": "list", "data": data, "model": model}
    if vectors.metered.usage is not None:
        tokens = vectors.metered.usage.input_tokens
        body["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _encode(body)


def write_gemini_answer(vectors: Vectors, *, is_single: bool) -> bytes:
    """The answer for a caller of embedContent (one vector) or batchEmbedContents."""
    items = [{"values": values} for values in vectors.values]
    body: dict[str, object] = {"embedding": items[0]} if is_single and items else {"embeddings": items}
    if vectors.metered.usage is not None:
        tokens = vectors.metered.usage.input_tokens
        body["usageMetadata"] = {"promptTokenCount": tokens, "totalTokenCount": tokens}
    return _encode(body)


def _answer(decode: Callable[[bytes], _T], body: bytes) -> _T:
    """An answer with status 200 that is no error."""
    try:
        answer = decode(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of this dialect: {error}") from None
    if answer.error:
        raise WireError(f"an error came with status 200: {fault_text(answer.error)}")
    return answer


def _numbers(value: list[float] | str) -> Sequence[float]:
    """A vector: a list of numbers, or float32 in base64."""
    if not isinstance(value, str):
        return value
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise WireError("an embedding is not valid base64") from None
    if len(data) % _FLOAT32:
        raise WireError("an embedding is not a row of float32")
    return struct.unpack(f"<{len(data) // _FLOAT32}f", data)


def _base64(values: Sequence[float]) -> str:
    """A vector as float32, little-endian, in base64."""
    try:
        data = struct.pack(f"<{len(values)}f", *values)
    except (OverflowError, struct.error):
        raise WireError("an embedding does not fit into float32") from None
    return base64.b64encode(data).decode()
