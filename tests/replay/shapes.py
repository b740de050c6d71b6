"""Whether a request is one that a vendor takes, checked by hand against the vendors' references; and what it says.

The rules are those that providers answer with a 400: required members, members at the top that do not exist, turns
that must alternate, results that must follow their calls, names and ids of a certain form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from tokenway.model.catalog import Dialect

Json = dict[str, Any]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


CHAT_FIELDS: Final = _names(
    "model messages audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens "
    "max_tokens metadata modalities n parallel_tool_calls prediction presence_penalty prompt_cache_key "
    "prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream "
    "stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options "
    "prompt_cache_options moderation"
)
RESPONSES_FIELDS: Final = _names(
    "model input include instructions max_output_tokens max_tool_calls metadata parallel_tool_calls "
    "previous_response_id prompt prompt_cache_key prompt_cache_retention prompt_cache_options reasoning "
    "safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs "
    "top_p truncation user background conversation"
)
ANTHROPIC_FIELDS: Final = _names(
    "model max_tokens messages system temperature top_p top_k stop_sequences stream tools tool_choice thinking "
    "output_config metadata service_tier cache_control container inference_geo"
)
GEMINI_FIELDS: Final = _names(
    "contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent labels serviceTier store"
)
GENERATION_FIELDS: Final = _names(
    "temperature topP topK candidateCount maxOutputTokens stopSequences seed presencePenalty frequencyPenalty "
    "responseMimeType responseSchema responseJsonSchema responseModalities responseLogprobs logprobs thinkingConfig "
    "speechConfig mediaResolution imageConfig"
)
BEDROCK_FIELDS: Final = _names(
    "messages system inferenceConfig toolConfig guardrailConfig additionalModelRequestFields requestMetadata "
    "performanceConfig serviceTier outputConfig additionalModelResponseFieldPaths promptVariables"
)
NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def _fields(body: Json, known: frozenset[str], required: Sequence[str] = ()) -> None:
    assert not body.keys() - known, f"unknown members {sorted(body.keys() - known)}"
    assert not set(required) - body.keys(), f"no {sorted(set(required) - body.keys())}"


def _name(name: str) -> None:
    assert NAME.fullmatch(name), f"the name {name!r}"


# -- OpenAI chat -------------------------------------------------------------------------------------------

CHAT_PARTS: Final = {"text", "image_url", "input_audio", "file", "refusal", "video_url"}


def chat(body: Json) -> None:
    """A chat completion's request."""
    _fields(body, CHAT_FIELDS, ("model", "messages"))
    assert body["messages"]
    owed: set[str] = set()
    for message in body["messages"]:
        role = message["role"]
        assert role in {"system", "developer", "user", "assistant", "tool"}
        if role == "tool":
            assert message["tool_call_id"] in owed, f"a result of no call: {message['tool_call_id']}"
            owed.remove(message["tool_call_id"])
        else:
            assert not owed, f"no result of {owed}"
        content = message.get("content")
        assert content is not None or role == "assistant"
        for part in content if isinstance(content, list) else ():
            assert part["type"] in CHAT_PARTS
            assert role == "user" or part["type"] in {"text", "refusal"}, f"{part['type']} of {role}"
        calls = message.get("tool_calls")
        assert calls is None or calls
        for call in calls or ():
            owed.add(call["id"])
            inside = call[call["type"]]
            _name(inside["name"])
            if call["type"] == "function":
                assert isinstance(json.loads(inside["arguments"]), dict)
        assert content or calls or role != "assistant" or message.get("refusal"), "an empty message"
    assert not owed, f"no result of {owed}"
    for tool in body.get("tools") or ():
        _name(tool[tool["type"]]["name"])
    assert "tool_choice" not in body or body.get("tools"), "a choice of no tools"


# -- OpenAI Responses --------------------------------------------------------------------------------------

CALL_ITEMS: Final = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
INPUT_PARTS: Final = {"input_text", "input_image", "input_file", "input_audio"}
OUTPUT_PARTS: Final = {"output_text", "refusal"}


