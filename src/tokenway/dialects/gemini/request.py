"""Requests of the Gemini dialect: the path names the model and whether the answer streams; the body has the rest.

A caller who streams without `alt=sse` in the query gets one JSON array, an element for each chunk. The body does not
say so: the edge looks at the query (`wants_array`) and sets `array` on the request.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from tokenway.dialects.base import GATEWAY_FIELDS
from tokenway.dialects.gemini.read import read
from tokenway.dialects.gemini.schema import NOTHING, GenerationFields, RequestFields
from tokenway.dialects.inbound import EVENTS, Inbound, decode_body, twice
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import Refusal, WireError, invalid_request
from tokenway.model.request import Request
from tokenway.wire.percent import quote
from tokenway.wire.splice import layout, replace, without_members

_decode: Final = msgspec.json.Decoder(RequestFields).decode
_decode_any: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.encode
_AS_EVENTS: Final = re.compile(rb"(?:^|[?&])(?:\$|%24)?alt=sse(?:&|$)")
_DECIDING: Final = re.compile(
    rb'"(?:generationConfig|generation_config|max_?[oO]utput_?[tT]okens|candidate_?[cC]ount)"\s*:'
)
"""Members that decide what a call can cost: if one came twice, two readers could differ."""
_NO_FIELDS: Final = GenerationFields()

EMBEDDINGS: Final = frozenset({Operation.EMBEDDING, Operation.EMBED_CONTENT})
"""Operations that embed: a batch, and a single content."""

_VERBS: Final = {
    Operation.EMBEDDING: "batchEmbedContents",
    Operation.EMBED_CONTENT: "embedContent",
    Operation.COUNT: "countTokens",
}

MODELS: Final = "models/"
"""What a model's name begins with where it stands in a body."""


class GeminiRequest(Inbound):
    """One request of a caller.

    `array` is whether a stream is written as a JSON array; `array_opened` whether its beginning was written, which
    tells an error at its end how to go on.
    """

    fields: RequestFields

    has_stream_in_body = False

    __slots__ = ("_requests", "answers", "array", "array_opened", "choices")

    def __init__(self, operation: Operation, body: bytes, fields: RequestFields, model: str, *, stream: bool) -> None:
        """Raises Refusal (400) where no model is named, a limit is below one, or a field that decides comes twice."""
        config = _config(body, fields)
        is_embedding = operation in EMBEDDINGS
        super().__init__(
            Dialect.GEMINI,
            operation,
            body,
            fields,
            read,
            model=model.removeprefix(MODELS) or (fields.model or "").removeprefix(MODELS),
            stream=stream and not is_embedding,
            max_tokens=0 if is_embedding else _count(config.limit, config.limit_snake, "maxOutputTokens"),
        )
        self.choices = self.answers = _count(config.count, config.count_snake, "candidateCount") or 1
        self.array = False
        self.array_opened = False
        self._requests = fields.requests

    @property
    def stream_type(self) -> bytes:  # type: ignore[override]
        """A stream is an array unless its caller asks for events."""
        return b"application/json; charset=utf-8" if self.array else EVENTS

    def neutral(self) -> Request:
        """The request in the neutral form; one that is to be counted may stand inside another object."""
        inner = self.fields.generate_content_request
        if self.operation is Operation.COUNT and inner not in NOTHING:
            return read(bytes(inner), self.model, self.stream)
        return super().neutral()

    def upstream_body(self, model: str) -> bytes:
        """The caller's bytes without the gateway's own members; the path says the model, so a body does not.

        Each request of a batch of embeddings repeats the model's name, which must be the path's.
        """
        fields = self.fields
        try:
            body = without_members(self.body, (*GATEWAY_FIELDS, "model")) if fields.model else self._prepared()
        except WireError as error:
            raise twice(error) from None
        if self.operation in EMBEDDINGS and self._requests not in NOTHING:
            return _with_model_in_each(body, model)
        if self.operation is Operation.COUNT and fields.generate_content_request not in NOTHING:
            return _with_model_inside(body, bytes(fields.generate_content_request), model)
        return body


def parse(operation: Operation, body: bytes, path_model: str, path_stream: bool) -> GeminiRequest:  # noqa: FBT001
    """A request body to a GeminiRequest.

    Raises Refusal (400) for invalid UTF-8 or JSON, a wrong type, a missing field, or a nonsensical number.
    """
    fields = decode_body(_decode, body)
    if operation in EMBEDDINGS:
        if fields.content in NOTHING and fields.requests in NOTHING:
            raise _missing("content")
    elif operation is Operation.COUNT and fields.generate_content_request not in NOTHING:
        pass  # the request that is to be counted stands inside
    elif fields.contents in NOTHING:
        raise _missing("contents")
    return GeminiRequest(operation, body, fields, path_model, stream=path_stream)


def wants_array(query: bytes) -> bool:
    """Whether a stream's caller, by the query of its URL, wants a JSON array: only `alt=sse` asks for events."""
    return _AS_EVENTS.search(query) is None


def path(operation: Operation, model: str, stream: bool) -> str:  # noqa: FBT001
    """What is added to a base URL that ends with the version.

    A caller can name the model of a provider that serves any: what would end the path or the line is quoted.
    """
    name = quote(model if "/" in model else MODELS + model, safe="/@")
    if operation in _VERBS:
        return f"/{name}:{_VERBS[operation]}"
    return f"/{name}:streamGenerateContent?alt=sse" if stream else f"/{name}:generateContent"


def _missing(name: str) -> Refusal:
    return invalid_request(f"The field '{name}' is missing.", param=name, code="missing_required_parameter")


def _config(body: bytes, fields: RequestFields) -> GenerationFields:
    """`generationConfig`; raises Refusal (400) where it, or what decides the price, comes twice."""
    one, other = fields.config, fields.config_snake
    if one is not None and other is not None:
        raise twice(WireError("the object has generationConfig in two spellings"))
    try:
        if len(_DECIDING.findall(body)) > 1:
            places = layout(body)
            for name in ("generationConfig", "generation_config"):
                if name in places:
                    start, end = places[name][1]
                    if body[start:end] != b"null":
                        layout(body[start:end])
    except WireError as error:
        raise twice(error) from None
    return one or other or _NO_FIELDS


def _count(one: int | None, other: int | None, name: str) -> int | None:
    """A limit of at least one, which may be given in one spelling only."""
    value = other if one is None else one
    where = f"generationConfig.{name}"
    if one is not None and other is not None:
        raise twice(WireError(f"'{where}' comes in two spellings"))
    if value is not None and value < 1:
        raise invalid_request(f"'{where}': it must be at least 1.", param=where, code="invalid_value")
    return value


def _with_model_inside(body: bytes, inner: bytes, model: str) -> bytes:
    """A body to be counted with the upstream's name of the model in the request inside it, if that names one."""
    try:
        places = layout(inner)
    except WireError as error:
        raise twice(error) from None
    if "model" not in places:
        return body
    at = body.find(inner)
    told = replace(inner, places["model"][1], _encode(MODELS + model))
    return replace(body, (at, at + len(inner)), told)


def _with_model_in_each(body: bytes, model: str) -> bytes:
    """A batch of embeddings with the upstream's name of the model in each of its requests."""
    batch: Any = _decode_any(body)
    requests = batch["requests"]
    for each in requests if isinstance(requests, list) else ():
        if isinstance(each, dict) and "model" in each:
            each["model"] = MODELS + model
    return _encode(batch)
