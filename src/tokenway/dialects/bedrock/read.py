"""A caller's request for Converse, read into the neutral form.

    messages[].content[] and system[]   blocks of one field each: text, image, document, video, audio, toolUse,
                                        toolResult, reasoningContent, guardContent, cachePoint
    inferenceConfig                     maxTokens, temperature, topP, stopSequences
    toolConfig                          tools (toolSpec, systemTool, cachePoint), toolChoice
    outputConfig                        textFormat (a JSON schema, as text), effort
    additionalModelRequestFields        see `extras`
    serviceTier                         type

What has no neutral place goes into `Request.rest` under Bedrock's name for it, with a dot where it is a member of
something known (`document.citations`). Source: botocore's service model (ConverseRequest).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tokenway.dialects.base import GATEWAY_FIELDS
from tokenway.dialects.bedrock.blobs import open_blob
from tokenway.dialects.bedrock.extras import read_extras
from tokenway.dialects.bedrock.media import media_type_of
from tokenway.dialects.bedrock.schema import SERVER_TOOL
from tokenway.dialects.seal import ANTHROPIC, OPENAI, unseal
from tokenway.dialects.walk import Node, walk
from tokenway.model.request import (
    Foreign,
    FormatKind,
    Media,
    MediaKind,
    Message,
    Reasoning,
    Request,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)

ReadPart = Text | Media | Reasoning | ToolCall | ToolResult | Foreign
_ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
_MEDIA: Final = {kind.value: kind for kind in MediaKind}
_OWN: Final = "amazon-bedrock"
"""Whose names and blocks are that others have as well."""
_NOT_IN: Final = {
    Role.SYSTEM: frozenset({"toolUse", "toolResult", "reasoningContent"}),
    Role.USER: frozenset({"toolUse", "reasoningContent"}),
    Role.ASSISTANT: frozenset({"toolResult"}),
}
"""Blocks that a message of a role cannot have, but for Amazon's own tools in the model's."""
_IDLE: Final[tuple[object, ...]] = ([], {}, {"enabled": False})
"""Values of members without a neutral place that ask for nothing."""
_KNOWN: Final = frozenset(
    {
        *("messages", "system", "inferenceConfig", "toolConfig", "outputConfig", "additionalModelRequestFields"),
        *("serviceTier", "model", "stream", *GATEWAY_FIELDS),
    }
)


def read(body: bytes, model: str, stream: bool) -> Request:  # noqa: FBT001 - the shape of `Inbound.read`
    """A body as a neutral request; raises Refusal (400) that names the field which is wrong."""
    return _Reading().request(walk(body), model, stream=stream)


class _Reading:
    """One request in the making: what was found on the way that belongs to the whole of it."""

    def __init__(self) -> None:
        self.rest: dict[str, msgspec.Raw] = {}
        self.calls: dict[str, str] = {}
        """Tools' names by the ids of their calls."""
        self.hosted: set[str] = set()
        """Ids of calls that Amazon answered itself."""

    def request(self, root: Node, model: str, *, stream: bool) -> Request:
        """The whole of it."""
        said: dict[str, Any] = {}
        system = root.at("system")
        messages = (
            [Message(Role.SYSTEM, self.parts(system, Role.SYSTEM))] if system is not None and system.value else []
        )
        turns = root.need("messages")
        messages += [self.message(node) for node in turns.items()]
        said |= self.inference(root.at("inferenceConfig"))
        said |= self.tools(root.at("toolConfig"))
        said |= self.output(root.at("outputConfig"))
        tier = root.at("serviceTier")
        if tier is not None:
            self.keep(tier, "serviceTier", "type")
            said["service_tier"] = tier.need("type").text()
        extra = root.at("additionalModelRequestFields")
        if extra is not None:
            said |= self.model_fields(extra, said.get("thinking"))
        for name, node in root.members():
            if name not in _KNOWN:
                self.rest[name] = node.raw()
        if not turns.value:
            raise turns.wrong("it must have at least one message")
        return Request(model, tuple(messages), stream, rest=self.rest, words=_OWN, **said)

    def keep(self, node: Node, whose: str, *known: str) -> None:
        """What an object has beside its known members, by name; values that ask for nothing are left out."""
        for name, found in node.members():
            if name not in known and found.value is not False and found.value not in _IDLE:
                self.rest.setdefault(f"{whose}.{name}", found.raw())

    # -- messages ----------------------------------------------------------------------------------------

    def message(self, node: Node) -> Message:
        """One turn."""
        role = node.need("role").one_of(_ROLES)
        self.keep(node, "messages", "role", "content")
        return Message(role, self.parts(node.need("content"), role))

    def parts(self, blocks: Node, role: Role) -> tuple[ReadPart, ...]:
        """The blocks of a turn, with the marks that stand behind one (cache points, a call's signature) put on it."""
        parts: list[ReadPart] = []
        for block in blocks.items():
            name, node = _only(block)
            if name in _NOT_IN[role] and not self.is_hosted(name, node):
                raise node.wrong(f"a message of role '{role.value}' has no '{name}'")
            if name == "cachePoint":
                self.mark(parts, node)
            elif name == "reasoningContent":
                part = self.reasoning(node, parts)
                if part is not None:
                    parts.append(part)
            else:
                parts.append(self.part(name, node))
        return tuple(parts)

    def is_hosted(self, name: str, node: Node) -> bool:
        """Whether a block is the result of a call that Amazon answered itself."""
        call = node.at("toolUseId") if name == "toolResult" else None
        return call is not None and call.text() in self.hosted

    def mark(self, parts: list[ReadPart], point: Node) -> None:
        """A cache point: on the last part that can bear one."""
        value = self.lifetime(point)
        for at in range(len(parts) - 1, -1, -1):
            part = parts[at]
            if not isinstance(part, Reasoning | Foreign):
                parts[at] = msgspec.structs.replace(part, cache=value)
                return
        self.rest["cachePoint"] = point.raw()

    def lifetime(self, point: Node) -> str:
        """How long a cache point lives."""
        self.keep(point, "cachePoint", "type", "ttl")
        ttl = point.at("ttl")
        return "5m" if ttl is None else ttl.one_of({"5m": "5m", "1h": "1h"})

    def part(self, name: str, node: Node) -> ReadPart:
        """One block that is no mark."""
        if name == "text":
            return Text(node.text())
        if name in _MEDIA:
            return self.media(_MEDIA[name], node)
        if name == "toolUse":
            return self.tool_call(node)
        if name == "toolResult":
            return self.tool_result(node)
        if name == "guardContent":
            return self.guarded(node)
        if name == "searchResult":
            return self.searched(node)
        if name == "citationsContent":
            self.rest[name] = node.raw()
            pieces = node.at("content")
            return Text("".join([piece.need("text").text() for piece in pieces.items()] if pieces else []))
        return Foreign(name, node.raw())

    def reasoning(self, node: Node, before: list[ReadPart]) -> Reasoning | None:
        """Reasoning; None for a seal that belongs to a call before it, which then bears it."""
        name, value = _only(node)
        if name == "reasoningText":
            self.keep(value, name, "text", "signature")
            text = value.need("text").text()
            signature = value.at("signature")
            found = unseal("" if signature is None else signature.text(), ANTHROPIC)
            if found.format == OPENAI:
                return Reasoning(text, sealed=found.value, format=OPENAI)
            return Reasoning(text, found.value, format=found.format)
        if name != "redactedContent":
            raise node.wrong("it must have 'reasoningText' or 'redactedContent'")
        found = unseal(open_blob(value.base64()), ANTHROPIC)
        if not found.call:
            return Reasoning(sealed=found.value, format=found.format)
        for at, part in enumerate(before):
            if isinstance(part, ToolCall) and part.id == found.call:
                before[at] = msgspec.structs.replace(part, signature=found.value, format=found.format)
        return None

    def media(self, kind: MediaKind, node: Node) -> Media:
        """An image, document, film or sound. A place in S3 is a URL."""
        form = node.at("format")
        title = node.at("name")
        self.keep(node, kind.value, "format", "name", "source")
        name, source = _only(node.need("source"))
        media_type = "" if form is None else media_type_of(kind, form.text())
        media = Media(kind, media_type, title="" if title is None else title.text(), place=node.path)
        if name == "bytes":
            return msgspec.structs.replace(media, data=source.base64())
        if name == "s3Location":
            self.keep(source, name, "uri")
            return msgspec.structs.replace(media, url=source.need("uri").text())
        if name == "text":
            text = source.text()
        elif name == "content":
            text = "\n\n".join([piece.need("text").text() for piece in source.items()])
        else:
            raise source.wrong("it is no source that is known here")
        return msgspec.structs.replace(media, text=text, media_type=media.media_type or "text/plain")

    def tool_call(self, node: Node) -> ToolCall | Foreign:
        """A tool that a model asked for; one that Amazon ran itself is its own affair."""
        kind = node.at("type")
        if kind is not None and kind.text() == SERVER_TOOL:
            self.hosted.add(node.need("toolUseId").text())
            return Foreign(SERVER_TOOL, node.raw(), _OWN)
        self.keep(node, "toolUse", "toolUseId", "name", "input", "type")
        call = ToolCall(node.need("toolUseId").text(), node.need("name").text(), _object(node.need("input")))
        self.calls[call.id] = call.name
        return call

    def tool_result(self, node: Node) -> ToolResult | Foreign:
        """What a tool gave; raises Refusal when no call came before it."""
        place = node.need("toolUseId")
        call = place.text()
        if call in self.hosted:
            return Foreign("toolResult", node.raw())
        if call not in self.calls:
            raise place.wrong("no 'toolUse' before it has this id")
        self.keep(node, "toolResult", "toolUseId", "content", "status")
        status = node.at("status")
        content = tuple(self.result_part(block) for block in node.need("content").items())
        return ToolResult(
            call, content, self.calls[call], status is not None and status.one_of({"success": False, "error": True})
        )

    def result_part(self, block: Node) -> Text | Media:
        """One block of a tool's result; JSON becomes its text."""
        name, node = _only(block)
        if name == "text":
            return Text(node.text())
        if name in _MEDIA:
            return self.media(_MEDIA[name], node)
        if name not in {"json", "searchResult"}:
            raise node.wrong("it is no content of a result that is known here")
        return Text(bytes(node.raw()).decode())

    def searched(self, node: Node) -> Text:
        """What the caller found: its title, its source and its text."""
        self.keep(node, "searchResult", "title", "source", "content")
        texts = [piece.need("text").text() for piece in node.need("content").items()]
        return Text("\n".join([node.need("title").text(), node.need("source").text(), *texts]))

    def guarded(self, node: Node) -> Text | Media:
        """What a guardrail looks at: its content stays, the mark is declared."""
        self.rest["guardContent"] = node.raw()
        name, value = _only(node)
        if name == "image":
            return self.media(MediaKind.IMAGE, value)
        return Text(value.need("text").text())

    # -- what is asked for -------------------------------------------------------------------------------

    def inference(self, node: Node | None) -> dict[str, Any]:
        """`inferenceConfig`."""
        said: dict[str, Any] = {}
        for name, member in node.members() if node is not None else ():
            if name == "maxTokens":
                said["max_tokens"] = member.whole(least=1)
            elif name == "temperature":
                said["temperature"] = member.number()
            elif name == "topP":
                said["top_p"] = member.number()
            elif name == "stopSequences":
                said["stop"] = tuple(each.text() for each in member.items())
            else:
                self.rest[member.path] = member.raw()
        return said

    def tools(self, node: Node | None) -> dict[str, Any]:
        """`toolConfig`."""
        if node is None:
            return {}
        tools: list[Tool] = []
        self.keep(node, "toolConfig", "tools", "toolChoice")
        for each in node.need("tools").items():
            name, tool = _only(each)
            if name == "cachePoint":
                lifetime = self.lifetime(tool)
                if tools:
                    tools[-1] = msgspec.structs.replace(tools[-1], cache=lifetime)
                else:
                    self.rest["cachePoint"] = tool.raw()
            elif name == "toolSpec":
                self.keep(tool, name, "name", "description", "inputSchema", "strict")
                tools.append(_tool(tool))
            else:
                tools.append(Tool("", hosted=name, raw=each.raw()))
        choice = node.at("toolChoice")
        if choice is None:
            return {"tools": tuple(tools)}
        name, value = _only(choice)
        self.keep(value, f"toolChoice.{name}", "name")
        return {"tools": tuple(tools), "tool_choice": _choice(choice)}

    def output(self, node: Node | None) -> dict[str, Any]:
        """`outputConfig`."""
        said: dict[str, Any] = {}
        for name, member in node.members() if node is not None else ():
            if name == "effort":
                said["thinking"] = Thinking(effort=member.text())
            elif name == "textFormat":
                self.keep(member, "textFormat", "type", "structure")
                said["response_format"] = _format(member)
            else:
                self.rest[member.path] = member.raw()
        return said

    def model_fields(self, node: Node, before: Thinking | None) -> dict[str, Any]:
        """`additionalModelRequestFields`; `before` is the reasoning that was asked for elsewhere."""
        found = read_extras(node)
        if found.rest:
            self.rest["additionalModelRequestFields"] = msgspec.Raw(msgspec.json.encode(found.rest))
        said: dict[str, Any] = {}
        if found.top_k is not None:
            said["top_k"] = found.top_k
        if found.thinking is not None:
            effort = found.thinking.effort or (before.effort if before is not None else None)
            said["thinking"] = msgspec.structs.replace(found.thinking, effort=effort)
        return said