def responses(body: Json) -> None:
    """A response's request."""
    _fields(body, RESPONSES_FIELDS, ("model", "input"))
    assert body["input"] or body.get("instructions")
    owed: set[str] = set()
    for item in body["input"] if isinstance(body["input"], list) else ():
        kind = item.get("type", "message")
        if kind in CALL_ITEMS:
            owed.add(item["call_id"])
            _name(item["name"])
        elif kind in CALL_ITEMS.values():
            assert item["call_id"] in owed, "a result of no call"
            owed.remove(item["call_id"])
        elif kind == "message":
            assert item["role"] in {"system", "developer", "user", "assistant"}
            wanted = OUTPUT_PARTS if item["role"] == "assistant" else INPUT_PARTS
            content = item["content"]
            assert content
            for part in content if isinstance(content, list) else ():
                assert part["type"] in wanted, f"{part['type']} of {item['role']}"
                assert not part.get("image_url") or part["image_url"].startswith(("data:", "http")), "an image's URL"
        else:
            assert kind == "reasoning", f"an item {kind}"
            assert isinstance(item["summary"], list)
    assert not owed, f"no result of {owed}"
    for tool in body.get("tools") or ():
        if tool["type"] in {"function", "custom"}:
            _name(tool["name"])


# -- Anthropic ---------------------------------------------------------------------------------------------

USER_BLOCKS: Final = {"text", "image", "document", "tool_result", "search_result"}
ASSISTANT_BLOCKS: Final = {"text", "tool_use", "thinking", "redacted_thinking"}


def anthropic(body: Json) -> None:
    """A message's request."""
    _fields(body, ANTHROPIC_FIELDS, ("model", "max_tokens", "messages"))
    assert body["max_tokens"] >= 1
    _turns([(each["role"], _blocks(each["content"])) for each in body["messages"]], _anthropic_block)
    names = [tool["name"] for tool in body.get("tools") or () if "input_schema" in tool]
    assert len(set(names)) == len(names), "two tools of one name"
    for tool in body.get("tools") or ():
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"])
        if "input_schema" in tool:
            assert tool["input_schema"]["type"] == "object"
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        assert 1024 <= thinking["budget_tokens"] < body["max_tokens"]
        assert "temperature" not in body
        assert (body.get("tool_choice") or {}).get("type") not in {"any", "tool"}
    assert 0 <= body.get("temperature", 0) <= 1
    for text in [*_texts(body.get("system") or ()), *body.get("stop_sequences", ())]:
        assert text.strip(), "an empty text"


def _blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _texts(blocks: Any) -> list[str]:
    return [blocks] if isinstance(blocks, str) else [block["text"] for block in blocks if "text" in block]


def _anthropic_block(role: str, block: Json) -> tuple[str, str]:
    """What a block is to the turns: a call or a result by its id, or neither."""
    kind = block["type"]
    assert kind in (USER_BLOCKS if role == "user" else ASSISTANT_BLOCKS), f"{kind} of {role}"
    if kind == "text":
        assert block["text"].strip(), "an empty text"
    if kind == "tool_use":
        assert isinstance(block["input"], dict)
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"])
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,200}", block["name"])
        return "call", block["id"]
    if kind == "thinking":
        assert block["signature"]
        assert not block["signature"].startswith("tw1.")
    return ("result", block["tool_use_id"]) if kind == "tool_result" else ("", "")


def _turns(turns: list[tuple[str, list[Json]]], sort: Callable[[str, Json], tuple[str, str]]) -> None:
    """Turns alternate, begin with the user's, are not empty, and results stand first in the turn after their calls."""
    assert turns, "no message"
    owed: set[str] = set()
    before = "assistant"
    for role, blocks in turns:
        assert role != before, f"two turns of {role}"
        before = role
        assert blocks, "an empty turn"
        sorted_blocks = [sort(role, block) for block in blocks]
        results = [given for kind, given in sorted_blocks if kind == "result"]
        calls = [given for kind, given in sorted_blocks if kind == "call"]
        assert set(results) == owed, f"results of {results} for calls of {owed}"
        assert len(results) == len(owed)
        assert len(set(calls)) == len(calls), "two calls of one id"
        assert [kind for kind, _ in sorted_blocks[: len(results)]] == ["result"] * len(results), "results not first"
        owed = set(calls)
    assert not owed, f"no result of {owed}"


