"""Thought signatures: opaque bytes that a model gives with a part and wants back, in base64.

Google's clients decode the field, so what another vendor's signature is sealed in (`dialects.seal`) must be base64 as
well: `base64("tw1.FORMAT.VALUE")`. A client may write it in the other alphabet (`-_` for `+/`) than it came in.

A model of the third generation refuses a tool call in its history that has no signature. For calls that another model
made, Google documents a value that it lets pass: `skip_thought_signature_validator` (Gemini API, Thought signatures).
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from tokenway.dialects.seal import GEMINI, Sealed, seal, unseal

STAND_IN: Final = "skip_thought_signature_validator"
"""What Google takes in place of the signature of a call that none of its models made."""

_MARK: Final = b"tw1."
_MARK_ENCODED: Final = "dHcxL"
"""How the base64 of the mark begins, as far as it does not depend on what follows."""


def closed(value: str, whose: str) -> str:
    """A signature as it stands in `thoughtSignature`: Gemini's own as it is, others sealed."""
    sealed = seal(value, whose, GEMINI)
    return sealed if sealed == value else base64.b64encode(sealed.encode()).decode()


def opened(text: str) -> Sealed:
    """What a `thoughtSignature` of a caller carries; nothing where it is the stand-in for one."""
    if text == STAND_IN:
        return Sealed("", "")
    if text.startswith(_MARK_ENCODED):
        plain = text.replace("-", "+").replace("_", "/")
        try:
            found = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
            if found.startswith(_MARK):
                return unseal(found.decode(), GEMINI)
        except (binascii.Error, ValueError):
            pass
    return Sealed(text, GEMINI)
