"""Names of tools in a namespace: joined for other dialects, and told apart again."""

from __future__ import annotations

import json
from typing import Any

from tokenway.dialects.openai_responses.namespaces import LONGEST, apart, joined

FUNCTION: dict[str, Any] = {"type": "function", "name": "f"}


def tools(*listed: dict[str, Any]) -> bytes:
    """What a request says as its tools."""
    return json.dumps(listed, separators=(",", ":")).encode()


def test_a_joined_name_is_told_apart() -> None:
    """Into the namespace and the name; also where two namespaces have a tool of one name."""
    given = tools(
        FUNCTION,
        {"type": "namespace", "name": "a", "tools": [FUNCTION]},
        {"type": "namespace", "name": "b", "tools": [FUNCTION, {"type": "custom", "name": "g"}, {"type": "other"}]},
    )
    assert apart(given, joined("a", "f")) == ("a", "f")
    assert apart(given, joined("b", "f")) == ("b", "f")
    assert apart(given, joined("b", "g")) == ("b", "g")
    assert apart(given, "f") == ("", "f")
    assert apart(given, "c__f") == ("", "c__f")


def test_a_request_without_namespaces_has_nothing_to_tell_apart() -> None:
    """Nor has one without tools, or one that only speaks of them."""
    assert apart(b"", "n__f") == ("", "n__f")
    assert apart(tools(FUNCTION), "n__f") == ("", "n__f")
    spoken = {**FUNCTION, "parameters": {"properties": {"namespace": {"type": "string"}}}}
    assert apart(tools(spoken), "n__f") == ("", "n__f")


def test_long_names_stay_apart() -> None:
    """No name is longer than every vendor takes, and two that begin alike do not meet."""
    first, second = joined("n" * 40, "f" * 40), joined("n" * 40, "f" * 41)
    assert len(first) == len(second) == LONGEST
    assert first != second
    assert joined("n", "f" * (LONGEST - 3)) == "n__" + "f" * (LONGEST - 3)
    space = {"type": "namespace", "name": "n" * 40, "tools": [{**FUNCTION, "name": "f" * 40}]}
    assert apart(tools(space), first) == ("n" * 40, "f" * 40)
