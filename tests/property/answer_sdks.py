"""Answers as their callers' official SDKs have them: read by the SDK's types, a stream put together by its own code.

Google's and Amazon's SDKs hand out the events of a stream as they are: these are put together here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from botocore import session
from botocore.eventstream import EventStream
from botocore.parsers import ResponseParser, create_parser
from google.genai.types import GenerateContentResponse
from openai import omit
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.replay.said import events
from tokenway.model.catalog import Dialect

Json = Any
_anthropic_event: Final[TypeAdapter[Any]] = TypeAdapter(RawMessageStreamEvent)
_responses_event: Final[TypeAdapter[Any]] = TypeAdapter(ResponseStreamEvent)
OWN_FINISH: Final = "error"
"""OpenRouter's finish reason, which OpenAI's type does not have."""


# -- whole -------------------------------------------------------------------------------------------------


def chat(body: bytes) -> Json:
    """A chat completion, strictly by its type but for OpenRouter's finish reason."""
    whole = json.loads(body)
    checked = json.loads(body)
    for choice in checked["choices"]:
        if choice["finish_reason"] == OWN_FINISH:
            choice["finish_reason"] = "stop"
    ChatCompletion.model_validate_json(json.dumps(checked), strict=True)
    return whole


def responses(body: bytes) -> Json:
    """A response."""
    Response.model_validate_json(body)
    return json.loads(body)


def anthropic(body: bytes) -> Json:
    """A message."""
    Message.model_validate_json(body)
    return json.loads(body)


def gemini(body: bytes) -> Json:
    """A response of Google's, which must have no member that the type does not know."""
    GenerateContentResponse.model_validate_json(body)
    return json.loads(body)


@cache
def _amazon(operation: str) -> tuple[Any, ResponseParser]:
    model = session.get_session().get_service_model("bedrock-runtime")
    return model.operation_model(operation).output_shape, create_parser("rest-json")


def bedrock(body: bytes) -> Json:
    """What botocore makes of the body: it leaves out what its service model does not know."""
    shape, parser = _amazon("Converse")
    found = parser.parse({"status_code": 200, "headers": {}, "body": body}, shape)
    found.pop("ResponseMetadata")
    return spelled(found)


def spelled(value: Json) -> Json:
    """Bytes as base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: spelled(each) for key, each in value.items()}
    return [spelled(each) for each in value] if isinstance(value, list) else value


WHOLE: Final[dict[Dialect, Callable[[bytes], Json]]] = {
    Dialect.OPENAI_CHAT: chat,
    Dialect.OPENAI_RESPONSES: responses,
    Dialect.ANTHROPIC: anthropic,
    Dialect.GEMINI: gemini,
    Dialect.BEDROCK: bedrock,
}
"""Reads a whole answer."""


# -- streams -----------------------------------------------------------------------------------------------


def chat_stream(stream: bytes) -> Json:
    """The chunks as OpenAI's SDK adds them up."""
    assert stream.endswith(b"data: [DONE]\n\n")
    state = ChatCompletionStreamState()
    for event in events(stream):
        ChatCompletionChunk.model_validate_json(json.dumps(_typed(event)), strict=True)
        state.handle_chunk(ChatCompletionChunk.construct(**event))
    return state.current_completion_snapshot.to_dict(exclude_unset=True, mode="json")


def _typed(chunk: Json) -> Json:
    """A chunk without what OpenAI's type of it lacks: OpenRouter's finish reason, and the type of a free-text call."""
    typed = json.loads(json.dumps(chunk))
    for choice in typed["choices"]:
        if choice["finish_reason"] == OWN_FINISH:
            choice["finish_reason"] = None
        for call in choice["delta"].get("tool_calls") or ():
            call.pop("type", None)
    return typed


