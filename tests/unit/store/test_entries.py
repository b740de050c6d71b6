"""The entries of the ledger by pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.records import NOON, USAGE, line, settled
from tokenway.metering.ledger import Settlement
from tokenway.model.identity import day_of, ids_of_day
from tokenway.model.usage import Usage
from tokenway.store.base import Progress
from tokenway.store.entries import EntryFilter
from tokenway.store.open import Store

DAY = 86400.0


def identity(day: int, number: int) -> str:
    """The id of an exchange, days after noon's."""
    return f"{ids_of_day(day_of(NOON) + day)}x{number:08d}"


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """Five exchanges of three days, one of them with two attempts and one without usage."""
    opened = open_store()
    lost = line(settlement=Settlement.ABSORBED, status=502, fault="reset", usage=None, cost=None)
    records = [
        settled(id=identity(0, 1), at=NOON, admitted=NOON),
        settled(id=identity(0, 2), at=NOON + 5, admitted=NOON + 5, project="other", key="key_o", model="m2"),
        settled(
            id=identity(1, 3), at=NOON + DAY, admitted=NOON + DAY, run="r1", lines=(lost, line(attempt=2, usage=USAGE))
        ),
        settled(id=identity(2, 4), at=NOON + 2 * DAY, admitted=NOON + 2 * DAY, user="usr_1", withheld=7),
        settled(
            id=identity(2, 5), at=NOON + 2 * DAY, admitted=NOON + 2 * DAY, settlement=Settlement.RELEASED, lines=()
        ),
    ]
    opened.ledger.commit(Progress("j", "w", "o", 1), records)
    return opened


def numbers(store: Store, **which: object) -> list[int]:
    """The numbers of the exchanges that fit."""
    return [int(each.id[-1]) for each in store.entries.page(EntryFilter(**which))]  # type: ignore[arg-type]


def test_what_fits_is_listed(store: Store) -> None:
    """The newest days first."""
    assert numbers(store) == [5, 4, 3, 2, 1]
    assert numbers(store, projects=("other",)) == [2]
    assert numbers(store, projects=()) == []
    assert numbers(store, key="key_a", model="mock") == [5, 4, 3, 1]
    assert numbers(store, run="r1") == [3]
    assert numbers(store, user_id="usr_1") == [4]
    assert numbers(store, settlement="released") == [5]
    assert numbers(store, since=NOON + 5, until=NOON + 2 * DAY) == [3, 2]
    assert numbers(store, until=NOON) == []


def test_pages_go_both_ways(store: Store) -> None:
    """Each exchange once."""
    seen: list[str] = []
    while rows := store.entries.page(EntryFilter(), after=seen[-1] if seen else None, count=2):
        seen += [each.id for each in rows]
    again: list[str] = []
    while rows := store.entries.page(EntryFilter(), after=again[-1] if again else None, count=2, newest=False):
        again += [each.id for each in rows]
    assert seen == again[::-1]
    assert len(set(seen)) == 5


def test_an_exchange_has_its_attempts(store: Store) -> None:
    """Wherever they are stored; what no provider told is not there."""
    found = {int(each.id[-1]): each for each in store.entries.page(EntryFilter())}
    assert [(each.attempt, each.settlement, each.fault, each.cost) for each in found[3].lines] == [
        (1, "absorbed", "reset", None),
        (2, "delivered", "", 1_234),
    ]
    (only,) = found[1].lines
    assert (only.usage, only.cost, only.charged) == (USAGE, 1_234, found[1].charged)
    assert isinstance(only.usage, Usage)
    assert (found[4].withheld, found[4].user_id, found[5].lines) == (7, "usr_1", ())
    assert found[3].run == "r1"
