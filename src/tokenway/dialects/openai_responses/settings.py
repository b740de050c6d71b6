"""What a request says besides its input: tools, the choice of one, the answer's format, how much to reason.

A function's members stand flat in a tool of this API, and so do a schema's in `text.format`. A function is
strict where the caller does not say; the chat API has it the other way, so writers of this dialect always say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tokenway.dialects.openai import effort_of
from tokenway.dialects.openai_responses.namespaces import NAMESPACE, joined
from tokenway.dialects.openai_responses.schema import HOSTED_TOOLS, NOTHING
from tokenway.dialects.strict import is_strict
from tokenway.dialects.walk import Node
from tokenway.model.request import (
    NO_JSON,
    FormatKind,
    Request,
    ResponseFormat,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
)

_FORMATS: Final = {kind.value: kind for kind in FormatKind}
_MODES: Final = {"auto": ToolMode.AUTO, "none": ToolMode.NONE, "required": ToolMode.REQUIRED}
_LIMITED: Final = {"auto": ToolMode.AUTO, "required": ToolMode.REQUIRED}
_SUMMARIES: Final = frozenset({"auto", "concise", "detailed"})
_NO_PARAMETERS: Final = msgspec.Raw(b'{"type":"object","properties":{}}')

# -- reading -------------------------------------------------------------------------------------------------


def read_tools(tools: Iterable[Node]) -> tuple[Tool, ...]:
    """Tools in their order, those of a namespace where it stands."""
    found: list[Tool] = []
    for tool in tools:
        if tool.need("type").text() == NAMESPACE:
            space = tool.need("name").text()
            found += [
                msgspec.structs.replace(each, name=joined(space, each.name))
                for each in map(_read_tool, tool.need("tools").items())
            ]
        else:
            found.append(_read_tool(tool))
    return tuple(found)


def _read_tool(tool: Node) -> Tool:
    kind = tool.need("type").text()
    description = tool.at("description")
    about = "" if description is None else description.text()
    if kind == "function":
        parameters, strict = tool.at("parameters"), tool.at("strict")
        if parameters is not None and not parameters.is_object:
            raise parameters.wrong("it must be an object", code="invalid_type")
        return Tool(
            tool.need("name").text(),
            about,
            NO_JSON if parameters is None else parameters.raw(),
            None if strict is None else strict.flag(),
        )
    if kind == "custom":
        grammar = tool.at("format")
        has_grammar = grammar is not None and grammar.need("type").text() != "text"
        raw = grammar.raw() if grammar is not None and has_grammar else NO_JSON
        return Tool(tool.need("name").text(), about, custom=True, grammar=raw)
    return Tool(kind, hosted=kind, raw=tool.raw())


def read_tool_choice(choice: Node | None) -> ToolChoice | None:
    """`tool_choice`: a word, one tool, or a list of the allowed ones."""
    if choice is None:
        return None
    if choice.is_text:
        return ToolChoice(choice.one_of(_MODES))
    if choice.need("type").text() != "allowed_tools":
        return ToolChoice(ToolMode.NAMED, (_tool_name(choice),))
    names = tuple(_tool_name(tool) for tool in choice.need("tools").items())
    return ToolChoice(choice.need("mode").one_of(_LIMITED), names)


def _tool_name(tool: Node) -> str:
    """A function's or custom tool's name; a hosted one goes by its type."""
    kind = tool.need("type").text()
    return tool.need("name").text() if kind in {"function", "custom"} else kind


def read_format(root: Node) -> ResponseFormat | None:
    """`text.format`."""
    text = root.at("text")
    found = None if text is None else text.at("format")
    if found is None:
        return None
    kind = found.need("type").one_of(_FORMATS)
    if kind is not FormatKind.SCHEMA:
        return ResponseFormat(kind)
    schema, description, strict = found.need("schema"), found.at("description"), found.at("strict")
    if not schema.is_object:
        raise schema.wrong("it must be an object", code="invalid_type")
    return ResponseFormat(
        kind,
        found.need("name").text(),
        schema.raw(),
        "" if description is None else description.text(),
        None if strict is None else strict.flag(),
    )


def read_thinking(reasoning: Node | None) -> Thinking | None:
    """`reasoning`: its effort, and whether and how it is summarised; OpenRouter has a budget and a switch besides."""
    if reasoning is None:
        return None
    effort, budget, enabled = reasoning.at("effort"), reasoning.at("max_tokens"), reasoning.at("enabled")
    summary = reasoning.at("summary") or reasoning.at("generate_summary")
    if effort is None and summary is None and budget is None and enabled is None:
        return None
    return Thinking(
        effort=None if effort is None else effort.text(),
        budget=None if budget is None else budget.whole(-1),
        enabled=None if enabled is None else enabled.flag(),
        shown=None if summary is None else True,
        summary=None if summary is None else summary.text(),
    )


# -- writing -------------------------------------------------------------------------------------------------


def write_tools(tools: Sequence[Tool], dropped: list[str]) -> list[object]:
    """`tools`; another vendor's own tools are declared."""
    written: list[object] = []
    for tool in tools:
        if tool.cache:
            dropped.append("cache_control")
        if tool.hosted:
            if tool.hosted in HOSTED_TOOLS and tool.raw not in NOTHING:
                written.append(tool.raw)
            else:
                dropped.append(tool.declared)
            continue
        shape: dict[str, object] = {"type": "custom" if tool.custom else "function", "name": tool.name}
        if tool.description:
            shape["description"] = tool.description
        if not tool.custom:
            shape["parameters"] = _NO_PARAMETERS if tool.parameters in NOTHING else tool.parameters
            shape["strict"] = _strictness(tool.parameters, dropped, asked=tool.strict is True)
        elif tool.grammar not in NOTHING:
            shape["format"] = _flat(tool.grammar)
        written.append(shape)
    return written


