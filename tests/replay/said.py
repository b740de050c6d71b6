"""What an answer says, read from its bytes by hand: no code of the gateway, no neutral form, no SDK.

One small reader for each dialect, for whole answers and for streams. What they find can be compared across dialects:
text with refusals, reasoning, tool calls with their arguments as JSON, why it ended, and the provider's totals.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.fake_provider.aws import split
from tokenway.model.catalog import Dialect

Json = dict[str, Any]


@dataclass(frozen=True)
class Counts:
    """Tokens: cached ones are part of the input, reasoning is part of the output; None is not said."""

    input: int
    output: int
    cached: int = 0
    reasoning: int | None = None


@dataclass(frozen=True)
class Said:
    """One answer's first choice. `calls` are names and arguments, as JSON with sorted keys."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: str = ""
    counts: Counts | None = None
    refused: bool = False
    """Whether the text is a refusal in a place of its own, which only OpenAI's dialects have."""


@dataclass
class Draft:
    """An answer in the making."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[Any, list[str]] = field(default_factory=dict)
    """Place to name and pieces of arguments."""
    finish: str = ""
    counts: Counts | None = None
    refused: bool = False

    def call(self, place: Any, name: str, arguments: Any = "") -> None:
        """A tool call begins, or is told whole."""
        self.calls[place] = [name, arguments if isinstance(arguments, str) else json.dumps(arguments)]

    def said(self) -> Said:
        """All of it."""
        calls = tuple((name, spelled("".join(rest))) for name, *rest in self.calls.values())
        return Said("".join(self.text), "".join(self.reasoning), calls, self.finish, self.counts, self.refused)


def spelled(arguments: str) -> str:
    """Arguments in one spelling; text that is no JSON stays as it is, and no arguments are an empty object."""
    try:
        return json.dumps(json.loads(arguments or "{}"), ensure_ascii=False, sort_keys=True)
    except ValueError:
        return arguments


def events(body: bytes) -> Iterator[Json]:
    """The objects of a stream of server-sent events."""
    for block in re.split(r"\r?\n\r?\n", body.decode()):
        data = "\n".join(line[5:].lstrip(" ") for line in block.splitlines() if line.startswith("data:"))
        if data and not data.startswith("[DONE]"):
            yield json.loads(data)


# -- OpenAI chat -------------------------------------------------------------------------------------------

CHAT_FINISHES: Final = {"function_call": "tool_calls", "": "stop"}


CACHED: Final = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
"""Where DeepSeek, Moonshot and Mistral tell what came out of the cache."""


def chat_counts(usage: Json | None) -> Counts | None:
    """The totals of a chat's usage; xAI and Google keep reasoning out of the completion, as their total shows."""
    if not usage:
        return None
    inside = usage.get("prompt_tokens_details") or {}
    outside = usage.get("completion_tokens_details") or {}
    came, went = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    reasoning = outside.get("reasoning_tokens") or 0
    hidden = (usage.get("total_tokens") or 0) - came - went
    if hidden > 0 and (hidden == reasoning or not (inside or outside)):
        went, reasoning = went + hidden, hidden
    cached = inside.get("cached_tokens") or next((usage[name] for name in CACHED if usage.get(name)), 0)
    return Counts(came, went, cached, reasoning)


def _chat_message(draft: Draft, message: Json) -> None:
    content = message.get("content")
    if isinstance(content, str):
        draft.text.append(content)
    for part in content if isinstance(content, list) else ():
        if part.get("type") == "thinking":
            draft.reasoning.extend(each.get("text", "") for each in part["thinking"])
        else:
            draft.text.append(part.get("text") or "")
    draft.text.append(message.get("refusal") or "")
    draft.refused = draft.refused or bool(message.get("refusal"))
    draft.reasoning.append(_chat_reasoning(message))
    for number, call in enumerate(message.get("tool_calls") or ()):
        place = call.get("index", number)
        function = call.get("function") or call.get("custom") or {}
        if place not in draft.calls:
            draft.call(place, function.get("name") or "")
        draft.calls[place].append(function.get("arguments") or function.get("input") or "")
    old = message.get("function_call")
    if old:
        if "old" not in draft.calls:
            draft.call("old", old.get("name") or "")
        draft.calls["old"].append(old.get("arguments") or "")


