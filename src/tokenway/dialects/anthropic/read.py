"""Requests of the Anthropic dialect read into the neutral form.

Whatever is wrong is a Refusal (400) that names its place. What has no neutral place is kept by its name in `rest`, also
what stands inside of blocks and tools (`citations`, `defer_loading`) and is not known here, so that whoever writes the
request declares it.
Source: Anthropic API reference, Messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from tokenway.dialects.anthropic.thinking import read_thinking
from tokenway.dialects.base import GATEWAY_FIELDS
from tokenway.dialects.files import PDF
from tokenway.dialects.seal import ANTHROPIC, OPENAI, unseal
from tokenway.dialects.walk import Node, walk
from tokenway.model.request import (
    NO_JSON,
    Foreign,
    FormatKind,
    Media,
    MediaKind,
    Message,
    Reasoning,
    Refusal,
    Request,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)

_ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
_MODES: Final = {
    "auto": ToolMode.AUTO,
    "any": ToolMode.REQUIRED,
    "tool": ToolMode.NAMED,
    "none": ToolMode.NONE,
}
_TIERS: Final = {"auto": "auto", "standard_only": "default"}
_LIFETIMES: Final = {"5m": "5m", "1h": "1h"}
_KINDS: Final = {"image": MediaKind.IMAGE, "document": MediaKind.DOCUMENT}
_READ: Final = frozenset(
    {
        *GATEWAY_FIELDS,
        *("max_tokens", "messages", "metadata", "model", "output_config", "service_tier", "stop_sequences", "stream"),
        *("system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p"),
    }
)
"""Members that have a neutral place, or are the gateway's."""
_IDLE: Final[tuple[object, ...]] = ([], {}, {"enabled": False}, {"type": "direct"})
"""Values of unknown members that ask for nothing; `direct` is who calls a tool anyway."""
_NOT_IN: Final = {
    Role.SYSTEM: frozenset({"tool_use", "tool_result", "thinking", "redacted_thinking"}),
    Role.USER: frozenset({"tool_use", "thinking", "redacted_thinking"}),
    Role.ASSISTANT: frozenset({"tool_result"}),
}
"""Blocks that a message of a role cannot have."""

Part = Text | Media | Reasoning | ToolCall | ToolResult | Refusal | Foreign


