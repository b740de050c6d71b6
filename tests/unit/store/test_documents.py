"""Published configurations in both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tokenway.store.base import Conflict
from tokenway.store.open import Store

Open = Callable[..., Store]


def test_each_takes_the_place_of_the_one_before(open_store: Open) -> None:
    """Numbers rise by one, and what was published stays."""
    documents = open_store().documents
    assert (documents.version(), documents.latest(), documents.heads()) == (0, None, [])
    for number in range(1, 4):
        row = documents.publish(f'{{"n":{number}}}', base=number - 1, author="usr_1", note=f"n {number}")
        assert (row.version, documents.version()) == (number, number)
    latest = documents.latest()
    assert latest is not None
    assert (latest.version, latest.body, latest.note, latest.author) == (3, '{"n":3}', "n 3", "usr_1")
    first = documents.get(1)
    assert first is not None
    assert first.body == '{"n":1}'
    assert documents.get(4) is None
    assert documents.get(0) is None


def test_who_has_not_seen_the_latest_is_told(open_store: Open) -> None:
    """Nothing is written then, on whatever machine."""
    one, two = open_store().documents, open_store().documents
    one.publish("{}", base=0, author="a", note="")
    for base in (0, 2):
        with pytest.raises(Conflict, match="version 1"):
            two.publish("{}", base=base, author="b", note="")
    assert two.version() == 1
    assert two.publish("{}", base=1, author="b", note="").version == 2
    assert one.version() == 2


def test_heads_come_newest_first_and_by_pages(open_store: Open) -> None:
    """Without their bodies."""
    documents = open_store().documents
    for number in range(5):
        documents.publish("{}", base=number, author="a", note="")
    assert [row.version for row in documents.heads(count=2)] == [5, 4]
    rest = documents.heads(before=4, count=10)
    assert [row.version for row in rest] == [3, 2, 1]
    assert {row.body for row in rest} == {""}


def test_a_publication_within_a_change_is_part_of_it(open_store: Open) -> None:
    """An error undoes it all."""
    store = open_store()

    def fail() -> None:
        with store.database.write():
            store.documents.publish("{}", base=0, author="a", note="")
            assert store.documents.version() == 1
            raise OSError("afterwards")

    with pytest.raises(OSError, match="afterwards"):
        fail()
    assert store.documents.version() == 0
