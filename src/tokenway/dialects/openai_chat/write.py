"""Neutral requests as chat requests for an upstream; `write_messages` has the turns.

Servers that speak this dialect differ most in what they refuse, so nothing is sent that was not asked for, and what
only some of them know is sent where their quirks say so (`model.catalog.Quirks`). What cannot be said is declared.
Sources: OpenAI API reference, "Create chat completion"; OpenRouter's guide "Reasoning tokens" for the shares that turn
a budget into an effort.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tokenway.dialects.base import Upstream
from tokenway.dialects.freeform import as_functions
from tokenway.dialects.openai import effort_of, family_of, fitted
from tokenway.dialects.openai_chat.write_messages import DETAILS, Messages
from tokenway.dialects.strict import is_strict
from tokenway.model.catalog import Quirks
from tokenway.model.request import (
    NO_JSON,
    FormatKind,
    Request,
    ResponseFormat,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
    Written,
)

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode

_PLAIN: Final = (
    *("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "n"),
    *("logprobs", "top_logprobs", "user", "prompt_cache_key", "verbosity"),
)
"""Fields that this dialect has under the same name, with the same meaning."""
_EXTRAS: Final = ("top_k", "min_p", "repetition_penalty")
"""Fields that OpenAI does not have, and many others do."""
_CACHING: Final = "prompt_cache_options"
_OWN: Final = frozenset(
    {"audio", "modalities", "moderation", "prediction", _CACHING, "prompt_cache_retention"} | {"web_search_options"}
)
"""Names out of `Request.rest` that are this dialect's own."""
_TIERS: Final = frozenset({"default", "flex", "scale", "priority", "fast"})
"""OpenAI's tiers of service; `auto` is what happens anyway."""

_SCHEMA_NAME: Final = "answer"
"""A schema must have a name here; other dialects have none for it."""


def write_request(request: Request, upstream: Upstream) -> Written:
    """The body for an upstream; raises Refusal (400) for media that cannot be said."""
    quirks = upstream.quirks
    lost: tuple[str, ...] = ()
    if quirks.reasoning_field != DETAILS:  # OpenRouter fits a request to a model itself
        request, lost = fitted(request, upstream.model)
    if not quirks.custom_tools:
        request = as_functions(request)
    messages = Messages(quirks)
    body: dict[str, Any] = {"model": upstream.model, "messages": messages.write(request.messages)}
    dropped = messages.dropped
    dropped |= dict.fromkeys(lost)
    if request.stream:
        body["stream"] = True
        if quirks.usage_flag:
            body["stream_options"] = {"include_usage": True}
    body |= _sampling(request, quirks, dropped)
    body |= _tool_members(request, dropped)
    if request.response_format is not None:
        body |= _format_members(request.response_format, quirks, dropped)
    if request.thinking is not None:
        body |= _thinking_members(request.thinking, request.max_tokens, quirks, dropped)
        if request.thinking.shown and family_of(upstream.model) is not None and quirks.reasoning_field != DETAILS:
            dropped["shown"] = None  # others show what they thought unasked
    body |= _hints(request, dropped)
    if request.continues:
        body |= _continuing(body["messages"][-1], quirks.prefill)
    return Written(_encode(body), tuple(dropped))


def _continuing(last: dict[str, Any], mark: str) -> dict[str, Any]:
    """Marks the last message, the model's, as one to go on with; members for the request, where the mark is there."""
    if mark == "continue_final_message":
        return {mark: True, "add_generation_prompt": False}  # vLLM refuses both at once, and the second is its default
    if mark:
        last[mark] = True
    return {}


def _sampling(request: Request, quirks: Quirks, dropped: dict[str, None]) -> dict[str, Any]:
    """How to draw the answer, and where it ends."""
    members: dict[str, Any] = {}
    if request.max_tokens is not None:
        members[quirks.limit_field] = request.max_tokens
    for name in _PLAIN:
        value = getattr(request, name)
        if value is not None:
            members[name] = value
    for name in _EXTRAS:
        value = getattr(request, name)
        if value is not None and quirks.sampling_extras:
            members[name] = value
        elif value is not None:
            dropped[name] = None
    if request.stop:
        members["stop"] = request.stop
    if request.logit_bias != NO_JSON:
        members["logit_bias"] = request.logit_bias
    return members


def _hints(request: Request, dropped: dict[str, None]) -> dict[str, Any]:
    """What may be left out without another answer: a tier, metadata, and what no neutral field is for."""
    members: dict[str, Any] = {}
    tier = request.service_tier
    if tier in _TIERS:
        members["service_tier"] = tier
    elif tier not in {None, "auto"}:
        dropped["service_tier"] = None
    if request.metadata != NO_JSON:
        dropped["metadata"] = None
    for name, value in request.rest.items():
        if name in _OWN and not request.words and not (name == _CACHING and _is_beyond(value)):
            members[name] = value
        else:
            dropped[name] = None
    return members


def _is_beyond(caching: msgspec.Raw) -> bool:
    """Whether the options of the prompt cache say more than this dialect knows, as the Responses API can."""
    options = _decode(caching)
    return isinstance(options, dict) and (not options.keys() <= {"mode", "ttl"} or options.get("ttl", "30m") != "30m")


