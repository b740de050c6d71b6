"""Tools in a namespace, for models that have none.

This API groups tools: a tool of type `namespace` has tools of its own, and a call names both. Other dialects get each
of them under one joined name. A call in the answer is told under the two names that this came from, by the request's
own tools, which stand in `tools` and in items of the input.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import chain
from typing import Any, Final

import msgspec

NAMESPACE: Final = "namespace"
"""The type of a tool that groups others, and the member of a call that names the group."""
_QUOTED: Final = b'"%b"' % NAMESPACE.encode()
LONGEST: Final = 64
"""Letters of a tool's name that every vendor takes."""
_MARK: Final = 9
"""Letters of what tells long names apart that begin alike."""

ADDITIONAL: Final = "additional_tools"
"""The type of an item that brings more tools into a conversation."""


class _Fields(msgspec.Struct):
    tools: list[dict[str, Any]] | None = None
    input: Any = None


_decode: Final = msgspec.json.Decoder(_Fields).decode


def joined(namespace: str, name: str) -> str:
    """One name for a tool of a namespace; what is too long is cut and marked."""
    whole = f"{namespace}__{name}"
    if len(whole) <= LONGEST:
        return whole
    return f"{whole[: LONGEST - _MARK]}_{sha256(whole.encode()).hexdigest()[: _MARK - 1]}"


def namespaced(body: bytes) -> dict[str, tuple[str, str]]:
    """The namespace and the name that each joined name is made of, in a request that has been read."""
    if _QUOTED not in body:
        return {}
    fields = _decode(body)
    items = fields.input if isinstance(fields.input, list) else []
    more = (item["tools"] for item in items if item.get("type") == ADDITIONAL)
    tools = chain(fields.tools or (), *more)
    groups = [tool for tool in tools if tool["type"] == NAMESPACE]
    pairs = [(group["name"], tool["name"]) for group in groups for tool in group["tools"] if "name" in tool]
    return {joined(*pair): pair for pair in pairs}
