"""Requests of the chat dialect in the neutral form: chat completions, and legacy completions as chats of one turn.

`read_messages` has the turns; here is the rest of the body. What no neutral field is for (`prediction`, `modalities`,
`store`, what one server alone knows) stays in `Request.rest` under its own name.
A value that asks for what happens anyway (`n: 1`, a penalty of 0) is not said at all.
Sources: OpenAI API reference, "Create chat completion" and "Create completion"; OpenRouter's API reference for
`reasoning` and the members that are meant for a gateway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tokenway.dialects.base import GATEWAY_FIELDS
from tokenway.dialects.openai_chat.leftover import leftover
from tokenway.dialects.openai_chat.read_messages import Conversation, cache_of
from tokenway.dialects.walk import Node, walk
from tokenway.model.catalog import Operation
from tokenway.model.errors import invalid_request
from tokenway.model.request import (
    NO_JSON,
    FormatKind,
    Message,
    Request,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
)

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_EFFORTS: Final[dict[str, str | None]] = {**{effort: effort for effort in EFFORTS}, "default": None}
"""`default` is Groq's word for not saying it."""

_MODES: Final = {
    "auto": ToolMode.AUTO,
    "none": ToolMode.NONE,
    "required": ToolMode.REQUIRED,
    "any": ToolMode.REQUIRED,
}
"""`any` is Mistral's."""

_FORMATS: Final = {kind.value: kind for kind in FormatKind}
_THINKING: Final = {"enabled": True, "adaptive": True, "disabled": False}

_SILENT: Final = frozenset(
    {
        *GATEWAY_FIELDS,
        *("model", "stream", "stream_options", "usage", "trace", "debug"),
        *("reasoning", "reasoning_effort"),
    }
)
"""What is read elsewhere, or what no upstream has any business with."""

_NOTHING_SAID: Final[dict[str, Any]] = {
    "store": False,
    "modalities": ["text"],
    "echo": False,
    "best_of": 1,
    "plugins": [],
    "transforms": [],
}
"""Values that ask for what happens anyway."""

_COMPLETION_ONLY: Final = frozenset({"logprobs"})
"""Fields that mean something else in a legacy completion."""


def read(operation: Operation, body: bytes, model: str, *, stream: bool) -> Request:
    """The neutral form of a body; raises Refusal (400) that names the field which is wrong."""
    if operation is Operation.EMBEDDING:
        raise invalid_request("Embeddings are not translated to another dialect.", code="unsupported_operation")
    node = walk(body)
    is_completion = operation is Operation.COMPLETION
    messages = _prompt(node.need("prompt")) if is_completion else _messages(node.need("messages"))
    known = {"prompt"} if is_completion else {"messages"}
    fields: dict[str, Any] = {"thinking": _thinking(node)}
    rest: dict[str, msgspec.Raw] = {}
    for name, member in node.members():
        if name in _SILENT or name in known or (name == "thinking" and _vendor_thinking(node) is not None):
            continue
        step = None if is_completion and name in _COMPLETION_ONLY else _FIELDS.get(name)
        if step is not None:
            field, value = step[0], step[1](member)
            merge = _MERGED.get(field)
            fields[field] = merge(fields[field], value) if merge is not None and field in fields else value
        elif name not in _NOTHING_SAID or member.value != _NOTHING_SAID[name]:
            rest[name] = member.raw()
    return Request(model, messages, stream, rest={**leftover(node), **rest}, **fields)


def _messages(node: Node) -> tuple[Message, ...]:
    conversation = Conversation()
    for item in node.items():
        conversation.take(item)
    conversation.flush()
    if not conversation.turns:
        raise node.wrong("it must have at least one message with content")
    return tuple(conversation.turns)


