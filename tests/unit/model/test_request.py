"""The neutral request: what its records say by themselves."""

from __future__ import annotations

import msgspec

from tokenway.model.request import Media, MediaKind, Message, Role, Text, ToolResult


def test_parts_tell_their_kind_where_they_are_written_down() -> None:
    """A message goes through JSON and comes back as it was: goldens and tests write requests so."""
    said = Message(Role.USER, (Text("hi"), ToolResult("1", (Media(MediaKind.IMAGE, url="http://x"),), is_error=True)))
    text = msgspec.json.encode(said)
    assert b'"part":"tool_result"' in text
    assert msgspec.json.decode(text, type=Message) == said
