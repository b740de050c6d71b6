"""Percent-encoding of a step in a path (RFC 3986, sections 2.1 and 2.3)."""

from __future__ import annotations

import re
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]*")
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


def quote(text: str, safe: str = "") -> str:
    """The text percent-encoded, but for unreserved characters and those of `safe`."""
    if _PLAIN.fullmatch(text):
        return text
    kept = _UNRESERVED | frozenset(safe.encode())
    return "".join([chr(byte) if byte in kept else f"%{byte:02X}" for byte in text.encode()])


def unquote(text: str) -> str:
    """The text with its percent-encoding undone; one that is not encoded stays as it is."""
    if "%" not in text:
        return text
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode()).decode("utf-8", "replace")
