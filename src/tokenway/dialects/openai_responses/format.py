"""The Responses dialect as one record: what `dialects.base.Format` asks of every dialect.

The headers that are forwarded and returned are those by which Codex keeps a turn on one server.
"""

from __future__ import annotations

from typing import Final

from tokenway.dialects.base import Format
from tokenway.dialects.openai_responses.answer import read_answer, write_answer
from tokenway.dialects.openai_responses.error import error_body, error_event, read_error
from tokenway.dialects.openai_responses.passing import passing, priced, read_whole
from tokenway.dialects.openai_responses.reader import Reader
from tokenway.dialects.openai_responses.request import parse, path
from tokenway.dialects.openai_responses.told import told
from tokenway.dialects.openai_responses.write import write
from tokenway.dialects.openai_responses.writer import Writer
from tokenway.model.catalog import Dialect
from tokenway.wire.sse import DataFrames

FORMAT: Final = Format(
    dialect=Dialect.OPENAI_RESPONSES,
    stream_type=b"text/event-stream",
    parse=parse,
    passing=passing,
    read_whole=read_whole,
    priced=priced,
    writer=Writer,
    write_answer=write_answer,
    error_body=error_body,
    error_event=error_event,
    told=told,
    path=path,
    write_request=write,
    framing=DataFrames,
    reader=Reader,
    read_answer=read_answer,
    read_error=read_error,
    spelling={
        "max_tokens": "max_output_tokens",
        "response_format": "text.format",
        "verbosity": "text.verbosity",
        "thinking": "reasoning",
        "effort": "reasoning",
        "reasoning": "input.reasoning",
        "summary": "reasoning.summary",
        "shown": "reasoning.summary",
        "title": "filename",
        "logprobs": "include",
        "user": "safety_identifier",
        "cache_control": "prompt_cache_breakpoint",
    },
    has_refusals=True,
    has_prefill=False,
    forwarded=(b"openai-beta", b"x-codex-", b"session-id", b"session_id", b"thread-id", b"originator"),
    returned=(b"openai-", b"x-codex-"),
)
