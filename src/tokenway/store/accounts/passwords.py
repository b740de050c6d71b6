"""Passwords: Argon2id, with its parameters said once.

A check takes some hundredths of a second on purpose, and as long for a name of nobody's as for a wrong password, so
that the time does not tell which names there are. It needs no store, so it need not hold up the store's thread.
"""

from __future__ import annotations

import secrets
from functools import cache
from typing import Final

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHash

from tokenway.model.secret import Secret
from tokenway.store.base import Invalid

LENGTH_MIN: Final = 8
LENGTH_MAX: Final = 256
"""Characters. The longest is bounded so that nobody lets the gateway hash megabytes."""

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""19 MiB and two passes: what OWASP asks for at least, and 20 to 30 ms of one core."""


class Checked(msgspec.Struct, frozen=True):
    """Whether a password was right; `rehashed` is its hash by today's parameters, where the stored one is older."""

    is_right: bool
    rehashed: Secret | None = None


def hashed(password: Secret) -> Secret:
    """What is stored of a password. Raises Invalid for one that is too short or too long."""
    length = len(password.reveal())
    if not LENGTH_MIN <= length <= LENGTH_MAX:
        raise Invalid("password", f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters and not {length}")
    return Secret(_HASHER.hash(_bytes(password)))


def check(stored: Secret | None, password: Secret) -> Checked:
    """Compares a password with what is stored; None, for nobody, is never right and takes as long."""
    if len(password.reveal()) > LENGTH_MAX:
        return Checked(is_right=False)
    text = (stored or _nobodys()).reveal()
    try:
        _HASHER.verify(text, _bytes(password))
    except (Argon2Error, InvalidHash):
        return Checked(is_right=False)
    if stored is None:
        return Checked(is_right=False)
    return Checked(True, Secret(_HASHER.hash(_bytes(password))) if _HASHER.check_needs_rehash(text) else None)


def generated() -> Secret:
    """A password of 128 random bits."""
    return Secret(secrets.token_urlsafe(16))


def _bytes(password: Secret) -> bytes:
    # What came from JSON may hold halves of characters, which UTF-8 has no form for.
    return password.reveal().encode("utf-8", "surrogatepass")


@cache
def _nobodys() -> Secret:
    """The hash of a password that nobody knows."""
    return Secret(_HASHER.hash(secrets.token_bytes(16)))