def responses_stream(stream: bytes) -> Json:
    """The response at the end, which must be what OpenAI's SDK puts together of the events before it."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    numbers, last = [], {}
    done: dict[int, Json] = {}
    for event in events(stream):
        numbers.append(event["sequence_number"])
        state.handle_event(_responses_event.validate_python(event))
        if event["type"] == "response.output_item.done":
            done[event["output_index"]] = event["item"]
        last = event
    assert numbers == list(range(len(numbers)))
    assert last["type"] in {"response.completed", "response.incomplete", "response.failed"}
    assert [done[index] for index in sorted(done)] == last["response"]["output"]
    return last["response"]


def anthropic_stream(stream: bytes) -> Json:
    """The message as Anthropic's SDK puts it together."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events(stream):
        if event["type"] != "ping":
            parsed = _anthropic_event.validate_python(event)
            snapshot = accumulate_event(event=parsed, current_snapshot=snapshot, json_bufs=buffers)
    assert event["type"] == "message_stop"
    return snapshot.to_dict(exclude_unset=True, mode="json")


def gemini_stream(stream: bytes) -> Json:
    """The chunks: pieces of one text are joined, what is told once is taken over."""
    whole: Json = {}
    for event in events(stream):
        GenerateContentResponse.model_validate(event)
        for candidate in event.pop("candidates", ()):
            index = candidate["index"]
            known = whole.setdefault("candidates", {}).setdefault(index, {"content": {"parts": [], "role": "model"}})
            for part in candidate.pop("content")["parts"]:
                join(known["content"]["parts"], part)
            known |= candidate
        whole |= event
    return whole | {"candidates": list(whole.get("candidates", {}).values())}


def join(parts: list[Json], part: Json) -> None:
    """Adds a part of Google's; more of the text before it goes to that."""
    if part == {"text": ""}:
        return
    last = parts[-1] if parts else {}
    is_same = last.get("thought") == part.get("thought") and "thoughtSignature" not in last
    if "text" in last and "text" in part and is_same and ("thoughtSignature" not in part or part.get("thought")):
        parts[-1] = last | part | {"text": last["text"] + part["text"]}
    else:
        parts.append(part)


def bedrock_stream(stream: bytes) -> Json:
    """The messages as botocore parses them, put together."""
    shape, parser = _amazon("ConverseStream")
    source = EventStream(_Body(stream), shape.members["stream"], parser._event_stream_parser, "ConverseStream")
    blocks: dict[int, Json] = {}
    whole: Json = {}
    for event in source:
        ((kind, value),) = event.items()
        if kind == "messageStart":
            whole["output"] = {"message": {"role": value["role"], "content": []}}
        elif kind == "contentBlockStart":
            blocks[value["contentBlockIndex"]] = dict(value["start"])
        elif kind == "contentBlockDelta":
            _grow(blocks.setdefault(value["contentBlockIndex"], {}), value["delta"])
        elif kind != "contentBlockStop":
            whole |= value
    whole["output"]["message"]["content"] = [_block(blocks[index]) for index in sorted(blocks)]
    return spelled(whole)


class _Body:
    """A body that came at once."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> list[bytes]:
        """Its pieces."""
        return [self._data]


def _grow(block: Json, delta: Json) -> None:
    ((name, value),) = delta.items()
    if name == "citation":
        block.setdefault("citations", []).append(value)
    elif isinstance(value, dict):
        known = block.setdefault(name, {})
        for key, more in value.items():
            known[key] = known[key] + more if isinstance(more, str | bytes) and key in known else more
    else:
        block[name] = block[name] + value if name in block else value


def _block(block: Json) -> Json:
    if "toolUse" in block:
        return {"toolUse": block["toolUse"] | {"input": json.loads(block["toolUse"]["input"])}}
    thought = block.get("reasoningContent")
    if thought is not None and "redactedContent" not in thought:
        return {"reasoningContent": {"reasoningText": {"text": ""} | thought}}
    return block


STREAM: Final[dict[Dialect, Callable[[bytes], Json]]] = {
    Dialect.OPENAI_CHAT: chat_stream,
    Dialect.OPENAI_RESPONSES: responses_stream,
    Dialect.ANTHROPIC: anthropic_stream,
    Dialect.GEMINI: gemini_stream,
    Dialect.BEDROCK: bedrock_stream,
}
"""Puts a stream together."""
