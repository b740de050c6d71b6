"""The Gemini dialect in one record."""

from __future__ import annotations

from typing import Final

from tokenway.dialects.base import Format
from tokenway.dialects.gemini.answer import read_answer, write_answer
from tokenway.dialects.gemini.error import error_body, error_event, read_error
from tokenway.dialects.gemini.frames import Frames
from tokenway.dialects.gemini.passing import PassingGemini, priced, read_whole
from tokenway.dialects.gemini.reader import Reader
from tokenway.dialects.gemini.request import parse, path
from tokenway.dialects.gemini.told import told
from tokenway.dialects.gemini.write import write
from tokenway.dialects.gemini.writer import Writer
from tokenway.model.catalog import Dialect

FORMAT: Final = Format(
    dialect=Dialect.GEMINI,
    stream_type=b"text/event-stream",
    parse=parse,
    passing=PassingGemini,
    read_whole=read_whole,
    priced=priced,
    writer=Writer,
    write_answer=write_answer,
    error_body=error_body,
    error_event=error_event,
    told=told,
    path=path,
    write_request=write,
    framing=Frames,
    reader=Reader,
    read_answer=read_answer,
    read_error=read_error,
    spelling={
        "tool_choice": "toolConfig",
        "response_format": "responseMimeType",
        "thinking": "thinkingConfig",
        "effort": "thinkingLevel",
        "max_tokens": "maxOutputTokens",
        "top_p": "topP",
        "top_k": "topK",
        "frequency_penalty": "frequencyPenalty",
        "presence_penalty": "presencePenalty",
        "stop": "stopSequences",
        "logprobs": "responseLogprobs",
        "top_logprobs": "logprobs",
        "n": "candidateCount",
        "service_tier": "serviceTier",
        "messages": "contents",
        "reasoning": "thoughtSignature",
        "shown": "includeThoughts",
        "title": "displayName",
    },
    has_choices=True,
    credential_header="x-goog-api-key",
    forwarded=(b"x-goog-api-client", b"x-server-timeout"),
    returned=(b"server-timing", b"x-gemini-"),
)
