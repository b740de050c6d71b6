"""The neutral request as a body for an upstream that speaks the Responses API.

What the API cannot say is declared: sampling beyond temperature and `top_p`, stop sequences, names of
participants, breakpoints of the prompt cache, other vendors' tools and sealed reasoning. The upstream is asked to keep
nothing (`store`) and to give its reasoning in sealed form, because the conversation stays with the caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tokenway.dialects.base import Upstream
from tokenway.dialects.openai import family_of, fitted
from tokenway.dialects.openai_responses.content import unsupported, write_part
from tokenway.dialects.openai_responses.schema import ENCRYPTED, HOSTED_ITEMS, LOGPROBS, NOTHING
from tokenway.dialects.openai_responses.settings import write_format, write_thinking, write_tool_choice, write_tools
from tokenway.dialects.seal import OPENAI
from tokenway.model.request import (
    Foreign,
    FormatKind,
    Media,
    MediaKind,
    Message,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Written,
)

_encode: Final = msgspec.json.encode
_decode_names: Final = msgspec.json.Decoder(list[str]).decode

_CARRIED: Final = (
    "include",
    "max_tool_calls",
    "moderation",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "truncation",
)
"""Members of `Request.rest` that this API has under the same name and with the same meaning."""
_TIERS: Final = frozenset({"auto", "default", "fast", "flex", "priority", "scale", "ultrafast"})
_USER_LENGTH: Final = 128
"""Characters of a `safety_identifier`; a longer one is refused by OpenAI."""
_SAME: Final = ("temperature", "top_p", "parallel_tool_calls", "prompt_cache_key")
_UNSAYABLE: Final = (
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "stop",
    "logit_bias",
)
_OWN_IDS: Final = re.compile(r"rs_\w+")


def write(request: Request, upstream: Upstream) -> Written:
    """The body and what it leaves out; raises Refusal (400) for media that the API has no part for."""
    request, lost = fitted(request, upstream.model)
    dropped = [*lost]
    messages, instructions = _instructions(request.messages)
    body: dict[str, object] = {"model": upstream.model}
    if instructions:
        body["instructions"] = instructions
    body["input"] = _Input(upstream, dropped).items(messages)
    if request.stream:
        body["stream"] = True
    _write_tools(request, body, dropped)
    _write_settings(request, upstream, body, dropped)
    return Written(_encode(body), tuple(dict.fromkeys(dropped)))


def _instructions(messages: Sequence[Message]) -> tuple[Sequence[Message], str]:
    """A first system message of one text is `instructions`; what is left is the input."""
    if len(messages) > 1 and messages[0].role is Role.SYSTEM and not messages[0].name:
        parts = messages[0].parts
        if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].text and not parts[0].cache:
            return messages[1:], parts[0].text
    return messages, ""


def _write_tools(request: Request, body: dict[str, object], dropped: list[str]) -> None:
    tools = write_tools(request.tools, dropped)
    if tools:
        body["tools"] = tools
    if request.tool_choice is not None:
        choice = write_tool_choice(request.tool_choice, request.tools)
        if choice is None:
            dropped.append("tool_choice")
        else:
            body["tool_choice"] = choice


def _write_settings(request: Request, upstream: Upstream, body: dict[str, object], dropped: list[str]) -> None:
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    for name in _SAME:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    text: dict[str, object] = {}
    wanted = request.response_format
    if wanted is not None:
        if wanted.kind is FormatKind.SCHEMA and not upstream.quirks.json_schema:
            dropped.append("response_format")
        else:
            text["format"] = write_format(wanted, dropped)
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    if text:
        body["text"] = text
    reasoning = write_thinking(request)
    if reasoning:
        body["reasoning"] = reasoning
    _write_hints(request, body, dropped)
    _write_rest(request, upstream, body, dropped)
    dropped.extend(name for name in _UNSAYABLE if getattr(request, name) not in (None, (), *NOTHING))
    if request.n is not None and request.n > 1:
        dropped.append("n")


def _write_hints(request: Request, body: dict[str, object], dropped: list[str]) -> None:
    """What helps the provider and changes nothing in the answer."""
    if request.user is not None:
        if len(request.user) <= _USER_LENGTH:
            body["safety_identifier"] = request.user
        else:
            dropped.append("user")
    if request.metadata not in NOTHING:
        body["metadata"] = request.metadata
    if request.service_tier is not None:
        if request.service_tier in _TIERS:
            body["service_tier"] = request.service_tier
        else:
            dropped.append("service_tier")


def _write_rest(request: Request, upstream: Upstream, body: dict[str, object], dropped: list[str]) -> None:
    includes: list[str] = []
    for name, raw in request.rest.items():
        if name not in _CARRIED or request.words:
            dropped.append(name)
        elif name == "include":
            includes += _decode_names(raw)
        else:
            body[name] = raw
    if request.logprobs:
        includes.append(LOGPROBS)
        if request.top_logprobs is not None:
            body["top_logprobs"] = request.top_logprobs
    family = family_of(upstream.model)
    if upstream.quirks.encrypted_reasoning and (family is None or family.efforts):
        includes.append(ENCRYPTED)
    if includes:
        body["include"] = list(dict.fromkeys(includes))
    body.setdefault("store", False)


class _Input:
    """The items of `input` in the making."""

    def __init__(self, upstream: Upstream, dropped: list[str]) -> None:
        self._image_urls = upstream.quirks.image_urls
        self._dropped = dropped
        self._items: list[object] = []

    def items(self, messages: Iterable[Message]) -> list[object]:
        """All messages as items, in their order."""
        for message in messages:
            if message.name:
                self._dropped.append("name")
            self._message(message)
        return self._items

    def _message(self, message: Message) -> None:
        """A message's text and media are one item up to the next part that is an item of its own."""
        content: list[object] = []
        for part in message.parts:
            if isinstance(part, Text | Media | ToolResult | ToolCall) and part.cache:
                self._dropped.append("cache_control")
            if isinstance(part, Text | Media | Refusal):
                content.append(self._content(part, message.role))
                continue
            self._say(message.role, content)
            content = []
            self._own_item(part)
        self._say(message.role, content)

    def _say(self, role: Role, content: list[object]) -> None:
        if content:
            self._items.append({"type": "message", "role": role.value, "content": content})

    def _content(self, part: Text | Media | Refusal, role: Role) -> object:
        if role is not Role.ASSISTANT:
            self._note_title(part)
            return write_part(Text(part.text) if isinstance(part, Refusal) else part, image_urls=self._image_urls)
        if isinstance(part, Refusal):
            return {"type": "refusal", "refusal": part.text}
        if isinstance(part, Media):
            raise unsupported(part)
        return {"type": "output_text", "text": part.text, "annotations": []}

    def _note_title(self, part: Text | Media | Refusal) -> None:
        """Only a document whose content is in the request has a name."""
        if isinstance(part, Media) and part.title and (part.kind is not MediaKind.DOCUMENT or part.url or part.file_id):
            self._dropped.append("title")

    def _own_item(self, part: Reasoning | ToolCall | ToolResult | Foreign) -> None:
        if isinstance(part, ToolCall):
            self._call(part)
        elif isinstance(part, ToolResult):
            self._result(part)
        elif isinstance(part, Reasoning):
            self._reasoning(part)
        elif part.name in HOSTED_ITEMS and part.format in {"", OPENAI}:
            self._items.append(part.raw)
        else:
            self._dropped.append(part.name)

    def _call(self, call: ToolCall) -> None:
        if call.signature:
            self._dropped.append("reasoning")
        shape: dict[str, object] = {
            "type": "custom_tool_call" if call.custom else "function_call",
            "call_id": call.id,
            "name": call.name,
        }
        if call.custom:
            shape["input"] = call.arguments
        else:
            shape["arguments"] = call.arguments or "{}"
        self._items.append(shape)

    def _result(self, result: ToolResult) -> None:
        """A tool's output: a text, or a list of parts where there is more than one or media."""
        parts = result.content
        if result.is_error:  # the API has no field for it
            first = parts[0] if parts else Text("")
            parts = (Text(f"Error: {first.text}"), *parts[1:]) if isinstance(first, Text) else (Text("Error:"), *parts)
        for part in parts:
            self._note_title(part)
            if part.cache:
                self._dropped.append("cache_control")
        output: object
        if len(parts) == 1 and isinstance(parts[0], Text):
            output = parts[0].text
        else:
            output = [write_part(part, image_urls=self._image_urls) for part in parts] or ""
        kind = "custom_tool_call_output" if result.custom else "function_call_output"
        self._items.append({"type": kind, "call_id": result.id, "output": output})

    def _reasoning(self, reasoning: Reasoning) -> None:
        """The vendor's own sealed reasoning; any other cannot be given to this vendor."""
        if not reasoning.sealed or reasoning.format != OPENAI:
            self._dropped.append("reasoning")
            return
        shape: dict[str, object] = {"type": "reasoning", "summary": []}
        if _OWN_IDS.fullmatch(reasoning.id):
            shape["id"] = reasoning.id
        if reasoning.text and reasoning.summary:
            shape["summary"] = [{"type": "summary_text", "text": reasoning.text}]
        elif reasoning.text:
            shape["content"] = [{"type": "reasoning_text", "text": reasoning.text}]
        shape["encrypted_content"] = reasoning.sealed
        self._items.append(shape)
