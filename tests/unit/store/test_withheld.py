"""What is withheld is settled once, and the ledger holds before and after."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as options
from hypothesis import strategies as st

from tests.records import NOON, line, reserved, settled
from tests.unit.store.conftest import Clock
from tokenway.metering.ledger import Settlement, Trace
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.store.accounts.records import CLI
from tokenway.store.base import Conflict, Invalid, NotFound, Progress
from tokenway.store.granting import Ask
from tokenway.store.open import Store
from tokenway.store.verify import verify

DAY = 86_400
GONE = {"settlement": Settlement.UPSTREAM_BILLED, "charged": 0, "status": 499}
LEFT = line(settlement=Settlement.UPSTREAM_BILLED, usage=None, cost=None, status=499)
FAILED = line(attempt=1, endpoint="far/big", settlement=Settlement.ABSORBED, cost=70)
NUMBERS = count()
FIELDS = ("withheld", "lines", "run", "trace", "user", "settlement", "charged", "status")
RECORDS = [
    settled(1, withheld=90, lines=(LEFT,), run="r", trace=Trace("a"), user="usr_a", **GONE),
    settled(2, withheld=50, run="r"),
    settled(3, withheld=40, lines=(FAILED, line(attempt=2)), at=NOON + 2 * DAY),
    settled(4),
]


@pytest.fixture
def store(open_store: Callable[..., Store], clock: Clock) -> Store:
    """A store whose ledger has calls that were left: with rows of their own, without, and in a run."""
    opened = open_store(clock=clock, node="0000000a")
    opened.accounts.ensure_default_project(by=CLI)
    clock.now = NOON + 3 * DAY
    opened.ledger.commit(Progress("j", "w", "o", 1), [*map(reserved, range(1, 5)), *RECORDS])
    return opened


def faults(store: Store) -> list[str]:
    """What a proof finds."""
    return verify(store.database, NOON + 3 * DAY).faults


def kept(store: Store) -> int:
    """What is withheld from the project."""
    return store.usage.scope_usage(Scope.PROJECT, "default").withheld.total


def test_what_was_not_billed_is_free_again(store: Store) -> None:
    """Nothing is charged; budgets, credits and reports have it no more, and it is done once."""
    store.money.grant("default", 10_000, by=CLI)
    limit = Limit("credits:default", Scope.PROJECT, "default", Measure.USD, 0, Term.TOTAL)

    def left() -> int:
        (lent,) = store.leases.lend([Ask("credits:default", limit, "w", 10_000, 1)])
        store.leases.release("w")
        return lent.amount

    spent = 3 * 1_234
    assert [(row.exchange[-1], row.withheld) for row in store.withheld.list()] == [("1", 90), ("2", 50), ("3", 40)]
    assert (left(), kept(store)) == (10_000 - spent - 180, 180)
    done = store.withheld.settle("gen-000001", by=CLI, note="not on the bill")
    assert (done.charged, done.withheld) == (0, 0)
    assert (left(), kept(store)) == (10_000 - spent - 90, 90)
    assert [row.exchange[-1] for row in store.withheld.list("default", since=NOON)] == ["2", "3"]
    assert store.withheld.list("other") == []
    assert sum(row.withheld for row in store.usage.report()) == 90
    with pytest.raises(Conflict, match="nothing is withheld for gen-000001"):
        store.withheld.settle("gen-000001", by=CLI)
    store.ledger.commit(Progress("j", "w", "o", 2), RECORDS)
    assert (left(), faults(store)) == (10_000 - spent - 90, []), "a replay brings nothing back"
    (row,) = [each for each in store.accounts.audit.page().rows if each.resource == "withheld"]
    assert (row.action, row.subject, row.project) == ("settle", "gen-000001", "default")
    assert row.detail == {"charged": 0, "released": 90, "note": "not on the bill"}


@options(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 90), st.integers(0, 50), st.integers(0, 40))
def test_whatever_is_charged_the_ledger_holds(
    open_store: Callable[..., Store], clock: Clock, one: int, two: int, three: int
) -> None:
    """By double entry, for calls with rows of their own and without, in a run or not; the rest is free."""
    clock.now = NOON + 3 * DAY
    number = next(NUMBERS)
    store = open_store(clock=clock, node=f"{number:08x}")
    place = f"{number:03d}"
    records = [
        settled(id=f"gen-{place}{index}", at=record.at, **{name: getattr(record, name) for name in FIELDS})
        for index, record in enumerate(RECORDS)
    ]
    store.ledger.commit(Progress(place, "w", place, 1), records)
    before, held = store.money.wallet("default"), kept(store)
    for index, charge in enumerate((one, two, three)):
        done = store.withheld.settle(f"gen-{place}{index}", charge, by=CLI)
        assert (done.charged, done.withheld) == (RECORDS[index].charged + charge, 0)
    after = store.money.wallet("default")
    assert (after.spent - before.spent, held - kept(store)) == (one + two + three, 180)
    assert faults(store) == []


def test_what_cannot_be_settled_is_refused(store: Store) -> None:
    """More than is withheld, calls that nobody knows, and a charge on a day that is on an invoice."""
    with pytest.raises(Invalid) as error:
        store.withheld.settle("gen-000001", 91, by=CLI)
    assert error.value.field == "charge"
    with pytest.raises(NotFound):
        store.withheld.settle("gen-none", by=CLI)
    with pytest.raises(Conflict, match="nothing is withheld"):
        store.withheld.settle("gen-000004", by=CLI)
    midnight = NOON - DAY / 2
    made = store.invoices.create("default", midnight, midnight + DAY, by=CLI)
    with pytest.raises(Conflict, match=f"is on the invoice {made.id}"):
        store.withheld.settle("gen-000001", 5, by=CLI)
    store.withheld.settle("gen-000002", 0, by=CLI)
    store.withheld.settle("gen-000003", 5, by=CLI)
    store.invoices.void(made.id, by=CLI)
    store.withheld.settle("gen-000001", 5, by=CLI)
    assert store.invoices.create("default", midnight, midnight + DAY, by=CLI).total == made.total + 5
    assert faults(store) == []
