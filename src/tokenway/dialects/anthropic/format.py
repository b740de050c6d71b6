"""The Anthropic dialect as one record; see `dialects.base.Format`."""

from __future__ import annotations

from typing import Final

from tokenway.dialects.anthropic.answer import read_answer, write_answer
from tokenway.dialects.anthropic.error import STATUSES, error_body, error_event, read_error
from tokenway.dialects.anthropic.passing import PassingMessages, priced, read_whole
from tokenway.dialects.anthropic.request import parse, path
from tokenway.dialects.anthropic.stream import Reader
from tokenway.dialects.anthropic.told import told
from tokenway.dialects.anthropic.write import write
from tokenway.dialects.anthropic.writer import Writer
from tokenway.dialects.base import AnswerStream, CallerRequest, Format
from tokenway.model.catalog import Dialect
from tokenway.wire.sse import DataFrames


def passing(request: CallerRequest) -> AnswerStream:  # noqa: ARG001 - every stream of this dialect is looked at alike
    """Looks at a stream of this dialect as it passes."""
    return PassingMessages()


FORMAT: Final = Format(
    dialect=Dialect.ANTHROPIC,
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
        "stop": "stop_sequences",
        "user": "metadata.user_id",
        "response_format": "output_config.format",
        "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
        "reasoning": "messages.thinking",
        "shown": "thinking.display",
        "effort": "output_config.effort",
        "task_budget": "output_config.task_budget",
    },
    headers=(("anthropic-version", "2023-06-01"),),
    credential_header="x-api-key",
    forwarded=(b"anthropic-",),
    id_header=b"request-id",
    returned=(b"anthropic-", b"request-id"),
    statuses=STATUSES,
)
"""The Messages API. Streams pass and are read event by event; headers of Anthropic's go through as open lists."""
