"""Requests of the Responses dialect as they come in: read once, forwarded by splicing.

Three members ask for state: `store`, `previous_response_id` and `background`. This module only says what they
are; who serves the request keeps responses, and puts a chain into one body with `state.expand` before it is sent on.

A conversation that another vendor's model had a part in holds that vendor's sealed reasoning (see `dialects.seal`).
Those items are taken out of what goes to an upstream of this dialect, which would refuse them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.dialects.base import UNREADABLE
from tokenway.dialects.inbound import Inbound, decode_body, with_model
from tokenway.dialects.openai_responses.read import read
from tokenway.dialects.openai_responses.schema import NOTHING, RequestFields
from tokenway.dialects.seal import OPENAI, unseal
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import invalid_request
from tokenway.wire.splice import layout, replace

PATHS: Final = {
    Operation.CHAT: "/responses",
    Operation.COUNT: "/responses/input_tokens",
    Operation.COMPACT: "/responses/compact",
}
"""What is added to a provider's base URL."""

_SEALED: Final = b'"tw1.'
"""How another vendor's sealed value begins in a body."""

_decode: Final = msgspec.json.Decoder(RequestFields).decode
_decode_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Sealed(msgspec.Struct):
    type: str = ""
    encrypted_content: str | None = None


_decode_sealed: Final = msgspec.json.Decoder(_Sealed).decode


class ResponsesRequest(Inbound):
    """One request as its caller sent it.

    `store` is whether the response is to be kept (it is, where the caller does not say), `background` whether the
    caller does not wait for it, and `previous` the id of the response it follows. Who has expanded a chain sets
    `previous` on the request that comes of it, so that the caller is told the id it gave, and `asked` to the body
    that the caller sent, of which records are made; who has found a chain sets `chain` to the id that it begins with.
    """

    __slots__ = ("asked", "background", "chain", "previous", "settings", "store")

    def __init__(self, operation: Operation, body: bytes, fields: RequestFields, model: str, *, stream: bool) -> None:
        """`model` and `stream` are the path's, which this dialect does not use."""
        super().__init__(
            Dialect.OPENAI_RESPONSES,
            operation,
            body,
            fields,
            read,
            model=model,
            stream=stream,
            max_tokens=fields.max_output_tokens,
        )
        self.settings = fields
        self.store: bool = fields.store is not False
        self.background: bool = fields.background is True
        self.previous: str = fields.previous_response_id or ""
        self.asked: bytes = body
        self.chain = ""

    def _prepared(self) -> bytes:
        body = super()._prepared()
        return without_foreign(body) if _SEALED in body else body


def without_foreign(body: bytes) -> bytes:
    """The body without the items of its input that are another vendor's sealed reasoning; the rest keeps its bytes."""
    span = layout(body).get("input", ((0, 0), (0, 0)))[1]
    given = body[span[0] : span[1]]
    if not given.startswith(b"["):
        return body
    kept = [bytes(item) for item in _decode_items(given) if not _is_foreign(item)]
    return replace(body, span, b"[%b]" % b",".join(kept))


def _is_foreign(item: msgspec.Raw) -> bool:
    if _SEALED not in bytes(item):
        return False
    try:
        sealed = _decode_sealed(item)
    except UNREADABLE:
        return False
    whose = unseal(sealed.encrypted_content or "", OPENAI)
    return sealed.type == "reasoning" and (whose.format != OPENAI or bool(whose.call))


def parse(operation: Operation, body: bytes, path_model: str, path_stream: bool) -> ResponsesRequest:  # noqa: FBT001
    """A request body to a ResponsesRequest; raises Refusal (400) for a body that cannot be served."""
    if path_model:
        body = with_model(body, path_model)
    fields = decode_body(_decode, body)
    given = (fields.input, fields.prompt, fields.conversation)
    if operation is Operation.CHAT and not fields.previous_response_id and all(value in NOTHING for value in given):
        raise invalid_request("The field 'input' is missing.", param="input", code="missing_required_parameter")
    return ResponsesRequest(operation, body, fields, "", stream=path_stream)


def path(operation: Operation, model: str, stream: bool) -> str:  # noqa: ARG001, FBT001
    """What is added to the base URL, whatever the model."""
    return PATHS[operation]
