"""A Gemini request as a neutral one.

Every field is taken in both of its spellings. What has no neutral place goes to `Request.rest` under its name in
camelCase: safety settings, cached content, labels, and members inside of others that are not known here.

Source: the Gemini API reference, `models.generateContent`, and the types of python-genai 3.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects.base import GATEWAY_FIELDS
from tokenway.dialects.gemini.names import many, member, members, needed
from tokenway.dialects.gemini.openapi import json_schema
from tokenway.dialects.gemini.turns import Turns
from tokenway.dialects.seal import GEMINI
from tokenway.dialects.walk import Node, walk
from tokenway.model.errors import invalid_request
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

_encode: Final = msgspec.json.encode

_NUMBERS: Final = {
    "temperature": "temperature",
    "topP": "top_p",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
_COUNTS: Final = {
    "topK": ("top_k", 0),
    "candidateCount": ("n", 1),
    "maxOutputTokens": ("max_tokens", 1),
    "seed": ("seed", None),
    "logprobs": ("top_logprobs", 0),
}
_SCHEMAS: Final = frozenset({"responseMimeType", "responseSchema", "responseJsonSchema"})
_EFFORTS: Final[dict[str, str | None]] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
    "THINKING_LEVEL_UNSPECIFIED": None,
}
_TIERS: Final = {"flex": "flex", "standard": "default", "priority": "priority", "unspecified": None}
_MODES: Final = {
    "AUTO": ToolMode.AUTO,
    "VALIDATED": ToolMode.AUTO,
    "ANY": ToolMode.REQUIRED,
    "NONE": ToolMode.NONE,
    "MODE_UNSPECIFIED": None,
}
_JSON: Final = "application/json"


def read(body: bytes, model: str, stream: bool) -> Request:  # noqa: FBT001
    """The neutral request; raises Refusal (400) that names the field which is wrong."""
    try:
        return _read(walk(body), model, stream=stream)
    except RecursionError:
        raise invalid_request("The body is nested too deeply.") from None


def _read(root: Node, model: str, *, stream: bool) -> Request:
    rest: dict[str, msgspec.Raw] = {}
    fields: dict[str, Any] = {}
    turns = Turns(rest)
    contents = needed(root, "contents")
    messages = turns.read(contents)
    if not messages:
        raise contents.wrong("it must have at least one content with a part")
    tools: list[Tool] = []
    for name, node in members(root):
        match name:
            case "contents" | "model":
                pass
            case "systemInstruction":
                instruction = turns.system(node)
                messages = (instruction, *messages) if instruction is not None else messages
            case "tools":
                tools = _tools(node, rest)
            case "toolConfig":
                fields["tool_choice"], is_strict = _tool_choice(node, rest)
                if is_strict:
                    fields["_strict"] = True
            case "generationConfig":
                _generation(node, fields, rest)
            case "serviceTier":
                fields["service_tier"] = _lowered(node).one_of(_TIERS)
            case _ if name not in GATEWAY_FIELDS and node.path not in GATEWAY_FIELDS:
                rest[name] = node.raw()
            case _:
                pass
    if fields.pop("_strict", False):
        tools = [tool if tool.hosted else msgspec.structs.replace(tool, strict=True) for tool in tools]
    return Request(model, messages, stream, tuple(tools), rest=rest, words=GEMINI, **fields)


def _lowered(node: Node) -> Node:
    """A word of an enumeration, whose case does not matter."""
    return Node(node.text().lower(), node.path)


def _raised(node: Node) -> Node:
    return Node(node.text().upper(), node.path)


# -- tools -----------------------------------------------------------------------------------------------


def _tools(tools: Node, rest: dict[str, msgspec.Raw]) -> list[Tool]:
    """Functions, and Google's own tools as hosted ones."""
    found: list[Tool] = []
    for tool in many(tools):
        for name, node in members(tool):
            if name == "functionDeclarations":
                found += [_function(each, rest) for each in many(node)]
            else:
                found.append(Tool("", hosted=name, raw=msgspec.Raw(_encode({name: node.value}))))
    return found