def _strictness(schema: msgspec.Raw, dropped: list[str], *, asked: bool) -> bool:
    """Whether a schema is strict: OpenAI refuses the word for one with optional members, which others take."""
    if asked and not is_strict(schema):
        dropped.append("strict")
        return False
    return asked


def _flat(grammar: msgspec.Raw) -> object:
    """A custom tool's format; the chat API has what stands beside its type one level deeper."""
    shape = msgspec.json.decode(grammar)
    inner = shape.get("grammar") if isinstance(shape, dict) else None
    return {"type": "grammar", **inner} if isinstance(inner, dict) else grammar


def write_tool_choice(choice: ToolChoice, tools: Sequence[Tool]) -> object | None:
    """`tool_choice`; None where it names a tool that could not be written."""
    custom = {tool.name for tool in tools if tool.custom}
    hosted = {tool.hosted for tool in tools if tool.hosted}
    kept = [name for name in choice.names if name not in hosted or name in HOSTED_TOOLS]
    if choice.names and not kept:
        return None
    named: list[object] = [
        {"type": name} if name in hosted else {"type": "custom" if name in custom else "function", "name": name}
        for name in kept
    ]
    if choice.mode is ToolMode.NAMED:
        return named[0] if named else None
    if named:
        return {"type": "allowed_tools", "mode": choice.mode.value, "tools": named}
    return choice.mode.value


def write_format(wanted: ResponseFormat, dropped: list[str]) -> dict[str, object]:
    """`text.format`."""
    shape: dict[str, object] = {"type": wanted.kind.value}
    if wanted.kind is FormatKind.SCHEMA:
        shape["name"] = wanted.name or "answer"
        shape["schema"] = _NO_PARAMETERS if wanted.schema in NOTHING else wanted.schema
        shape["strict"] = _strictness(wanted.schema, dropped, asked=wanted.strict is True)
        if wanted.description:
            shape["description"] = wanted.description
    return shape


def write_thinking(request: Request) -> dict[str, object]:
    """`reasoning`; empty where the request says nothing that this API has a word for."""
    thinking = request.thinking
    if thinking is None:
        return {}
    shape: dict[str, object] = {}
    effort = effort_of(thinking, request.max_tokens)
    if effort:
        shape["effort"] = effort
    if thinking.summary or thinking.shown:
        shape["summary"] = thinking.summary if thinking.summary in _SUMMARIES else "auto"
    return shape
