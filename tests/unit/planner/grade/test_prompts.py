"""What is shipped: a text with its source, and prompts that can be judged."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.prompts import chosen, shipped_prompts, shipped_text


def test_the_text_says_where_it_is_from() -> None:
    """A few kilobytes of the public domain, in paragraphs."""
    text = shipped_text()
    assert text.year < 1900
    assert "public domain" in text.rights
    assert "Gutenberg" in text.source
    assert 4000 < len(text.text) < 10_000
    assert text.text.count("\n\n") == 4


def test_sixty_prompts_of_seven_kinds() -> None:
    """Each with what its kind needs: patterns that compile, members, tools that exist."""
    shipped = shipped_prompts()
    assert len({prompt.id for prompt in shipped.prompts}) == 60
    assert Counter(prompt.kind for prompt in shipped.prompts) == {
        "fact": 12, "sum": 10, "prose": 10, "choice": 8, "code": 8, "json": 6, "tools": 6,
    }  # fmt: skip
    for prompt in shipped.prompts:
        re.compile(prompt.expect)
        assert set(prompt.tools) <= set(shipped.tools)
        assert bool(prompt.keys) == (prompt.kind == "json")
        assert bool(prompt.tools) == (prompt.kind == "tools")
        assert bool(prompt.expect) == (prompt.kind in {"fact", "sum", "choice", "code"})


def test_schemas_of_tools_are_what_the_check_knows() -> None:
    """Types, choices, and members that are required."""
    for tool in shipped_prompts().tools.values():
        schema = tool["parameters"]
        assert set(schema["required"]) <= set(schema["properties"])
        assert all(each["type"] in {"string", "number", "integer"} for each in schema["properties"].values())


def test_fewer_prompts_are_of_all_kinds() -> None:
    """Spread over the list; none is bad usage, and more than there are is all."""
    shipped = shipped_prompts()
    assert len(chosen(shipped, 14).prompts) == 14
    assert len({prompt.kind for prompt in chosen(shipped, 14).prompts}) == 7
    assert chosen(shipped, None) is shipped
    assert chosen(shipped, 100) is shipped
    with pytest.raises(PlanError, match="At least one"):
        chosen(shipped, 0)
