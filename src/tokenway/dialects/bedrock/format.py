"""The Bedrock dialect as one record."""

from __future__ import annotations

from typing import Final

from tokenway.dialects.base import Format
from tokenway.dialects.bedrock.answer import read_answer, write_answer
from tokenway.dialects.bedrock.error import error_body, error_event, read_error
from tokenway.dialects.bedrock.passing import PassingMessages, priced, read_whole
from tokenway.dialects.bedrock.paths import path
from tokenway.dialects.bedrock.request import EVENT_STREAM, parse
from tokenway.dialects.bedrock.stream import Reader
from tokenway.dialects.bedrock.told import told
from tokenway.dialects.bedrock.write import write
from tokenway.dialects.bedrock.writer import Writer
from tokenway.model.catalog import Dialect
from tokenway.wire.event_stream import MessageFrames

SPELLING: Final = {
    "max_tokens": "inferenceConfig.maxTokens",
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "stop": "inferenceConfig.stopSequences",
    "top_k": "additionalModelRequestFields.top_k",
    "thinking": "additionalModelRequestFields.thinking",
    "effort": "outputConfig.effort",
    "tools": "toolConfig.tools",
    "tool_choice": "toolConfig.toolChoice",
    "response_format": "outputConfig.textFormat",
    "service_tier": "serviceTier",
    "cache_control": "cachePoint",
    "reasoning": "reasoningContent",
    "shown": "additionalModelRequestFields.thinking.display",
    "title": "document.name",
    "strict": "toolSpec.strict",
}
"""Bedrock's names of neutral fields."""

FORMAT: Final = Format(
    dialect=Dialect.BEDROCK,
    stream_type=EVENT_STREAM,
    parse=parse,
    passing=PassingMessages,
    read_whole=read_whole,
    priced=priced,
    writer=Writer,
    write_answer=write_answer,
    error_body=error_body,
    error_event=error_event,
    told=told,
    path=path,
    write_request=write,
    framing=MessageFrames,
    reader=Reader,
    read_answer=read_answer,
    read_error=read_error,
    spelling=SPELLING,
    credential_header="authorization",
    forwarded=(b"x-amzn-bedrock-",),
    id_header=b"x-amzn-requestid",
    returned=(b"x-amzn-",),
)
