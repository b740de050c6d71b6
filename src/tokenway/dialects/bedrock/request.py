"""Requests for Converse: the model and whether the answer streams are in the path, the bytes go on as they came."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from tokenway.dialects.bedrock.read import read
from tokenway.dialects.inbound import Inbound, InboundFields, decode_body, twice
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import WireError, invalid_request
from tokenway.wire.percent import unquote
from tokenway.wire.splice import layout

_LIMITS: Final = re.compile(rb'"(?:inferenceConfig|maxTokens)"[ \t\r\n]*:')
_ESCAPES: Final = re.compile(rb"\\u00[4-7]")
"""How every escape of a letter begins: nobody writes them, but they mean the same key."""


EVENT_STREAM: Final = b"application/vnd.amazon.eventstream"
"""Media type of a stream of AWS messages."""


class InferenceFields(msgspec.Struct, rename="camel"):
    """`inferenceConfig`: what bounds the answer."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None


class ConverseFields(InboundFields):
    """What the gateway reads of a request."""

    inferenceConfig: InferenceFields | None = None  # noqa: N815 - the vendor's name


_decode: Final = msgspec.json.Decoder(ConverseFields).decode


class ConverseRequest(Inbound):
    """One request of a caller; its stream comes in AWS's frames."""

    __slots__ = ()

    stream_type = EVENT_STREAM
    has_stream_in_body = False


def parse(operation: Operation, body: bytes, model: str, stream: bool) -> Inbound:  # noqa: FBT001 - see `Format.parse`
    """A request; `model` and `stream` are the path's, the model encoded or not.

    Raises Refusal (400) for invalid UTF-8 or JSON, a wrong type, a missing model, or a limit that comes twice.
    """
    if operation is not Operation.CHAT:
        raise invalid_request(f"Bedrock's Converse does no {operation.value}.", code="unsupported_operation")
    fields = decode_body(_decode, body)
    inference = fields.inferenceConfig
    limit = None if inference is None else inference.max_tokens
    if len(_LIMITS.findall(body)) > 2 or _ESCAPES.search(body):
        _check_once(body)
    return ConverseRequest(
        Dialect.BEDROCK, operation, body, fields, read, model=unquote(model), stream=stream, max_tokens=limit
    )


def _check_once(body: bytes) -> None:
    """Raises Refusal when the limit on the answer could be read in two ways."""
    try:
        places = layout(body)
        if "inferenceConfig" in places:
            start, end = places["inferenceConfig"][1]
            if body[start:end] != b"null":
                layout(body[start:end])
    except WireError as error:
        raise twice(error) from None
