"""Secrets at rest: sealed before they reach the database, with a key that is not in it.

The key comes from `TOKENWAY_SECRET_KEY`, or from a file in the data directory that only its owner can read and that is
made once. There may be several, the newest first: the first one seals, all of them open, so that a key is replaced by
putting a new one before it. Machines that share a database need the same keys.

Other secrets are derived from the first key (`sign`): marks of secrets, cursors of lists, tokens against forged
requests. They may change with it, for none of them is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tokenway.store.base import StoreError

VARIABLE: Final = "TOKENWAY_SECRET_KEY"
FILE_NAME: Final = "secret.key"
KEY_CHARACTERS: Final = 32
"""The fewest characters of a key: what is shorter could be guessed."""
_FORM: Final = "v1"
_NONCE_BYTES: Final = 12
_MARK_DIGITS: Final = 12


class SealFault(StoreError):
    """A secret cannot be sealed or opened; the text says why and what to do."""


class Seal:
    """Seals and opens texts. `keys` are any texts that are long enough, the newest first."""

    def __init__(self, keys: Sequence[str], random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        if not keys or any(len(key) < KEY_CHARACTERS for key in keys):
            raise SealFault(f"{VARIABLE} holds keys of at least {KEY_CHARACTERS} characters, separated by commas")
        self._random_bytes = random_bytes
        self._ciphers = {_number(key): AESGCM(_derived(key, b"seal")) for key in keys}
        self._first = _number(keys[0])
        self._signing = _derived(keys[0], b"sign")

    def seal(self, text: str, purpose: str) -> str:
        """The text, sealed for one purpose; it is opened for no other."""
        nonce = self._random_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, text.encode(), purpose.encode())
        return f"{_FORM}.{self._first}.{_text(nonce + sealed)}"

    def open(self, sealed: str, purpose: str) -> str:
        """What was sealed; raises SealFault when its key is not here, or it was changed."""
        form, _, rest = sealed.partition(".")
        number, _, body = rest.partition(".")
        if form != _FORM or not body:
            raise SealFault("a secret in the database is not in a form that this version knows")
        cipher = self._ciphers.get(number)
        if cipher is None:
            raise SealFault(f"a secret was sealed with another key; add that one to {VARIABLE}, behind the new one")
        try:
            raw = urlsafe_b64decode(body + "=" * (-len(body) % 4))
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode()).decode()
        except (InvalidTag, ValueError):
            raise SealFault("a secret in the database was changed and cannot be opened") from None

    def mark(self, text: str) -> str:
        """Twelve characters by which a secret is told from another and that tell nothing of it."""
        return self.sign("mark", text.encode()).hex()[:_MARK_DIGITS]

    def sign(self, purpose: str, message: bytes) -> bytes:
        """32 bytes that only who has the key can make, for one purpose."""
        return hmac.digest(self._signing, purpose.encode() + b"\0" + message, "sha256")


def open_seal(environment: Mapping[str, str], data_dir: Path) -> Seal:
    """The seal of this machine; its key is made when there is none. Raises SealFault."""
    given = environment.get(VARIABLE, "")
    if given:
        return Seal([key.strip() for key in given.split(",") if key.strip()])
    path = data_dir / FILE_NAME
    try:
        text = _read_or_make(path)
    except OSError as error:
        raise SealFault(f"the key of the secrets, {path}, cannot be read or made: {error.strerror}") from None
    keys = text.split()
    if not keys or any(len(key) < KEY_CHARACTERS for key in keys):
        raise SealFault(f"{path} is damaged: it holds keys of at least {KEY_CHARACTERS} characters, one a line")
    return Seal(keys)


def _read_or_make(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            _make(path)
            continue
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise SealFault(f"{path} can be read by others than its owner; say: chmod 600 {path}")
            return file.read()


def _make(path: Path) -> None:
    """A file with a new key, whole or not at all; one that somebody else has just made stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(_text(secrets.token_bytes(32)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)


def _number(key: str) -> str:
    """By what a sealed text names its key."""
    return hashlib.sha256(b"tokenway\0" + _derived(key, b"number")).hexdigest()[:8]


def _derived(key: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tokenway " + purpose).derive(key.encode())


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
