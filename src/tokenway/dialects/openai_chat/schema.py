"""The shapes of OpenAI's chat dialect: only the fields that the gateway reads; the rest stays bytes.

Source: the types of openai-python 3 and the OpenAI API reference for chat completions, completions
and embeddings. Unknown fields are ignored here and kept in the bytes that pass.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, RunFields
from tokenway.model.preferences import Preferences
from tokenway.model.usage import ABSURD, TOKENS_BELIEVABLE, UNMETERED, Metered, Tokens, Usage, service_of
from tokenway.wire.limits import MODEL_NAME

ABSENT: Final = msgspec.Raw()
"""What a field holds that the text does not have: no JSON value is empty."""


class StreamOptions(msgspec.Struct):
    """`stream_options` of a request."""

    include_usage: bool | None = None


Count = Annotated[int, msgspec.Meta(ge=1)]


class RequestFields(RunFields, kw_only=True):
    """What the gateway reads of a request for any of the three operations."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=MODEL_NAME)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Count | None = None
    best_of: Count | None = None
    messages: msgspec.Raw = ABSENT
    prompt: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT
    models: list[str] | None = None
    provider: Preferences | None = None
    route: Any = None


class PromptDetails(msgspec.Struct, gc=False):
    """`prompt_tokens_details`: parts of the prompt tokens."""

    cached_tokens: Tokens | None = 0
    cache_write_tokens: Tokens | None = 0
    audio_tokens: Tokens | None = 0
    image_tokens: Tokens | None = 0


class CompletionDetails(msgspec.Struct, gc=False):
    """`completion_tokens_details`: parts of the completion tokens."""

    reasoning_tokens: Tokens | None = 0
    audio_tokens: Tokens | None = 0
    image_tokens: Tokens | None = 0


class UsageFields(msgspec.Struct, gc=False):
    """`usage`: totals that include their details. The decoder refuses a count that cannot be."""

    prompt_tokens: Tokens | None = 0
    completion_tokens: Tokens | None = 0
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: Tokens | None = 0
    """DeepSeek's place for cached tokens."""
    cached_tokens: Tokens | None = 0
    """Moonshot's."""
    num_cached_tokens: Tokens | None = 0
    """Mistral's."""
    total_tokens: Tokens | None = None
    server_tool_use_details: Any = None
    """OpenRouter's place for searches (`web_search_requests`)."""


class Delta(msgspec.Struct):
    """What a chunk adds. Any non-empty part of it is a delta that a reader can see.

    The parts are untyped: providers put lists where OpenAI has text, and what only passes must not fail.
    """

    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class ChunkChoice(msgspec.Struct):
    """One choice of a chunk; `text` is the legacy completions' delta."""

    index: Any = 0
    delta: Delta | None = None
    text: Any = None
    finish_reason: Any = None


class Chunk(msgspec.Struct):
    """One event of a stream."""

    id: Any = None
    object: Any = None
    created: Any = None
    model: Any = None
    choices: list[ChunkChoice] | None = None
    usage: msgspec.Raw = ABSENT
    service_tier: Any = None
    error: Any = None


class GlanceChoice(msgspec.Struct, gc=False):
    """What tells whether a choice of a chunk is special."""

    finish_reason: Any = None


class Glance(msgspec.Struct, gc=False):
    """What tells whether a chunk is."""

    choices: list[GlanceChoice] | None = None
    usage: Any = None
    error: Any = None


class AnswerChoice(msgspec.Struct):
    """One choice of a whole answer."""

    finish_reason: Any = None
    message: msgspec.Raw = ABSENT


class Answer(msgspec.Struct):
    """A whole answer; which list it must have depends on the operation."""

    choices: list[AnswerChoice] | None = None
    data: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = ABSENT
    service_tier: Any = None
    error: Any = None


class EventDelta(msgspec.Struct, gc=False):
    """What a chunk adds, or the whole message of an answer that does not stream: all that is read across dialects.

    Besides OpenAI's own fields: reasoning as DeepSeek and vLLM (`reasoning_content`), Groq and Cerebras (`reasoning`)
    and OpenRouter (`reasoning_details`) send it, OpenRouter's `images`, and Google's `extra_content`.
    """

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    annotations: Any = None
    images: Any = None
    audio: Any = None
    extra_content: Any = None


class EventChoice(msgspec.Struct, gc=False):
    """One choice of a chunk (`delta`), of a whole answer (`message`) or of a legacy completion (`text`)."""

    index: Any = None
    delta: EventDelta | None = None
    message: EventDelta | None = None
    text: Any = None
    finish_reason: Any = None
    native_finish_reason: Any = msgspec.UNSET
    stop_reason: Any = None
    """vLLM's place for the stop sequence that was met; a number is a token."""
    logprobs: Any = None
    error: Any = None
    """OpenRouter's place for why a choice failed."""