def _prompt(node: Node) -> tuple[Message, ...]:
    """One prompt as one user's turn."""
    prompt = node
    if node.is_list:
        items = node.items()
        if len(items) > 1 and items[0].value.__class__ in {str, list}:
            raise node.wrong("several prompts in one request are not served by this model", code="unsupported_value")
        if len(items) != 1 or not items[0].is_text:
            raise node.wrong("a prompt of token ids is not served by this model", code="unsupported_value")
        prompt = items[0]
    return (Message(Role.USER, (Text(prompt.text()),)),)


# -- tools -----------------------------------------------------------------------------------------------


def _tools(node: Node) -> tuple[Tool, ...]:
    return tuple(_tool(item) for item in node.items())


def _tool(node: Node) -> Tool:
    """A function, a tool of free text, or a vendor's own; a few clients leave a function's type away."""
    kind = node.at("type")
    name = "function" if kind is None else kind.text()
    if name == "function":
        function = node.need("function")
        tool = _function_tool(function)
        return msgspec.structs.replace(tool, cache=cache_of(node) or cache_of(function))
    if name == "custom":
        custom = node.need("custom")
        grammar = custom.at("format")
        return Tool(
            custom.need("name").text(),
            _text_at(custom, "description"),
            custom=True,
            grammar=NO_JSON if grammar is None else grammar.raw(),
            cache=cache_of(node),
        )
    return Tool(_text_at(node, "name") or name, hosted=name, raw=node.raw())


def _function_tool(node: Node) -> Tool:
    parameters, strict = node.at("parameters"), node.at("strict")
    return Tool(
        node.need("name").text(),
        _text_at(node, "description"),
        NO_JSON if parameters is None else _schema(parameters),
        None if strict is None else strict.flag(),
    )


def _schema(node: Node) -> msgspec.Raw:
    if not node.is_object:
        raise node.wrong("it must be a JSON schema, which is an object", code="invalid_type")
    return node.raw()


def _functions(node: Node) -> tuple[Tool, ...]:
    return tuple(_function_tool(item) for item in node.items())


def _text_at(node: Node, key: str) -> str:
    found = node.at(key)
    return "" if found is None else found.text()


def _tool_choice(node: Node) -> ToolChoice:
    if node.is_text:
        return ToolChoice(node.one_of(_MODES))
    kind = node.need("type").one_of({"function": "function", "custom": "custom", "allowed_tools": ""})
    if kind:
        return ToolChoice(ToolMode.NAMED, (node.need(kind).need("name").text(),))
    allowed = node.at("allowed_tools") or node
    mode = allowed.need("mode").one_of({"auto": ToolMode.AUTO, "required": ToolMode.REQUIRED})
    return ToolChoice(mode, tuple(_allowed(item) for item in allowed.need("tools").items()))


def _allowed(node: Node) -> str:
    inner = node.at("function") or node.at("custom") or node
    return inner.need("name").text()


def _function_choice(node: Node) -> ToolChoice:
    if node.is_text:
        return ToolChoice(node.one_of({"auto": ToolMode.AUTO, "none": ToolMode.NONE}))
    return ToolChoice(ToolMode.NAMED, (node.need("name").text(),))


# -- the other fields ------------------------------------------------------------------------------------


def _response_format(node: Node) -> ResponseFormat:
    kind = node.need("type").one_of(_FORMATS)
    if kind is not FormatKind.SCHEMA:
        return ResponseFormat(kind)
    inner = node.need("json_schema")
    schema, strict = inner.need("schema"), inner.at("strict")
    return ResponseFormat(
        kind,
        _text_at(inner, "name"),
        _schema(schema),
        _text_at(inner, "description"),
        None if strict is None else strict.flag(),
    )


def _thinking(node: Node) -> Thinking | None:
    """How much to reason, from the three fields that say it; where they differ, the most telling counts."""
    reasoning, effort = node.at("reasoning"), node.at("reasoning_effort")
    said = [
        None if reasoning is None else _reasoning(reasoning),
        None if effort is None else Thinking(effort=effort.one_of(_EFFORTS)),
        _vendor_thinking(node),
    ]
    found = [msgspec.structs.astuple(each) for each in said if each is not None]
    if not found:
        return None
    return Thinking(
        *(next((value for value in values if value is not None), None) for values in zip(*found, strict=True))
    )


