"""What every change of the configuration has in common; see also `test_snapshots.py`."""

from __future__ import annotations

import pytest

from tokenway.control.api.publishing import differences, is_plain, version_in
from tokenway.control.published import Change


def test_what_can_be_encoded() -> None:
    """Half of a character cannot, wherever it stands."""
    assert is_plain({"a": ["b", {"c": 1, "d": None, "e": "ü😀"}]})
    for document in ({"a": "\ud800"}, {"\udfff": 1}, {"a": [{"b": ["x\ud800"]}]}):
        assert not is_plain(document)


@pytest.mark.parametrize(("header", "version"), [(None, None), ('"7"', 7), ("7", 7), ('"0"', 0)])
def test_the_version_of_a_header(header: str | None, version: int | None) -> None:
    """With quotes, as an ETag has them, or without."""
    assert version_in(header) == version


def test_differences_say_what_they_are() -> None:
    """Added, removed or changed."""
    changes = [Change("a", None, "1"), Change("b", "1", None), Change("c", "1", "2")]
    assert [each.change for each in differences(changes)] == ["added", "removed", "changed"]
