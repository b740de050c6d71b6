"""Which chunks of Google's have nothing but text in them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tokenway.dialects.gemini.told import told

HI = {"text": "hi"}


def chunk(*parts: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A response with one candidate."""
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "index": 0, **members}]}


def events(*chunks: Any) -> bytes:
    """As server-sent events."""
    return b"".join([b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks])


PLAIN = [
    chunk(HI),
    chunk({"text": ""}, safetyRatings=[{"category": "x"}], finishReason=None, groundingMetadata={}),
    {"candidates": [{"index": 0}], "usageMetadata": {"promptTokenCount": 1}},
    {"candidates": [{"content": {"role": "model"}}], "promptFeedback": {"safetyRatings": []}},
    {"usageMetadata": {"promptTokenCount": 1}, "responseId": "r"},
]


def test_text_and_what_frames_it_is_plain() -> None:
    """As events, and as the elements of an array that has not ended."""
    encoded = [json.dumps(each).encode() for each in PLAIN]
    assert told(events(*PLAIN)) == encoded
    assert told(b"[" + b",\n".join(encoded)) == encoded
    assert told(b"") == []


@pytest.mark.parametrize(
    "other",
    [
        chunk({"text": "hm", "thought": True}),
        chunk({"text": "hi", "thoughtSignature": "x"}),
        chunk({"functionCall": {"name": "f"}}),
        chunk({"inlineData": {"mimeType": "image/png", "data": "AA=="}}),
        chunk(HI, finishReason="STOP"),
        chunk(HI, groundingMetadata={"webSearchQueries": ["q"]}),
        chunk(HI, citationMetadata={"citations": [{}]}),
        chunk(HI, logprobsResult={"chosenCandidates": [{}]}),
        chunk(HI, somethingNew="x"),
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"error": {"code": 500}},
    ],
)
def test_anything_else_is_not(other: dict[str, Any]) -> None:
    """Also what a reader keeps to itself: a finish reason may come with every chunk, a signature seals what follows."""
    assert told(events(chunk(HI), other)) is None
    assert told(b"[" + json.dumps(chunk(HI)).encode() + b",\n" + json.dumps(other).encode()) is None


def test_what_is_no_chunk_is_told() -> None:
    """An array that has ended, and half an event."""
    with pytest.raises(msgspec.DecodeError):
        told(b"[{}]")
    assert told(events(chunk(HI))[:-1]) is None