class EventChunk(msgspec.Struct, gc=False):
    """One event of a stream, or a whole answer, as a reader across dialects takes it."""

    id: Any = None
    object: Any = None
    created: Any = None
    model: Any = None
    choices: list[EventChoice] | None = None
    usage: Any = None
    service_tier: Any = None
    error: Any = None
    search_results: Any = None
    """Perplexity's list of what it found, which the text names by its numbers."""
    citations: Any = None
    """The addresses alone, as xAI has them."""


_decode_usage: Final = msgspec.json.Decoder(UsageFields | None).decode


def meter(raw: msgspec.Raw, tier: Any = None) -> Metered:
    """Reads a `usage` value; `tier` is what stands beside it as `service_tier`."""
    if raw == ABSENT:
        return UNMETERED
    try:
        fields = _decode_usage(raw)
    except UNREADABLE:
        return ABSURD
    if fields is None:
        return UNMETERED
    return Metered(given=True, usage=buckets(fields), service=service_of(tier) if tier else "")


def buckets(fields: UsageFields) -> Usage | None:
    """Totals with details to disjoint buckets; None when the counts contradict each other.

    OpenAI counts cached and audio tokens inside the prompt, reasoning and audio inside the completion. Where the total
    shows that a provider keeps reasoning out of the completion, it is added (see `_hidden`).
    """
    uncached = fields.prompt_tokens or 0
    text = fields.completion_tokens or 0
    cached = fields.prompt_cache_hit_tokens or fields.cached_tokens or fields.num_cached_tokens or 0
    written = audio_in = image_in = reasoning = audio_out = image_out = 0
    details, more = fields.prompt_tokens_details, fields.completion_tokens_details
    if details is not None:
        cached = details.cached_tokens or cached
        written = details.cache_write_tokens or 0
        audio_in = details.audio_tokens or 0
        image_in = details.image_tokens or 0
    if more is not None:
        reasoning = more.reasoning_tokens or 0
        audio_out = more.audio_tokens or 0
        image_out = more.image_tokens or 0
    hidden = _hidden(fields, reasoning)
    if hidden:
        text, reasoning = text + hidden, hidden
    uncached -= cached + written
    if 0 <= uncached < audio_in + image_in <= (fields.prompt_tokens or 0):
        # What was cached is not split: some of the sound and images was.
        audio_in = min(audio_in, uncached)
        image_in = uncached - audio_in
    uncached -= audio_in + image_in
    text -= reasoning + audio_out + image_out
    if text < 0 <= text + reasoning and _adds_up(fields):
        text, reasoning = 0, text + reasoning
    if uncached < 0 or text < 0:
        return None
    searches = _searches(fields.server_tool_use_details)
    return Usage(
        uncached, cached, written, 0, text, reasoning, audio_in, audio_out, image_in, image_out, searches=searches
    )


def _adds_up(fields: UsageFields) -> bool:
    """Whether the totals agree with each other, so that a detail against them is the detail's fault."""
    return fields.total_tokens == (fields.prompt_tokens or 0) + (fields.completion_tokens or 0)


def _hidden(fields: UsageFields, reasoning: int) -> int:
    """Reasoning that is billed and stands in the total, but not in the completion.

    xAI tells it in the details; Google's endpoint for OpenAI's clients has no details and no other place for it. Any
    other total is not explained by what is known, and changes nothing.
    """
    rest = (fields.total_tokens or 0) - (fields.prompt_tokens or 0) - (fields.completion_tokens or 0)
    if rest <= 0:
        return 0
    has_details = fields.prompt_tokens_details is not None or fields.completion_tokens_details is not None
    return rest if rest == reasoning or not has_details else 0


def _searches(details: Any) -> int:
    """How many searches the provider made; what is no count is none, since no tokens hang on it."""
    count = details.get("web_search_requests") if isinstance(details, dict) else None
    return count if type(count) is int and 0 <= count <= TOKENS_BELIEVABLE else 0


def usage_object(usage: Usage) -> dict[str, object]:
    """Disjoint buckets to OpenAI's totals with their details; the inverse of `buckets`."""
    searches = {"server_tool_use_details": {"web_search_requests": usage.searches}} if usage.searches else {}
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
            "audio_tokens": usage.audio_in,
            "image_tokens": usage.image_in,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.audio_out,
            "image_tokens": usage.image_out,
        },
        **searches,
    }
