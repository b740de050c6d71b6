"""One vendor's signature carried through another vendor's opaque field.

A model's reasoning comes with a signature or in sealed form, which must be given back unchanged in the next turn.
When the caller speaks another dialect than the model, its own opaque field (Anthropic's `signature` and `data`,
OpenAI's `encrypted_content`, Gemini's `thoughtSignature`) carries `tw1.FORMAT.VALUE`, so that the next
request tells whose it is and no vendor is ever shown another's. A signature of a tool call, which only Gemini has,
travels as `tw1.FORMAT@CALL-ID.VALUE` where the caller's dialect has no field at the call itself.

The names of formats are OpenRouter's (`reasoning_details[].format`).
"""

from __future__ import annotations

from typing import Final

import msgspec

ANTHROPIC: Final = "anthropic-claude-v1"
OPENAI: Final = "openai-responses-v1"
GEMINI: Final = "google-gemini-v1"
FORMATS: Final = (ANTHROPIC, OPENAI, GEMINI)

_MARK: Final = "tw1."
MARKS: Final = (b'"tw1.', b'"dHcxL')
"""How a sealed value begins in a body, plain or in base64: what has none of these carries no other vendor's seal."""


class Sealed(msgspec.Struct, frozen=True):
    """What an opaque field carries: a value, whose it is, and the tool call it belongs to, if to one."""

    value: str
    format: str
    call: str = ""


def seal(value: str, whose: str, own: str, call: str = "") -> str:
    """`value` as it may stand in an opaque field of the dialect whose own format is `own`."""
    if not value or (whose in {own, ""} and not call):
        return value
    # A point would end the call's id, and some models make theirs of a function's name with points.
    place = "@" + call.replace("%", "%25").replace(".", "%2E") if call else ""
    return f"{_MARK}{whose}{place}.{value}"


def unseal(text: str, own: str) -> Sealed:
    """What an opaque field of the dialect whose format is `own` carries."""
    if text.startswith(_MARK):
        whose, dot, value = text[len(_MARK) :].partition(".")
        whose, _, call = whose.partition("@")
        if dot and whose in FORMATS:
            return Sealed(value, whose, call.replace("%2E", ".").replace("%25", "%"))
    return Sealed(text, own)
