"""From a request's credentials to the principal that a key stands for.

Keys are looked up by their SHA-256, so a snapshot holds nothing that could be used as a key, and the time
of a look-up says nothing about how much of a guess was right.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qs

from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.snapshot import Principal, Snapshot

ANONYMOUS: Final = Principal("anonymous", "anonymous", "default")
"""Whom a call without a key stands for where the configuration asks for none."""

REMEMBERED_MAX: Final = 10_000
"""Keys that are remembered at a time."""

CREDENTIAL_HEADERS: Final = (b"x-api-key", b"api-key", b"x-goog-api-key")


class Gate:
    """Lets callers in by one snapshot.

    Keys that were let in once are remembered as they were sent, so that a busy caller is not hashed with every
    call. They stay in memory no longer than the snapshot, and were there anyway in the buffers of the connection.
    Only keys are remembered, never a header that might mean something else: what admits must be what was checked.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._known: dict[bytes, Principal] = {}

    def admit(self, headers: Mapping[bytes, bytes], query: bytes, now: float) -> Principal:
        """Whose call this is; `now` is Unix time. Raises Refusal (401) without a valid key."""
        key = credential(headers, query)
        principal = self._known.get(key)
        if principal is None:
            principal = self._look_up(key)
        if principal.expires_at is not None and principal.expires_at <= now:
            raise Refusal(_problem("This API key has expired."))
        return principal

    def _look_up(self, key: bytes) -> Principal:
        if key:
            principal = self._snapshot.keys.get(sha256(key).hexdigest())
            if principal is not None:
                if len(self._known) < REMEMBERED_MAX:
                    self._known[key] = principal
                return principal
        if not self._snapshot.auth_required:
            return ANONYMOUS
        if key:
            raise Refusal(_problem("This API key is not valid here."))
        raise Refusal(_problem("No API key was sent: use the header 'Authorization: Bearer <key>'."))


def credential(headers: Mapping[bytes, bytes], query: bytes) -> bytes:
    """The key that a request carries, from a header or from `?key=`; empty when it carries none."""
    bearer = headers.get(b"authorization")
    if bearer is not None:
        scheme, _, token = bearer.partition(b" ")
        if scheme.lower() == b"bearer":
            return token.strip()
    for name in CREDENTIAL_HEADERS:
        value = headers.get(name)
        if value is not None:
            return value.strip()
    if b"key=" in query:
        values = parse_qs(query).get(b"key")
        if values:
            return values[0]
    return b""


def _problem(message: str) -> Problem:
    return Problem(401, ErrorType.AUTHENTICATION, message, code="invalid_api_key", should_retry=False)
