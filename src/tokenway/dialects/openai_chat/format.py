"""The OpenAI chat dialect as one record; see `dialects.base.Format`."""

from __future__ import annotations

from typing import Final

from tokenway.dialects.base import AnswerStream, CallerRequest, Format, WholeAnswer
from tokenway.dialects.inbound import with_model
from tokenway.dialects.openai_chat.answer import write_answer
from tokenway.dialects.openai_chat.error import error_body, error_event, read_error
from tokenway.dialects.openai_chat.passing import PassingChat, read_whole, with_usage_members
from tokenway.dialects.openai_chat.request import PATHS
from tokenway.dialects.openai_chat.request import parse as parse_body
from tokenway.dialects.openai_chat.stream_reader import Reader, read_answer
from tokenway.dialects.openai_chat.stream_writer import make_writer
from tokenway.dialects.openai_chat.told import told
from tokenway.dialects.openai_chat.write import write_request
from tokenway.dialects.side import request as side
from tokenway.dialects.side.passing import PassingBytes, PassingEvents
from tokenway.dialects.side.passing import read_whole as read_side
from tokenway.model.catalog import Dialect, Operation
from tokenway.wire.sse import DataFrames

STREAM_TYPE: Final = b"text/event-stream"


def parse(operation: Operation, body: bytes, path_model: str, _path_stream: bool) -> CallerRequest:  # noqa: FBT001 - the signature is the table's
    """A body, with the model that the path names in place of its own (Azure's deployments); raises Refusal (400)."""
    if operation in side.PATHS:
        return side.parse(operation, body, path_model)
    return parse_body(operation, with_model(body, path_model) if path_model else body)


def passing(request: CallerRequest) -> AnswerStream:
    """The reader of a stream of the same dialect."""
    if request.operation in side.PATHS:
        spoken = side.spoken_characters(request)
        return PassingEvents(request.operation, spoken) if request.stream_type else PassingBytes(spoken)
    return PassingChat(request.choices, asks_usage=request.asks_usage)


def path(operation: Operation, _model: str, _stream: bool) -> str:  # noqa: FBT001 - the signature is the table's
    """What is added to the base URL."""
    return PATHS.get(operation) or side.PATHS[operation]


def read(operation: Operation, body: bytes) -> WholeAnswer:
    """A whole answer of the same dialect; raises WireError when it is none."""
    return read_side(operation, body) if operation in side.PATHS else read_whole(operation, body)


FORMAT: Final = Format(
    dialect=Dialect.OPENAI_CHAT,
    stream_type=STREAM_TYPE,
    parse=parse,
    passing=passing,
    read_whole=read,
    priced=with_usage_members,
    writer=make_writer,
    write_answer=write_answer,
    error_body=error_body,
    error_event=error_event,
    told=told,
    path=path,
    write_request=write_request,
    framing=DataFrames,
    reader=Reader,
    read_answer=read_answer,
    read_error=read_error,
    spelling={
        "thinking": "reasoning_effort",
        "effort": "reasoning_effort",
        "reasoning": "reasoning_details",
        "summary": "reasoning.summary",
        "shown": "reasoning.exclude",
        "title": "filename",
    },
    has_choices=True,
    has_refusals=True,
    forwarded=(b"openai-beta",),
    returned=(b"openai-processing-ms", b"openai-version"),
)
"""What the registry knows of this dialect."""
