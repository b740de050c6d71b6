"""A neutral request as a Gemini one.

What Gemini has no word for is named in `Written.dropped`; what would change the answer's meaning is refused. The model
and whether the answer streams are in the path (`request.path`), not in the body.

Source: the Gemini API reference, `models.generateContent`, and the types of python-genai 3.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.dialects.base import Upstream
from tokenway.dialects.freeform import as_functions
from tokenway.dialects.gemini.contents import Contents
from tokenway.dialects.gemini.schema import HOSTED_TOOLS
from tokenway.dialects.gemini.thinking import thinking_config
from tokenway.dialects.opening import no_opening, opened
from tokenway.dialects.strict import described
from tokenway.model.errors import invalid_request
from tokenway.model.request import KINDS_OF_SUMMARY, NO_JSON, FormatKind, Request, Role, Tool, ToolMode, Written

_encode: Final = msgspec.json.encode

STOPS: Final = 5
"""How many stop sequences Gemini takes."""

_PLAIN: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
"""Fields that only have another name."""
_UNSAID: Final = ("min_p", "repetition_penalty", "user", "prompt_cache_key", "verbosity")
"""Fields that Gemini has no word for."""
_UNSAID_JSON: Final = ("logit_bias", "metadata")

_MODES: Final = {
    ToolMode.AUTO: "AUTO",
    ToolMode.NONE: "NONE",
    ToolMode.REQUIRED: "ANY",
    ToolMode.NAMED: "ANY",
}
_TIERS: Final = {
    "default": "standard",
    "standard": "standard",
    "standard_only": "standard",
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",
}
_TURNS: Final = frozenset({Role.USER, Role.ASSISTANT})
_AS_THE_PROVIDER_LIKES: Final = "auto"


def write(request: Request, upstream: Upstream) -> Written:
    """The body for an upstream; raises Refusal (400) for what cannot be said at all."""
    dropped: dict[str, None] = {}
    request = as_functions(request)
    turns = Contents(upstream, dropped)
    has_turns = any(message.role in _TURNS for message in request.messages)
    for message in request.messages if has_turns else opened(request.messages):
        turns.add(message)
    turns.finish()
    if not turns.contents:
        raise no_opening("of Gemini's")
    body: dict[str, object] = {"contents": turns.contents}
    if turns.system:
        body["systemInstruction"] = {"parts": turns.system}
    _write_tools(request, body, dropped)
    config = _generation(request, upstream, dropped)
    if config:
        body["generationConfig"] = config
    tier = request.service_tier
    if tier in _TIERS:
        body["serviceTier"] = _TIERS[tier]
    elif tier not in {None, _AS_THE_PROVIDER_LIKES}:
        dropped["service_tier"] = None
    for name in _UNSAID:
        if getattr(request, name) is not None:
            dropped[name] = None
    for name in _UNSAID_JSON:
        if getattr(request, name) != NO_JSON:
            dropped[name] = None
    for name in request.rest:
        dropped[name] = None
    return Written(_encode(body), tuple(dropped))


# -- tools -----------------------------------------------------------------------------------------------


def _write_tools(request: Request, body: dict[str, object], dropped: dict[str, None]) -> None:
    functions: list[dict[str, object]] = []
    tools: list[object] = []
    for tool in request.tools:
        if tool.cache:
            dropped["cache_control"] = None
        if tool.hosted in HOSTED_TOOLS:
            tools.append(tool.raw)
        elif tool.hosted:
            dropped[tool.declared] = None
        else:
            functions.append(_declaration(tool, dropped))
    if functions:
        tools.insert(0, {"functionDeclarations": functions})
    if tools:
        body["tools"] = tools
    if request.parallel_tool_calls is False:
        dropped["parallel_tool_calls"] = None
    _write_choice(request, {str(each["name"]) for each in functions}, body, dropped)


def _declaration(tool: Tool, dropped: dict[str, None]) -> dict[str, object]:
    found: dict[str, object] = {"name": tool.name}
    if tool.description:
        found["description"] = tool.description
    if tool.parameters != NO_JSON:
        found["parametersJsonSchema"] = tool.parameters
    if tool.strict:
        dropped["strict"] = None
    return found


def _write_choice(request: Request, known: set[str], body: dict[str, object], dropped: dict[str, None]) -> None:
    """`toolConfig`. Only `ANY` and `VALIDATED` take names: a free choice among some tools is the second."""
    choice = request.tool_choice
    if choice is None:
        return
    names = [name for name in choice.names if name in known]
    if not known or (choice.names and not names):
        if choice.mode in {ToolMode.REQUIRED, ToolMode.NAMED} or choice.names:
            dropped["tool_choice"] = None
        return
    mode = "VALIDATED" if choice.mode is ToolMode.AUTO and names else _MODES[choice.mode]
    config: dict[str, object] = {"mode": mode}
    if names and mode != "NONE":
        config["allowedFunctionNames"] = names
    body["toolConfig"] = {"functionCallingConfig": config}


# -- generationConfig ------------------------------------------------------------------------------------


def _generation(request: Request, upstream: Upstream, dropped: dict[str, None]) -> dict[str, object]:
    config: dict[str, object] = {}
    for name, spelled in _PLAIN.items():
        value = getattr(request, name)
        if value is not None:
            config[spelled] = value
    if len(request.stop) > STOPS:
        raise invalid_request(
            f"A Gemini model takes at most {STOPS} stop sequences, not {len(request.stop)}.",
            param="stop",
            code="unsupported_parameter",
        )
    if request.stop:
        config["stopSequences"] = request.stop
    if request.logprobs:
        config["responseLogprobs"] = True
        if request.top_logprobs is not None:
            config["logprobs"] = request.top_logprobs
    _write_format(request, upstream, config, dropped)
    if request.thinking is not None:
        thinking = thinking_config(request.thinking, upstream.model, request.max_tokens)
        if thinking.members:
            config["thinkingConfig"] = thinking.members
        if not thinking.is_exact:
            dropped[request.thinking.declared] = None
        if request.thinking.summary in KINDS_OF_SUMMARY:
            dropped["summary"] = None
    return config


def _write_format(request: Request, upstream: Upstream, config: dict[str, object], dropped: dict[str, None]) -> None:
    wanted = request.response_format
    if wanted is None or wanted.kind is FormatKind.TEXT:
        return
    config["responseMimeType"] = "application/json"
    if wanted.kind is FormatKind.SCHEMA and wanted.schema != NO_JSON:
        if upstream.quirks.json_schema:
            config["responseJsonSchema"] = described(wanted)
        else:
            dropped["response_format"] = None
