"""What can go wrong with a call, as data: one record, rendered by each dialect in its own shape.

Exceptions are few, because few are caught:

    TokenwayError
    ├── ConfigError       the configuration cannot be used
    ├── WireError         bytes from outside break their format; carries a reason that is safe to show
    └── Refusal           a call that is not served; carries the Problem that its caller is told
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class TokenwayError(Exception):
    """Base of the errors that this package raises on purpose."""

    hint: str = ""
    """What helps a person at the command line, besides the text: it means nothing to who speaks another way."""


class ConfigError(TokenwayError):
    """The configuration cannot be used."""


class WireError(TokenwayError):
    """Bytes from a client or an upstream break their format; the text is safe to show to a client."""


class ErrorType(StrEnum):
    """The kinds of failure a caller can see (`metadata.error_type`)."""

    INVALID_REQUEST = "invalid_request"
    AUTHENTICATION = "authentication"
    PAYMENT_REQUIRED = "payment_required"
    PERMISSION_DENIED = "permission_denied"
    NOT_FOUND = "not_found"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    SERVER = "server"
    PROVIDER_AUTHENTICATION = "provider_authentication"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_OVERLOADED = "provider_overloaded"
    TIMEOUT = "timeout"


class Problem(msgspec.Struct, frozen=True):
    """One failure as the caller sees it; a dialect turns it into a body, the edge into a status.

    `param` and `code` follow OpenAI's error object. `retry_after` is in seconds. `details` is put into
    the error's `metadata` as it is and must hold no secret and no prompt.
    """

    status: int
    type: ErrorType
    message: str
    param: str | None = None
    code: str | None = None
    retry_after: float | None = None
    should_retry: bool | None = None
    details: dict[str, object] = {}


class Refusal(TokenwayError):
    """A call that is not served, and what its caller is told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def invalid_request(message: str, *, param: str | None = None, code: str | None = None) -> Refusal:
    """The caller broke the rules of the format: status 400."""
    return Refusal(Problem(400, ErrorType.INVALID_REQUEST, message, param=param, code=code))