class _Reading:
    """One request in the reading: what has no neutral place, and the tool calls so far by their ids."""

    def __init__(self) -> None:
        self.rest: dict[str, msgspec.Raw] = {}
        self.calls: dict[str, str] = {}

    def keep(self, node: Node, *known: str) -> None:
        """What an object has beside its known members, by name; values that ask for nothing are left out."""
        for name, found in node.members():
            if name not in known and found.value is not False and found.value not in _IDLE:
                self.rest.setdefault(name, found.raw())

    def cache(self, node: Node) -> str:
        """The breakpoint of the prompt cache behind a block: how long it lives, empty for none."""
        control = node.at("cache_control")
        if control is None:
            return ""
        control.need("type").one_of({"ephemeral": ""})
        self.keep(control, "type", "ttl")
        lifetime = control.at("ttl")
        return lifetime.one_of(_LIFETIMES) if lifetime is not None else "5m"

    # -- blocks ------------------------------------------------------------------------------------------

    def content(self, node: Node, role: Role) -> list[Part]:
        """A message's content: text, or blocks."""
        if node.is_text:
            return [Text(node.text())]
        if not node.is_list:
            raise node.wrong("it must be a text or a list of blocks", code="invalid_type")
        parts: list[Part] = []
        for block in node.items():
            kind = block.need("type").text()
            if kind in _NOT_IN[role]:
                raise block.wrong(f"a message of role '{role.value}' has no '{kind}'")
            self.block(block, parts)
        return parts

    def block(self, node: Node, parts: list[Part]) -> None:
        """One block; a seal on a tool call is put onto the call."""
        kind = node.need("type").text()
        reader = _BLOCKS.get(kind)
        if reader is None:
            parts.append(Foreign(kind, node.raw(), ANTHROPIC))
        else:
            reader(self, node, parts)

    def text(self, node: Node, parts: list[Part]) -> None:
        parts.append(self.words(node))

    def words(self, node: Node) -> Text:
        """A block of text."""
        self.keep(node, "type", "text", "cache_control")
        return Text(node.need("text").text(), self.cache(node))

    def media(self, node: Node, parts: list[Part]) -> None:
        parts.extend(self.medium(node))

    def medium(self, node: Node) -> list[Text | Media]:
        """An image or a document; a document may be made of blocks, whose images follow its text."""
        kind = _KINDS[node.need("type").text()]
        self.keep(node, "type", "source", "title", "cache_control")
        title = node.at("title")
        named = title.text() if title is not None else ""
        cache, place = self.cache(node), node.path
        source = node.need("source")
        self.keep(source, "type", "media_type", "data", "url", "file_id", "content")
        given = source.need("type")
        match given.text():
            case "base64":
                media_type, data = source.need("media_type").text(), source.need("data").base64()
                return [Media(kind, media_type, data, title=named, cache=cache, place=place)]
            case "url":
                known = PDF if kind is MediaKind.DOCUMENT else ""  # Anthropic reads no other document by URL
                return [Media(kind, known, url=source.need("url").text(), title=named, cache=cache, place=place)]
            case "file":
                return [Media(kind, file_id=source.need("file_id").text(), title=named, cache=cache, place=place)]
            case "text" if kind is MediaKind.DOCUMENT:
                text = source.need("data").text()
                return [Media(kind, "text/plain", text=text, title=named, cache=cache, place=place)]
            case "content" if kind is MediaKind.DOCUMENT:
                return self.made_of_blocks(node, self.inside(source.need("content")))
            case other:
                raise given.wrong(f"'{other[:40]}' is no source of {kind.value}s")

    def made_of_blocks(self, node: Node, inside: list[Text | Media]) -> list[Text | Media]:
        """A document of blocks: its text, then its images; breakpoints amid the text have no place."""
        title, cache = node.at("title"), self.cache(node)
        images: list[Text | Media] = [each for each in inside if isinstance(each, Media)]
        text = "\n".join(each.text for each in inside if isinstance(each, Text))
        if any(isinstance(each, Text) and each.cache for each in inside):
            self.rest.setdefault("cache_control", node.raw())
        if text:
            named = title.text() if title is not None else ""
            return [
                Media(MediaKind.DOCUMENT, "text/plain", text=text, title=named, cache=cache, place=node.path),
                *images,
            ]
        if title is not None:
            self.rest.setdefault("title", title.raw())
        return [*images[:-1], *(msgspec.structs.replace(each, cache=cache or each.cache) for each in images[-1:])]

    def inside(self, node: Node) -> list[Text | Media]:
        """The content of a document or of a tool's result."""
        if node.is_text:
            return [Text(node.text())]
        found: list[Text | Media] = []
        for block in node.items():
            match block.need("type").text():
                case "text":
                    found.append(self.words(block))
                case "image" | "document":
                    found += self.medium(block)
                case "search_result":
                    found.append(self.searched(block))
                case "tool_reference":  # elsewhere every tool is there from the beginning: its name is the result
                    self.keep(block, "type", "tool_name", "cache_control")
                    found.append(Text(block.need("tool_name").text(), self.cache(block)))
                case other:
                    self.rest.setdefault(other, block.raw())
        return found

    def searched(self, node: Node) -> Text:
        """A search result that the caller made: its title, its source and its text."""
        self.keep(node, "type", "title", "source", "content", "cache_control")
        lines = [node.need("title").text(), node.need("source").text()]
        for each in node.need("content").items():
            self.keep(each, "type", "text")
            lines.append(each.need("text").text())
        return Text("\n".join(lines), self.cache(node))

    def search_result(self, node: Node, parts: list[Part]) -> None:
        parts.append(self.searched(node))

    def tool_use(self, node: Node, parts: list[Part]) -> None:
        call, name = node.need("id").text(), node.need("name").text()
        given = node.need("input")
        if not given.is_object:
            raise given.wrong("it must be an object", code="invalid_type")
        self.keep(node, "type", "id", "name", "input", "cache_control")
        self.calls[call] = name
        parts.append(ToolCall(call, name, bytes(given.raw()).decode(), cache=self.cache(node)))

    def tool_result(self, node: Node, parts: list[Part]) -> None:
        call = node.need("tool_use_id")
        if call.text() not in self.calls:
            raise call.wrong(f"no earlier tool_use has the id '{call.text()[:80]}'")
        self.keep(node, "type", "tool_use_id", "content", "is_error", "cache_control")
        content, error = node.at("content"), node.at("is_error")
        parts.append(
            ToolResult(
                call.text(),
                tuple(self.inside(content)) if content is not None else (),
                self.calls[call.text()],
                is_error=error is not None and error.flag(),
                cache=self.cache(node),
            )
        )

    def thinking(self, node: Node, parts: list[Part]) -> None:
        self.keep(node, "type", "thinking", "signature")
        text, signature = node.need("thinking").text(), node.at("signature")
        sealed = unseal(signature.text() if signature is not None else "", ANTHROPIC)
        if not sealed.value:
            parts.append(Reasoning(text))
        elif sealed.format == OPENAI:
            # OpenAI does not sign: it seals, and what is shown beside it is a summary.
            parts.append(Reasoning(text, sealed=sealed.value, format=OPENAI, summary=True))
        else:
            parts.append(Reasoning(text, sealed.value, format=sealed.format))

    def redacted(self, node: Node, parts: list[Part]) -> None:
        self.keep(node, "type", "data")
        sealed = unseal(node.need("data").text(), ANTHROPIC)
        for number, part in enumerate(parts):
            if sealed.call and isinstance(part, ToolCall) and part.id == sealed.call:
                signed = msgspec.structs.replace(part, signature=sealed.value, format=sealed.format)
                parts[number] = signed
                return
        parts.append(Reasoning(sealed=sealed.value, format=sealed.format))

    # -- tools -------------------------------------------------------------------------------------------

    def tool(self, node: Node) -> Tool:
        """A function of the caller's, or one of Anthropic's own tools."""
        kind = node.at("type")
        name = node.at("name")
        if kind is not None and kind.text() != "custom":
            return Tool(name.text() if name is not None else kind.text(), hosted=kind.text(), raw=node.raw())
        self.keep(node, "type", "name", "description", "input_schema", "strict", "cache_control")
        description, schema, strict = node.at("description"), node.need("input_schema"), node.at("strict")
        if not schema.is_object:
            raise schema.wrong("it must be an object", code="invalid_type")
        return Tool(
            node.need("name").text(),
            description.text() if description is not None else "",
            schema.raw(),
            strict=strict.flag() if strict is not None else None,
            cache=self.cache(node),
        )


