"""Whole answers as the streams that their vendors would send, taken apart by hand; what is new in one passes along."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.fake_provider import aws
from tokenway.model.catalog import Dialect

Json = Any


def sse(*events: Json, named: bool = False) -> bytes:
    """Server-sent events, with their names where the dialect has them."""
    return b"".join(
        (b"event: %b\n" % str(event["type"]).encode() if named else b"") + b"data: %b\n\n" % json.dumps(event).encode()
        for event in events
    )


def message(kind: str, payload: Json) -> bytes:
    """One of AWS's messages."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return aws.message(headers, json.dumps(payload).encode())


# -- OpenAI chat -------------------------------------------------------------------------------------------


def chat_events(whole: Json) -> Iterator[Json]:
    """Chunks: the message as one delta, the finish, the usage."""
    head = {key: value for key, value in whole.items() if key not in {"choices", "usage"}}
    head["object"] = "chat.completion.chunk"
    for choice in whole["choices"]:
        rest = {key: value for key, value in choice.items() if key not in {"message", "finish_reason", "logprobs"}}
        delta = dict(choice["message"])
        if isinstance(delta.get("tool_calls"), list):
            delta["tool_calls"] = [
                call | {"index": at} if isinstance(call, dict) else call for at, call in enumerate(delta["tool_calls"])
            ]
        logprobs = choice.get("logprobs")
        yield head | {"choices": [rest | {"delta": delta, "logprobs": logprobs, "finish_reason": None}]}
        yield head | {"choices": [rest | {"delta": {}, "finish_reason": choice["finish_reason"]}]}
    yield head | {"choices": [], "usage": whole.get("usage")}


def chat(whole: Json) -> bytes:
    """A stream of chunks."""
    return sse(*chat_events(whole)) + b"data: [DONE]\n\n"


# -- OpenAI Responses --------------------------------------------------------------------------------------


def responses_events(whole: Json) -> Iterator[Json]:
    """The life of a response: each item with the events of its contents, and the whole at the end."""
    yield {"type": "response.created", "response": whole | {"status": "in_progress", "output": []}}
    for index, item in enumerate(whole["output"]):
        place = {"output_index": index, "item_id": "i"}
        begun = item | {name: [] for name in ("content", "summary") if isinstance(item.get(name), list)}
        yield {"type": "response.output_item.added", "item": begun, **place}
        if item["type"] == "message":
            for at, content in enumerate(item["content"]):
                yield from _content(content, place | {"content_index": at})
        elif item["type"] in {"function_call", "custom_tool_call"}:
            name = "arguments" if item["type"] == "function_call" else "input"
            kind = "function_call_arguments" if name == "arguments" else "custom_tool_call_input"
            yield {"type": f"response.{kind}.delta", "delta": item[name], **place}
            yield {"type": f"response.{kind}.done", name: item[name], **place}
        yield {"type": "response.output_item.done", "item": item, **place}
    status = whole["status"] if whole["status"] in {"incomplete", "failed"} else "completed"
    yield {"type": f"response.{status}", "response": whole}


def _content(content: Json, place: Json) -> Iterator[Json]:
    if content["type"] not in {"output_text", "refusal"}:
        yield {"type": "response.content_part.added", "part": content, **place}
        yield {"type": "response.content_part.done", "part": content, **place}
        return
    kind, name = ("refusal", "refusal") if content["type"] == "refusal" else ("output_text", "text")
    empty = content | {name: "", "annotations": []}
    yield {"type": "response.content_part.added", "part": empty, **place}
    yield {"type": f"response.{kind}.delta", "delta": content[name], "logprobs": content.get("logprobs") or [], **place}
    for at, annotation in enumerate(content.get("annotations") or ()):
        yield {
            "type": "response.output_text.annotation.added",
            "annotation": annotation,
            "annotation_index": at,
            **place,
        }
    yield {"type": f"response.{kind}.done", name: content[name], **place}
    yield {"type": "response.content_part.done", "part": content, **place}


def responses(whole: Json) -> bytes:
    """A stream of events, numbered."""
    return sse(*(event | {"sequence_number": at} for at, event in enumerate(responses_events(whole))), named=True)


# -- Anthropic ---------------------------------------------------------------------------------------------

GROWS: Final = {
    "text": ("text", "text_delta"),
    "thinking": ("thinking", "thinking_delta"),
    "compaction": ("content", "compaction_delta"),
}
"""The member of a block that grows, and the type of the delta."""


def anthropic_events(whole: Json) -> Iterator[Json]:
    """The life of a message."""
    last = ("stop_reason", "stop_sequence", "stop_details", "container")
    begun = whole | dict.fromkeys(last) | {"content": [], "usage": whole["usage"] | {"output_tokens": 1}}
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(whole["content"]):
        place = {"index": index}
        start, deltas = _block(block)
        yield {"type": "content_block_start", "content_block": start, **place}
        for delta in deltas:
            yield {"type": "content_block_delta", "delta": delta, **place}
        yield {"type": "content_block_stop", **place}
    yield {"type": "message_delta", "delta": {name: whole.get(name) for name in last}, "usage": whole["usage"]}
    yield {"type": "message_stop"}


