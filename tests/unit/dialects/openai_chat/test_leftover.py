"""Members of a chat request that nothing reads."""

from __future__ import annotations

from typing import Any

import pytest

from tokenway.dialects.openai_chat.leftover import leftover
from tokenway.dialects.walk import Node


def names(**body: Any) -> list[str]:
    """The names of what is left over in a body."""
    return list(leftover(Node(body)))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "user", "content": "a", "name": "b", "cache_control": {}}, []),
        ({"role": "system", "content": "a", "configuration_update": {"reasoning": {}}}, ["configuration_update"]),
        ({"role": "tool", "content": "a", "tool_call_id": "c", "is_error": True}, ["is_error"]),
        ({"role": "tool", "content": "a", "tool_call_id": "c", "is_error": False, "more": None}, []),
        ({"role": "function", "content": "a", "name": "f", "x": 1}, ["x"]),
        ({"role": "assistant", "content": "a", "annotations": [], "model": "m"}, []),
    ],
)
def test_of_a_message(message: dict[str, Any], expected: list[str]) -> None:
    """Whatever is not read of it; a model's own is let be."""
    assert names(messages=[message]) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a", "prompt_cache_breakpoint": {}}, []),
        ({"type": "image_url", "image_url": "https://a"}, []),
        ({"type": "image_url", "image_url": {"url": "https://a", "detail": "low"}}, []),
        ({"type": "video_url", "video_url": {"url": "https://a", "processing": "static"}}, ["processing"]),
        ({"type": "document_url", "document_url": "https://a", "document_name": "n", "pages": 2}, ["pages"]),
        ({"type": "new", "new": {"x": 1}}, []),
    ],
)
def test_of_a_part(part: dict[str, Any], expected: list[str]) -> None:
    """Beside its object and inside of it; an unknown part is declared as a whole."""
    assert names(messages=[{"role": "user", "content": [part]}]) == expected


def test_of_tools() -> None:
    """Beside the function and inside of it; another vendor's own tool is declared as a whole."""
    function = {"name": "f", "strict": True, "defer_loading": True}
    assert names(tools=[{"function": function}, {"type": "function", "function": {"name": "g"}, "a": 1}]) == [
        "defer_loading",
        "a",
    ]
    assert names(tools=[{"type": "custom", "custom": {"name": "c", "b": 1}}, {"type": "web", "c": 1}]) == ["b"]
    assert names(functions=[function]) == ["defer_loading"]


def test_of_reasoning() -> None:
    """By its place, as a mode is many things."""
    assert names(reasoning={"effort": "low", "exclude": True, "mode": "pro"}) == ["reasoning.mode"]
