"""Claude at a host that names the model in the path, as Google's Vertex AI does.

The body is that of the Messages API without `model`, and says in `anthropic_version` which version of it is meant; to
count tokens, the model stays. Sources: Anthropic's guide "Claude on Vertex AI" and the Vertex client of its SDK;
Google Cloud's reference of `rawPredict` and `streamRawPredict`.
"""

from __future__ import annotations

import msgspec

from tokenway.model.catalog import Operation
from tokenway.wire.percent import quote
from tokenway.wire.splice import set_members


def hosted_path(operation: Operation, model: str, stream: bool) -> str:  # noqa: FBT001 - as `Format.path`
    """What is added to the base URL."""
    if operation is Operation.COUNT:
        return "/models/count-tokens:rawPredict"
    return f"/models/{quote(model, '@')}:{'streamRawPredict' if stream else 'rawPredict'}"


def hosted_body(operation: Operation, body: bytes, version: str) -> bytes:
    """A body of the Messages API as such a host takes it; every other byte stays."""
    names = ("anthropic_version",) if operation is Operation.COUNT else ("model", "anthropic_version")
    return set_members(body, b'"anthropic_version":' + msgspec.json.encode(version), names)
