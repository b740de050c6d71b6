"""Replies as responses, after OpenAI's API reference (Responses, Streaming events).

A reply's parts are items of their own: a `reasoning` item with its summary and encrypted content, a `message` for
text or a refusal, a `function_call`, an `image_generation_call`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.fake_provider.dialects import openai_chat
from tests.fake_provider.dialects.base import CREATED, Ask, Failure, Frame, Streamed, Voice, Whole, event, whole, words
from tests.fake_provider.reply import Called, Counts, Drawn, Finish, Part, Refused, Reply, Said, Thought

_ECHOED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of its request, with what it says where the request was silent."""
_CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt"}

Event = tuple[dict[str, Any], int, bool]
"""An event without its number, whether it delivers a token, and whether of reasoning."""


def answer(reply: Reply, ask: Ask) -> Whole | Streamed:
    """The reply, whole or in events, a count of the prompt, or a compacted conversation."""
    if ask.kind == "input_tokens":
        given = words([ask.body.get(name) for name in ("instructions", "input", "tools")])
        return whole({"object": "response.input_tokens", "input_tokens": given})
    if ask.kind == "compact":
        return whole(_compacted(reply))
    if not ask.stream:
        return whole(_finished(reply, ask))
    return Streamed(
        (
            Frame(event(data | {"sequence_number": number}, data["type"]), tokens, reasoning)
            for number, (data, tokens, reasoning) in enumerate(_events(reply, ask))
        ),
        reply.tokens,
    )


def _compacted(reply: Reply) -> dict[str, Any]:
    item = {"id": "cmp_fake_1", "type": "compaction", "encrypted_content": "sealed"}
    shape = {"id": "resp_fake_compact", "object": "response.compaction", "created_at": CREATED, "output": [item]}
    return shape if reply.counts is None else shape | {"usage": usage(reply.counts)}


def usage(counts: Counts) -> dict[str, Any]:
    """Cached tokens are part of the input's, reasoning is part of the output's."""
    return {
        "input_tokens": counts.input,
        "input_tokens_details": {
            "cached_tokens": counts.cache_read,
            "cache_write_tokens": counts.cache_write + counts.cache_write_1h,
        },
        "output_tokens": counts.output,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": counts.input + counts.output,
    }


def broken(failure: Failure, ask: Ask, sent: int) -> bytes:
    """The event that a response failed, with its error."""
    fault = {"code": _CODES.get(failure.status, "server_error"), "message": failure.message}
    data = {
        "type": "response.failed",
        "response": _response(ask, "failed") | {"error": fault},
        "sequence_number": sent,
    }
    return event(data, "response.failed")


def _response(ask: Ask, status: str) -> dict[str, Any]:
    return {
        "id": "resp_fake_1",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "completed_at": CREATED + 1 if status == "completed" else None,
        "error": None,
        "incomplete_details": None,
        "model": ask.model,
        "output": [],
        **{name: ask.body.get(name, silent) for name, silent in _ECHOED.items()},
        "service_tier": "default",
        "usage": None,
    }


def _finished(reply: Reply, ask: Ask) -> dict[str, Any]:
    is_cut = reply.finish is Finish.LENGTH
    built = _response(ask, "incomplete" if is_cut else "completed")
    built["output"] = [_item(part, number, reply) for number, part in enumerate(reply.parts)]
    if is_cut:
        built["incomplete_details"] = {"reason": "max_output_tokens"}
    if reply.counts is not None:
        built["usage"] = usage(reply.counts)
    return built


def _item(part: Part, number: int, reply: Reply) -> dict[str, Any]:
    """The item of a part, complete."""
    begun = _begun(part, number)
    is_last = number == len(reply.parts) - 1
    status = "incomplete" if reply.finish is Finish.LENGTH and is_last else "completed"
    match part:
        case Thought():
            sealed = part.sealed or part.signature
            return begun | {"summary": _summary(part)} | ({"encrypted_content": sealed} if sealed else {})
        case Called():
            return begun | {"arguments": part.text, "status": status}
        case Drawn():
            return begun | {"result": part.data, "status": status}
        case _:
            return begun | {"content": [_content(part, part.text)], "status": status}


