"""Invoices: by model, once for each period, and as they were."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from tests.records import NOON, USAGE, reserved, settled
from tokenway.model.usage import Usage
from tokenway.store.accounts.records import CLI
from tokenway.store.base import Conflict, Invalid, NotFound, Progress
from tokenway.store.open import Store

DAY = 86_400
MIDNIGHT = NOON - 43_200


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A store after two days of use."""
    opened = open_store(clock=lambda: NOON + 2 * DAY)
    opened.accounts.ensure_default_project(by=CLI)
    records = [
        *(settled(1, charged=10), settled(2, charged=20), settled(3, model="big", charged=500)),
        *(settled(4, charged=7, at=NOON + DAY), settled(5, charged=9, project="other"), settled(6, charged=0)),
    ]
    opened.ledger.commit(Progress("j", "w", "o", 1), records)
    return opened


def test_an_invoice_has_a_line_for_each_model(store: Store) -> None:
    """The dearest first, with calls, tokens and what was charged, of that project and period alone."""
    made = store.invoices.create("default", MIDNIGHT, MIDNIGHT + DAY, by=CLI)

    assert (made.project, made.total, made.issued) == ("default", 530, NOON + 2 * DAY)
    assert [(line.model, line.calls, line.charged) for line in made.lines] == [("big", 1, 500), ("mock", 3, 30)]
    assert made.lines[0].usage == USAGE
    assert made.lines[1].usage == Usage(300, 60, output_text=153, reasoning=30, requests=3)
    assert store.invoices.get(made.id) == made


def test_the_same_again_is_the_same(store: Store) -> None:
    """What was settled late changes no invoice that was issued; the next day is another invoice."""
    made = store.invoices.create("default", MIDNIGHT, MIDNIGHT + DAY, by=CLI)
    store.ledger.commit(Progress("j", "w", "o", 2), [settled(9, charged=1_000)])
    following = store.invoices.create("default", MIDNIGHT + DAY, MIDNIGHT + 2 * DAY, by=CLI)

    assert store.invoices.create("default", MIDNIGHT, MIDNIGHT + DAY, by=CLI) == made
    assert following.total == 7
    assert {each.id for each in store.invoices.list()} == {made.id, following.id}
    assert store.invoices.list("other") == []


@pytest.mark.parametrize(("begins", "ends"), [(0, 2), (-1, 1), (-1, 2), (0, 1), (1, 2)])
def test_a_day_is_on_one_invoice(store: Store, begins: int, ends: int) -> None:
    """A period that shares a day with another is refused, whichever is longer; another project's days are its own."""
    made = store.invoices.create("default", MIDNIGHT, MIDNIGHT + 2 * DAY, by=CLI)
    period = (MIDNIGHT + begins * DAY, MIDNIGHT + ends * DAY)
    if (begins, ends) == (0, 2):
        assert store.invoices.create("default", *period, by=CLI) == made
    else:
        with pytest.raises(Conflict, match=rf"{made.id} has days of this period: 2026-01-01 up to 2026-01-03; void it"):
            store.invoices.create("default", *period, by=CLI)
    store.accounts.projects.create("other", by=CLI)
    assert store.invoices.create("other", *period, by=CLI).project == "other"
    for touching in ((MIDNIGHT - 2 * DAY, MIDNIGHT - DAY), (MIDNIGHT - DAY, MIDNIGHT)):
        assert store.invoices.create("default", *touching, by=CLI).total == 0


def test_a_voided_invoice_stays_and_gives_its_days_free(store: Store) -> None:
    """It is void once, with its lines; its days are invoiced again, with what was settled late."""
    made = store.invoices.create("default", MIDNIGHT, MIDNIGHT + DAY, by=CLI)
    store.ledger.commit(Progress("j", "w", "o", 2), [settled(9, charged=1_000)])
    voided = store.invoices.void(made.id, by=CLI, note="wrong")
    revision = store.accounts.changes.revision()
    again = store.invoices.create("default", MIDNIGHT, MIDNIGHT + 2 * DAY, by=CLI)

    assert voided == replace(made, voided=NOON + 2 * DAY)
    assert store.invoices.void(made.id, by=CLI) == voided == store.invoices.get(made.id)
    assert (again.total, again.voided) == (1_537, None)
    assert {each.id for each in store.invoices.list()} == {made.id, again.id}
    assert store.accounts.changes.revision() == revision + 1
    voids = [row for row in store.accounts.audit.page().rows if row.action == "void"]
    assert [(row.resource, row.subject, row.project, row.detail) for row in voids] == [
        ("invoice", made.id, "default", {"note": "wrong"})
    ]
    with pytest.raises(NotFound):
        store.invoices.void("inv_none", by=CLI)


def test_two_who_issue_at_once_bill_no_day_twice(store: Store, open_store: Callable[..., Store]) -> None:
    """Of periods that overlap one gets its invoice, whichever machine asks for it."""
    stores = [store, *(open_store(clock=lambda: NOON + 2 * DAY, node=f"0000000{n}") for n in range(3))]
    barrier = threading.Barrier(len(stores))

    def issue(number: int) -> str:
        barrier.wait()
        try:
            made = stores[number].invoices.create("default", MIDNIGHT - number * DAY, MIDNIGHT + DAY, by=CLI)
        except Conflict:
            return ""
        return made.id

    with ThreadPoolExecutor(len(stores)) as pool:
        issued = [each for each in pool.map(issue, range(len(stores))) if each]
    assert [each.id for each in store.invoices.list()] == issued
    assert len(issued) == 1


def test_an_invoice_waits_for_the_calls_of_its_period(store: Store) -> None:
    """One that was let in before midnight is charged to that day when it ends, and is on that invoice or on none."""
    store.ledger.commit(Progress("j", "w", "o", 2), [reserved(7), reserved(8, project="other")])
    with pytest.raises(Conflict, match="1 calls of this period"):
        store.invoices.create("default", MIDNIGHT, MIDNIGHT + DAY, by=CLI)
    assert store.invoices.create("default", MIDNIGHT + DAY, MIDNIGHT + 2 * DAY, by=CLI).total == 7
    store.ledger.commit(Progress("j", "w", "o", 3), [settled(7, charged=100)])
    assert store.invoices.create("default", MIDNIGHT, MIDNIGHT + DAY, by=CLI).total == 630


def test_what_cannot_be_invoiced_is_refused(store: Store) -> None:
    """Parts of a day, periods that are not over or none, unknown projects and invoices."""
    for begins, ends, field in (
        (MIDNIGHT + 1, MIDNIGHT + DAY, "begins"),
        (MIDNIGHT, MIDNIGHT + 1, "ends"),
        (MIDNIGHT, MIDNIGHT, "ends"),
        (MIDNIGHT, MIDNIGHT + 3 * DAY, "ends"),
    ):
        with pytest.raises(Invalid) as error:
            store.invoices.create("default", begins, ends, by=CLI)
        assert error.value.field == field
    with pytest.raises(NotFound):
        store.invoices.create("nobody", MIDNIGHT, MIDNIGHT + DAY, by=CLI)
    with pytest.raises(NotFound):
        store.invoices.get("inv_none")
