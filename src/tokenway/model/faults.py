"""How an attempt at a provider can fail."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """What broke. The first five are found by the connection, the others by who reads the answer."""

    CONNECT = "connect"
    """No connection: refused, unreachable, no such name, or not in time. Nothing was sent."""
    TLS = "tls"
    """The TLS handshake failed, most often because the certificate is not trusted. Nothing was sent."""
    RESET = "reset"
    """The connection ended before the answer or in the middle of it."""
    FRAMING = "framing"
    """The answer is not HTTP/1.1: a malformed head or chunk, contradicting lengths, bytes beyond its end."""
    TOO_LARGE = "too_large"
    """A head, an event or an answer passes its bound (`wire.limits`)."""
    STATUS = "status"
    """A status that is no success."""
    NOT_DIALECT = "not_dialect"
    """A success that is not an answer of the dialect: a page, an empty body, other JSON."""
    IN_BAND = "in_band"
    """An error inside an answer that had begun as a success."""
    CUT = "cut"
    """A stream that ended cleanly before its answer was complete."""
    CONNECT_DEADLINE = "connect_deadline"
    FIRST_TOKEN_DEADLINE = "first_token_deadline"  # noqa: S105 - a token of text
    BETWEEN_TOKENS_DEADLINE = "between_tokens_deadline"
    TOTAL_DEADLINE = "total_deadline"
    SLOW = "slow"
    """A stream fell below the floor, and its answer was continued elsewhere."""
    OUTRUN = "outrun"
    """Another attempt of a race answered first."""


DEADLINES = frozenset(
    {Fault.CONNECT_DEADLINE, Fault.FIRST_TOKEN_DEADLINE, Fault.BETWEEN_TOKENS_DEADLINE, Fault.TOTAL_DEADLINE}
)
"""Faults that are ours to call: the provider may still be at work, and may bill."""
