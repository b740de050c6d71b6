"""Whole answers of the Anthropic dialect, read into the neutral form and written from it.

What a stream and a whole answer share stands here: the table of stop reasons, the usage object, how a block is read.
Source: Anthropic API reference, Messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tokenway.dialects.anthropic.schema import OWN_BLOCKS, Block, Citation, decode_block, decode_message, meter
from tokenway.dialects.base import UNREADABLE, Maker, fault_text
from tokenway.dialects.seal import ANTHROPIC, seal
from tokenway.model.errors import WireError
from tokenway.model.event import Answer, AnswerPart, Choice, Cited, Finished, FinishReason
from tokenway.model.request import Foreign, Media, Reasoning, Refusal, Text, ToolCall
from tokenway.model.usage import Metered, Usage

_encode: Final = msgspec.json.encode
_decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode

REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "pause_turn": FinishReason.STOP,
    "compaction": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "refusal": FinishReason.CONTENT_FILTER,
}
"""Anthropic's stop reasons; one that is not known yet counts as a plain end, and is kept as the native one."""
_STOPS: Final[dict[FinishReason, str]] = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.ERROR: "end_turn",
}
"""Ours to Anthropic's, which has none for an answer that failed; a refusal would blame the caller for it."""


def finish_of(reason: Any, sequence: Any, details: Any) -> Finished:
    """Why an answer ended, from `stop_reason`, `stop_sequence` and `stop_details`."""
    native = reason if isinstance(reason, str) else ""
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return Finished(
        REASONS.get(native, FinishReason.STOP),
        native,
        sequence if isinstance(sequence, str) else None,
        explanation if isinstance(explanation, str) else "",
    )


def stop_members(finish: Finished) -> dict[str, object]:
    """`stop_reason` and what belongs to it. The upstream's own word is kept where it is one of Anthropic's."""
    word = _STOPS[finish.reason]
    if REASONS.get(finish.native) is finish.reason:
        word = finish.native
    if finish.reason is FinishReason.STOP and finish.stop is not None:
        word = "stop_sequence"
    details = None
    if word == "refusal":
        details = {"type": "refusal", "category": None, "explanation": finish.detail or None}
    return {
        "stop_reason": word,
        "stop_sequence": finish.stop if word == "stop_sequence" else None,
        "stop_details": details,
    }