_BLOCKS: Final[dict[str, Callable[[_Reading, Node, list[Part]], None]]] = {
    "text": _Reading.text,
    "image": _Reading.media,
    "document": _Reading.media,
    "search_result": _Reading.search_result,
    "tool_use": _Reading.tool_use,
    "tool_result": _Reading.tool_result,
    "thinking": _Reading.thinking,
    "redacted_thinking": _Reading.redacted,
}
"""Blocks that other vendors have too; all others are foreign to them."""


def _messages(root: Node, reading: _Reading) -> tuple[Message, ...]:
    found = []
    system = root.at("system")
    if system is not None:
        found.append(Message(Role.SYSTEM, tuple(reading.content(system, Role.SYSTEM))))
    turns = root.need("messages")
    for node in turns.items():
        role = node.need("role").one_of(_ROLES)
        reading.keep(node, "role", "content")
        content = node.at("content") if role is Role.SYSTEM and node.at("output_config") else node.need("content")
        if content is not None:  # a system message may do no more than to change how the next turns are made
            found.append(Message(role, tuple(reading.content(content, role))))
    if not turns.value:
        raise turns.wrong("it must have at least one message")
    return tuple(found)


def _choice(root: Node, reading: _Reading) -> tuple[ToolChoice | None, bool | None]:
    """Which tools are to be called, and whether several at once."""
    node = root.at("tool_choice")
    if node is None:
        return None, None
    mode = node.need("type").one_of(_MODES)
    reading.keep(node, "type", "name", "disable_parallel_tool_use")
    alone = node.at("disable_parallel_tool_use")
    names = (node.need("name").text(),) if mode is ToolMode.NAMED else ()
    return ToolChoice(mode, names), None if alone is None else not alone.flag()


def _format(config: Node | None, reading: _Reading) -> ResponseFormat | None:
    """The answer's JSON schema, from `output_config`; what else is in there is kept by its name."""
    if config is None:
        return None
    reading.keep(config, "effort", "format")
    wanted = config.at("format")
    if wanted is None:
        return None
    wanted.need("type").one_of({"json_schema": ""})
    reading.keep(wanted, "type", "schema")
    return ResponseFormat(FormatKind.SCHEMA, "output", wanted.need("schema").raw(), strict=True)


def _user(root: Node) -> tuple[str | None, msgspec.Raw]:
    """The caller's own user, and other metadata."""
    node = root.at("metadata")
    if node is None:
        return None, NO_JSON
    user = node.at("user_id")
    others = {name: value.value for name, value in node.members() if name != "user_id"}
    return user.text() if user is not None else None, Node(others).raw() if others else NO_JSON


def read(body: bytes, model: str, stream: bool) -> Request:  # noqa: FBT001 - the interface of all dialects
    """A body in the neutral form; raises Refusal (400) that names the field which is wrong.

    A body whose tokens are only to be counted has no `max_tokens`: it is `request.parse` that requires them.
    """
    root = walk(body)
    reading = _Reading()
    messages = _messages(root, reading)
    tools = root.at("tools")
    config = root.at("output_config")
    choice, parallel = _choice(root, reading)
    user, metadata = _user(root)
    stop, tier = root.at("stop_sequences"), root.at("service_tier")
    numbers = {name: root.at(name) for name in ("temperature", "top_p")}
    top_k, limit = root.at("top_k"), root.at("max_tokens")
    response_format = _format(config, reading)
    wanted = root.at("thinking")
    if wanted is not None:
        reading.keep(wanted, "type", "budget_tokens", "display")
    thinking = read_thinking(wanted, config.at("effort") if config is not None else None, reading.rest)
    offered = tuple(reading.tool(node) for node in tools.items()) if tools is not None else ()
    for name, node in root.members():
        if name not in _READ:
            reading.rest[name] = node.raw()
    return Request(
        model=model,
        messages=messages,
        stream=stream,
        tools=offered,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        response_format=response_format,
        thinking=thinking,
        max_tokens=limit.whole(0) if limit is not None else None,
        temperature=_number(numbers["temperature"]),
        top_p=_number(numbers["top_p"]),
        top_k=top_k.whole(0) if top_k is not None else None,
        stop=tuple(each.text() for each in stop.items()) if stop is not None else (),
        user=user,
        metadata=metadata,
        service_tier=tier.one_of(_TIERS) if tier is not None else None,
        rest=reading.rest,
        words=ANTHROPIC,
    )


def _number(node: Node | None) -> float | None:
    return node.number() if node is not None else None
