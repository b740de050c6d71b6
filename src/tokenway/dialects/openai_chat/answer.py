"""Writes whole answers of the OpenAI chat dialect from neutral ones; `stream_reader.read_answer` reads them.

A message has one text: text parts are joined, and citations count from its beginning. Reasoning stands in
`reasoning_content` for who shows it, and in `reasoning_details` for who gives it back (OpenRouter's guide "Reasoning
tokens"). What has no place (documents, films, another vendor's own parts) is left out, as `docs/dialects` says.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects.base import Maker
from tokenway.dialects.openai_chat.schema import usage_object
from tokenway.dialects.openai_chat.words import ENCRYPTED, SUMMARY, TEXT, data_url
from tokenway.dialects.seal import GEMINI, seal
from tokenway.model.catalog import Operation
from tokenway.model.event import Answer, AnswerPart, Choice, Cited, Finished, FinishReason, failure_text
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning, Refusal, Text, ToolCall

_encode: Final = msgspec.json.encode


def write_answer(answer: Answer, maker: Maker) -> bytes:
    """A whole answer as its caller reads it: a chat completion, or a legacy completion where that was asked for."""
    is_completion = maker.request.operation is Operation.COMPLETION
    usage = answer.metered.usage
    write = _completion_choice if is_completion else _choice
    return _encode(
        {
            "id": maker.exchange,
            "object": "text_completion" if is_completion else "chat.completion",
            "created": maker.created,
            "model": maker.model,
            "system_fingerprint": None,
            "choices": [write(number, choice, maker) for number, choice in enumerate(answer.choices)],
            "usage": None if usage is None else usage_object(usage),
        }
    )


def _completion_choice(number: int, choice: Choice, _maker: Maker) -> dict[str, Any]:
    text = "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))
    return {"index": number, "text": text, "logprobs": None, **finish_members(choice.finish)}


def _choice(number: int, choice: Choice, maker: Maker) -> dict[str, Any]:
    return {
        "index": number,
        "message": _message(choice, maker),
        "logprobs": _logprobs(choice),
        **finish_members(choice.finish),
    }


def finish_members(finish: Finished) -> dict[str, object]:
    """Why a choice ended: OpenAI's word, and beside it the upstream's own, and what failed, as OpenRouter has them."""
    members: dict[str, object] = {"finish_reason": finish.reason.value, "native_finish_reason": finish.native or None}
    if finish.reason is FinishReason.ERROR:
        members["error"] = {"code": 502, "message": failure_text(finish)}
    return members


def _message(choice: Choice, maker: Maker) -> dict[str, Any]:
    texts = [part.text for part in choice.parts if isinstance(part, Text)]
    refusal = "".join(part.text for part in choice.parts if isinstance(part, Refusal)) or explanation(choice.finish)
    calls = [tool_call(part) for part in choice.parts if isinstance(part, ToolCall)]
    nothing = None if calls or refusal else ""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else nothing,
        "refusal": refusal or None,
    }
    thoughts = [part for part in choice.parts if isinstance(part, Reasoning)]
    if thoughts:
        shown = "".join(part.text for part in thoughts)
        details = details_from(thoughts)
        message |= {"reasoning_content": shown} if shown else {}
        message |= {"reasoning_details": details} if details else {}
    images = [image(part) for part in choice.parts if isinstance(part, Media) and part.kind is MediaKind.IMAGE]
    if images:
        message["images"] = [each | {"index": index} for index, each in enumerate(images)]
    sound = next((found for part in choice.parts if (found := audio(part, maker)) is not None), None)
    if sound is not None:
        message["audio"] = sound
    if choice.citations:
        starts = _starts(choice.parts)
        message["annotations"] = [annotation(cited, starts.get(cited.part, 0)) for cited in choice.citations]
    if calls:
        message["tool_calls"] = calls
    return message


def explanation(finish: Finished) -> str:
    """Why a model refused, where that is all it said about it."""
    return finish.detail if finish.reason is FinishReason.CONTENT_FILTER else ""


def details_from(thoughts: list[Reasoning]) -> list[dict[str, Any]]:
    """Reasoning as OpenRouter's list; what belongs to one item of OpenAI's has the same id."""
    details: list[dict[str, Any]] = []
    for part in thoughts:
        whose = _whose(part.format, part.id)
        if part.text or part.signature:
            kind, name = (SUMMARY, "summary") if part.summary else (TEXT, "text")
            detail = {"type": kind, name: part.text, **whose, "index": len(details)}
            details.append(detail | ({"signature": part.signature} if part.signature else {}))
        if part.sealed:
            details.append({"type": ENCRYPTED, "data": part.sealed, **whose, "index": len(details)})
    return details


def _whose(name: str, identity: str) -> dict[str, str]:
    return ({"format": name} if name else {}) | ({"id": identity} if identity else {})


def tool_call(part: ToolCall) -> dict[str, Any]:
    """A tool call; Google's signature stands where Google's own answers in this dialect have it."""
    call: dict[str, Any] = {"id": part.id, "type": "custom" if part.custom else "function"}
    if part.custom:
        call["custom"] = {"name": part.name, "input": part.arguments}
    else:
        call["function"] = {"name": part.name, "arguments": part.arguments}
    if part.signature:
        call["extra_content"] = signature(part.signature, part.format)
    return call


def signature(value: str, whose: str) -> dict[str, Any]:
    """The `extra_content` of a tool call."""
    return {"google": {"thought_signature": seal(value, whose, GEMINI)}}


def image(part: Media) -> dict[str, Any]:
    """An image of the model's, as OpenRouter sends it."""
    return {"type": "image_url", "image_url": {"url": data_url(part.media_type, part.data) if part.data else part.url}}


def audio(part: AnswerPart, maker: Maker) -> Any:
    """OpenAI's own `audio`, or another model's sound in its shape; None for what is no sound."""
    if isinstance(part, Foreign) and part.name == "audio":
        return part.raw
    if isinstance(part, Media) and part.kind is MediaKind.AUDIO and part.data:
        return {"id": maker.exchange, "data": part.data, "transcript": "", "expires_at": maker.created}
    return None


def annotation(cited: Cited, base: int) -> dict[str, Any]:
    """A citation; one whose place is not known is given an empty range."""
    is_known = cited.start >= 0 and cited.end >= 0
    inner: dict[str, Any] = {
        "url": cited.url,
        "title": cited.title,
        "start_index": base + cited.start if is_known else 0,
        "end_index": base + cited.end if is_known else 0,
    }
    return {"type": "url_citation", "url_citation": inner | ({"content": cited.text} if cited.text else {})}


def _starts(parts: tuple[AnswerPart, ...]) -> dict[int, int]:
    """Where each text part begins in the message's one text."""
    starts, length = {}, 0
    for number, part in enumerate(parts):
        if isinstance(part, Text):
            starts[number] = length
            length += len(part.text)
    return starts


def _logprobs(choice: Choice) -> dict[str, Any] | None:
    if not choice.logprobs:
        return None
    tokens: dict[str, list[msgspec.Raw]] = {"content": [], "refusal": []}
    for event in choice.logprobs:
        name = "refusal" if isinstance(choice.parts[event.part], Refusal) else "content"
        tokens[name] += msgspec.json.decode(event.tokens, type=list[msgspec.Raw])
    return {name: found or None for name, found in tokens.items()}