# -- tools -----------------------------------------------------------------------------------------------


def _tool_members(request: Request, dropped: dict[str, None]) -> dict[str, Any]:
    """Tools, the choice among them and whether several may be called: the last two only mean something with tools."""
    choice = request.tool_choice
    allowed = choice.names if choice is not None and choice.mode in {ToolMode.AUTO, ToolMode.REQUIRED} else ()
    tools: list[dict[str, Any]] = []
    custom: set[str] = set()
    for tool in request.tools:
        if tool.cache:
            dropped["cache_control"] = None
        if tool.hosted:
            dropped[tool.declared] = None
        elif not allowed or tool.name in allowed:
            tools.append(_tool(tool, dropped))
            custom |= {tool.name} if tool.custom else set()
    if not tools:
        if choice is not None and choice.mode in {ToolMode.REQUIRED, ToolMode.NAMED}:
            dropped["tool_choice"] = None
        return {}
    members: dict[str, Any] = {"tools": tools}
    known = {tool.name for tool in request.tools if not tool.hosted}
    if choice is not None and choice.mode is ToolMode.NAMED and not known.issuperset(choice.names):
        dropped["tool_choice"] = None
    elif choice is not None:
        members["tool_choice"] = _choice(choice, custom)
    if request.parallel_tool_calls is not None:
        members["parallel_tool_calls"] = request.parallel_tool_calls
    return members


def _tool(tool: Tool, dropped: dict[str, None]) -> dict[str, Any]:
    inner: dict[str, Any] = {"name": tool.name}
    if tool.description:
        inner["description"] = tool.description
    if tool.custom:
        return {
            "type": "custom",
            "custom": inner | ({"format": _deep(tool.grammar)} if tool.grammar != NO_JSON else {}),
        }
    if tool.parameters != NO_JSON:
        inner["parameters"] = tool.parameters
    if tool.strict is not None:
        inner["strict"] = _strictness(tool.parameters, dropped, asked=tool.strict)
    return {"type": "function", "function": inner}


def _deep(grammar: msgspec.Raw) -> object:
    """A custom tool's format; the Responses API has what `grammar` holds here beside the type."""
    shape = _decode(grammar)
    if not isinstance(shape, dict) or shape.get("type") != "grammar" or "grammar" in shape:
        return grammar
    return {"type": "grammar", "grammar": {name: value for name, value in shape.items() if name != "type"}}


def _strictness(schema: msgspec.Raw, dropped: dict[str, None], *, asked: bool) -> bool:
    """Whether a schema is strict: OpenAI refuses the word for one with optional members, which others take."""
    if asked and not is_strict(schema):
        dropped["strict"] = None
        return False
    return asked


def _choice(choice: ToolChoice, custom: set[str]) -> Any:
    """A choice that is limited to some tools has been made by sending only those: few servers know `allowed_tools`."""
    if choice.mode is not ToolMode.NAMED or not choice.names:
        return choice.mode.value if choice.mode is not ToolMode.NAMED else "required"
    kind = "custom" if choice.names[0] in custom else "function"
    return {"type": kind, kind: {"name": choice.names[0]}}


# -- what the answer is to be ----------------------------------------------------------------------------


def _format_members(wanted: ResponseFormat, quirks: Quirks, dropped: dict[str, None]) -> Mapping[str, Any]:
    if wanted.kind is FormatKind.TEXT:
        return {}
    if wanted.kind is FormatKind.JSON:
        return {"response_format": {"type": "json_object"}}
    if not quirks.json_schema:
        dropped["response_format"] = None
        return {}
    schema: dict[str, Any] = {"name": wanted.name or _SCHEMA_NAME}
    if wanted.description:
        schema["description"] = wanted.description
    if wanted.schema != NO_JSON:
        schema["schema"] = wanted.schema
    if wanted.strict is not None:
        schema["strict"] = _strictness(wanted.schema, dropped, asked=wanted.strict)
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _thinking_members(
    thinking: Thinking, limit: int | None, quirks: Quirks, dropped: dict[str, None]
) -> Mapping[str, Any]:
    """An effort, or OpenRouter's object, which can say all of it."""
    if quirks.reasoning_field == DETAILS:
        return _reasoning_object(thinking)
    if thinking.shown is False:
        dropped["shown"] = None
    if thinking.summary is not None:
        dropped["summary"] = None
    effort = effort_of(thinking, limit)
    return {} if effort is None else {"reasoning_effort": effort}


def _reasoning_object(thinking: Thinking) -> Mapping[str, Any]:
    members: dict[str, Any] = {}
    if thinking.effort is not None:
        members["effort"] = thinking.effort
    elif thinking.budget is not None and thinking.budget > 0:
        members["max_tokens"] = thinking.budget
    elif thinking.budget == 0:
        members["enabled"] = False
    elif thinking.enabled is not None:
        members["enabled"] = thinking.enabled
    if thinking.shown is False:
        members["exclude"] = True
    if thinking.summary is not None:
        members["summary"] = thinking.summary
    return {"reasoning": members} if members else {}
