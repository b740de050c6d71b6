"""Opaque bytes of Bedrock's JSON: base64, in whatever letters, and the text of a sealed reasoning in it.

Claude's redacted thinking is a text (Anthropic's `data`), which Bedrock's `redactedContent` carries as a blob: encoded
once more. It is taken out, so that Anthropic's own dialect and this one have the same value.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

_RAW: Final = "base64:"
"""How the text of a blob begins that is no text."""


def from_base64(text: str) -> bytes:
    """The bytes of a base64 text in standard or URL-safe letters, padded or not; raises ValueError when it is none."""
    plain = text.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None


def to_base64(data: bytes) -> str:
    """Bytes in standard letters, padded: what Bedrock takes."""
    return base64.b64encode(data).decode()


def standard_base64(text: str) -> str:
    """A base64 text in the letters that Bedrock takes."""
    if "-" not in text and "_" not in text and len(text) % 4 == 0:
        return text
    return to_base64(from_base64(text))


def open_blob(text: str) -> str:
    """What a blob carries, as text; raises ValueError when it is not base64."""
    data = from_base64(text)
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        return _RAW + to_base64(data)


def make_blob(text: str) -> str:
    """The blob that carries this text: the inverse of `open_blob`."""
    if text.startswith(_RAW):
        return text[len(_RAW) :]
    return to_base64(text.encode())
