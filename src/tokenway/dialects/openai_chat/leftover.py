"""Members of a chat request's messages, parts, tools and reasoning that nothing reads, so that they can be declared.

A model's own message is let be: clients give answers back with all that they had.
Sources: OpenAI API reference, "Create chat completion"; OpenRouter's API reference, which has more of them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.dialects.walk import Node

_MARKS: Final = frozenset({"type", "cache_control", "prompt_cache_breakpoint"})
_MESSAGES: Final = {
    **dict.fromkeys(("system", "developer", "user"), _MARKS | {"role", "content", "name"}),
    "tool": _MARKS | {"role", "content", "name", "tool_call_id"},
    "function": _MARKS | {"role", "content", "name"},
}
"""What is read of a message, by its role."""
_PARTS: Final = {
    "text": frozenset[str](),
    "image_url": frozenset({"url", "detail"}),
    "input_audio": frozenset({"data", "format"}),
    "file": frozenset({"file_data", "file_id", "filename"}),
    "video_url": frozenset({"url"}),
    "document_url": frozenset({"url"}),
}
"""What is read of the object inside of a part, by its type; the text of one is no object."""
_TOOLS: Final = {
    "function": _MARKS | {"name", "description", "parameters", "strict"},
    "custom": _MARKS | {"name", "description", "format"},
}
"""What is read of the object inside of a tool, by its type."""

_REASONING: Final = frozenset({"effort", "max_tokens", "enabled", "exclude", "summary"})


def leftover(root: Node) -> dict[str, msgspec.Raw]:
    """Those members by their names; false is not said. The body has been read: its types are right."""
    found: dict[str, msgspec.Raw] = {}
    for message in _items(root.at("messages")):
        known = _MESSAGES.get(message.need("role").text())
        if known is not None:
            _keep(message, known, found)
            for part in _items(message.at("content")):
                _keep_inner(part, part.need("type").text(), _PARTS, found)
    for tool in _items(root.at("tools")):
        kind = tool.at("type")
        _keep_inner(tool, "function" if kind is None else kind.text(), _TOOLS, found)
    for function in _items(root.at("functions")):
        _keep(function, _TOOLS["function"], found)
    reasoning = root.at("reasoning")
    for name, member in reasoning.members() if reasoning is not None else ():
        if name not in _REASONING:
            found[member.path] = member.raw()
    return found


def _items(node: Node | None) -> list[Node]:
    return node.items() if node is not None and node.is_list else []


def _keep_inner(node: Node, kind: str, kinds: dict[str, frozenset[str]], found: dict[str, msgspec.Raw]) -> None:
    if kind not in kinds:
        return
    _keep(node, _MARKS | {kind, "document_name"}, found)
    inner = node.need(kind)
    if inner.is_object:
        _keep(inner, kinds[kind], found)


def _keep(node: Node, known: frozenset[str], found: dict[str, msgspec.Raw]) -> None:
    for name, member in node.members():
        if name not in known and member.value is not False:
            found.setdefault(name, member.raw())