def _function(node: Node, rest: dict[str, msgspec.Raw]) -> Tool:
    name = needed(node, "name").text()
    description = member(node, "description")
    parameters = NO_JSON
    schema = member(node, "parametersJsonSchema")
    own = member(node, "parameters")
    if schema is not None:
        parameters = schema.raw()
    elif own is not None:
        if not own.is_object:
            raise own.wrong("it must be an object", code="invalid_type")
        parameters = msgspec.Raw(_encode(json_schema(own.value)))
    for key, value in members(node):
        if key not in {"name", "description", "parameters", "parametersJsonSchema"}:
            rest.setdefault(f"functionDeclarations.{key}", value.raw())
    return Tool(name, description.text() if description is not None else "", parameters)


def _tool_choice(node: Node, rest: dict[str, msgspec.Raw]) -> tuple[ToolChoice | None, bool]:
    """How tools are chosen, and whether calls must keep to their schema (`VALIDATED`)."""
    for key, value in members(node):
        if key != "functionCallingConfig":
            rest.setdefault(key, value.raw())
    config = member(node, "functionCallingConfig")
    if config is None:
        return None, False
    for key, value in members(config):
        if key not in {"mode", "allowedFunctionNames"}:
            rest.setdefault(key, value.raw())
    given = member(config, "mode")
    mode = None if given is None else _raised(given).one_of(_MODES)
    allowed = member(config, "allowedFunctionNames")
    names = () if allowed is None else tuple(each.text() for each in allowed.items())
    if mode is None:
        return None, False
    if mode is ToolMode.REQUIRED and len(names) == 1:
        return ToolChoice(ToolMode.NAMED, names), False
    is_strict = given is not None and given.text().upper() == "VALIDATED"
    return ToolChoice(mode, () if mode is ToolMode.NONE else names), is_strict


# -- generationConfig ------------------------------------------------------------------------------------


def _generation(config: Node, fields: dict[str, Any], rest: dict[str, msgspec.Raw]) -> None:
    """The members of `generationConfig`."""
    for name, node in members(config):
        if name in _NUMBERS:
            fields[_NUMBERS[name]] = node.number()
        elif name in _COUNTS:
            field, least = _COUNTS[name]
            fields[field] = node.whole(least)
        elif name == "stopSequences":
            fields["stop"] = tuple(each.text() for each in node.items())
        elif name == "responseLogprobs":
            fields["logprobs"] = node.flag()
        elif name == "thinkingConfig":
            fields["thinking"] = _thinking(node, rest)
        elif name == "responseModalities":
            if {each.text().upper() for each in node.items()} - {"TEXT", "MODALITY_UNSPECIFIED"}:
                rest[name] = node.raw()
        elif name not in _SCHEMAS:
            rest[name] = node.raw()
    _response_format(config, fields, rest)


def _response_format(config: Node, fields: dict[str, Any], rest: dict[str, msgspec.Raw]) -> None:
    """The answer's form: a media type, and a schema in JSON Schema or in Gemini's own."""
    given = member(config, "responseMimeType")
    kind = given.text() if given is not None else ""
    schema = member(config, "responseJsonSchema")
    own = member(config, "responseSchema")
    if given is not None and kind not in {"", "text/plain", _JSON}:
        # An answer that is one bare word of an enumeration has no counterpart.
        rest["responseMimeType"] = given.raw()
        for name, node in (("responseSchema", own), ("responseJsonSchema", schema)):
            if node is not None:
                rest[name] = node.raw()
    elif schema is not None:
        fields["response_format"] = ResponseFormat(FormatKind.SCHEMA, schema=schema.raw())
    elif own is not None:
        fields["response_format"] = ResponseFormat(
            FormatKind.SCHEMA, schema=msgspec.Raw(_encode(json_schema(own.value)))
        )
    elif kind == _JSON:
        fields["response_format"] = ResponseFormat(FormatKind.JSON)


def _thinking(node: Node, rest: dict[str, msgspec.Raw]) -> Thinking:
    """`thinkingConfig`; thoughts are only shown where they are asked for."""
    budget = effort = None
    shown = False
    for name, value in members(node):
        match name:
            case "thinkingBudget":
                budget = value.whole(-1)
            case "thinkingLevel":
                effort = _raised(value).one_of(_EFFORTS)
            case "includeThoughts":
                shown = value.flag()
            case _:
                rest.setdefault(name, value.raw())
    return Thinking(effort=effort, budget=budget, shown=shown)
