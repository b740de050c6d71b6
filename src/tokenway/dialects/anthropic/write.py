"""Neutral requests written for an Anthropic upstream.

System and developer messages are collected in `system`, turns of one role are joined, results of tools begin the turn
that follows their calls. What the model's family does not take (`families`) is left out and declared, so that a call
succeeds where its caller could not know better. Sources: Anthropic API reference, Messages; Tool use; Thinking;
Structured outputs.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from tokenway.dialects.anthropic.blocks import Block, Blocks, cache_control, text_block, unsupported
from tokenway.dialects.anthropic.families import family_of
from tokenway.dialects.anthropic.search import SEARCH_OPTIONS, SEARCHES, is_live, search_tool
from tokenway.dialects.anthropic.thinking import Plan, plan
from tokenway.dialects.base import Upstream
from tokenway.dialects.freeform import as_functions
from tokenway.dialects.opening import no_opening, opened
from tokenway.dialects.strict import described, enforceable, is_any_object, is_enforceable
from tokenway.model.request import (
    NO_JSON,
    FormatKind,
    Media,
    Request,
    Role,
    Tool,
    ToolCall,
    ToolMode,
    Written,
)

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode

_OWN_TOOL: Final = re.compile(r"[a-z0-9_]+_20[0-9]{6}")
"""How the types of Anthropic's own tools are called: a name and the day of its version."""
_TIERS: Final = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_LEAST_TOP_P: Final = 0.95
"""The least top_p that goes together with thinking."""
_HINTS: Final = (
    *("min_p", "seed", "logprobs", "top_logprobs", "frequency_penalty", "presence_penalty", "repetition_penalty"),
    *("prompt_cache_key", "verbosity", "n"),
)
"""Fields that Anthropic has nothing for."""
_NEUTRAL: Final = {
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "repetition_penalty": 1,
    "logprobs": False,
    "min_p": 0,
    "n": 1,
}
"""Values that ask for nothing."""