# -- Gemini ------------------------------------------------------------------------------------------------

GEMINI_PARTS: Final = {"text", "inlineData", "fileData", "functionCall", "functionResponse"}


def gemini(body: Json) -> None:
    """A request for content."""
    _fields(body, GEMINI_FIELDS, ("contents",))
    assert not (body.get("generationConfig") or {}).keys() - GENERATION_FIELDS
    assert body["contents"]
    owed: list[str] = []
    for content in body["contents"]:
        role, parts = content["role"], content["parts"]
        assert role in {"user", "model"}
        assert parts, "no parts"
        for part in parts:
            kinds = part.keys() & GEMINI_PARTS
            assert len(kinds) == 1, f"a part of {sorted(part)}"
            assert not str(part.get("thoughtSignature", "")).startswith("tw1.")
        answers = [part["functionResponse"]["name"] for part in parts if "functionResponse" in part]
        assert sorted(answers) == sorted(owed), f"results of {answers} for calls of {owed}"
        for part in parts:
            assert "functionResponse" not in part or isinstance(part["functionResponse"]["response"], dict)
        owed = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
    assert not owed, f"no result of {owed}"
    for part in (body.get("systemInstruction") or {}).get("parts", ()):
        assert part.keys() <= {"text"}
    for tool in body.get("tools") or ():
        for function in tool.get("functionDeclarations", ()):
            assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}", function["name"])


# -- Bedrock -----------------------------------------------------------------------------------------------

BEDROCK_PARTS: Final = {
    "user": {"text", "image", "document", "video", "audio", "toolResult", "cachePoint"},
    "assistant": {"text", "toolUse", "reasoningContent", "cachePoint"},
}


def bedrock(body: Json) -> None:
    """A request of Converse."""
    _fields(body, BEDROCK_FIELDS, ("messages",))
    assert not (body.get("inferenceConfig") or {}).keys() - {"maxTokens", "temperature", "topP", "stopSequences"}
    turns = [(each["role"], each["content"]) for each in body["messages"]]
    _turns(turns, _bedrock_block)
    if any("toolUse" in block for _, blocks in turns for block in blocks):
        assert body["toolConfig"]["tools"], "calls without tools"
    for tool in (body.get("toolConfig") or {"tools": ()})["tools"]:
        if "toolSpec" in tool:
            _name(tool["toolSpec"]["name"])
            assert tool["toolSpec"]["inputSchema"]["json"]["type"] == "object"
            assert tool["toolSpec"].get("description", "x")
    for block in body.get("system") or ():
        assert block.get("text", "x").strip()


def _bedrock_block(role: str, block: Json) -> tuple[str, str]:
    assert len(block) == 1
    (kind,) = block
    assert kind in BEDROCK_PARTS[role], f"{kind} of {role}"
    if kind == "text":
        assert block["text"].strip(), "an empty text"
    if kind == "document":
        assert re.fullmatch(r"[a-zA-Z0-9\s()\[\]-]{1,200}", block["document"]["name"])
    if kind == "toolUse":
        assert isinstance(block["toolUse"]["input"], dict)
        _name(block["toolUse"]["name"])
        _name(block["toolUse"]["toolUseId"])
        return "call", block["toolUse"]["toolUseId"]
    return ("result", block["toolResult"]["toolUseId"]) if kind == "toolResult" else ("", "")


CHECKS: Final[dict[Dialect, Callable[[Json], None]]] = {
    Dialect.OPENAI_CHAT: chat,
    Dialect.OPENAI_RESPONSES: responses,
    Dialect.ANTHROPIC: anthropic,
    Dialect.GEMINI: gemini,
    Dialect.BEDROCK: bedrock,
}