def _begun(part: Part, number: int) -> dict[str, Any]:
    """The item of a part as it is added."""
    match part:
        case Thought():
            return {"id": f"rs_fake_{number}", "type": "reasoning", "summary": []}
        case Called():
            return {
                "id": f"fc_fake_{number}",
                "type": "function_call",
                "status": "in_progress",
                "arguments": "",
                "call_id": part.id,
                "name": part.name,
            }
        case Drawn():
            return {
                "id": f"ig_fake_{number}",
                "type": "image_generation_call",
                "status": "in_progress",
                "output_format": part.media_type.rpartition("/")[2],
                "result": None,
            }
        case _:
            return {
                "id": f"msg_fake_{number}",
                "type": "message",
                "status": "in_progress",
                "content": [],
                "role": "assistant",
            }


def _summary(thought: Thought) -> list[dict[str, str]]:
    return [{"type": "summary_text", "text": thought.text}] if thought.text else []


def _content(part: Said | Refused, text: str) -> dict[str, Any]:
    if isinstance(part, Refused):
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _events(reply: Reply, ask: Ask) -> Iterator[Event]:
    for kind in ("response.created", "response.in_progress"):
        yield {"type": kind, "response": _response(ask, "in_progress")}, 0, False
    for number, part in enumerate(reply.parts):
        yield (
            {"type": "response.output_item.added", "output_index": number, "item": _begun(part, number)},
            0,
            False,
        )
        yield from _inside(part, number)
        done = {"type": "response.output_item.done", "output_index": number, "item": _item(part, number, reply)}
        yield done, 0, False
    end = _finished(reply, ask)
    yield {"type": f"response.{end['status']}", "response": end}, 0, False


def _inside(part: Part, number: int) -> Iterator[Event]:
    """The events between an item's first and last."""
    where: dict[str, Any] = {"item_id": _begun(part, number)["id"], "output_index": number}
    match part:
        case Thought():
            if part.text:
                yield from _thinking(part, where | {"summary_index": 0})
        case Called():
            kind = "response.function_call_arguments"
            for piece in part.pieces:
                yield {"type": f"{kind}.delta", **where, "delta": piece}, 1, False
            yield {"type": f"{kind}.done", **where, "name": part.name, "arguments": part.text}, 0, False
        case Drawn():
            for step in ("in_progress", "generating", "completed"):
                yield {"type": f"response.image_generation_call.{step}", **where}, 0, False
        case _:
            yield from _speaking(part, where | {"content_index": 0})


def _thinking(thought: Thought, where: dict[str, Any]) -> Iterator[Event]:
    kind = "response.reasoning_summary"
    whole_part = {"type": "summary_text", "text": thought.text}
    yield {"type": f"{kind}_part.added", **where, "part": whole_part | {"text": ""}}, 0, True
    for piece in thought.pieces:
        yield {"type": f"{kind}_text.delta", **where, "delta": piece}, 1, True
    yield {"type": f"{kind}_text.done", **where, "text": thought.text}, 0, True
    yield {"type": f"{kind}_part.done", **where, "part": whole_part}, 0, True


def _speaking(part: Said | Refused, where: dict[str, Any]) -> Iterator[Event]:
    is_text = isinstance(part, Said)
    kind = "response.output_text" if is_text else "response.refusal"
    more: dict[str, Any] = {"logprobs": []} if is_text else {}
    yield {"type": "response.content_part.added", **where, "part": _content(part, "")}, 0, False
    for piece in part.pieces:
        yield {"type": f"{kind}.delta", **where, "delta": piece, **more}, 1, False
    yield {"type": f"{kind}.done", **where, "text" if is_text else "refusal": part.text, **more}, 0, False
    yield {"type": "response.content_part.done", **where, "part": _content(part, part.text)}, 0, False


VOICE = Voice(answer, openai_chat.error, broken)
