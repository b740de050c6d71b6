"""What commands that work on the store read and write."""

from __future__ import annotations

import time

import pytest

from tokenway.cli.errors import BadUsage
from tokenway.cli.place import dollars, ending, every, labels, listed, moment, seconds, shown_labels
from tokenway.store.accounts.records import Page


def test_values_as_people_write_them() -> None:
    """Dollars are exact, durations are seconds, lists stand between commas."""
    assert dollars("5.000000001", "--budget") == 5_000_000_001
    assert dollars("-3.5", signed=True) == -3_500_000_000
    assert seconds("1h", "--overlap") == 3600
    assert ending("never", "--expires") is None
    assert listed("a, b,,c") == ("a", "b", "c")
    assert listed("all") is None
    assert listed("") == ()
    assert moment(1_767_268_800.9) == "2026-01-01T12:00:00Z"
    assert moment(None) is None


def test_an_end_is_counted_from_now() -> None:
    """Unix seconds."""
    before = time.time()
    ends = ending("30d", "--expires")
    assert ends is not None
    assert before + 30 * 86400 <= ends <= time.time() + 30 * 86400


@pytest.mark.parametrize(
    "text", ["much", "-1", "NaN", "", "1e3", "5.", ".5", "+5", "1,5", "0.0000000001", "1000000000"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    """With the option that it was said for."""
    with pytest.raises(BadUsage, match=r"--max-cost .*not an amount"):
        dollars(text, "--max-cost")


def test_what_is_no_duration_is_refused() -> None:
    """The same."""
    with pytest.raises(BadUsage, match="--since soon is not a duration"):
        seconds("soon", "--since")


def test_labels_come_on_top_of_those_that_are_there() -> None:
    """An empty text takes one away; the text may hold anything."""
    assert labels(["a=1", "b=x=y", "c="], {"c": "3", "d": "4"}) == {"a": "1", "b": "x=y", "d": "4"}
    assert shown_labels({"a": "1", "b": "x"}) == "a=1,b=x"
    with pytest.raises(BadUsage, match="--label team is not a label"):
        labels(["team"])


def test_a_list_is_read_page_by_page_to_its_end() -> None:
    """Each with the cursor of the one before."""
    pages = {None: Page([1, 2], "c1"), "c1": Page([3], "c2"), "c2": Page([])}
    assert every(lambda cursor, _size: pages[cursor]) == [1, 2, 3]
