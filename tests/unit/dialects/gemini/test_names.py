"""Names of fields in their two spellings."""

from __future__ import annotations

import pytest

from tokenway.dialects.gemini.names import camel, many, member, members, needed
from tokenway.dialects.walk import Node
from tokenway.model.errors import Refusal


@pytest.mark.parametrize(
    ("one", "other"),
    [("inlineData", "inline_data"), ("topP", "top_p"), ("text", "text"), ("maxOutputTokens", "max_output_tokens")],
)
def test_both_spellings_are_one_name(one: str, other: str) -> None:
    """A member is found by either, and called by the first."""
    for name in (one, other):
        node = Node({name: 1})
        found = member(node, one)
        assert camel(name) == one
        assert found is not None
        assert found.path == name
        assert [(key, value.value) for key, value in members(node)] == [(one, 1)]


def test_a_missing_member_is_named() -> None:
    """Absent and null are the same, and a needed one is a Refusal with its place."""
    node = Node({"mimeType": None}, "contents[0]")
    assert member(node, "mimeType") is None
    with pytest.raises(Refusal) as caught:
        needed(node, "mimeType")
    assert caught.value.problem.param == "contents[0].mimeType"


def test_a_single_value_is_a_list_of_one() -> None:
    """Google's servers take an object where a list belongs."""
    assert [each.value for each in many(Node({"a": 1}))] == [{"a": 1}]
    assert [each.path for each in many(Node([1, 2], "x"))] == ["x[0]", "x[1]"]