def _block(block: Json) -> tuple[Json, list[Json]]:
    kind = block["type"]
    if kind in GROWS:
        name, delta = GROWS[kind]
        deltas = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
        deltas = [{"type": delta, name: block.get(name)}, *deltas]
        if block.get("signature"):
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        blank: Json = {"citations": []} if "citations" in block else {}
        blank |= {"signature": ""} if "signature" in block else {}
        return block | {name: ""} | blank, deltas
    if kind in {"tool_use", "server_tool_use", "mcp_tool_use"}:
        return block | {"input": {}}, [
            {"type": "input_json_delta", "partial_json": json.dumps(block["input"], separators=(",", ":"))}
        ]
    return block, []


def anthropic(whole: Json) -> bytes:
    """A stream of events."""
    return sse(*anthropic_events(whole), named=True)


# -- Gemini ------------------------------------------------------------------------------------------------


def gemini_events(whole: Json) -> Iterator[Json]:
    """A chunk for each part, and one with what an answer ends with."""
    head = {key: value for key, value in whole.items() if key not in {"candidates", "promptFeedback"}}
    for candidate in whole.get("candidates") or ():
        rest = {key: value for key, value in candidate.items() if key == "index"}
        for part in (candidate.get("content") or {}).get("parts") or ():
            yield head | {"candidates": [rest | {"content": candidate["content"] | {"parts": [part]}}]}
        last = {key: value for key, value in candidate.items() if key != "content"}
        yield head | {"candidates": [last | {"content": {"parts": [{"text": ""}], "role": "model"}}]}
    if "promptFeedback" in whole:
        yield head | {"promptFeedback": whole["promptFeedback"]}


def gemini(whole: Json) -> bytes:
    """A stream of responses."""
    return sse(*gemini_events(whole))


# -- Bedrock -----------------------------------------------------------------------------------------------


def bedrock_events(whole: Json) -> Iterator[tuple[str, Json]]:
    """The life of a message; blocks that a stream cannot have are left out."""
    yield "messageStart", {"role": "assistant"}
    for index, block in enumerate(whole["output"]["message"]["content"]):
        place = {"contentBlockIndex": index}
        start, deltas = _converse_block(block)
        if start is not None:
            yield "contentBlockStart", {"start": start, **place}
        for delta in deltas:
            yield "contentBlockDelta", {"delta": delta, **place}
        yield "contentBlockStop", place
    extra = {name: whole[name] for name in ("additionalModelResponseFields",) if name in whole}
    yield "messageStop", {"stopReason": whole["stopReason"], **extra}
    names = ("usage", "metrics", "trace", "performanceConfig", "serviceTier")
    yield "metadata", {name: whole[name] for name in names if name in whole}


def _converse_block(block: Json) -> tuple[Json, list[Json]]:
    if "text" in block:
        return None, [{"text": block["text"]}]
    if "toolUse" in block:
        tool = {key: value for key, value in block["toolUse"].items() if key != "input"}
        return {"toolUse": tool}, [{"toolUse": {"input": json.dumps(block["toolUse"]["input"], separators=(",", ":"))}}]
    if "reasoningContent" in block:
        given = block["reasoningContent"]
        if "reasoningText" in given:
            return None, [{"reasoningContent": {name: value}} for name, value in given["reasoningText"].items()]
        return None, [{"reasoningContent": given}]
    if "citationsContent" in block:
        texts = [{"text": each["text"]} for each in block["citationsContent"].get("content") or ()]
        return None, [*texts, *({"citation": each} for each in block["citationsContent"].get("citations") or ())]
    if "image" in block:
        image = block["image"]
        pieces = [{"image": {name: image[name]}} for name in ("source", "error") if image.get(name)]
        return {"image": {"format": image["format"]}}, pieces
    if "toolResult" in block:
        result = {key: value for key, value in block["toolResult"].items() if key != "content"}
        return {"toolResult": result}, [{"toolResult": [each]} for each in block["toolResult"]["content"]]
    return None, []


def bedrock(whole: Json) -> bytes:
    """A stream of AWS's messages."""
    return b"".join(message(kind, payload) for kind, payload in bedrock_events(whole))


STREAMS: Final[dict[Dialect, Callable[[Json], bytes]]] = {
    Dialect.OPENAI_CHAT: chat,
    Dialect.OPENAI_RESPONSES: responses,
    Dialect.ANTHROPIC: anthropic,
    Dialect.GEMINI: gemini,
    Dialect.BEDROCK: bedrock,
}
"""How each vendor streams an answer."""
EVENTS: Final[dict[Dialect, Callable[[Json], Iterator[Any]]]] = {
    Dialect.OPENAI_CHAT: chat_events,
    Dialect.OPENAI_RESPONSES: responses_events,
    Dialect.ANTHROPIC: anthropic_events,
    Dialect.GEMINI: gemini_events,
    Dialect.BEDROCK: bedrock_events,
}
"""The events of such a stream."""


def encoded(dialect: Dialect, events: list[Any]) -> bytes:
    """Events as a stream, whatever is in them."""
    if dialect is Dialect.BEDROCK:
        return b"".join(message(kind, payload) for kind, payload in events)
    end = b"data: [DONE]\n\n" if dialect is Dialect.OPENAI_CHAT else b""
    return sse(*events) + end
