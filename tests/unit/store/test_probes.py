"""What a day's probes have cost: nothing is forgotten, and what is not known counts in full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.records import NOON, line, reserved, settled
from tokenway.metering.ledger import Record, Reserved, Settled, Settlement
from tokenway.model.faults import Fault
from tokenway.model.identity import day_of
from tokenway.model.probe import PROBE, RUN, asked_as, id_of
from tokenway.model.usage import Usage
from tokenway.store.base import Progress
from tokenway.store.open import Store

DAY = day_of(NOON)
KEY = asked_as("llama")
AMOUNT = 9_000
"""What is set aside for each of them here."""


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A fresh store; its clock says noon."""
    return open_store(clock=lambda: NOON)


def opened(number: int, at: float = NOON, key: str = KEY) -> Reserved:
    """The reservation of a probe."""
    return reserved(id=id_of(at, f"{number:04d}"), at=at, key=key, project=PROBE, amount=AMOUNT)


def closed(number: int, at: float = NOON, key: str = KEY, **changes: Any) -> Settled:
    """Its settlement; `changes` are of its only attempt."""
    own: dict[str, Any] = {"id": id_of(at, f"{number:04d}"), "key": key, "project": PROBE, "model": key, "at": at + 1}
    attempt = line(**({"cost": 1_000} | changes))
    return settled(lines=(attempt,), settlement=attempt.settlement, run=f"{RUN}{AMOUNT}", **own)


def ingest(store: Store, *records: Record) -> None:
    """Puts records into the ledger."""
    store.ledger.commit(Progress("j", "w", "o", 1), records)


def test_what_is_known_counts_as_it_was(store: Store) -> None:
    """By model; calls of others, other days and what no provider worked for are not in it."""
    ingest(
        store,
        settled(1),
        *(record for number in (1, 2) for record in (opened(number), closed(number))),
        closed(3, key=asked_as("other"), cost=7),
        closed(4, NOON - 86_400),
        closed(5, NOON + 86_400),
        closed(6, settlement=Settlement.RELEASED, usage=None, cost=None, fault=Fault.CONNECT, status=502),
    )
    assert store.probes.spent(DAY) == {KEY: 2_000, asked_as("other"): 7}
    assert store.probes.spent(DAY - 1) == store.probes.spent(DAY + 1) == {KEY: 1_000}
    assert store.probes.spent(DAY + 2) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"usage": None, "cost": None},
        {"cost": None},
        {"usage": Usage(output_text=10**12), "cost": 5, "absurd": True},
        {"settlement": Settlement.ABSORBED, "usage": None, "cost": None, "fault": Fault.CUT},
        {"settlement": Settlement.UPSTREAM_BILLED, "usage": None, "cost": None, "status": 499},
    ],
)
def test_what_is_not_known_counts_as_much_as_was_set_aside(store: Store, changes: dict[str, Any]) -> None:
    """No usage, no price, usage beyond reason, an answer that broke off, one that was given up."""
    ingest(store, opened(1), closed(1, **changes), closed(2))
    assert store.probes.spent(DAY) == {KEY: AMOUNT + 1_000}


def test_an_absorbed_cost_is_a_cost(store: Store) -> None:
    """The key is charged nothing for it; the provider's bill is the same."""
    ingest(store, closed(1, settlement=Settlement.ABSORBED, fault=Fault.CUT, cost=400))
    assert store.probes.spent(DAY) == {KEY: 400}


def test_what_is_under_way_or_was_lost_counts_in_full(store: Store) -> None:
    """Until it is settled after all."""
    ingest(store, opened(1))
    assert store.probes.spent(DAY) == {KEY: AMOUNT}
    store.ledger.expire("o")
    assert store.probes.spent(DAY) == {KEY: AMOUNT}
    ingest(store, closed(1))
    assert store.probes.spent(DAY) == {KEY: 1_000}


def test_a_replay_changes_nothing(store: Store) -> None:
    """After a crash between two batches the same records come again."""
    records = (opened(1), closed(1), opened(2))
    for _ in range(2):
        ingest(store, *records)
    assert store.probes.spent(DAY) == {KEY: AMOUNT + 1_000}