class _Writing:
    """One request in the writing: the body so far and what was left out."""

    def __init__(self, request: Request, upstream: Upstream) -> None:
        self.request = request
        self.upstream = upstream
        self.family = family_of(upstream.model)
        self.dropped: dict[str, None] = {}
        self.blocks = Blocks(self.drop, has_urls=upstream.quirks.image_urls)
        self.searches = SEARCH_OPTIONS in request.rest and not request.words
        """Whether OpenAI's member asks for a web search."""
        self.callable: dict[str, str] = {}
        """The names of the caller's tools that the model may call, and what they are called here."""
        self.may_call = True
        """Whether there is any tool that the model may call."""
        self.body: dict[str, Any] = {"model": upstream.model, "max_tokens": self.limit()}

    def drop(self, name: str) -> None:
        """Something cannot be said: declared once, in the order in which it is found."""
        self.dropped.setdefault(name)

    def limit(self) -> int:
        """The answer's limit, which Anthropic must be told: the caller's, else the most that the model can."""
        most = self.upstream.capabilities.max_output
        asked = self.request.max_tokens
        if asked is None:
            return most or self.family.max_output
        return min(asked, most) if most else asked

    # -- conversation ------------------------------------------------------------------------------------

    def conversation(self) -> list[dict[str, Any]]:
        """The turns; puts the system's messages into the body."""
        system: list[Block] = []
        turns: list[dict[str, Any]] = []
        for message in opened(self.request.messages):
            if message.name:
                self.drop("name")
            is_system = message.role in {Role.SYSTEM, Role.DEVELOPER}
            for part in message.parts if is_system else ():
                if isinstance(part, Media):
                    raise unsupported(part, "Anthropic takes text only in a system message")
            blocks = self.blocks.of(message)
            if is_system:
                system += blocks
            elif not blocks:
                continue
            elif turns and turns[-1]["role"] == message.role.value:
                turns[-1]["content"] = _results_first([*turns[-1]["content"], *blocks])
            else:
                turns.append({"role": message.role.value, "content": blocks})
        if not turns or turns[0]["role"] != Role.USER.value:
            raise no_opening("of Anthropic's")
        if system:
            self.body["system"] = system
        if turns and turns[-1]["role"] == "assistant":
            _trim(turns[-1]["content"])
        self.body["messages"] = turns
        return turns

    # -- tools -------------------------------------------------------------------------------------------

    def tools(self) -> list[dict[str, Any] | msgspec.Raw]:
        """The tools that may be called."""
        request = self.request
        choice = request.tool_choice
        only = set(choice.names) if choice is not None and choice.mode is not ToolMode.NAMED else set()
        offered = [tool for tool in request.tools if not only or tool.name in only]
        shapes = [(tool.name, self.tool(tool)) for tool in offered]
        written = [shape for _, shape in shapes if shape is not None]
        self.callable = {
            name: shape["name"] if isinstance(shape, dict) else name for name, shape in shapes if shape is not None
        }
        if self.searches and not any(tool.hosted in SEARCHES for tool in request.tools):
            written.append(search_tool(request.rest[SEARCH_OPTIONS], "", self.drop))
        if not written:
            # Calls in the conversation need their tools described, also where none may be called any more.
            self.may_call = False
            names = {part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)}
            written = [{"name": name, "input_schema": {"type": "object"}} for name in sorted(names)]
        return written

    def tool(self, tool: Tool) -> dict[str, Any] | msgspec.Raw | None:
        """One tool; None where Anthropic has nothing like it."""
        if tool.hosted:
            if _OWN_TOOL.fullmatch(tool.hosted):
                return tool.raw
            if tool.hosted in SEARCHES and is_live(tool.raw):
                return search_tool(tool.raw, tool.hosted, self.drop)
            self.drop(tool.declared)
            return None
        shape: dict[str, Any] = {"name": tool.name}
        if tool.description:
            shape["description"] = tool.description
        shape["input_schema"] = _input_schema(tool.parameters)
        if tool.strict:
            if self.family.has_schema and is_enforceable(tool.parameters):
                shape["strict"] = True
            else:
                self.drop("strict")
        if tool.cache:
            shape["cache_control"] = cache_control(tool.cache)
        return shape

    def choice(self, *, has_tools: bool, thinks: bool) -> dict[str, Any] | None:
        """Which tools to call: a call cannot be forced while the model thinks."""
        request = self.request
        choice = request.tool_choice
        forced = choice is not None and choice.mode in {ToolMode.REQUIRED, ToolMode.NAMED}
        if not self.may_call:
            if forced:
                self.drop("tool_choice")
            return {"type": "none"} if has_tools else None
        shape: dict[str, Any] | None = None
        if choice is not None:
            if forced and thinks:
                self.drop("tool_choice")
                shape = {"type": "auto"}
            elif choice.mode is ToolMode.NAMED and choice.names[0] not in self.callable:
                self.drop("tool_choice")
            elif choice.mode is ToolMode.NAMED:
                shape = {"type": "tool", "name": self.callable[choice.names[0]]}
            else:
                shape = {"type": {ToolMode.REQUIRED: "any"}.get(choice.mode, choice.mode.value)}
        if request.parallel_tool_calls is False and (shape is None or shape["type"] != "none"):
            shape = {**(shape or {"type": "auto"}), "disable_parallel_tool_use": True}
        return shape

    # -- the rest ----------------------------------------------------------------------------------------

    def thinking(self, turns: list[dict[str, Any]]) -> Plan:
        """How the model thinks, with `output_config`; a schema for the answer stands there too."""
        request = self.request
        may_think = not _is_in_unthought_loop(turns)
        limit = self.body["max_tokens"]
        found = plan(request.thinking, self.family, limit, self.drop, may_think=may_think)
        forced = request.tool_choice is not None and request.tool_choice.mode in {ToolMode.REQUIRED, ToolMode.NAMED}
        if forced and request.tools and found.thinking is None and found.is_on and self.family.off:
            # The caller did not ask for thinking, but for a call.
            found = Plan({"type": self.family.off})
        config: dict[str, Any] = {}
        if found.effort is not None:
            config["effort"] = found.effort
        wanted = request.response_format
        if wanted is not None and wanted.kind is not FormatKind.TEXT:
            can = self.family.has_schema and self.upstream.quirks.json_schema
            if wanted.kind is FormatKind.SCHEMA and can and not is_any_object(_decode(wanted.schema)):
                schema, told = enforceable(_decode(described(wanted)))
                config["format"] = {"type": "json_schema", "schema": schema}
                for name in told:
                    self.drop(name)
            else:
                self.drop("response_format")
        if found.thinking is not None:
            self.body["thinking"] = found.thinking
        if config:
            self.body["output_config"] = config
        return found

    def sampling(self, *, thinks: bool) -> None:
        """Temperature and the like, as far as the family and thinking let them be."""
        request, family = self.request, self.family
        if thinks or not family.samples:
            for name in ("temperature", "top_k"):
                value = getattr(request, name)
                if value is not None and not (name == "temperature" and value == 1):
                    self.drop(name)
            if request.top_p is not None:
                if family.samples and request.top_p >= _LEAST_TOP_P:
                    self.body["top_p"] = request.top_p
                elif request.top_p != 1:
                    self.drop("top_p")
            return
        if request.temperature is not None:
            self.body["temperature"] = self._bounded(request.temperature)
        if request.top_p is not None:
            if request.temperature is None or family.samples_by_both:
                self.body["top_p"] = request.top_p
            elif request.top_p != 1:
                self.drop("top_p")
        if request.top_k is not None:
            self.body["top_k"] = request.top_k

    def _bounded(self, temperature: float) -> float:
        """The nearest temperature that Anthropic takes; that it is another one is declared."""
        bounded = min(max(temperature, 0), 1)
        if bounded != temperature:
            self.drop("temperature")
        return bounded

    def others(self) -> None:
        """What is left, said or declared."""
        request = self.request
        stops = [text for text in request.stop if text.strip()]
        if len(stops) < len(request.stop):
            self.drop("stop")
        if stops:
            self.body["stop_sequences"] = stops
        if request.user:
            self.body["metadata"] = {"user_id": request.user}
        if request.service_tier is not None:
            tier = _TIERS.get(request.service_tier)
            if tier is None:
                self.drop("service_tier")
            else:
                self.body["service_tier"] = tier
        for name in _HINTS:
            value = getattr(request, name)
            if value is not None and value != _NEUTRAL.get(name):
                self.drop(name)
        given = [name for name in ("logit_bias", "metadata") if getattr(request, name) != NO_JSON]
        for name in (*given, *(name for name in request.rest if not (self.searches and name == SEARCH_OPTIONS))):
            self.drop(name)
        if request.stream:
            self.body["stream"] = True


