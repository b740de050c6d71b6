"""The shapes of OpenAI's Responses API: only the fields that the gateway reads; the rest stays bytes.

Source: the types of openai-python 3 (`openai.types.responses`) and the OpenAI API reference, Responses. What
providers send is read with tolerance: names are checked where they are used, and what only passes is `Raw`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE
from tokenway.dialects.inbound import InboundFields
from tokenway.model.event import FinishReason
from tokenway.model.request import NO_JSON
from tokenway.model.usage import ABSURD, TOKENS_BELIEVABLE, UNMETERED, Metered, Tokens, Usage, service_of

NOTHING: Final = (NO_JSON, msgspec.Raw(b"null"))
"""What a field of raw JSON holds that the text does not have, or has as null."""

ENCRYPTED: Final = "reasoning.encrypted_content"
LOGPROBS: Final = "message.output_text.logprobs"
"""Names of `include`."""

HOSTED_TOOLS: Final = frozenset(
    {
        "apply_patch",
        "code_interpreter",
        "computer",
        "computer_use",
        "computer_use_preview",
        "file_search",
        "image_generation",
        "local_shell",
        "mcp",
        "namespace",
        "programmatic_tool_calling",
        "shell",
        "tool_search",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    }
)
"""Types of tools that only this dialect has."""

HOSTED_ITEMS: Final = frozenset(
    {
        "additional_tools",
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "compaction",
        "computer_call",
        "computer_call_output",
        "file_search_call",
        "image_generation_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "program",
        "program_output",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    }
)
"""Types of items that only this dialect has; an upstream of this dialect gets them as they are."""

Count = Annotated[int, msgspec.Meta(ge=1)]


class RequestFields(InboundFields):
    """What is read of a request when it comes in.

    Those that are `Raw` are only told back in the response.
    """

    input: msgspec.Raw = NO_JSON
    prompt: msgspec.Raw = NO_JSON
    max_output_tokens: Count | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    instructions: msgspec.Raw = NO_JSON
    max_tool_calls: msgspec.Raw = NO_JSON
    parallel_tool_calls: msgspec.Raw = NO_JSON
    reasoning: msgspec.Raw = NO_JSON
    safety_identifier: msgspec.Raw = NO_JSON
    service_tier: msgspec.Raw = NO_JSON
    temperature: msgspec.Raw = NO_JSON
    text: msgspec.Raw = NO_JSON
    tool_choice: msgspec.Raw = NO_JSON
    tools: msgspec.Raw = NO_JSON
    top_logprobs: msgspec.Raw = NO_JSON
    top_p: msgspec.Raw = NO_JSON
    truncation: msgspec.Raw = NO_JSON
    user: msgspec.Raw = NO_JSON


class StreamEvent(msgspec.Struct, gc=False):
    """One event of a stream: the members of all kinds together, because a kind has few of its own.

    `item` and `response` are decoded only by who needs them. The flat `error` event has `code` and `message`.
    """

    type: str = ""
    output_index: int | None = 0
    content_index: int | None = 0
    summary_index: int | None = 0
    delta: Any = None
    text: Any = None
    arguments: Any = None
    input: Any = None
    refusal: Any = None
    logprobs: msgspec.Raw = NO_JSON
    item: msgspec.Raw = NO_JSON
    part: Any = None
    annotation: Any = None
    response: msgspec.Raw = NO_JSON
    error: Any = None
    code: Any = None
    message: Any = None


class PassingEvent(msgspec.Struct, gc=False):
    """What is read of an event that passes."""

    type: str = ""
    sequence_number: Any = None
    item: msgspec.Raw = NO_JSON
    response: msgspec.Raw = NO_JSON
    error: Any = None
    code: Any = None
    message: Any = None


class IncompleteDetails(msgspec.Struct):
    """Why an answer is not complete; `message` is this gateway's own addition."""

    reason: Any = None
    message: Any = None


class _Typed(msgspec.Struct):
    type: Any = None


_type_of: Final = msgspec.json.Decoder(_Typed).decode
_CALLS: Final = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "computer_call",
        "apply_patch_call",
        "mcp_approval_request",
    }
)
"""Types of items at which a response ends because the caller has something to do."""


