"""Invoices: by model, once for each period, and as they were."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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
    """What was settled late changes no invoice that was issued; another period is another invoice."""
    made = store.invoices.create("default", MIDNIGHT, MIDNIGHT + DAY, by=CLI)
    store.ledger.commit(Progress("j", "w", "o", 2), [settled(9, charged=1_000)])
    longer = store.invoices.create("default", MIDNIGHT, MIDNIGHT + 2 * DAY, by=CLI)

    assert store.invoices.create("default", MIDNIGHT, MIDNIGHT + DAY, by=CLI) == made
    assert longer.total == 530 + 7 + 1_000
    assert {each.id for each in store.invoices.list()} == {made.id, longer.id}
    assert store.invoices.list("other") == []


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
    for begins, ends in ((MIDNIGHT + 1, MIDNIGHT + DAY), (MIDNIGHT, MIDNIGHT), (MIDNIGHT, MIDNIGHT + 3 * DAY)):
        with pytest.raises(Invalid) as error:
            store.invoices.create("default", begins, ends, by=CLI)
        assert error.value.field == "period"
    with pytest.raises(NotFound):
        store.invoices.create("nobody", MIDNIGHT, MIDNIGHT + DAY, by=CLI)
    with pytest.raises(NotFound):
        store.invoices.get("inv_none")
