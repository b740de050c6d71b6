"""A neutral request written as a body of Converse.

The model is in the path and so is whether the answer streams. Fields that a model's vendor has and Converse has not go
into `additionalModelRequestFields` (`extras`); what nobody takes is declared as dropped.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from tokenway.dialects.anthropic.families import OTHER, family_of
from tokenway.dialects.base import Upstream
from tokenway.dialects.bedrock.content import Content
from tokenway.dialects.bedrock.extras import CLAUDE, Extras, extras, vendor_of
from tokenway.dialects.freeform import as_functions
from tokenway.dialects.opening import opened
from tokenway.dialects.strict import enforceable, is_any_object, is_enforceable
from tokenway.model.errors import invalid_request
from tokenway.model.request import NO_JSON, FormatKind, Request, Tool, ToolChoice, ToolMode, Written

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NO_SCHEMA: Final[dict[str, object]] = {"type": "object", "properties": {}}
_TIERS: Final = frozenset({"priority", "default", "flex", "reserved"})
_WIDE_TOP_P: Final = 0.95
"""Claude takes no smaller `top_p` while it reasons."""

_NEVER: Final = (
    *("min_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "seed", "logit_bias", "logprobs"),
    *("top_logprobs", "n", "user", "metadata", "prompt_cache_key", "verbosity"),
)
"""Fields of a neutral request that Converse never has."""
_IDLE: Final[dict[str, object]] = {
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "repetition_penalty": 1,
    "min_p": 0,
    "logprobs": False,
    "top_logprobs": 0,
    "n": 1,
}
"""Values that ask for what happens anyway."""


def write(request: Request, upstream: Upstream) -> Written:
    """The request for an upstream; raises Refusal (400) for what Bedrock cannot be told at all."""
    dropped: dict[str, None] = {}
    request = msgspec.structs.replace(as_functions(request), model=upstream.model)
    vendor = vendor_of(upstream.model)
    content = Content(vendor, dropped)
    messages = opened(request.messages)
    body: dict[str, Any] = {"messages": content.turns(messages)}
    system = content.system(messages)
    if system:
        body["system"] = system
    limit = request.max_tokens or upstream.capabilities.max_output
    more = extras(request, vendor, limit, may_think=content.may_think)
    dropped.update(dict.fromkeys(more.dropped))
    inference = _inference(request, more, vendor, dropped)
    if inference:
        body["inferenceConfig"] = inference
    tools = _tools(request, content, vendor, dropped)
    if tools:
        body["toolConfig"] = tools
    if more.fields:
        body["additionalModelRequestFields"] = more.fields
    output = _output(request, upstream, dropped)
    if output:
        body["outputConfig"] = output
    if request.service_tier in _TIERS:
        body["serviceTier"] = {"type": request.service_tier}
    elif request.service_tier not in {None, "auto"}:
        dropped["service_tier"] = None
    for name in _NEVER:
        value = getattr(request, name)
        if value is not None and value != NO_JSON and value != _IDLE.get(name):
            dropped[name] = None
    dropped.update(dict.fromkeys(request.rest))
    return Written(_encode(body), tuple(dropped))


def _inference(request: Request, more: Extras, vendor: str, dropped: dict[str, None]) -> dict[str, Any]:
    """`inferenceConfig`. A temperature above 1 becomes 1, the highest there is, and is declared."""
    shape: dict[str, Any] = {}
    family = family_of(request.model) if vendor == CLAUDE else OTHER
    if request.max_tokens is not None:
        shape["maxTokens"] = request.max_tokens
    if request.temperature is not None:
        if more.is_thinking or not family.samples:
            if request.temperature != 1:
                dropped["temperature"] = None
        else:
            shape["temperature"] = min(request.temperature, 1)
            if request.temperature > 1:
                dropped["temperature"] = None
    if request.top_p is not None:
        is_narrow = more.is_thinking and request.top_p < _WIDE_TOP_P
        is_second = "temperature" in shape and not family.samples_by_both
        if not (is_narrow or is_second) and family.samples:
            shape["topP"] = request.top_p
        elif request.top_p != 1:
            dropped["top_p"] = None
    stop = [each for each in request.stop if (each.strip() if vendor == CLAUDE else each)]
    if len(stop) < len(request.stop):
        dropped["stop"] = None
    if stop:
        shape["stopSequences"] = stop
    return shape


def _tools(request: Request, content: Content, vendor: str, dropped: dict[str, None]) -> dict[str, Any]:
    """`toolConfig`.

    There is no choice `none`: the tools are left out then. But turns with calls in them need tools, so those stay, and
    the choice is declared; where no tool is left, the names that were called stand for them, and none is to be called.
    """
    choice = request.tool_choice
    has_calls = bool(content.tools_used)
    if choice is not None and choice.mode is ToolMode.NONE:
        if not has_calls:
            return {}
        dropped["tool_choice"] = None
    tools: list[Any] = []
    for tool in request.tools:
        if choice is None or choice.mode is ToolMode.NAMED or not choice.names or tool.name in choice.names:
            tools.extend(_tool(tool, content, vendor, dropped))
    chosen = _choice(choice, {each["toolSpec"]["name"] for each in tools if "toolSpec" in each}, dropped)
    tools = tools or [_spec(name, _NO_SCHEMA) for name in content.tools_used]
    if not tools:
        return {}
    if request.parallel_tool_calls is False:
        dropped["parallel_tool_calls"] = None
    return {"tools": tools, **chosen}


def _choice(choice: ToolChoice | None, known: set[str], dropped: dict[str, None]) -> dict[str, Any]:
    """`toolChoice`; a call of a tool that could not be offered cannot be forced."""
    match choice:
        case ToolChoice(ToolMode.AUTO) if known:
            return {"toolChoice": {"auto": {}}}
        case ToolChoice(ToolMode.REQUIRED) if known:
            return {"toolChoice": {"any": {}}}
        case ToolChoice(ToolMode.NAMED, names) if known.intersection(names):
            return {"toolChoice": {"tool": {"name": names[0]}}}
        case ToolChoice(ToolMode.REQUIRED | ToolMode.NAMED):
            dropped["tool_choice"] = None
    return {}


def _tool(tool: Tool, content: Content, vendor: str, dropped: dict[str, None]) -> list[dict[str, Any]]:
    """One function and the breakpoint behind it; a vendor's own tool is declared."""
    if tool.hosted:
        dropped[tool.declared] = None
        return []
    if not _NAME.fullmatch(tool.name):
        raise invalid_request(
            f"A tool's name on Bedrock has 1 to 64 letters, digits, '_' and '-'; '{tool.name[:80]}' is none.",
            param="tools",
            code="unsupported_parameter",
        )
    spec = _spec(tool.name, _NO_SCHEMA if tool.parameters == NO_JSON else tool.parameters)
    if tool.description.strip():
        spec["toolSpec"]["description"] = tool.description
    if tool.strict:
        if vendor == CLAUDE and is_enforceable(tool.parameters):
            spec["toolSpec"]["strict"] = True
        else:
            dropped["strict"] = None
    return [spec, *content.cache_point(tool.cache)]


def _spec(name: str, schema: object) -> dict[str, Any]:
    return {"toolSpec": {"name": name, "inputSchema": {"json": schema}}}


def _output(request: Request, upstream: Upstream, dropped: dict[str, None]) -> dict[str, Any]:
    """`outputConfig`: a schema is JSON in a text. JSON without a schema, or of any shape, cannot be asked for."""
    wanted = request.response_format
    if wanted is None or wanted.kind is FormatKind.TEXT:
        return {}
    if wanted.kind is not FormatKind.SCHEMA or wanted.schema == NO_JSON or not upstream.quirks.json_schema:
        dropped["response_format"] = None
        return {}
    text = bytes(wanted.schema)
    given = _decode(text)
    if is_any_object(given):
        dropped["response_format"] = None
        return {}
    if not is_enforceable(wanted.schema):
        schema, told = enforceable(given)
        dropped.update(dict.fromkeys(told))
        text = _encode(schema)
    definition = {"schema": text.decode()}
    if wanted.name:
        definition["name"] = wanted.name
    if wanted.description:
        definition["description"] = wanted.description
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}}
