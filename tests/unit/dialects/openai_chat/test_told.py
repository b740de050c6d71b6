"""Which chunks have nothing but text in them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tokenway.dialects.openai_chat.told import told

ROLE = {"role": "assistant", "content": "", "refusal": None}


def chunk(delta: dict[str, Any] | None = None, choice: dict[str, Any] | None = None, **members: Any) -> bytes:
    """One event."""
    choices = [{"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": None} | (choice or {})]
    return b"data: " + json.dumps({"id": "c", "choices": choices, "usage": None} | members).encode() + b"\n\n"


@pytest.mark.parametrize(
    "event",
    [
        chunk(ROLE),
        chunk({"content": "hi"}),
        chunk({"content": None, "tool_calls": [], "reasoning_content": None}),
        chunk(choices=[], prompt_filter_results=[{"prompt_index": 0}]),
        chunk(usage={"prompt_tokens": 1}, service_tier="default", obfuscation="abc"),
        chunk(choice={"text": "hi", "delta": None}),
    ],
)
def test_text_and_what_frames_it_is_plain(event: bytes) -> None:
    """Comments have no frame."""
    assert told(event + b": ping\n\n" + event) == [event[6:-2]] * 2


@pytest.mark.parametrize(
    "event",
    [
        chunk({"content": [{"type": "text", "text": "hi"}]}),
        chunk({"refusal": "no"}),
        chunk({"tool_calls": [{"index": 0}]}),
        chunk({"function_call": {"name": "f"}}),
        chunk({"reasoning_content": "hm"}),
        chunk({"audio": {"id": "a"}}),
        chunk({"annotations": [{}]}),
        chunk({"something_new": "x"}),
        chunk(choice={"finish_reason": "stop"}),
        chunk(choice={"logprobs": {"content": []}}),
        chunk(citations=["http://u"]),
        chunk(search_results=[{"url": "http://u"}]),
        chunk(error={"message": "it broke"}),
    ],
)
def test_anything_else_is_not(event: bytes) -> None:
    """Also what a reader keeps to itself for a while: pieces of a call without a name, sound, sources."""
    assert told(chunk(ROLE) + event) is None


def test_what_is_no_chunk_is_told() -> None:
    """The end mark is none, and half an event is not plain."""
    with pytest.raises(msgspec.DecodeError):
        told(chunk(ROLE) + b"data: [DONE]\n\n")
    assert told(chunk(ROLE)[:-1]) is None
