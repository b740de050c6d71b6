"""The neutral request: what its records say by themselves."""

from __future__ import annotations

import msgspec

from tokenway.model.request import Media, MediaKind, Message, Role, Text, Thinking, ToolResult


def test_parts_tell_their_kind_where_they_are_written_down() -> None:
    """A message goes through JSON and comes back as it was: goldens and tests write requests so."""
    said = Message(Role.USER, (Text("hi"), ToolResult("1", (Media(MediaKind.IMAGE, url="http://x"),), is_error=True)))
    text = msgspec.json.encode(said)
    assert b'"part":"tool_result"' in text
    assert msgspec.json.decode(text, type=Message) == said


def test_an_effort_alone_is_declared_as_one() -> None:
    """Callers who can ask for an effort without reasoning have a field of its own for it."""
    assert Thinking("low", shown=True).declared == "effort"
    assert {Thinking("low", enabled=True).declared, Thinking("low", 9).declared, Thinking().declared} == {"thinking"}
