"""Replies as chat completions, after OpenAI's API reference (Chat, Chat streaming) and OpenRouter's reasoning fields.

Reasoning that is signed comes as OpenRouter sends it (`reasoning` and `reasoning_details`), unsigned as DeepSeek and
vLLM do (`reasoning_content`); images as OpenRouter's `images`; a call's signature as Google's OpenAI-compatible
endpoint has it (`extra_content.google.thought_signature`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.fake_provider.dialects.base import (
    CREATED,
    Ask,
    Failure,
    Frame,
    Streamed,
    Voice,
    Whole,
    event,
    whole,
)
from tests.fake_provider.reply import Called, Counts, Drawn, Finish, Refused, Reply, Said, Thought

_FORMAT = "anthropic-claude-v1"
_FINISH = {
    Finish.STOP: "stop",
    Finish.LENGTH: "length",
    Finish.STOP_SEQUENCE: "stop",
    Finish.TOOLS: "tool_calls",
    Finish.REFUSED: "stop",
}
_TYPES = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("service_unavailable_error", "server_is_overloaded"),
}


def answer(reply: Reply, ask: Ask) -> Whole | Streamed:
    """The reply, whole or in chunks."""
    if ask.stream:
        return Streamed(_chunks(reply, ask), reply.tokens, end=b"data: [DONE]\n\n")
    choice = {"index": 0, "message": message(reply), "logprobs": None, "finish_reason": _FINISH[reply.finish]}
    body = _head(ask, "chat.completion") | {"choices": [choice]}
    return whole(body if reply.counts is None else body | {"usage": usage(reply.counts)})


def message(reply: Reply) -> dict[str, Any]:
    """The message of a whole answer."""
    text = reply.joined(Said)
    built: dict[str, Any] = {
        "role": "assistant",
        "content": text or None,
        "refusal": reply.joined(Refused) or None,
        "annotations": [],
    }
    thoughts = [part for part in reply.parts if isinstance(part, Thought)]
    if any(thought.signature or thought.sealed for thought in thoughts):
        built["reasoning"] = reply.joined(Thought) or None
        built["reasoning_details"] = [_detail(index, thought) for index, thought in enumerate(thoughts)]
    elif thoughts:
        built["reasoning_content"] = reply.joined(Thought)
    calls = [_call(part) for part in reply.calls()]
    if calls:
        built["tool_calls"] = calls
    images = [_image(part) for part in reply.parts if isinstance(part, Drawn)]
    if images:
        built["images"] = images
    return built


def usage(counts: Counts) -> dict[str, Any]:
    """Cached tokens are part of the prompt's, reasoning is part of the completion's."""
    return {
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "total_tokens": counts.input + counts.output,
        "prompt_tokens_details": {
            "cached_tokens": counts.cache_read,
            "cache_write_tokens": counts.cache_write + counts.cache_write_1h,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": counts.reasoning, "audio_tokens": 0},
    }


def error(failure: Failure) -> Whole:
    """OpenAI's error object."""
    headers = {"retry-after": failure.retry_after} if failure.retry_after else {}
    return whole(_error(failure), status=failure.status, headers=headers)


def broken(failure: Failure, ask: Ask, sent: int) -> bytes:
    """An error object in the place of a chunk."""
    return event(_error(failure))


def _error(failure: Failure) -> dict[str, Any]:
    usual = "invalid_request_error" if 400 <= failure.status < 500 else "server_error"
    kind, code = _TYPES.get(failure.status, (usual, None))
    return {"error": {"message": failure.message, "type": kind, "param": None, "code": code}}


def _chunks(reply: Reply, ask: Ask) -> Iterator[Frame]:
    asks_usage = bool((ask.body.get("stream_options") or {}).get("include_usage"))
    head = _head(ask, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event(head | {"choices": [choice]} | ({"usage": None} if asks_usage else {}))

    yield Frame(chunk({"role": "assistant", "content": "", "refusal": None}))
    thoughts = calls = 0
    for part in reply.parts:
        match part:
            case Thought():
                yield from (Frame(chunk(delta), tokens, reasoning=True) for delta, tokens in _thinking(part, thoughts))
                thoughts += 1
            case Called():
                yield from (Frame(chunk({"tool_calls": [delta]}), tokens) for delta, tokens in _calling(part, calls))
                calls += 1
            case Drawn():
                yield Frame(chunk({"images": [_image(part)]}))
            case Said() | Refused():
                field = "content" if isinstance(part, Said) else "refusal"
                yield from (Frame(chunk({field: piece}), 1) for piece in part.pieces)
    yield Frame(chunk({}, _FINISH[reply.finish]))
    if asks_usage and reply.counts is not None:
        yield Frame(event(head | {"choices": [], "usage": usage(reply.counts)}))


def _thinking(thought: Thought, index: int) -> Iterator[tuple[dict[str, Any], int]]:
    """The deltas of reasoning; 1 for those that deliver a token."""
    if thought.sealed:
        yield {"reasoning_details": [_detail(index, thought)]}, 0
        return
    for piece in thought.pieces:
        if thought.signature:
            detail = {"type": "reasoning.text", "text": piece, "format": _FORMAT, "index": index}
            yield {"reasoning": piece, "reasoning_details": [detail]}, 1
        else:
            yield {"reasoning_content": piece}, 1
    if thought.signature:
        signed = {"type": "reasoning.text", "signature": thought.signature, "format": _FORMAT, "index": index}
        yield {"reasoning_details": [signed]}, 0


def _calling(call: Called, index: int) -> Iterator[tuple[dict[str, Any], int]]:
    """The deltas of a call: its name first, then its arguments."""
    yield _call(call, "") | {"index": index}, 0
    for piece in call.pieces:
        yield {"index": index, "function": {"arguments": piece}}, 1


def _call(call: Called, arguments: str | None = None) -> dict[str, Any]:
    text = call.text if arguments is None else arguments
    built: dict[str, Any] = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": text}}
    if call.signature:
        built["extra_content"] = {"google": {"thought_signature": call.signature}}
    return built


def _detail(index: int, thought: Thought) -> dict[str, Any]:
    if thought.sealed:
        return {"type": "reasoning.encrypted", "data": thought.sealed, "format": _FORMAT, "index": index}
    return {
        "type": "reasoning.text",
        "text": thought.text,
        "signature": thought.signature or None,
        "format": _FORMAT,
        "index": index,
    }


def _image(part: Drawn) -> dict[str, Any]:
    url = f"data:{part.media_type};base64,{part.data}"
    return {"type": "image_url", "image_url": {"url": url}, "index": 0}


def _head(ask: Ask, kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-fake-1",
        "object": kind,
        "created": CREATED,
        "model": ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }


VOICE = Voice(answer, error, broken)
