"""The turns of a Gemini request (`contents`) as neutral messages.

Gemini knows a tool's result by the tool's name and, where it gave one, by the call's id. Everybody else needs ids:
a call without one gets `call_TURN_NUMBER`, which does not depend on what follows it, so that the same conversation has
the same ids in its next request. A result goes to the call with its id, else to the first call of its name that has no
result yet; one without a call is refused.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import structs

from tokenway.dialects.gemini.media_types import guessed_type, kind_of
from tokenway.dialects.gemini.names import many, member, members, needed
from tokenway.dialects.gemini.schema import FOREIGN_PARTS
from tokenway.dialects.gemini.signature import opened
from tokenway.dialects.seal import OPENAI
from tokenway.dialects.walk import Node
from tokenway.model.request import Foreign, Media, Message, Reasoning, Role, Text, ToolCall, ToolResult

_encode: Final = msgspec.json.encode

ROLES: Final[dict[str, Role]] = {
    "user": Role.USER,
    "model": Role.ASSISTANT,
    "function": Role.USER,
    "tool": Role.USER,
    "system": Role.SYSTEM,
}
_KINDS: Final = ("text", "inlineData", "fileData", "functionCall", "functionResponse")
_NOT_IN: Final = {
    Role.SYSTEM: (ToolCall, ToolResult, Reasoning),
    Role.USER: (ToolCall, Reasoning),
    Role.ASSISTANT: (ToolResult,),
}
"""What a content of a role cannot have."""
_MODIFIERS: Final = frozenset({"thought", "thoughtSignature"})
_RESULTS: Final = ("output", "result")

AnyPart = Text | Media | Reasoning | ToolCall | ToolResult | Foreign


class Turns:
    """Reads contents one after the other; `leftover` are members of parts that have no neutral place."""

    def __init__(self, leftover: dict[str, msgspec.Raw]) -> None:
        self._calls: list[ToolCall] = []
        self._in_turn = 0
        self._answered: set[str] = set()
        self._leftover = leftover

    def read(self, contents: Node) -> tuple[Message, ...]:
        """The messages; a content without anything in it is left out."""
        found: list[tuple[Role, list[AnyPart]]] = []
        for turn, content in enumerate(many(contents)):
            role = member(content, "role")
            speaker = Role.USER if role is None else role.one_of(ROLES)
            parts = self._parts(content, turn, speaker)
            self._keep_unknown(content, {"role", "parts"})
            if parts and found and speaker is found[-1][0] is Role.ASSISTANT:
                found[-1][1].extend(parts)
            elif parts:
                found.append((speaker, parts))
        return tuple(
            Message(role, tuple(join_pieces(parts) if role is Role.ASSISTANT else parts)) for role, parts in found
        )

    def system(self, instruction: Node) -> Message | None:
        """The system instruction: a content, or a bare text."""
        if instruction.is_text:
            return Message(Role.SYSTEM, (Text(instruction.text()),))
        parts = self._parts(instruction, -1, Role.SYSTEM)
        self._keep_unknown(instruction, {"role", "parts"})
        return Message(Role.SYSTEM, tuple(parts)) if parts else None

    def _parts(self, content: Node, turn: int, speaker: Role) -> list[AnyPart]:
        parts: list[AnyPart] = []
        self._in_turn = 0
        given = member(content, "parts")
        for part in many(given) if given is not None else ():
            for each in self._part(part, turn):
                if not isinstance(each, _NOT_IN[speaker]):
                    parts.append(each)
                elif isinstance(each, Reasoning):
                    self._keep_unknown(part, {"text"})  # declared; only a model thinks
                else:
                    raise part.wrong(f"a content of the {speaker.value}'s has no such part")
        return parts

    def _part(self, part: Node, turn: int) -> list[AnyPart]:
        """The neutral parts of one: a signature beside a text is a part of its own."""
        named = dict(members(part))
        kind = next((name for name in _KINDS if name in named), "")
        if not kind:
            return self._foreign(part, named)
        self._keep_unknown(part, {kind, *_MODIFIERS})
        node = named[kind]
        signature = named["thoughtSignature"].text() if "thoughtSignature" in named else ""
        match kind:
            case "text":
                thought = named["thought"].flag() if "thought" in named else False
                return _texts(node.text(), signature, thought=thought)
            case "functionCall":
                return [self._call(node, signature, turn)]
            case "functionResponse":
                return [self._result(node)]
            case _:
                return [media(node, self._leftover)]

    def _foreign(self, part: Node, named: dict[str, Node]) -> list[AnyPart]:
        if set(named) <= _MODIFIERS:
            signature = named["thoughtSignature"].text() if "thoughtSignature" in named else ""
            return _texts("", signature, thought=False)
        name = next((name for name in named if name in FOREIGN_PARTS), None)
        name = name or next(name for name in named if name not in _MODIFIERS)
        return [Foreign(name, part.raw())]

    def _call(self, node: Node, signature: str, turn: int) -> ToolCall:
        name = needed(node, "name").text()
        given = member(node, "id")
        args = member(node, "args")
        if args is not None and not args.is_object:
            raise args.wrong("it must be an object", code="invalid_type")
        seal = opened(signature)
        call = ToolCall(
            (given.text() if given is not None else "") or f"call_{turn}_{self._in_turn}",
            name,
            "{}" if args is None else _encode(args.value).decode(),
            signature=seal.value,
            format=seal.format if seal.value else "",
        )
        self._keep_unknown(node, {"id", "name", "args"})
        self._calls.append(call)
        self._in_turn += 1
        return call

    def _result(self, node: Node) -> ToolResult:
        name = needed(node, "name").text()
        given = member(node, "id")
        call = self._called(given.text() if given is not None else "", name)
        if call is None:
            raise node.wrong(f"no call of '{name[:60]}' without a result stands before it", code="tool_call_missing")
        self._answered.add(call.id)
        response = member(node, "response")
        text, is_error = result_text({} if response is None else response.value)
        content: list[Text | Media] = [Text(text)] if text else []
        parts = member(node, "parts")
        for part in many(parts) if parts is not None else ():
            piece = member(part, "inlineData") or needed(part, "fileData")
            self._keep_unknown(part, {"inlineData", "fileData"})
            content.append(media(piece, self._leftover))
        self._keep_unknown(node, {"id", "name", "response", "parts"})
        return ToolResult(call.id, tuple(content), call.name, is_error)

    def _called(self, wanted: str, name: str) -> ToolCall | None:
        """The call that a result belongs to."""
        if wanted:
            for call in reversed(self._calls):
                if call.id == wanted:
                    return call
        return next((call for call in self._calls if call.name == name and call.id not in self._answered), None)

    def _keep_unknown(self, node: Node, known: set[str]) -> None:
        """Notes members that nothing here reads, so that they are declared as dropped."""
        for name, value in members(node):
            if name not in known:
                self._leftover.setdefault(name, value.raw())


def _texts(text: str, signature: str, *, thought: bool) -> list[AnyPart]:
    """A text part: what was said or thought, with the signature it carries.

    A signature vouches for a thought; beside a text, and alone, it stands for thoughts that are not shown. A thought
    with a signature and no text signs the thought before it, see `join_pieces`.
    """
    seal = opened(signature)
    mark = seal.format if seal.value else ""
    if thought:
        return [Reasoning(text, seal.value, "", mark)] if text or seal.value else []
    found: list[AnyPart] = [Text(text)] if text else []
    if seal.value:
        found.append(Reasoning(sealed=seal.value, format=mark))
    return found


def join_pieces(parts: list[AnyPart]) -> list[AnyPart]:
    """What a model said, with the pieces in one that a client has kept of a stream.

    A client may keep each chunk as a content of its own, and the signature of a thought comes last, in a piece without
    text.
    """
    found: list[AnyPart] = []
    for part in parts:
        last = found[-1] if found else None
        if isinstance(part, Text) and isinstance(last, Text):
            found[-1] = Text(last.text + part.text)
        elif isinstance(part, Reasoning) and not part.sealed:
            if isinstance(last, Reasoning) and not last.signature and not last.sealed:
                found[-1] = _sealed_where_due(structs.replace(part, text=last.text + part.text))
            else:
                found.append(_sealed_where_due(part))
        else:
            found.append(part)
    return found


def _sealed_where_due(part: Reasoning) -> Reasoning:
    """A signature in its place: OpenAI's, and one without a text, is the thought itself in sealed form."""
    if part.signature and (part.format == OPENAI or not part.text):
        return structs.replace(part, signature="", sealed=part.signature, summary=bool(part.text))
    return part


