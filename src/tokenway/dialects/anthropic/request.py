"""Requests of the Anthropic dialect: read once, spliced, not re-encoded.

The caller's bytes go to an Anthropic upstream as they came, but for the model's name and the members that are meant for
the gateway: rewriting any other byte would break prompt caches and signed thinking, and fields that are newer than
this program must pass. `read` makes the neutral request where the upstream speaks another dialect.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.dialects.anthropic.read import read
from tokenway.dialects.anthropic.schema import RequestFields
from tokenway.dialects.inbound import Inbound, decode_body
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import Refusal, invalid_request
from tokenway.model.request import NO_JSON

_decode: Final = msgspec.json.Decoder(RequestFields).decode
_NOTHING: Final = (NO_JSON, msgspec.Raw(b"null"))


_PATHS: Final = {Operation.CHAT: "/messages", Operation.COUNT: "/messages/count_tokens"}


def path(operation: Operation, model: str, stream: bool) -> str:  # noqa: ARG001, FBT001 - the interface of all dialects
    """What is added to a provider's base URL; raises Refusal for what the Messages API does not do."""
    if operation not in _PATHS:
        raise unsupported(operation)
    return _PATHS[operation]


def unsupported(operation: Operation) -> Refusal:
    """400: Anthropic has messages and nothing else."""
    return invalid_request(f"The Anthropic dialect has no operation '{operation.value}'.", code="unsupported_operation")


def parse(operation: Operation, body: bytes, path_model: str = "", path_stream: bool = False) -> Inbound:  # noqa: FBT001, FBT002
    """A request body to what the gateway reads of it.

    Raises Refusal (400) for invalid UTF-8 or JSON, a wrong type, a missing field, or a deciding key that comes twice.
    """
    if operation not in _PATHS:
        raise unsupported(operation)
    request = parse_count(body, path_model, path_stream)
    request.operation = operation
    if operation is Operation.COUNT:
        return request
    if request.max_tokens is None:
        raise missing("max_tokens")
    return request


def parse_count(body: bytes, path_model: str = "", path_stream: bool = False) -> Inbound:  # noqa: FBT001, FBT002
    """As `parse`, for a body whose input tokens are only to be counted: nothing is answered, so there is no limit."""
    fields = decode_body(_decode, body)
    if fields.messages in _NOTHING:
        raise missing("messages")
    return Inbound(
        Dialect.ANTHROPIC,
        Operation.CHAT,
        body,
        fields,
        read,
        model=path_model,
        stream=path_stream,
        max_tokens=fields.max_tokens,
    )


def missing(name: str) -> Refusal:
    """400 for a field that Anthropic requires."""
    return invalid_request(f"The field '{name}' is missing.", param=name, code="missing_required_parameter")
