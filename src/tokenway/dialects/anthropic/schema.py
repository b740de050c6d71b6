"""The shapes of Anthropic's Messages API: only the fields that the gateway reads; the rest stays bytes.

Source: the types of anthropic-sdk-python 2 and the Anthropic API reference (Messages, Messages streaming). Unknown
fields are ignored here and kept in the bytes that pass.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE
from tokenway.dialects.inbound import InboundFields
from tokenway.model.request import NO_JSON
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Tokens, Usage, service_of

OWN_BLOCKS: Final = frozenset(
    {
        "advisor_tool_result",
        "bash_code_execution_tool_result",
        "code_execution_tool_result",
        "compaction",
        "container_upload",
        "mcp_tool_result",
        "mcp_tool_use",
        "mid_conv_system",
        "server_tool_use",
        "text_editor_code_execution_tool_result",
        "tool_addition",
        "tool_removal",
        "tool_search_tool_result",
        "web_fetch_tool_result",
        "web_search_tool_result",
    }
)
"""Content blocks that only Anthropic has: a foreign part of such a name is this dialect's own and can be written."""


class RequestFields(InboundFields):
    """What the gateway reads of a request. `max_tokens` may be 0: it fills the prompt cache and answers nothing."""

    max_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    messages: msgspec.Raw = NO_JSON


class CacheCreation(msgspec.Struct, gc=False):
    """`cache_creation`: tokens written to the cache, by how long they live."""

    ephemeral_5m_input_tokens: Tokens | None = None
    ephemeral_1h_input_tokens: Tokens | None = None


class OutputDetails(msgspec.Struct, gc=False):
    """`output_tokens_details`: parts of the output."""

    thinking_tokens: Tokens | None = None


class ServerTools(msgspec.Struct, gc=False):
    """`server_tool_use`: calls of Anthropic's own tools; searches are charged by the call."""

    web_search_requests: Tokens | None = None


class Iteration(msgspec.Struct, gc=False):
    """One of `iterations`: a sampling of its own within one call."""

    type: Any = None
    input_tokens: Tokens | None = None
    cache_creation: CacheCreation | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None


class UsageFields(msgspec.Struct):
    """`usage`: the input without what a cache held, the output with the thinking."""

    input_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: Tokens | None = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: ServerTools | None = None
    iterations: list[Iteration] | None = None
    speed: Any = None


class Delta(msgspec.Struct, gc=False):
    """What a `content_block_delta` or a `message_delta` adds; which fields it has depends on the type."""

    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: msgspec.Raw = NO_JSON
    stop_reason: Any = None
    stop_sequence: Any = None
    stop_details: Any = None


class Glance(msgspec.Struct, gc=False):
    """What tells whether an event of a stream is a delta."""

    type: str = ""


class Frame(msgspec.Struct):
    """One event of a stream; its type says which of the fields it has."""

    type: str
    index: int = 0
    delta: Delta | None = None
    content_block: msgspec.Raw = NO_JSON
    message: msgspec.Raw = NO_JSON
    usage: msgspec.Raw = NO_JSON
    error: Any = None


class Head(msgspec.Struct):
    """`message` of a `message_start`."""

    id: Any = None
    model: Any = None
    usage: msgspec.Raw = NO_JSON


class Block(msgspec.Struct):
    """A content block of an answer."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = NO_JSON
    citations: list[Citation] | None = None


class Citation(msgspec.Struct):
    """A source of a text. Search results have an address; places in a document given with the request have none."""

    type: Any = None
    url: Any = None
    source: Any = None
    title: Any = None
    cited_text: Any = None


class Message(msgspec.Struct):
    """A whole answer."""

    type: Any = None
    id: Any = None
    model: Any = None
    content: list[msgspec.Raw] | None = None
    stop_reason: Any = None
    stop_sequence: Any = None
    stop_details: Any = None
    usage: msgspec.Raw = NO_JSON
    error: Any = None


glance: Final = msgspec.json.Decoder(Glance).decode
decode_frame: Final = msgspec.json.Decoder(Frame).decode
decode_head: Final = msgspec.json.Decoder(Head).decode
decode_block: Final = msgspec.json.Decoder(Block).decode
decode_citation: Final = msgspec.json.Decoder(Citation).decode
decode_message: Final = msgspec.json.Decoder(Message).decode
_decode_usage: Final = msgspec.json.Decoder(UsageFields | None).decode


class Tally:
    """The usage of one answer. In a stream it comes in pieces, each of which overwrites what the ones before said."""

    __slots__ = ("_fields", "_is_absurd")

    def __init__(self) -> None:
        self._fields = UsageFields()
        self._is_absurd = False

    def add(self, raw: msgspec.Raw) -> bool:
        """Takes in a `usage` value; whether it counts anything. Counts are totals so far: absent ones stay."""
        if raw == NO_JSON:
            return False
        try:
            news = _decode_usage(raw)
        except UNREADABLE:
            self._is_absurd = True
            return True
        if news is None:
            return False
        counts = False
        for name in UsageFields.__struct_fields__:
            value = getattr(news, name)
            if value is not None:
                setattr(self._fields, name, value)
                counts = True
        return counts

    @property
    def metered(self) -> Metered:
        """What the counts say so far."""
        if self._is_absurd:
            return ABSURD
        if self._fields.input_tokens is None and self._fields.output_tokens is None:
            return UNMETERED
        return Metered(given=True, usage=buckets(self._fields), service=service_of(self._fields.speed))


def meter(raw: msgspec.Raw) -> Metered:
    """Reads the `usage` of a whole answer."""
    tally = Tally()
    tally.add(raw)
    return tally.metered


def buckets(fields: UsageFields) -> Usage | None:
    """Anthropic's counts to disjoint buckets; None when they contradict each other.

    The input excludes the cache, the output includes the thinking. The total of cache writes is what is billed: where
    the split by lifetime does not add up to it, the rest counts as five minutes. A compaction is billed at the model's
    own rate and left out of the totals, so it is added; an advisor's tokens are another model's and are not.
    """
    uncached = fields.input_tokens or 0
    read = fields.cache_read_input_tokens or 0
    short, long = _written(fields)
    output = fields.output_tokens or 0
    for each in fields.iterations or ():
        if each.type == "compaction":
            uncached += each.input_tokens or 0
            read += each.cache_read_input_tokens or 0
            more_short, more_long = _written(each)
            short, long = short + more_short, long + more_long
            output += each.output_tokens or 0
    details = fields.output_tokens_details
    reasoning = (details.thinking_tokens or 0) if details else 0
    if reasoning > output:
        return None
    tools = fields.server_tool_use
    searches = (tools.web_search_requests or 0) if tools else 0
    return Usage(uncached, read, short, long, output - reasoning, reasoning, searches=searches)


def _written(counts: UsageFields | Iteration) -> tuple[int, int]:
    """What was written to the cache for five minutes and for an hour."""
    split = counts.cache_creation
    short = (split.ephemeral_5m_input_tokens or 0) if split else 0
    long = (split.ephemeral_1h_input_tokens or 0) if split else 0
    written = counts.cache_creation_input_tokens
    if written is None:
        return short, long
    long = min(long, written)
    return written - long, long
