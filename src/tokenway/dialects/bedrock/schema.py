"""The shapes of Bedrock's Converse: only the fields of answers that the gateway reads, and what they mean.

Source: the service model `bedrock-runtime` of botocore 1.44 (ConverseResponse, ConverseStreamOutput, TokenUsage), which
Amazon's SDKs are made from. Unknown fields are ignored here and kept in the bytes that pass. A blob is base64 in JSON.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE
from tokenway.model.event import Finished, FinishReason
from tokenway.model.request import NO_JSON
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Tokens, Usage, service_of

SERVER_TOOL: Final = "server_tool_use"
"""The type of a tool use that Amazon runs itself; a caller's own have none, or `tool_use`."""

REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "malformed_model_output": FinishReason.ERROR,
    "malformed_tool_use": FinishReason.ERROR,
}
"""Each of Bedrock's stop reasons, the usual one of a kind first; one that is not known counts as a plain end."""
_USUAL: Final[dict[FinishReason, str]] = {reason: native for native, reason in reversed(REASONS.items())}


class CacheDetail(msgspec.Struct, gc=False):
    """Tokens written to the cache for a time to live, `5m` or `1h`."""

    ttl: str = ""
    inputTokens: Tokens = 0  # noqa: N815 - the vendor's name


class TokenUsage(msgspec.Struct, gc=False, rename="camel"):
    """`usage`: the input without what the cache gave or took, and the total with it."""

    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    total_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = 0
    cache_write_input_tokens: Tokens | None = 0
    cache_details: list[CacheDetail] | None = None


class Given(msgspec.Struct):
    """Media: the format and `{"bytes"}`, `{"s3Location"}` or a document's `{"text"}`; or why there are none."""

    format: str | None = None
    name: str | None = None
    source: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class ToolUse(msgspec.Struct, rename="camel"):
    """A call of a tool, whole or as it starts."""

    tool_use_id: str = ""
    name: str = ""
    input: msgspec.Raw = NO_JSON
    type: str | None = None


class ReasoningText(msgspec.Struct):
    """Reasoning with the vendor's signature."""

    text: str | None = ""
    signature: str | None = ""


class Reasoned(msgspec.Struct, rename="camel"):
    """`reasoningContent` of a whole answer: one of two."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class Cited(msgspec.Struct, rename="camel"):
    """A source of what the text says; `location` is one of several, of which `web` has an address."""

    title: str | None = None
    source: str | None = None
    source_content: list[dict[str, Any]] | None = None
    location: dict[str, Any] | None = None


class CitedText(msgspec.Struct):
    """`citationsContent`: text with its sources."""

    content: list[dict[str, Any]] | None = None
    citations: list[Cited] | None = None


class Block(msgspec.Struct, rename="camel"):
    """One block of an answer's content: one of its fields."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoned | None = None
    citations_content: CitedText | None = None
    image: Given | None = None
    document: Given | None = None
    video: Given | None = None
    audio: Given | None = None


class AnswerMessage(msgspec.Struct):
    """The message of an answer."""

    content: list[Block] | None = None


class Output(msgspec.Struct):
    """`output`: a union with one member."""

    message: AnswerMessage


class Whole(msgspec.Struct, rename="camel"):
    """A whole answer."""

    output: Output
    stop_reason: str | None = None
    usage: msgspec.Raw = NO_JSON
    service_tier: Any = None
    additional_model_response_fields: Any = None


class ToolUsePiece(msgspec.Struct):
    """More of a tool's input, as JSON text."""

    input: str | None = None


class ReasoningPiece(msgspec.Struct, rename="camel"):
    """More reasoning, its signature, or its sealed form: one of three."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class Delta(msgspec.Struct, rename="camel"):
    """What a block gains: one of its fields."""

    text: str | None = None
    tool_use: ToolUsePiece | None = None
    reasoning_content: ReasoningPiece | None = None
    citation: Cited | None = None
    image: Given | None = None


class BlockDelta(msgspec.Struct, rename="camel"):
    """`contentBlockDelta`."""

    delta: Delta
    content_block_index: int = 0


class Start(msgspec.Struct, rename="camel"):
    """What a block is, where its deltas do not tell."""

    tool_use: ToolUse | None = None
    image: Given | None = None


class BlockStart(msgspec.Struct, rename="camel"):
    """`contentBlockStart`; blocks of text mostly have none."""

    start: Start | None = None
    content_block_index: int = 0


class BlockStop(msgspec.Struct, rename="camel"):
    """`contentBlockStop`."""

    content_block_index: int = 0


class MessageStop(msgspec.Struct, rename="camel"):
    """`messageStop`."""

    stop_reason: str | None = None
    additional_model_response_fields: Any = None


class Metadata(msgspec.Struct, rename="camel"):
    """`metadata`: the last event."""

    usage: msgspec.Raw = NO_JSON
    service_tier: Any = None


_decode_usage: Final = msgspec.json.Decoder(TokenUsage | None).decode


def meter(raw: msgspec.Raw, tier: Any = None) -> Metered:
    """Reads a `usage` value; `tier` is the `serviceTier` beside it: `{"type": "flex"}`."""
    if raw == NO_JSON:
        return UNMETERED
    try:
        fields = _decode_usage(raw)
    except UNREADABLE:
        return ABSURD
    if fields is None or (fields.input_tokens is None and fields.output_tokens is None):
        return UNMETERED
    kind = tier.get("type") if isinstance(tier, dict) else None
    return Metered(given=True, usage=_buckets(fields), service=service_of(kind))


def _buckets(fields: TokenUsage) -> Usage | None:
    """Disjoint buckets; None when the counts contradict each other.

    The total has all four counts; models that know no cache, and older ones, give that of input and output alone.
    """
    uncached, output = fields.input_tokens or 0, fields.output_tokens or 0
    read, written = fields.cache_read_input_tokens or 0, fields.cache_write_input_tokens or 0
    details = fields.cache_details or ()
    long = sum(detail.inputTokens for detail in details if detail.ttl == "1h")
    plain = uncached + output
    if long > written or fields.total_tokens not in {None, plain, plain + read + written}:
        return None
    return Usage(uncached, read, written - long, long, output)


def usage_object(usage: Usage) -> dict[str, object]:
    """A usage in Bedrock's shape."""
    written = usage.cache_write_5m + usage.cache_write_1h
    shape: dict[str, object] = {
        "inputTokens": usage.input_tokens - usage.cache_read - written,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": written,
    }
    if usage.cache_write_1h:
        kept = {"5m": usage.cache_write_5m, "1h": usage.cache_write_1h}
        shape["cacheDetails"] = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in kept.items() if tokens]
    return shape


def finished(stop_reason: str | None, extra: Any) -> Finished:
    """How an answer ended. `extra` are `additionalModelResponseFields`, where Claude tells its stop sequence.

    A caller gets them by asking for the path `/stop_sequence`.
    """
    native = stop_reason or ""
    stop = extra.get("stop_sequence") if isinstance(extra, dict) else None
    return Finished(REASONS.get(native, FinishReason.STOP), native, stop if isinstance(stop, str) else None)


def finish_members(finish: Finished) -> dict[str, object]:
    """The members of an answer that tell how it ended: the inverse of `finished`."""
    native = finish.native
    if REASONS.get(native) is not finish.reason:
        native = "stop_sequence" if finish.stop is not None else _USUAL[finish.reason]
    if finish.stop is None:
        return {"stopReason": native}
    return {"stopReason": native, "additionalModelResponseFields": {"stop_sequence": finish.stop}}
