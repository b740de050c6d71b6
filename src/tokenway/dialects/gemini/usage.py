"""Gemini's `usageMetadata` to disjoint buckets, and back.

`promptTokenCount` includes what was cached (`cachedContentTokenCount`); what tools put into the prompt
(`toolUsePromptTokenCount`) and thoughts (`thoughtsTokenCount`) come on top, and `candidatesTokenCount` has no thoughts
in it: `totalTokenCount` is the sum of the four. The details by modality are parts of their count. Films and documents
are billed like text, so only sound and images have buckets of their own.

Source: `GenerateContentResponse.UsageMetadata` in the Gemini API reference.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE
from tokenway.dialects.gemini.schema import NOTHING
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Tokens, Usage, service_of


class ModalityCount(msgspec.Struct, gc=False, rename="camel"):
    """Tokens of one modality."""

    modality: str | None = None
    token_count: Tokens | None = 0


class UsageFields(msgspec.Struct, gc=False, rename="camel"):
    """`usageMetadata`. The decoder refuses a count that cannot be."""

    prompt_token_count: Tokens | None = None
    cached_content_token_count: Tokens | None = None
    candidates_token_count: Tokens | None = None
    thoughts_token_count: Tokens | None = None
    tool_use_prompt_token_count: Tokens | None = None
    total_token_count: Tokens | None = None
    prompt_tokens_details: list[ModalityCount] | None = None
    cache_tokens_details: list[ModalityCount] | None = None
    candidates_tokens_details: list[ModalityCount] | None = None
    tool_use_prompt_tokens_details: list[ModalityCount] | None = None
    service_tier: Any = None
    traffic_type: Any = None
    """Vertex's place for it: `ON_DEMAND_PRIORITY`, `ON_DEMAND_FLEX`."""


_ON_DEMAND: Final = "ON_DEMAND_"
_decode: Final = msgspec.json.Decoder(UsageFields | None).decode


def meter(raw: msgspec.Raw) -> Metered:
    """Reads a `usageMetadata` value; one that counts nothing (Vertex's `trafficType` alone) is none."""
    if raw in NOTHING:
        return UNMETERED
    try:
        fields = _decode(raw)
    except UNREADABLE:
        return ABSURD
    if fields is None or (fields.prompt_token_count is None and fields.total_token_count is None):
        return UNMETERED
    tier = fields.service_tier or fields.traffic_type
    tier = tier.removeprefix(_ON_DEMAND) if isinstance(tier, str) else tier
    return Metered(given=True, usage=buckets(fields), service=service_of(tier))


def buckets(fields: UsageFields) -> Usage | None:
    """Totals with details to disjoint buckets; None when the counts contradict each other.

    The first previews of Gemini 2.5 counted thoughts among the candidates' tokens too; the total tells.
    """
    cached = fields.cached_content_token_count or 0
    candidates = fields.candidates_token_count or 0
    thoughts = fields.thoughts_token_count or 0
    read = (fields.prompt_token_count or 0) + (fields.tool_use_prompt_token_count or 0)
    if thoughts and fields.total_token_count == read + candidates:
        candidates -= thoughts
    if fields.total_token_count is not None and fields.total_token_count != read + candidates + thoughts:
        return None
    uncached = read - cached
    audio_in, image_in = _media(fields.prompt_tokens_details)
    audio_out, image_out = _media(fields.candidates_tokens_details)
    if fields.tool_use_prompt_tokens_details:
        audio, image = _media(fields.tool_use_prompt_tokens_details)
        audio_in, image_in = audio_in + audio, image_in + image
    if fields.cache_tokens_details:
        audio, image = _media(fields.cache_tokens_details)
        audio_in, image_in = max(0, audio_in - audio), max(0, image_in - image)
    text_in = uncached - audio_in - image_in
    text_out = candidates - audio_out - image_out
    if text_in < 0 <= uncached and not fields.cache_tokens_details:
        # What was cached is not split: some of the sound and images was.
        audio_in = min(audio_in, uncached)
        image_in = uncached - audio_in
        text_in = 0
    if text_in < 0 or text_out < 0:
        return None
    return Usage(text_in, cached, 0, 0, text_out, thoughts, audio_in, audio_out, image_in, image_out)


def _media(details: list[ModalityCount] | None) -> tuple[int, int]:
    """Tokens of sound and of images."""
    audio = image = 0
    for each in details or ():
        if each.modality == "AUDIO":
            audio += each.token_count or 0
        elif each.modality == "IMAGE":
            image += each.token_count or 0
    return audio, image


def usage_object(usage: Usage) -> dict[str, object]:
    """Buckets as a `usageMetadata`."""
    candidates = usage.output_tokens - usage.reasoning
    found: dict[str, object] = {"promptTokenCount": usage.input_tokens, "candidatesTokenCount": candidates}
    if usage.cache_read:
        found["cachedContentTokenCount"] = usage.cache_read
    if usage.reasoning:
        found["thoughtsTokenCount"] = usage.reasoning
    found["totalTokenCount"] = usage.input_tokens + usage.output_tokens
    if usage.audio_in or usage.image_in:
        found["promptTokensDetails"] = _details(usage.input_tokens, usage.audio_in, usage.image_in)
        if usage.cache_read:
            found["cacheTokensDetails"] = _details(usage.cache_read, 0, 0)
    if usage.audio_out or usage.image_out:
        found["candidatesTokensDetails"] = _details(candidates, usage.audio_out, usage.image_out)
    return found


def _details(total: int, audio: int, image: int) -> list[dict[str, object]]:
    counts = (("TEXT", total - audio - image), ("AUDIO", audio), ("IMAGE", image))
    return [{"modality": name, "tokenCount": count} for name, count in counts if count]