def write(request: Request, upstream: Upstream) -> Written:
    """The body for an Anthropic upstream; raises Refusal (400) for what cannot be said to it at all."""
    writing = _Writing(as_functions(request), upstream)
    turns = writing.conversation()
    tools = writing.tools()
    found = writing.thinking(turns)
    if tools:
        writing.body["tools"] = tools
    choice = writing.choice(has_tools=bool(tools), thinks=found.is_on)
    if choice is not None:
        writing.body["tool_choice"] = choice
    writing.sampling(thinks=found.is_on)
    writing.others()
    return Written(_encode(writing.body), tuple(writing.dropped))


def _input_schema(parameters: msgspec.Raw) -> msgspec.Raw | dict[str, Any]:
    """A tool's schema: as it was written, since it is part of what a prompt cache knows; it must say `object`."""
    if parameters == NO_JSON:
        return {"type": "object", "properties": {}}
    schema = _decode(parameters)
    if not isinstance(schema, dict):
        return {"type": "object"}
    return parameters if "type" in schema else {"type": "object", **schema}


def _results_first(blocks: list[Block]) -> list[Block]:
    """A turn's blocks, results of tools before everything else, else in their order."""
    return sorted(blocks, key=lambda block: not (isinstance(block, dict) and block["type"] == "tool_result"))


def _trim(blocks: list[Block]) -> None:
    """The text that the model is to continue may not end with a space."""
    last = blocks[-1]
    if isinstance(last, dict) and last["type"] == "text":
        blocks[-1] = {**text_block(last["text"].rstrip()), **{k: v for k, v in last.items() if k == "cache_control"}}


def _is_in_unthought_loop(turns: list[dict[str, Any]]) -> bool:
    """Whether the last turn gives results for calls that were made without a thought.

    Models that think by a budget refuse to begin in the middle of such a turn.
    """
    if len(turns) < 2 or turns[-1]["role"] != "user" or turns[-2]["role"] != "assistant":
        return False
    first, before = turns[-1]["content"][0], turns[-2]["content"][0]
    answers = isinstance(first, dict) and first["type"] == "tool_result"
    thought = isinstance(before, dict) and before["type"] in {"thinking", "redacted_thinking"}
    return answers and not thought