def _reasoning(node: Node) -> Thinking:
    """OpenRouter's `reasoning` object; the Responses API's `summary` stands there as well."""
    effort, budget = node.at("effort"), node.at("max_tokens")
    enabled, exclude, summary = node.at("enabled"), node.at("exclude"), node.at("summary")
    return Thinking(
        effort=None if effort is None else effort.one_of(_EFFORTS),
        budget=None if budget is None else budget.whole(-1),
        enabled=None if enabled is None else enabled.flag(),
        shown=None if exclude is None else not exclude.flag(),
        summary=None if summary is None else summary.text(),
    )


def _vendor_thinking(node: Node) -> Thinking | None:
    """The `thinking` object of Anthropic, DeepSeek and Z.AI, which clients send in this dialect too.

    It is understood where it says no more than whether and how much; else it stays a field of one vendor.
    """
    thinking = node.at("thinking")
    if thinking is None or not thinking.is_object or not set(thinking.value) <= {"type", "budget_tokens"}:
        return None
    enabled = _THINKING.get(_text_at(thinking, "type"))
    budget = thinking.at("budget_tokens")
    return None if enabled is None else Thinking(enabled=enabled, budget=None if budget is None else budget.whole(0))


def _stop(node: Node) -> tuple[str, ...]:
    return (node.text(),) if node.is_text else tuple(item.text() for item in node.items())


def _object(node: Node) -> msgspec.Raw:
    if not node.is_object:
        raise node.wrong("it must be an object", code="invalid_type")
    return node.raw() if node.value else NO_JSON


def _limit(node: Node) -> int:
    return node.whole(1)


def _penalty(node: Node) -> float | None:
    return node.number() or None


def _repetition(node: Node) -> float | None:
    return None if node.number() == 1 else node.number()


def _top_k(node: Node) -> int | None:
    """A limit; -1 (vLLM) and 0 (OpenRouter) are none."""
    return found if (found := node.whole(-1)) > 0 else None


def _count(node: Node) -> int | None:
    return node.whole(0) or None


def _answers(node: Node) -> int | None:
    return found if (found := node.whole(1)) > 1 else None


def _flag(node: Node) -> bool | None:
    return node.flag() or None


_FIELDS: Final[dict[str, tuple[str, Callable[[Node], Any]]]] = {
    "tools": ("tools", _tools),
    "functions": ("tools", _functions),
    "tool_choice": ("tool_choice", _tool_choice),
    "function_call": ("tool_choice", _function_choice),
    "parallel_tool_calls": ("parallel_tool_calls", Node.flag),
    "response_format": ("response_format", _response_format),
    "max_tokens": ("max_tokens", _limit),
    "max_completion_tokens": ("max_tokens", _limit),
    "temperature": ("temperature", Node.number),
    "top_p": ("top_p", Node.number),
    "top_k": ("top_k", _top_k),
    "min_p": ("min_p", _penalty),
    "frequency_penalty": ("frequency_penalty", _penalty),
    "presence_penalty": ("presence_penalty", _penalty),
    "repetition_penalty": ("repetition_penalty", _repetition),
    "seed": ("seed", Node.whole),
    "stop": ("stop", _stop),
    "logit_bias": ("logit_bias", _object),
    "logprobs": ("logprobs", _flag),
    "top_logprobs": ("top_logprobs", _count),
    "n": ("n", _answers),
    "user": ("user", Node.text),
    "safety_identifier": ("user", Node.text),
    "metadata": ("metadata", _object),
    "service_tier": ("service_tier", Node.text),
    "prompt_cache_key": ("prompt_cache_key", Node.text),
    "verbosity": ("verbosity", Node.text),
}
"""The caller's field to the neutral one, and its reader."""

_MERGED: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "tools": lambda former, later: former + later,
    "max_tokens": max,
}
"""Neutral fields that two of the caller's may fill: what then counts. Of others, the one that comes last."""
