"""The OpenAI chat dialect as one record; see `dialects.base.Format`."""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.dialects.base import CallerRequest, Format
from tokenway.dialects.openai_chat.answer import write_answer
from tokenway.dialects.openai_chat.error import error_body, error_event, read_error
from tokenway.dialects.openai_chat.passing import PassingChat, read_whole, with_usage_members
from tokenway.dialects.openai_chat.request import PATHS, ChatRequest
from tokenway.dialects.openai_chat.request import parse as parse_body
from tokenway.dialects.openai_chat.stream_reader import Reader, read_answer
from tokenway.dialects.openai_chat.stream_writer import make_writer
from tokenway.dialects.openai_chat.write import write_request
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import WireError
from tokenway.wire.splice import set_members
from tokenway.wire.sse import DataFrames

STREAM_TYPE: Final = b"text/event-stream"


def parse(operation: Operation, body: bytes, path_model: str, _path_stream: bool) -> ChatRequest:  # noqa: FBT001 - the signature is the table's
    """A body, with the model that the path names in place of its own (Azure's deployments); raises Refusal (400)."""
    if path_model:
        try:
            body = set_members(body, b'"model":' + msgspec.json.encode(path_model), ("model",))
        except (WireError, ValueError):
            return parse_body(operation, body)  # which says what is wrong with it
    return parse_body(operation, body)


def passing(request: CallerRequest) -> PassingChat:
    """The reader of a stream of the same dialect."""
    return PassingChat(request.choices, asks_usage=request.asks_usage)


def path(operation: Operation, _model: str, _stream: bool) -> str:  # noqa: FBT001 - the signature is the table's
    """What is added to the base URL."""
    return PATHS[operation]


FORMAT: Final = Format(
    dialect=Dialect.OPENAI_CHAT,
    stream_type=STREAM_TYPE,
    parse=parse,
    passing=passing,
    read_whole=read_whole,
    priced=with_usage_members,
    writer=make_writer,
    write_answer=write_answer,
    error_body=error_body,
    error_event=error_event,
    path=path,
    write_request=write_request,
    framing=DataFrames,
    reader=Reader,
    read_answer=read_answer,
    read_error=read_error,
    spelling={"thinking": "reasoning", "reasoning": "reasoning_details", "title": "filename"},
    forwarded=(b"openai-beta",),
    returned=(b"openai-processing-ms", b"openai-version"),
)
"""What the registry knows of this dialect."""