def _only(node: Node) -> tuple[str, Node]:
    """The one member of a union; raises Refusal when there are none or several."""
    members: Iterator[tuple[str, Node]] = node.members()
    found = list(members)
    if len(found) != 1:
        raise node.wrong(f"it must have exactly one member, not {len(found)}")
    return found[0]


def _object(node: Node) -> str:
    if not node.is_object:
        raise node.wrong("it must be an object", code="invalid_type")
    return bytes(node.raw()).decode()


def _tool(node: Node) -> Tool:
    """A function of the caller's."""
    description, strict = node.at("description"), node.at("strict")
    _, schema = _only(node.need("inputSchema"))
    _object(schema)
    return Tool(
        node.need("name").text(),
        "" if description is None else description.text(),
        schema.raw(),
        None if strict is None else strict.flag(),
    )


def _choice(node: Node) -> ToolChoice:
    name, value = _only(node)
    if name == "tool":
        return ToolChoice(ToolMode.NAMED, (value.need("name").text(),))
    modes = {"auto": ToolMode.AUTO, "any": ToolMode.REQUIRED}
    return ToolChoice(Node(name, node.path).one_of(modes))


def _format(node: Node) -> ResponseFormat:
    """`textFormat`: the schema is JSON in a text."""
    kind = node.need("type").one_of({"json_schema": FormatKind.SCHEMA})
    _, schema = _only(node.need("structure"))
    place = schema.need("schema")
    text = place.text()
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise place.wrong(f"it is not valid JSON: {error}") from None
    name, description = schema.at("name"), schema.at("description")
    return ResponseFormat(
        kind,
        "" if name is None else name.text(),
        msgspec.Raw(text.encode()),
        "" if description is None else description.text(),
    )