def check(dialect: Dialect, body: bytes) -> None:
    """Fails where a vendor would not take this request."""
    CHECKS[dialect](json.loads(body))


# -- what a request says -----------------------------------------------------------------------------------


def words(dialect: Dialect, body: Json) -> list[str]:
    """Every text, name of a called tool, string in a call's arguments and text of a result in the conversation.

    Not what a model thought, nor parts that only one vendor knows: those are declared where they are dropped.
    """
    return [piece for piece in _WORDS[dialect](body) if piece.strip()]


def _chat_words(body: Json) -> Iterator[str]:
    for message in body["messages"]:
        yield from _content_words(message.get("content"))
        for call in message.get("tool_calls") or ():
            inside = call.get("function") or call.get("custom")
            yield inside["name"]
            yield from _leaves(inside.get("arguments", inside.get("input")))


def _responses_words(body: Json) -> Iterator[str]:
    yield body.get("instructions") or ""
    given = body.get("input") or ()
    for item in [{"content": given}] if isinstance(given, str) else given:
        kind = item.get("type", "message")
        if kind == "message":
            yield from _content_words(item["content"])
        elif kind in CALL_ITEMS:
            yield item["name"]
            yield from _leaves(item.get("arguments", item.get("input")))
        elif kind in CALL_ITEMS.values():
            yield from _content_words(item["output"])


def _content_words(content: Any) -> Iterator[str]:
    """The texts of content in OpenAI's and Anthropic's dialects."""
    for block in [{"type": "text", "text": content}] if isinstance(content, str) else content or ():
        kind = block.get("type", "")
        if kind == "text" or kind in INPUT_PARTS | OUTPUT_PARTS:
            yield from _leaves(block.get("text"))
        elif kind == "tool_use":
            yield block["name"]
            yield from _leaves(block["input"])
        elif kind == "tool_result":
            yield from _content_words(block.get("content"))


def _anthropic_words(body: Json) -> Iterator[str]:
    yield from _content_words(body.get("system"))
    for message in body["messages"]:
        yield from _content_words(message["content"])


def _gemini_words(body: Json) -> Iterator[str]:
    system = body.get("systemInstruction") or body.get("system_instruction") or {"parts": ()}
    for content in [*body["contents"], {"parts": [{"text": system}]} if isinstance(system, str) else system]:
        for part in content["parts"]:
            if not part.get("thought"):
                yield part.get("text") or ""
            call = part.get("functionCall") or part.get("function_call")
            result = part.get("functionResponse") or part.get("function_response")
            if call:
                yield call["name"]
                yield from _leaves(call.get("args"))
            if result:
                yield from _leaves(result["response"])


def _bedrock_words(body: Json) -> Iterator[str]:
    for block in [*(body.get("system") or ()), *(block for each in body["messages"] for block in each["content"])]:
        yield block.get("text") or ""
        if "toolUse" in block:
            yield block["toolUse"]["name"]
            yield from _leaves(block["toolUse"]["input"])
        for inner in (block.get("toolResult") or {"content": ()})["content"]:
            yield inner.get("text") or ""
            yield from _leaves(inner.get("json"))


_WORDS: Final[dict[Dialect, Callable[[Json], Iterator[str]]]] = {
    Dialect.OPENAI_CHAT: _chat_words,
    Dialect.OPENAI_RESPONSES: _responses_words,
    Dialect.ANTHROPIC: _anthropic_words,
    Dialect.GEMINI: _gemini_words,
    Dialect.BEDROCK: _bedrock_words,
}


def _leaves(value: Any) -> Iterator[str]:
    """The strings of an object, and of JSON in a text; a text that is none is one."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            value = json.loads(value)
        except ValueError:
            yield value
            return
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)


def bare(text: str) -> str:
    """Text without white space, for a comparison that does not mind how pieces were joined."""
    return re.sub(r"\s+", "", text)