def usage_object(metered: Metered) -> dict[str, object]:
    """The counts in Anthropic's shape. SDKs cannot do without one, so a count that never came is zeros."""
    usage = metered.usage or Usage()
    written = usage.cache_write_5m + usage.cache_write_1h
    shape: dict[str, object] = {
        "input_tokens": usage.input_tokens - usage.cache_read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output_tokens,
    }
    if written:
        shape["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning:
        shape["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.searches:
        shape["server_tool_use"] = {"web_search_requests": usage.searches, "web_fetch_requests": 0}
    return shape


def message_id(exchange: str) -> str:
    """The id of a message, which is the exchange's in Anthropic's spelling."""
    return "msg_" + exchange.removeprefix("gen-").replace("-", "")


# -- reading ---------------------------------------------------------------------------------------------


def foreign(raw: msgspec.Raw | bytes) -> Foreign:
    """A block that only Anthropic has, whole."""
    value = _decode_object(raw)
    return Foreign(str(value.get("type", "")), msgspec.Raw(_encode(value)), ANTHROPIC)


def cited(part: int, citation: Citation) -> Cited | None:
    """The source of a text; None for a place in the caller's own document, which has no address."""
    url = citation.url or citation.source
    if not isinstance(url, str):
        return None
    return Cited(part, url, str(citation.title or ""), str(citation.cited_text or ""))


def arguments(raw: msgspec.Raw) -> str:
    """A tool call's input as text, as it was written: an object, also where none was given."""
    text = bytes(raw).decode().strip()
    return "{}" if text in {"", "null"} else text


def _part(raw: msgspec.Raw, block: Block) -> AnswerPart:
    match block.type:
        case "text":
            return Text(block.text or "")
        case "thinking":
            return Reasoning(block.thinking or "", block.signature or "", format=ANTHROPIC)
        case "redacted_thinking":
            return Reasoning(sealed=block.data or "", format=ANTHROPIC)
        case "tool_use":
            return ToolCall(block.id or "", block.name or "", arguments(block.input))
        case _:
            return foreign(raw)


def read_answer(body: bytes) -> Answer:
    """A whole answer with status 200; raises WireError when it is none."""
    try:
        message = decode_message(body)
        if message.error:
            raise WireError(f"an error came with status 200: {fault_text(message.error)}")
        if message.content is None:
            raise WireError("the answer is not one of this dialect")
        parts: list[AnswerPart] = []
        citations: list[Cited] = []
        for raw in message.content:
            block = decode_block(raw)
            found = (cited(len(parts), each) for each in block.citations or ())
            citations += [each for each in found if each is not None]
            parts.append(_part(raw, block))
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of this dialect: {error}") from None
    finish = finish_of(message.stop_reason, message.stop_sequence, message.stop_details)
    choice = Choice(tuple(parts), finish, tuple(citations))
    return Answer(str(message.id or ""), str(message.model or ""), 0, (choice,), meter(message.usage))


# -- writing ---------------------------------------------------------------------------------------------


def citation_object(each: Cited) -> dict[str, object]:
    """A source of a text as Anthropic's web search tells it."""
    return {
        "type": "web_search_result_location",
        "cited_text": each.text,
        "url": each.url,
        "title": each.title,
        "encrypted_index": "",
    }


def redacted(value: str, whose: str, call: str = "") -> dict[str, object]:
    """A block that carries what a vendor sealed; `call` where it belongs to a tool call."""
    return {"type": "redacted_thinking", "data": seal(value, whose, ANTHROPIC, call)}


def media_text(media: Media) -> str:
    """Media in an answer, for which Anthropic has no block: a link in Markdown."""
    if media.text:
        return media.text
    address = media.url or f"data:{media.media_type or 'application/octet-stream'};base64,{media.data}"
    return f"![{media.title or media.kind.value}]({address})"


def input_object(text: str, *, is_custom: bool = False) -> msgspec.Raw:
    """A tool call's arguments as an object; free text, or half an object where a limit cut it, is its `input`."""
    try:
        _decode_object(text or "{}")
        if not is_custom:
            return msgspec.Raw(text.encode() or b"{}")
    except UNREADABLE:
        pass
    return msgspec.Raw(_encode({"input": text}))


def own_block(part: Foreign) -> bool:
    """Whether a vendor's own part is Anthropic's."""
    return part.name in OWN_BLOCKS and part.format in {"", ANTHROPIC}


def _blocks(part: AnswerPart, citations: Iterable[Cited]) -> list[dict[str, object] | msgspec.Raw]:
    match part:
        case Text() | Refusal():
            block: dict[str, object] = {"type": "text", "text": part.text}
            found = [citation_object(each) for each in citations]
            if found:
                block["citations"] = found
            return [block] if part.text else []
        case Media():
            return [{"type": "text", "text": media_text(part)}]
        case Reasoning():
            return _thoughts(part)
        case ToolCall():
            called: dict[str, object] = {
                "type": "tool_use",
                "id": part.id,
                "name": part.name,
                "input": input_object(part.arguments, is_custom=part.custom),
            }
            signed = [redacted(part.signature, part.format, part.id)] if part.signature else []
            return [called, *signed]
        case Foreign():
            return [part.raw] if own_block(part) else []


def _thoughts(part: Reasoning) -> list[dict[str, object] | msgspec.Raw]:
    if part.sealed and not part.text:
        return [redacted(part.sealed, part.format)]
    if not part.text and not part.signature:
        return []
    signature = seal(part.signature or part.sealed, part.format, ANTHROPIC)
    return [{"type": "thinking", "thinking": part.text, "signature": signature}]


def write_answer(answer: Answer, maker: Maker) -> bytes:
    """A whole answer for the caller: the first choice, since this dialect has only one."""
    choice = answer.choices[0] if answer.choices else Choice((), Finished(FinishReason.ERROR))
    content: list[dict[str, object] | msgspec.Raw] = []
    for number, part in enumerate(choice.parts):
        content += _blocks(part, (each for each in choice.citations if each.part == number))
    return _encode(
        {
            "id": message_id(maker.exchange),
            "type": "message",
            "role": "assistant",
            "model": maker.model,
            "content": content,
            **stop_members(choice.finish),
            "usage": usage_object(answer.metered),
        }
    )
