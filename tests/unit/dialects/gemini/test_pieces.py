"""Parts of an answer as a caller of Gemini gets them."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.dialects.gemini.samples import raw
from tokenway.dialects.gemini.pieces import (
    call_piece,
    foreign_piece,
    media_piece,
    seal_piece,
    thought_end,
    thought_piece,
)
from tokenway.dialects.gemini.signature import closed
from tokenway.dialects.seal import ANTHROPIC, GEMINI
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning, ToolCall


@pytest.mark.parametrize(
    ("call", "args"),
    [
        (ToolCall("1", "f", '{"a": [1.0]}'), {"a": [1.0]}),
        (ToolCall("1", "f", " "), {}),
        (ToolCall("1", "f", "{broken"), {"_raw": "{broken"}),
        (ToolCall("1", "f", "[1]"), {"_raw": "[1]"}),
        (ToolCall("1", "f", "text", custom=True), {"input": "text"}),
    ],
)
def test_arguments_are_an_object(call: ToolCall, args: object) -> None:
    """What is none is put into one, so that the caller sees it."""
    found = msgspec.json.decode(msgspec.json.encode(call_piece(call)))
    assert found == {"functionCall": {"name": "f", "args": args, "id": "1"}}


def test_a_call_has_its_signature() -> None:
    """An id is left out where there is none."""
    assert call_piece(ToolCall("", "f", "", signature="c2ln", format=GEMINI)) == {
        "functionCall": {"name": "f", "args": {}},
        "thoughtSignature": "c2ln",
    }


def test_media() -> None:
    """Data, an address or words."""
    assert media_piece(Media(MediaKind.IMAGE, "image/png", data="AA==")) == {
        "inlineData": {"mimeType": "image/png", "data": "AA=="}
    }
    assert media_piece(Media(MediaKind.IMAGE, url="u")) == {"fileData": {"fileUri": "u"}}
    assert media_piece(Media(MediaKind.DOCUMENT, text="words")) == {"text": "words"}


def test_thoughts() -> None:
    """In words or in sealed form, with what signs them; other vendors' signatures are sealed."""
    assert thought_piece(Reasoning("hm")) == {"text": "hm", "thought": True}
    assert thought_piece(Reasoning("hm", "sig", format=ANTHROPIC)) == {
        "text": "hm",
        "thought": True,
        "thoughtSignature": closed("sig", ANTHROPIC),
    }
    assert seal_piece(Reasoning(sealed="c2ln", format=GEMINI)) == {"text": "", "thoughtSignature": "c2ln"}
    assert thought_end("c2ln", GEMINI) == {"text": "", "thought": True, "thoughtSignature": "c2ln"}


def test_parts_of_other_vendors_have_no_form() -> None:
    """Gemini's own are what they were."""
    own = raw({"executableCode": {}})
    assert foreign_piece(Foreign("executableCode", own)) is own
    assert foreign_piece(Foreign("server_tool_use", own)) is None
