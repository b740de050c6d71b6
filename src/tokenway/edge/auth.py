"""From a request's credentials to the principal that a key stands for.

Keys are looked up by their SHA-256, so a snapshot holds nothing that could be used as a key, and the time
of a look-up says nothing about how much of a guess was right.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qs

from tokenway.edge.policy import check_address
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.snapshot import Principal, Snapshot

ANONYMOUS: Final = Principal("anonymous", "anonymous", "default")
"""Whom a call without a key stands for where the configuration asks for none."""

REMEMBERED_MAX: Final = 10_000
"""Keys that are remembered at a time."""

CREDENTIAL_HEADERS: Final = (b"x-api-key", b"api-key", b"x-goog-api-key")


class Gate:
    """Lets callers in by one snapshot.

    A bearer header that let a caller in is remembered as it was sent, so that a busy caller is not hashed with
    every call. It stays in memory no longer than the snapshot, and was there anyway in the connection's buffers. No
    other header is remembered: what admits must be what was checked.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._known: dict[bytes | None, Principal] = {}

    def admit(self, headers: Mapping[bytes, bytes], query: bytes, now: float, peer: str = "") -> Principal:
        """Whose call this is; `now` is Unix time, `peer` the address that it comes from, empty where there is none.

        Raises Refusal: 401 without a valid key, 403 for one that may not be used from there.
        """
        sent = headers.get(b"authorization")
        principal = self._known.get(sent)
        if principal is None:
            key = credential(headers, query)
            principal = self._look_up(key)
            if key and sent is not None and key == bearer_token(sent) and len(self._known) < REMEMBERED_MAX:
                self._known[sent] = principal
        if principal.expires_at is not None and principal.expires_at <= now:
            raise Refusal(_problem("This API key has expired."))
        if principal.addresses is not None:
            check_address(principal, peer)
        return principal

    def _look_up(self, key: bytes) -> Principal:
        principal = self._snapshot.keys.get(sha256(key).hexdigest()) if key else None
        if principal is not None:
            return principal
        if not self._snapshot.auth_required:
            return ANONYMOUS
        if key:
            raise Refusal(_problem("This API key is not valid here."))
        raise Refusal(_problem("No API key was sent: use the header 'Authorization: Bearer <key>'."))


def credential(headers: Mapping[bytes, bytes], query: bytes) -> bytes:
    """The key that a request carries, from a header or from `?key=`; empty when it carries none."""
    sent = headers.get(b"authorization")
    if sent is not None:
        token = bearer_token(sent)
        if token is not None:
            return token
    for name in CREDENTIAL_HEADERS:
        value = headers.get(name)
        if value is not None:
            return value.strip()
    if b"key=" in query:
        values = parse_qs(query).get(b"key")
        if values:
            return values[0]
    return b""


def bearer_token(sent: bytes) -> bytes | None:
    """The token of an `Authorization` header; None when it is of another scheme."""
    scheme, _, token = sent.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _problem(message: str) -> Problem:
    return Problem(401, ErrorType.AUTHENTICATION, message, code="invalid_api_key", should_retry=False)
