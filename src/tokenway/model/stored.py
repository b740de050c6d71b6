"""A response that is kept, so that a later request can go on from it."""

from __future__ import annotations

import msgspec


class StoredResponse(msgspec.Struct, frozen=True):
    """One answer of the Responses API with the input that led to it. Times are Unix seconds.

    `response` is the response object and `items` the list of its input items, both as JSON text. `endpoint` is the one
    that answered; `native` whether it spoke the Responses API itself and so knows the id too. `previous` is the id
    of the response that it went on from. `events` is its stream, where it was made in the background; it is read apart
    from the rest.
    """

    id: str
    project: str
    created: float
    model: str
    endpoint: str
    status: str
    response: bytes
    items: bytes
    native: bool = False
    previous: str = ""
    events: bytes = b""
