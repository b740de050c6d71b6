"""Other vendors' web search as Anthropic's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokenway.dialects.anthropic.search import is_live, search_tool

ZURICH = {"city": "Zürich", "country": "CH"}
THERE = {"user_location": {"type": "approximate", **ZURICH}}


@pytest.mark.parametrize(
    ("given", "hosted", "expected", "dropped"),
    [
        ({}, "", {}, []),
        ({"type": "web_search", "search_context_size": "low"}, "web_search", {}, ["search_context_size"]),
        ({"user_location": {"type": "approximate", **ZURICH, "region": None}}, "web_search", THERE, []),
        ({"user_location": {"type": "approximate", "approximate": ZURICH}}, "", THERE, []),
        ({"filters": {"allowed_domains": ["a.ch"]}}, "web_search", {"allowed_domains": ["a.ch"]}, []),
        ({"filters": {"blocked": ["a.ch"]}}, "web_search", {}, ["filters"]),
        ({"googleSearch": {}}, "googleSearch", {}, []),
        ({"googleSearch": {"timeRangeFilter": {"a": 1}}}, "googleSearch", {}, ["timeRangeFilter"]),
        ({"googleSearch": {"excludeDomains": ["a.b"]}}, "googleSearch", {"blocked_domains": ["a.b"]}, []),
        ({"googleSearch": {"exclude_domains": ["a.b"]}}, "googleSearch", {"blocked_domains": ["a.b"]}, []),
        ([], "", {}, []),
    ],
)
def test_options_are_carried_or_declared(given: Any, hosted: str, expected: dict[str, Any], dropped: list[str]) -> None:
    """A place and domains are; how much to read is OpenAI's alone."""
    told: list[str] = []
    found = search_tool(msgspec.Raw(msgspec.json.encode(given)), hosted, told.append)
    assert found == {"type": "web_search_20250305", "name": "web_search", **expected}
    assert told == dropped


def test_a_search_in_what_is_stored_is_not_live() -> None:
    """Only where the caller says so."""
    assert not is_live(msgspec.Raw(b'{"type":"web_search","external_web_access":false}'))
    assert is_live(msgspec.Raw(b'{"type":"web_search","external_web_access":true}'))
    assert is_live(msgspec.Raw(b'{"googleSearch":{}}'))
    assert is_live(msgspec.Raw(b"[]"))
