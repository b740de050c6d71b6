"""Errors in Bedrock's shape, made from our own problems and read from an upstream's.

    {"message": …, "__type": "ThrottlingException"}                             a body; Amazon says the type in the
                                                                                header x-amzn-ErrorType as well
    :message-type exception, :exception-type throttlingException, {"message"}   a message in a stream
    :message-type error, :error-code, :error-message                            the same, where no type is known

Amazon's SDKs look for the type in the header, then in `__type`, then go by the status. What they do not know, such as
`metadata`, they leave alone. Source: botocore's service model and parsers; AWS restJson1 protocol, *Operation errors*.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects import complaint
from tokenway.dialects.base import FAULT_TEXT, UNREADABLE, Maker, UpstreamError
from tokenway.model.errors import ErrorType, Problem
from tokenway.model.event import Failed
from tokenway.wire.event_stream import Message, make_message

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode

TYPES: Final[dict[ErrorType, str]] = {
    ErrorType.INVALID_REQUEST: "ValidationException",
    ErrorType.AUTHENTICATION: "UnrecognizedClientException",
    ErrorType.PAYMENT_REQUIRED: "ServiceQuotaExceededException",
    ErrorType.PERMISSION_DENIED: "AccessDeniedException",
    ErrorType.NOT_FOUND: "ResourceNotFoundException",
    ErrorType.PAYLOAD_TOO_LARGE: "ValidationException",
    ErrorType.RATE_LIMIT_EXCEEDED: "ThrottlingException",
    ErrorType.SERVER: "InternalServerException",
    ErrorType.PROVIDER_AUTHENTICATION: "AccessDeniedException",
    ErrorType.PROVIDER_UNAVAILABLE: "ServiceUnavailableException",
    ErrorType.PROVIDER_OVERLOADED: "ServiceUnavailableException",
    ErrorType.TIMEOUT: "ModelTimeoutException",
}
"""Our kinds of failure to the exceptions of Bedrock's runtime."""

_IN_STREAM: Final[dict[ErrorType, str]] = {
    ErrorType.INVALID_REQUEST: "validationException",
    ErrorType.PAYLOAD_TOO_LARGE: "validationException",
    ErrorType.RATE_LIMIT_EXCEEDED: "throttlingException",
    ErrorType.SERVER: "internalServerException",
    ErrorType.PROVIDER_UNAVAILABLE: "modelStreamErrorException",
    ErrorType.PROVIDER_OVERLOADED: "serviceUnavailableException",
    ErrorType.TIMEOUT: "modelStreamErrorException",
}
"""The same in a stream, which knows five of them; the rest is an internal error."""

STATUSES: Final[dict[str, int]] = {
    "internalserverexception": 500,
    "modelstreamerrorexception": 424,
    "serviceunavailableexception": 503,
    "throttlingexception": 429,
    "validationexception": 400,
    "accessdeniedexception": 403,
    "modelerrorexception": 424,
    "modelnotreadyexception": 429,
    "modeltimeoutexception": 408,
    "resourcenotfoundexception": 404,
}
"""Each exception of the runtime, in lower case, and the HTTP status that it stands for."""

_KINDS: Final[dict[str, ErrorType]] = {
    "validationexception": ErrorType.INVALID_REQUEST,
    "accessdeniedexception": ErrorType.PROVIDER_AUTHENTICATION,
    "expiredtokenexception": ErrorType.PROVIDER_AUTHENTICATION,
    "incompletesignatureexception": ErrorType.PROVIDER_AUTHENTICATION,
    "invalidsignatureexception": ErrorType.PROVIDER_AUTHENTICATION,
    "missingauthenticationtokenexception": ErrorType.PROVIDER_AUTHENTICATION,
    "unrecognizedclientexception": ErrorType.PROVIDER_AUTHENTICATION,
    "resourcenotfoundexception": ErrorType.NOT_FOUND,
    "throttlingexception": ErrorType.RATE_LIMIT_EXCEEDED,
    "servicequotaexceededexception": ErrorType.RATE_LIMIT_EXCEEDED,
    "modelnotreadyexception": ErrorType.PROVIDER_OVERLOADED,
    "serviceunavailableexception": ErrorType.PROVIDER_OVERLOADED,
    "modeltimeoutexception": ErrorType.TIMEOUT,
    "modelerrorexception": ErrorType.PROVIDER_UNAVAILABLE,
    "modelstreamerrorexception": ErrorType.PROVIDER_UNAVAILABLE,
    "internalserverexception": ErrorType.SERVER,
}


def error_body(problem: Problem, exchange: str) -> bytes:
    """The body of an error answer; `exchange` is told in its `metadata`."""
    return _encode(
        {"message": problem.message, "__type": TYPES[problem.type], "metadata": _metadata(problem, exchange)}
    )


def error_event(problem: Problem, maker: Maker) -> bytes:
    """The message that ends a stream which had begun: Amazon's SDKs raise on it."""
    headers = {
        ":exception-type": _IN_STREAM.get(problem.type, "internalServerException"),
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    shape = {"message": problem.message, "metadata": _metadata(problem, maker.exchange)}
    return make_message(headers, _encode(shape))


def _metadata(problem: Problem, exchange: str) -> dict[str, object]:
    told = {"param": problem.param, "code": problem.code, "request_id": exchange or None}
    given = {name: value for name, value in told.items() if value is not None}
    return {"error_type": problem.type.value, **given, **problem.details}


def read_error(status: int, body: bytes) -> UpstreamError:
    """What an error answer says. `message` is spelled with a capital letter by some of Amazon's front ends."""
    try:
        error = _decode(body)
    except UNREADABLE:
        return UpstreamError()
    if not isinstance(error, dict):
        return UpstreamError()
    message = _message(error)
    code = _plain_type(error.get("__type") or error.get("code"))
    told = complaint.code_of(status, message, code)
    return UpstreamError(message, told, bool(message or code), _KINDS.get(code.lower()))


def failed(message: Message) -> Failed:
    """What an exception or error in a stream says."""
    code = _plain_type(message.text(":exception-type") or message.text(":error-code"))
    text = message.text(":error-message")
    try:
        body = _decode(message.payload)
    except UNREADABLE:
        body = None
    if isinstance(body, dict):
        text = _message(body) or text
    return Failed(text, code, STATUSES.get(code.lower(), 0))


def _message(error: dict[str, Any]) -> str:
    text = error.get("message") or error.get("Message") or error.get("originalMessage") or ""
    return str(text)[:FAULT_TEXT]


def _plain_type(text: Any) -> str:
    """`ThrottlingException` out of `com.amazon.coral.service#ThrottlingException:http://…`."""
    if not isinstance(text, str):
        return ""
    return text.partition(":")[0].rpartition("#")[2][:FAULT_TEXT]