def media(node: Node, leftover: dict[str, msgspec.Raw]) -> Media:
    """`inlineData` or `fileData`; raises Refusal (400) where the data is no base64."""
    kind_node = member(node, "mimeType")
    media_type = kind_node.text() if kind_node is not None else ""
    title = member(node, "displayName")
    name = title.text() if title is not None else ""
    uri = member(node, "fileUri")
    for key, value in members(node):
        if key not in {"mimeType", "data", "fileUri", "displayName"}:
            leftover.setdefault(key, value.raw())
    if uri is not None:
        text = uri.text()
        return Media(kind_of(media_type or guessed_type(text)), media_type, url=text, title=name, place=node.path)
    data = needed(node, "data")
    if not media_type:
        raise needed(node, "mimeType").wrong("it is missing")
    return Media(kind_of(media_type), media_type, data=_plain_base64(data.base64()), title=name, place=node.path)


def _plain_base64(text: str) -> str:
    """Base64 in the standard letters with its padding: Google's clients write the other ones, which few others read."""
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    return plain + "=" * (-len(plain) % 4)


def result_text(response: Any) -> tuple[str, bool]:
    """A function's response as text, and whether it is an error.

    Google gives `output` and `error` their meaning; its documents use `result` as well. Anything else is the result
    itself, as JSON.
    """
    if isinstance(response, dict) and len(response) == 1:
        ((key, value),) = response.items()
        if key == "error" or key in _RESULTS:
            return value if isinstance(value, str) else _encode(value).decode(), key == "error"
    if response in ({}, None):
        return "", False
    return _encode(response).decode(), False
