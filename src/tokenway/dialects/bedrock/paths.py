"""Where a model stands in a path of Bedrock's runtime: `/model/{modelId}/converse`, with the id percent-encoded.

An id may be an ARN, with colons and slashes in it; both are encoded, so that it is one step of the path (RFC 3986,
sections 2.1 and 2.3).
"""

from __future__ import annotations

from tokenway.model.catalog import Operation
from tokenway.model.errors import invalid_request
from tokenway.wire.percent import quote


def path(operation: Operation, model: str, stream: bool) -> str:  # noqa: FBT001 - the shape of `Format.path`
    """What is added to the base URL; raises Refusal (400) for what Converse does not do."""
    if operation is not Operation.CHAT:
        raise invalid_request(f"Bedrock's Converse does no {operation.value}.", code="unsupported_operation")
    return f"/model/{quote(model)}/{'converse-stream' if stream else 'converse'}"
