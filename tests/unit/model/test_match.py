"""Rules about names."""

from __future__ import annotations

import msgspec
import pytest

from tokenway.model.match import Begins, Each, Either, Ends, Equals, Holds, Pattern, Rule, first_meant


class Row(msgspec.Struct):
    """A row with a rule."""

    name: str
    rule: Rule


@pytest.mark.parametrize(
    ("rule", "meant", "not_meant"),
    [
        (Equals("gpt-4o"), "gpt-4o", "gpt-4o-mini"),
        (Begins("gpt-4"), "gpt-4o", "a-gpt-4"),
        (Ends(":free"), "x:free", "x:free:y"),
        (Holds("sonnet"), "claude-sonnet-4", "claude-opus"),
        (Pattern(r"-\d{8}$"), "claude-20250101", "claude-2025"),
        (Either((Equals("a"), Equals("b"))), "b", "c"),
        (Each((Begins("a"), Ends("z"))), "a-z", "a-y"),
    ],
)
def test_each_rule_means_what_it_says(rule: Rule, meant: str, not_meant: str) -> None:
    """One name that it means, one that is close and is not meant."""
    assert rule.means(meant)
    assert not rule.means(not_meant)


def test_a_rule_is_read_from_the_data() -> None:
    """Rules hold rules, each as a list of its sign and what it compares with."""
    text = b'["|", [["=", "a"], ["&", [["^", "b"], ["r", "c$"]]]]]'
    rule = msgspec.json.decode(text, type=Rule)
    assert rule == Either((Equals("a"), Each((Begins("b"), Pattern("c$")))))


def test_the_first_row_that_means_a_name_is_taken() -> None:
    """In the order of the data, whatever the letters' case."""
    rows = (Row("narrow", Equals("gpt-4o")), Row("wide", Begins("gpt-")))
    assert [found.name for name in ("GPT-4o", "gpt-5") if (found := first_meant(rows, name))] == ["narrow", "wide"]
    assert first_meant(rows, "claude") is None


def test_a_date_may_be_written_without_dashes() -> None:
    """Only where the name as it is means nothing, and only for a date that exists."""
    rows = (Row("dashed", Equals("gpt-5-2025-12-11")), Row("plain", Equals("claude-20251211")))
    assert [found.name for name in ("gpt-5-20251211", "claude-20251211") if (found := first_meant(rows, name))] == [
        "dashed",
        "plain",
    ]
    assert first_meant(rows, "gpt-5-20251341") is None
