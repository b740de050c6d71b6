"""The shapes of Gemini's generateContent: only the fields that the gateway reads; the rest stays bytes.

Source: the types of python-genai 3 and the Gemini API reference (`GenerateContentResponse`). The fields of an answer
are loosely typed: what a provider adds or leaves null must not fail, and what only passes is not checked.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects.inbound import InboundFields
from tokenway.model.event import FinishReason

ABSENT: Final = msgspec.Raw()
"""What a raw field holds that the text does not have: no JSON value is empty."""
NOTHING: Final = (ABSENT, msgspec.Raw(b"null"))
"""A raw field that says nothing."""


# -- requests --------------------------------------------------------------------------------------------


class GenerationFields(
    msgspec.Struct,
    rename={
        "limit": "maxOutputTokens",
        "limit_snake": "max_output_tokens",
        "count": "candidateCount",
        "count_snake": "candidate_count",
    },
):
    """What is read of `generationConfig` before anything is converted; Google takes both spellings."""

    limit: int | None = None
    limit_snake: int | None = None
    count: int | None = None
    count_snake: int | None = None


_RENAMED: Final = {
    "config": "generationConfig",
    "config_snake": "generation_config",
    "generate_content_request": "generateContentRequest",
}


class RequestFields(InboundFields, rename=_RENAMED):
    """What is read of a request before anything is converted. `model` is in the path; a body may repeat it."""

    contents: msgspec.Raw = ABSENT
    content: msgspec.Raw = ABSENT
    generate_content_request: msgspec.Raw = ABSENT
    requests: msgspec.Raw = ABSENT
    config: GenerationFields | None = None
    config_snake: GenerationFields | None = None


# -- answers ---------------------------------------------------------------------------------------------


class Part(msgspec.Struct, rename="camel"):
    """One piece of an answer: the parts whose names are fields here are read, others stay what they are."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: msgspec.Raw = ABSENT
    inline_data: msgspec.Raw = ABSENT
    file_data: msgspec.Raw = ABSENT


class Content(msgspec.Struct, rename="camel"):
    """A turn of the model."""

    parts: list[Part] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One answer, or what a chunk adds to it."""

    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    grounding_metadata: msgspec.Raw = ABSENT
    citation_metadata: msgspec.Raw = ABSENT
    logprobs_result: msgspec.Raw = ABSENT


class PromptFeedback(msgspec.Struct, rename="camel"):
    """Why a prompt is not answered."""

    block_reason: str | None = None
    block_reason_message: str | None = None


class Response(msgspec.Struct, rename="camel"):
    """`GenerateContentResponse`: a whole answer, and each event of a stream."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: msgspec.Raw = ABSENT
    model_version: str | None = None
    response_id: str | None = None
    create_time: Any = None
    error: Any = None


class FunctionCall(msgspec.Struct, rename="camel"):
    """A call of a tool; it comes whole, unless `streamFunctionCallArguments` was asked for, which nobody here does."""

    name: str | None = None
    id: str | None = None
    args: msgspec.Raw = ABSENT
    partial_args: Any = None
    will_continue: bool | None = None


class Blob(msgspec.Struct, rename="camel"):
    """`inlineData`."""

    data: str | None = None
    mime_type: str | None = None


class FileData(msgspec.Struct, rename="camel"):
    """`fileData`."""

    file_uri: str | None = None
    mime_type: str | None = None


FINISH: Final[dict[str, FinishReason]] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "IMAGE_OTHER": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "ESCALATION": FinishReason.CONTENT_FILTER,
    "PUP_LIMITED_DISABLED": FinishReason.CONTENT_FILTER,
    "NO_IMAGE": FinishReason.ERROR,
    "MALFORMED_FUNCTION_CALL": FinishReason.ERROR,
    "MALFORMED_RESPONSE": FinishReason.ERROR,
    "UNEXPECTED_TOOL_CALL": FinishReason.ERROR,
    "TOO_MANY_TOOL_CALLS": FinishReason.ERROR,
    "MISSING_THOUGHT_SIGNATURE": FinishReason.ERROR,
    "OTHER": FinishReason.ERROR,
}
"""Gemini's finish reasons to ours; a word that is not here counts as STOP, and is kept as the native one."""

FINISH_WORDS: Final[dict[FinishReason, str]] = {
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.CONTENT_FILTER: "SAFETY",
    FinishReason.ERROR: "OTHER",
}
"""Our finish reasons to Gemini's: it has none of its own for tool calls."""


def finish_word(reason: FinishReason, native: str) -> str:
    """The finish reason for a caller of Gemini: the upstream's own word where it is one of Gemini's."""
    return native if FINISH.get(native) is reason else FINISH_WORDS[reason]


FOREIGN_PARTS: Final = frozenset(
    {
        *("executableCode", "codeExecutionResult", "toolCall", "toolResponse"),
        *("audioTranscription",),
    }
)
"""Parts that only Gemini knows: kept as they are, and written back to Gemini alone."""

HOSTED_TOOLS: Final = frozenset(
    {
        *("googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "fileSearch", "computerUse"),
        *("googleMaps", "retrieval", "enterpriseWebSearch", "parallelAiSearch", "exaAiSearch", "mcpServers"),
    }
)
"""Tools that Google runs itself."""
