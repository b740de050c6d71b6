"""Tools in a namespace, for models that have none.

This API groups tools: a tool of type `namespace` has tools of its own, and a call names both. Other dialects get each
of them under one joined name. A call in the answer is told under the two names that this came from, by the request's
own tools.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import msgspec

NAMESPACE: Final = "namespace"
"""The type of a tool that groups others, and the member of a call that names the group."""
_QUOTED: Final = b'"%b"' % NAMESPACE.encode()
LONGEST: Final = 64
"""Letters of a tool's name that every vendor takes."""
_MARK: Final = 9
"""Letters of what tells long names apart that begin alike."""

_decode: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode


def joined(namespace: str, name: str) -> str:
    """One name for a tool of a namespace; what is too long is cut and marked."""
    whole = f"{namespace}__{name}"
    if len(whole) <= LONGEST:
        return whole
    return f"{whole[: LONGEST - _MARK]}_{sha256(whole.encode()).hexdigest()[: _MARK - 1]}"


def apart(tools: bytes, name: str) -> tuple[str, str]:
    """The namespace and the name that a called name was joined of, by `tools` of a request that has been read.

    A name that was not joined has no namespace.
    """
    groups = [tool for tool in _decode(tools) if tool["type"] == NAMESPACE] if _QUOTED in tools else []
    pairs = ((group["name"], tool.get("name", "")) for group in groups for tool in group["tools"])
    return next((pair for pair in pairs if joined(*pair) == name), ("", name))