def _chat_reasoning(message: Json) -> str:
    """One of the members that providers have for it; several of them say the same."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str) and message[name]:
            return str(message[name])
    return "".join(each.get("text") or each.get("summary") or "" for each in message.get("reasoning_details") or ())


def chat(body: bytes) -> Said:
    """A whole chat completion."""
    answer = json.loads(body)
    draft = Draft(counts=chat_counts(answer.get("usage")))
    for choice in answer["choices"][:1]:
        _chat_message(draft, choice["message"])
        reason = choice.get("finish_reason") or ""
        draft.finish = CHAT_FINISHES.get(reason, reason)
    return draft.said()


def chat_stream(body: bytes) -> Said:
    """A chat completion in chunks."""
    draft = Draft()
    for chunk in events(body):
        draft.counts = chat_counts(chunk.get("usage")) or draft.counts
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                _chat_message(draft, choice.get("delta") or {})
                reason = choice.get("finish_reason")
                draft.finish = CHAT_FINISHES.get(reason, reason) if reason else draft.finish
    return draft.said()


# -- OpenAI Responses --------------------------------------------------------------------------------------

ITEM_CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
INCOMPLETE: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}


def _responses_end(draft: Draft, response: Json) -> None:
    status = response.get("status")
    if status == "incomplete":
        draft.finish = INCOMPLETE.get(str((response.get("incomplete_details") or {}).get("reason")), "length")
    elif status == "failed":
        draft.finish = "error"
    else:
        draft.finish = "tool_calls" if draft.calls else "stop"
    usage = response.get("usage")
    if usage:
        inside = usage.get("input_tokens_details") or {}
        outside = usage.get("output_tokens_details") or {}
        draft.counts = Counts(
            usage.get("input_tokens") or 0,
            usage.get("output_tokens") or 0,
            inside.get("cached_tokens") or 0,
            min(outside.get("reasoning_tokens") or 0, usage.get("output_tokens") or 0),
        )


def responses(body: bytes) -> Said:
    """A whole response."""
    response = json.loads(body)
    draft = Draft()
    for number, item in enumerate(response["output"]):
        if item["type"] == "message":
            draft.text.extend(part.get("text") or part.get("refusal") or "" for part in item["content"])
            draft.refused = any(part["type"] == "refusal" for part in item["content"])
        elif item["type"] == "reasoning":
            parts = [*(item.get("summary") or ()), *(item.get("content") or ())]
            draft.reasoning.extend(part.get("text") or "" for part in parts)
        elif item["type"] in ITEM_CALLS:
            draft.call(number, item["name"], item[ITEM_CALLS[item["type"]]])
    _responses_end(draft, response)
    return draft.said()


RESPONSE_TEXTS: Final = {"response.output_text.delta", "response.refusal.delta"}
RESPONSE_THOUGHTS: Final = {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}
RESPONSE_ARGUMENTS: Final = {"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"}
RESPONSE_ENDS: Final = {"response.completed", "response.incomplete", "response.failed"}


def responses_stream(body: bytes) -> Said:
    """A response in events."""
    draft = Draft()
    for event in events(body):
        kind = event["type"]
        if kind in RESPONSE_TEXTS:
            draft.text.append(event["delta"])
            draft.refused = draft.refused or kind == "response.refusal.delta"
        elif kind in RESPONSE_THOUGHTS:
            draft.reasoning.append(event["delta"])
        elif kind == "response.output_item.added" and event["item"]["type"] in ITEM_CALLS:
            draft.call(event["output_index"], event["item"]["name"])
        elif kind in RESPONSE_ARGUMENTS:
            draft.calls[event["output_index"]].append(event["delta"])
        elif kind in RESPONSE_ENDS:
            _responses_end(draft, event["response"])
    return draft.said()


# -- Anthropic ---------------------------------------------------------------------------------------------

STOPS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
"""Anthropic's and Bedrock's words."""


def anthropic_counts(usage: Json) -> Counts:
    """The totals: the input does not hold what a cache gave or took."""
    read = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    details = usage.get("output_tokens_details") or {}
    return Counts(
        (usage.get("input_tokens") or 0) + read + written,
        usage.get("output_tokens") or 0,
        read,
        details.get("thinking_tokens"),
    )


def anthropic(body: bytes) -> Said:
    """A whole message."""
    message = json.loads(body)
    draft = Draft(finish=STOPS.get(message["stop_reason"], ""), counts=anthropic_counts(message["usage"]))
    for number, block in enumerate(message["content"]):
        if block["type"] == "text":
            draft.text.append(block["text"])
        elif block["type"] == "thinking":
            draft.reasoning.append(block["thinking"])
        elif block["type"] == "tool_use":
            draft.call(number, block["name"], block["input"])
    return draft.said()


def anthropic_stream(body: bytes) -> Said:
    """A message in events."""
    draft = Draft()
    usage: Json = {}
    for event in events(body):
        kind, block, delta = event["type"], event.get("content_block") or {}, event.get("delta") or {}
        if kind == "message_start":
            usage |= event["message"].get("usage") or {}
        elif kind == "content_block_start" and block["type"] == "tool_use":
            draft.call(event["index"], block["name"], block["input"] or "")
        elif kind == "content_block_delta":
            draft.text.append(delta.get("text") or "")
            draft.reasoning.append(delta.get("thinking") or "")
            if event["index"] in draft.calls:
                draft.calls[event["index"]].append(delta.get("partial_json") or "")
        elif kind == "message_delta":
            usage |= {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
            draft.finish = STOPS.get(delta.get("stop_reason") or "", draft.finish)
    draft.counts = anthropic_counts(usage) if usage else None
    return draft.said()


# -- Gemini ------------------------------------------------------------------------------------------------

GEMINI_FINISHES: Final = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "OTHER": "error",
}
"""The others mean that a filter met."""


def _gemini_take(draft: Draft, answer: Json) -> None:
    for candidate in answer.get("candidates") or ():
        if candidate.get("index", 0) != 0:
            continue
        for part in (candidate.get("content") or {}).get("parts") or ():
            if "text" in part:
                (draft.reasoning if part.get("thought") else draft.text).append(part["text"])
            elif "functionCall" in part:
                draft.call(len(draft.calls), part["functionCall"]["name"], part["functionCall"].get("args") or {})
        reason = candidate.get("finishReason")
        if reason:
            draft.finish = GEMINI_FINISHES.get(reason, "content_filter")
    if (answer.get("promptFeedback") or {}).get("blockReason"):
        draft.finish = "content_filter"
    usage = answer.get("usageMetadata")
    if usage:
        thoughts = usage.get("thoughtsTokenCount") or 0
        draft.counts = Counts(
            (usage.get("promptTokenCount") or 0) + (usage.get("toolUsePromptTokenCount") or 0),
            (usage.get("candidatesTokenCount") or 0) + thoughts,
            usage.get("cachedContentTokenCount") or 0,
            thoughts,
        )


def _gemini_said(draft: Draft) -> Said:
    if draft.finish == "stop" and draft.calls:
        draft.finish = "tool_calls"
    return draft.said()


def gemini(body: bytes) -> Said:
    """A whole answer."""
    draft = Draft()
    _gemini_take(draft, json.loads(body))
    return _gemini_said(draft)


def gemini_stream(body: bytes) -> Said:
    """An answer in events, each of them a small answer."""
    draft = Draft()
    for event in events(body):
        _gemini_take(draft, event)
    return _gemini_said(draft)


# -- Bedrock -----------------------------------------------------------------------------------------------


def bedrock_counts(usage: Json | None) -> Counts | None:
    """The totals: the input does not hold what a cache gave or took."""
    if not usage:
        return None
    read, written = usage.get("cacheReadInputTokens") or 0, usage.get("cacheWriteInputTokens") or 0
    return Counts((usage.get("inputTokens") or 0) + read + written, usage.get("outputTokens") or 0, read)


def bedrock(body: bytes) -> Said:
    """A whole answer of Converse."""
    answer = json.loads(body)
    draft = Draft(finish=STOPS.get(answer["stopReason"], ""), counts=bedrock_counts(answer.get("usage")))
    for number, block in enumerate(answer["output"]["message"]["content"]):
        draft.text.append(block.get("text") or "")
        draft.text.extend(piece["text"] for piece in (block.get("citationsContent") or {}).get("content") or ())
        draft.reasoning.append(((block.get("reasoningContent") or {}).get("reasoningText") or {}).get("text") or "")
        if "toolUse" in block:
            draft.call(number, block["toolUse"]["name"], block["toolUse"]["input"])
    return draft.said()


def bedrock_stream(body: bytes) -> Said:
    """An answer of ConverseStream."""
    draft = Draft()
    for headers, payload in split(body):
        event = json.loads(payload)
        place = event.get("contentBlockIndex")
        match headers[":event-type"]:
            case "contentBlockStart" if "toolUse" in (event.get("start") or {}):
                draft.call(place, event["start"]["toolUse"]["name"])
            case "contentBlockDelta":
                delta = event["delta"]
                draft.text.append(delta.get("text") or "")
                draft.reasoning.append((delta.get("reasoningContent") or {}).get("text") or "")
                if "toolUse" in delta:
                    draft.calls[place].append(delta["toolUse"]["input"])
            case "messageStop":
                draft.finish = STOPS.get(event["stopReason"], "")
            case "metadata":
                draft.counts = bedrock_counts(event.get("usage"))
    return draft.said()


READERS: Final[dict[tuple[Dialect, bool], Callable[[bytes], Said]]] = {
    (Dialect.OPENAI_CHAT, False): chat,
    (Dialect.OPENAI_CHAT, True): chat_stream,
    (Dialect.OPENAI_RESPONSES, False): responses,
    (Dialect.OPENAI_RESPONSES, True): responses_stream,
    (Dialect.ANTHROPIC, False): anthropic,
    (Dialect.ANTHROPIC, True): anthropic_stream,
    (Dialect.GEMINI, False): gemini,
    (Dialect.GEMINI, True): gemini_stream,
    (Dialect.BEDROCK, False): bedrock,
    (Dialect.BEDROCK, True): bedrock_stream,
}
"""By dialect and whether it is a stream."""


def read(dialect: Dialect, body: bytes, *, stream: bool) -> Said:
    """What an answer says."""
    return READERS[dialect, stream](body)