class ResponseFields(msgspec.Struct):
    """A response object, whole or inside an event."""

    id: Any = None
    object: Any = None
    created_at: Any = None
    model: Any = None
    status: Any = None
    output: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = NO_JSON
    service_tier: Any = None
    tool_usage: Any = None
    """What hosted tools used beside the model; of it only searches have a price of their own."""
    error: Any = None
    incomplete_details: IncompleteDetails | None = None

    @property
    def metered(self) -> Metered:
        """What it consumed, as far as it says."""
        return meter(self.usage, self.service_tier, self.tool_usage)

    @property
    def reason(self) -> str:
        """The word for how it ended: the reason why it is incomplete, else its status."""
        details = self.incomplete_details
        if self.status == "incomplete" and details is not None and details.reason:
            return str(details.reason)
        return str(self.status or "")

    @property
    def word(self) -> str:
        """How it ended, for the books: `reason`, unless that hides that there are tools for the caller to call."""
        reason = self.reason
        if reason != "completed":
            return reason
        try:
            has_calls = any(_type_of(item).type in _CALLS for item in self.output or ())
        except (*UNREADABLE, TypeError):  # a type that is no text, which some may not even be hashed
            has_calls = False
        return FinishReason.TOOL_CALLS.value if has_calls else reason


class WriteDetails(msgspec.Struct, gc=False):
    """`cache_write_tokens_details`: what was written to the cache by how long it lives; the rest is for 30 minutes."""

    ttl_12h_tokens: Tokens | None = 0


class InputDetails(msgspec.Struct, gc=False):
    """`input_tokens_details`: parts of the input tokens."""

    cached_tokens: Tokens | None = 0
    cache_write_tokens: Tokens | None = 0
    cache_write_tokens_details: WriteDetails | None = None


class OutputDetails(msgspec.Struct, gc=False):
    """`output_tokens_details`: parts of the output tokens."""

    reasoning_tokens: Tokens | None = 0


class UsageFields(msgspec.Struct, gc=False):
    """`usage`: totals that include their details. The decoder refuses a count that cannot be."""

    input_tokens: Tokens | None = 0
    output_tokens: Tokens | None = 0
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    total_tokens: Tokens | None = None


_decode_usage: Final = msgspec.json.Decoder(UsageFields | None).decode


def meter(raw: msgspec.Raw, tier: Any = None, tools: Any = None) -> Metered:
    """Reads a `usage` value; beside it stand `tier`, its response's `service_tier`, and `tools`, its `tool_usage`."""
    if raw == NO_JSON:
        return UNMETERED
    try:
        fields = _decode_usage(raw)
    except UNREADABLE:
        return ABSURD
    if fields is None:
        return UNMETERED
    return Metered(given=True, usage=buckets(fields, _searches(tools)), service=service_of(tier))


def _searches(tools: Any) -> int:
    """The searches of the web that `tool_usage` counts; what is no count is none, since no tokens hang on it."""
    search = tools.get("web_search") if isinstance(tools, dict) else None
    count = search.get("num_requests") if isinstance(search, dict) else None
    return count if type(count) is int and 0 <= count <= TOKENS_BELIEVABLE else 0


def buckets(fields: UsageFields, searches: int = 0) -> Usage | None:
    """Totals with details to disjoint buckets; None when the counts contradict each other.

    What is written to the cache for twelve hours is in the bucket of the longer time, as it is asked for.
    """
    cached = written = long = reasoning = 0
    details = fields.input_tokens_details
    if details is not None:
        cached = details.cached_tokens or 0
        written = details.cache_write_tokens or 0
        if details.cache_write_tokens_details is not None:
            long = min(details.cache_write_tokens_details.ttl_12h_tokens or 0, written)
    if fields.output_tokens_details is not None:
        reasoning = fields.output_tokens_details.reasoning_tokens or 0
    uncached = (fields.input_tokens or 0) - cached - written
    text = (fields.output_tokens or 0) - reasoning
    if text < 0 and fields.total_tokens == (fields.input_tokens or 0) + (fields.output_tokens or 0):
        # The totals agree with each other: the detail is wrong, and no reason to leave the call unpaid.
        text, reasoning = 0, fields.output_tokens or 0
    if uncached < 0 or text < 0:
        return None
    return Usage(uncached, cached, written - long, long, text, reasoning, searches=searches)


def usage_object(usage: Usage | None) -> dict[str, object] | None:
    """Buckets to totals with details; the SDK's types want every detail, 0 where nothing was counted."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
