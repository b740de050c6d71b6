"""Names of tools in a namespace: joined for other dialects, and told apart again."""

from __future__ import annotations

import json
from typing import Any

from tokenway.dialects.openai_responses.namespaces import LONGEST, joined, namespaced

FUNCTION: dict[str, Any] = {"type": "function", "name": "f"}


def request(*tools: dict[str, Any], **more: Any) -> bytes:
    """A request with these tools."""
    return json.dumps({"tools": tools, "input": "hi", **more}, separators=(",", ":")).encode()


def test_a_joined_name_is_told_apart() -> None:
    """Into the namespace and the name; also where two namespaces have a tool of one name."""
    given = request(
        FUNCTION,
        {"type": "namespace", "name": "a", "tools": [FUNCTION]},
        {"type": "namespace", "name": "b", "tools": [FUNCTION, {"type": "custom", "name": "g"}, {"type": "other"}]},
    )
    assert namespaced(given) == {"a__f": ("a", "f"), "b__f": ("b", "f"), "b__g": ("b", "g")}


def test_an_item_brings_tools_too() -> None:
    """The newest agents send all of theirs so."""
    brought = {"type": "additional_tools", "tools": [{"type": "namespace", "name": "n", "tools": [FUNCTION]}]}
    assert namespaced(request(input=[{"role": "user", "content": "hi"}, brought])) == {"n__f": ("n", "f")}


def test_a_request_without_namespaces_has_nothing_to_tell_apart() -> None:
    """Nor has one without tools, or one that only speaks of them."""
    assert namespaced(b"{}") == {}
    assert namespaced(request(FUNCTION)) == {}
    spoken = {**FUNCTION, "parameters": {"properties": {"namespace": {"type": "string"}}}}
    assert namespaced(request(spoken)) == {}


def test_long_names_stay_apart() -> None:
    """No name is longer than every vendor takes, and two that begin alike do not meet."""
    first, second = joined("n" * 40, "f" * 40), joined("n" * 40, "f" * 41)
    assert len(first) == len(second) == LONGEST
    assert first != second
    assert joined("n", "f" * (LONGEST - 3)) == "n__" + "f" * (LONGEST - 3)
    space = {"type": "namespace", "name": "n" * 40, "tools": [{**FUNCTION, "name": "f" * 40}]}
    assert namespaced(request(space)) == {first: ("n" * 40, "f" * 40)}
