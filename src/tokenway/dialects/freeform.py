"""Tools that take free text, for models that only have functions.

A custom tool of OpenAI's takes a text, perhaps by a grammar: Codex patches files with one. For a model that has no such
tools it is a function with one text, and what the model calls it with is unpacked again for the caller.

    event of the upstream                        what the caller's writer gets
    Opened, a call of a function by such a name  the same, of a custom tool; its arguments are kept
    Added to it                                  nothing yet
    Closed                                       Added with the text, if there is any, and Closed

The text comes in one piece at the end: before it is closed, nobody knows whether the arguments have the agreed shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from tokenway.dialects.base import UNREADABLE, CallerRequest, EventReader
from tokenway.model.event import Added, Answer, Choice, Closed, Event, Opened, PartKind
from tokenway.model.request import NO_JSON, TOOLS, Message, Request, Tool, ToolCall

INPUT: Final = "input"
"""The function's one argument."""
_PARAMETERS: Final = msgspec.Raw(
    b'{"type":"object","properties":{"input":{"type":"string","description":"The text that the tool takes."}},'
    b'"required":["input"],"additionalProperties":false}'
)
_GRAMMAR: Final = f"{TOOLS}format"
"""What is declared where a tool has a grammar: the model is told, but nothing holds it to it."""
_ANY_TEXT: Final = {"type": "text"}
_CUSTOM: Final = b'"custom"'

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode


def as_functions(request: Request) -> Request:
    """The request with functions in place of custom tools, and of the calls of them."""
    custom = [tool for tool in request.tools if tool.custom]
    calls = any(isinstance(part, ToolCall) and part.custom for each in request.messages for part in each.parts)
    if not custom and not calls:
        return request
    has_grammar = any(tool.grammar != NO_JSON and _decode(tool.grammar) != _ANY_TEXT for tool in custom)
    return replace(
        request,
        messages=tuple(map(_packed, request.messages)),
        tools=tuple(_function(tool) if tool.custom else tool for tool in request.tools),
        rest={**request.rest, _GRAMMAR: NO_JSON} if has_grammar else request.rest,
    )


def may_have_custom(request: CallerRequest) -> bool:
    """Whether a request can have custom tools, without reading it."""
    return _CUSTOM in request.body


def names_of(request: CallerRequest) -> frozenset[str]:
    """The names of a request's custom tools; the request has been read before."""
    if not may_have_custom(request):
        return frozenset()
    return frozenset(tool.name for tool in request.neutral().tools if tool.custom)


def unpacked(answer: Answer, names: frozenset[str]) -> Answer:
    """The answer with calls of custom tools in place of those of the functions by these names."""
    if not names:
        return answer
    return replace(answer, choices=tuple(_unpacked(choice, names) for choice in answer.choices))


class Unpacking:
    """Reads a stream as another reader does, with calls of custom tools; see the table above."""

    __slots__ = ("_kept", "_names", "_reader", "_request")

    def __init__(self, reader: EventReader, request: CallerRequest) -> None:
        """The request is only looked at when a model calls something: by then it has been written for the model."""
        self._reader = reader
        self._request = request
        self._names: frozenset[str] | None = None
        self._kept: dict[tuple[int, int], list[str]] = {}
        """The arguments of each open call, by choice and part."""

    def read(self, frame: bytes) -> Sequence[Event]:
        """The events of one frame; raises WireError as the reader does."""
        return self._turned(self._reader.read(frame))

    def end(self) -> Sequence[Event]:
        """What is owed when the body ends."""
        return self._turned(self._reader.end())

    def _turned(self, events: Sequence[Event]) -> Sequence[Event]:
        out: list[Event] = []
        for event in events:
            match event:
                case Opened(kind=PartKind.TOOL_CALL, custom=False) if self._is_custom(event.name):
                    self._kept[event.choice, event.part] = []
                    out.append(replace(event, custom=True))
                case Added() if (event.choice, event.part) in self._kept:
                    self._kept[event.choice, event.part].append(event.text)
                case Closed() if (event.choice, event.part) in self._kept:
                    text = _text("".join(self._kept.pop((event.choice, event.part))))
                    out += [Added(event.part, text, event.choice)] if text else []
                    out.append(event)
                case _:
                    out.append(event)
        return out

    def _is_custom(self, name: str) -> bool:
        if self._names is None:
            self._names = names_of(self._request)
        return name in self._names


def _function(tool: Tool) -> Tool:
    grammar = _grammar(tool)
    texts = (tool.description, f"The input follows this {grammar}" if grammar else "")
    return Tool(tool.name, "\n\n".join(filter(None, texts)), _PARAMETERS, cache=tool.cache)


def _grammar(tool: Tool) -> str:
    """What a tool's format says of its text, in words; empty where any text will do."""
    shape: Any = _decode(tool.grammar) if tool.grammar != NO_JSON else {}
    inner = shape.get("grammar", shape) if isinstance(shape, dict) else {}
    definition = inner.get("definition") if isinstance(inner, dict) else None
    return f"grammar ({inner['syntax']}):\n{definition}" if definition and "syntax" in inner else ""


def _packed(message: Message) -> Message:
    return replace(message, parts=tuple(_call(part) if isinstance(part, ToolCall) else part for part in message.parts))


def _call(call: ToolCall) -> ToolCall:
    if not call.custom:
        return call
    return replace(call, arguments=_encode({INPUT: call.arguments}).decode(), custom=False)


def _unpacked(choice: Choice, names: frozenset[str]) -> Choice:
    parts = tuple(
        replace(part, arguments=_text(part.arguments), custom=True)
        if isinstance(part, ToolCall) and not part.custom and part.name in names
        else part
        for part in choice.parts
    )
    return replace(choice, parts=parts)


def _text(arguments: str) -> str:
    """The one text in a function's arguments, by whatever name; arguments of another shape are the text."""
    try:
        found = _decode(arguments)
    except UNREADABLE:
        return arguments
    texts = list(found.values()) if isinstance(found, dict) else []
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else arguments
