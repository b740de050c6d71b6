"""Leases and the real ledger: a settlement changes nothing of what remains, whatever limit it counts for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.limits.books import NOON
from tokenway.metering.ledger import Draw, Line, Reserved, Settled, Settlement
from tokenway.metering.stamps import Stamps
from tokenway.metering.terms import period_of, run_limit
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.usage import Usage
from tokenway.store.base import Progress
from tokenway.store.granting import Ask
from tokenway.store.open import Store
from tokenway.store.postgres import open_postgres
from tokenway.store.sqlite import open_sqlite

AMOUNT = 1_000_000
HELD = 100_000
MEASURES = {
    Measure.USD: 300,
    Measure.REQUESTS: 1,
    Measure.INPUT_TOKENS: 57,
    Measure.OUTPUT_TOKENS: 23,
    Measure.TOKENS: 80,
}
"""What the call of these tests comes to; of its money 290 were charged and 10 are withheld."""
SUBJECTS = {Scope.KEY: "key_1", Scope.PROJECT: "p", Scope.USER: "u", Scope.MODEL: "m"}
TERMS = [(Term.TOTAL, False), (Term.DAY, False), (Term.WEEK, False), (Term.MONTH, False)]
ROLLING = [(Term.DAY, True), (Term.WEEK, True), (Term.MONTH, True)]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of either kind."""
    if request.param == "sqlite":
        store = open_sqlite(tmp_path / "t.db", clock=lambda: NOON, node="n1")
    else:
        store = open_postgres(request.getfixturevalue("postgres_url"), clock=lambda: NOON, node="n1")
    yield store
    store.close()


def all_limits() -> Iterator[Limit]:
    """One of each kind that is counted in the books."""
    for measure in MEASURES:
        for scope, subject in SUBJECTS.items():
            for term, rolling in TERMS + ROLLING:
                yield Limit(f"{measure}-{scope}-{term}-{rolling}", scope, subject, measure, AMOUNT, term, rolling)
        yield Limit(f"run-{measure}", Scope.KEY, "key_1", measure, AMOUNT, per_run=True)


def ask(limit: Limit, least: int) -> Ask:
    """The worker asks, for the run of these tests where it is about one."""
    identity = run_limit(limit.id, "key_1", "r") if limit.per_run else limit.id
    return Ask(identity, limit, "w1", least, 1, "key_1", "r")


def settled(draws: tuple[Draw, ...]) -> Settled:
    """A call of 57 tokens in and 23 out, whose caller left before its end."""
    usage = Usage(input_uncached=50, cache_read=7, output_text=20, reasoning=3)
    line = Line(1, "lab/x", Settlement.DELIVERED, usage, 250, 200)
    return Settled(
        "gen-50320000000000000000000000000001", NOON, "key_1", "p", "m", "lab/x", "chat", "openai_chat", False,
        Settlement.DELIVERED, 290, 200, (line,), Stamps(), run="r", admitted=NOON - 1, user="u", withheld=10,
        draws=draws,
    )  # fmt: skip


def test_what_was_drawn_is_spent(store: Store) -> None:
    """Each limit's holder has less by just what is spent, and what nobody has stays the same."""
    limits = list(all_limits())
    before = store.leases.lend([ask(limit, HELD) for limit in limits])
    assert {lent.amount for lent in before} == {HELD}
    draws = tuple(Draw(ask(limit, 0).id, period_of(limit, NOON).number, MEASURES[limit.measure]) for limit in limits)
    record = settled(draws)
    reserved = Reserved(record.id, NOON - 1, "key_1", "p", 1000)
    store.ledger.commit(Progress("j", "n", "w1", 10), [reserved, record])
    for limit, draw in zip(limits, draws, strict=True):
        assert store.leases.outstanding(draw.limit, draw.period) == HELD - draw.amount, limit.id
        # All that remains is lent, so what is lent then says what was spent.
        assert store.leases.lend([ask(limit, AMOUNT)])[0].amount == AMOUNT - HELD, limit.id


def test_without_a_lease_a_call_counts_by_its_entry(store: Store) -> None:
    """As one does that was admitted before there was a limit."""
    store.ledger.commit(Progress("j", "n", "w1", 10), [settled(())])
    for limit in all_limits():
        assert store.leases.lend([ask(limit, AMOUNT)])[0].amount == AMOUNT - MEASURES[limit.measure], limit.id


def test_who_is_gone_has_nothing(store: Store) -> None:
    """When the ingest closes what a worker has left open, its leases are free."""
    limit = next(all_limits())
    store.leases.lend([ask(limit, HELD)])
    assert store.ledger.owners() == {"w1"}
    store.ledger.expire("w1")
    assert store.leases.outstanding(limit.id, 0) == 0
    assert store.ledger.owners() == set()
