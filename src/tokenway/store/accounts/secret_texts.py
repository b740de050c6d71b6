"""Keys, tokens and sessions are 256 random bits, shown once and stored as their SHA-256.

A plain hash is enough here: it protects passwords badly because they can be guessed, and these cannot.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Final

from tokenway.model.secret import Secret

KEY_PREFIX: Final = "tw-"
TOKEN_PREFIX: Final = "twc-"  # noqa: S105 - what all of them begin with
SHOWN_CHARACTERS: Final = 8


def make_secret(prefix: str, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> Secret:
    """A new secret: the prefix and 43 URL-safe characters of 32 random bytes."""
    return Secret(prefix + urlsafe_b64encode(random_bytes(32)).rstrip(b"=").decode("ascii"))


def digest_of(secret: Secret) -> str:
    """What is stored of a secret: its SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()


def shown(secret: Secret) -> str:
    """The beginning, by which its owner knows it again."""
    return secret.reveal()[:SHOWN_CHARACTERS]
