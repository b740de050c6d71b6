"""Parts of an answer as a caller of Gemini gets them: what a stream and a whole answer have in common."""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.dialects.base import UNREADABLE
from tokenway.dialects.gemini.schema import FOREIGN_PARTS
from tokenway.dialects.gemini.signature import closed
from tokenway.model.request import Foreign, Media, Reasoning, ToolCall

_decode_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

Piece = dict[str, object]

RAW_ARGUMENTS: Final = "_raw"
"""The member that holds arguments which are no JSON object: a call must have one, and the caller should see them."""


def call_piece(call: ToolCall) -> Piece:
    """A tool call, which Gemini gives whole."""
    found: Piece = {"name": call.name, "args": _arguments(call)}
    if call.id:
        found["id"] = call.id
    piece: Piece = {"functionCall": found}
    if call.signature:
        piece["thoughtSignature"] = closed(call.signature, call.format)
    return piece


def _arguments(call: ToolCall) -> object:
    if call.custom:
        return {"input": call.arguments}
    if not call.arguments.strip():
        return {}
    try:
        return _decode_object(call.arguments)
    except UNREADABLE:
        return {RAW_ARGUMENTS: call.arguments}


def media_piece(media: Media) -> Piece:
    """Media in an answer."""
    if media.text:
        return {"text": media.text}
    kind: Piece = {"mimeType": media.media_type} if media.media_type else {}
    if media.data:
        return {"inlineData": {**kind, "data": media.data}}
    return {"fileData": {**kind, "fileUri": media.url or media.file_id}}


def foreign_piece(part: Foreign) -> msgspec.Raw | None:
    """A part that only one vendor knows: Gemini's own as it is, others have no form here."""
    return part.raw if part.name in FOREIGN_PARTS else None


def seal_piece(reasoning: Reasoning) -> Piece:
    """Thoughts in sealed form alone."""
    return {"text": "", "thoughtSignature": closed(reasoning.sealed, reasoning.format)}


def thought_end(value: str, whose: str) -> Piece:
    """What signs the thought before it."""
    return {"text": "", "thought": True, "thoughtSignature": closed(value, whose)}


def thought_piece(reasoning: Reasoning) -> Piece:
    """Thoughts in words, with what signs or seals them."""
    value = reasoning.signature or reasoning.sealed
    found: Piece = {"text": reasoning.text, "thought": True}
    if value:
        found["thoughtSignature"] = closed(value, reasoning.format)
    return found
