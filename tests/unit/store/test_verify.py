"""The proof of the ledger: it holds, and whatever is changed behind its back is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.records import NOON, line, reserved, settled
from tokenway.metering.ledger import Settlement, Trace
from tokenway.model.usage import Usage
from tokenway.store.base import Progress
from tokenway.store.open import Store
from tokenway.store.schema import balances
from tokenway.store.verify import FAULTS_MAX, OpenReservation, Verification, verify

LOST = line(attempt=1, endpoint="far/big", settlement=Settlement.ABSORBED, usage=Usage(5, searches=2), cost=70)


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A store with a little of everything."""
    opened = open_store(clock=lambda: NOON)
    records = [
        settled(1, run="r", trace=Trace("a"), user="usr_a", withheld=9),
        settled(2, run="r", trace=Trace("b", "a", "Explore", "", "subagent"), lines=(LOST, line(attempt=2))),
        settled(3, at=NOON + 90_000, lines=(), charged=0, endpoint="", settlement=Settlement.RELEASED),
    ]
    for number, record in enumerate(records, 1):
        opened.ledger.commit(Progress("j", "w", "o", number), [reserved(number), record])
    opened.ledger.commit(Progress("j", "w", "o", 9), [reserved(4)])
    opened.ledger.expire("o")
    opened.ledger.commit(Progress("k", "w", "p", 1), [reserved(5)])
    return opened


def damage(store: Store, statement: str) -> Verification:
    """What is found after a statement that nobody should have run."""
    with store.database.write() as connection:
        assert connection.exec_driver_sql(statement).rowcount > 0
    return verify(store.database, NOON + 65)


def test_a_ledger_that_nobody_touched_holds(store: Store) -> None:
    """What was counted, what is equal, and what is open with its age."""
    found = verify(store.database, NOON + 65)

    assert found.faults == []
    assert found.holds
    assert (found.exchanges, found.entries) == (4, 3)
    assert found.debits == found.credits == 4 * 1_234 + 70
    assert found.opened == [OpenReservation("gen-000005", "key_a", 5_000, 60.0, "p", "")]


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (
            "UPDATE rollups SET reasoning = reasoning + 3 WHERE grain = 60 AND reasoning > 0",
            "minute 2026-01-01T12:00Z, key=key_a project=default model=mock endpoint=lab/mock: reasoning 3 too high",
        ),
        (
            "DELETE FROM rollups WHERE grain = 3600 AND slow = 0 AND expired > 0",
            "roll-up of the hour 2026-01-01T12:00Z",
        ),
        ("UPDATE rollups SET ttft_us = ttft_us - 1 WHERE grain = 86400 AND first_tokens = 1", "ttft_us 1 too low"),
        ("UPDATE spend SET charged = 0 WHERE scope = 'key' AND grain = 3600", "spending of key key_a in the hour"),
        ("UPDATE spend SET withheld = 0 WHERE scope = 'user' AND grain = 86400", "withheld 9 too low"),
        ("UPDATE spend SET calls = calls + 1 WHERE scope = 'model' AND grain = 0", "model mock in all, by its days"),
        ("UPDATE spend SET last_used = 5 WHERE scope = 'project' AND grain = 86400", "last used at 5.0, not "),
        ("UPDATE balances SET credits = credits + 1 WHERE account = 'sales'", "balance of sales: 0 debits and 2469"),
        ("UPDATE balances SET debits = debits - 1 WHERE account = 'absorbed'", "the debits of all accounts are"),
        ("UPDATE runs SET shown = 7", "run r of key_a, by its agents: shown 6 too high"),
        ("UPDATE runs SET started = 0", "run r of key_a: it does not begin"),
        ("UPDATE run_agents SET cost = 1 WHERE agent = 'b'", "run r of key_a, agent b: cost 1303 too low"),
        ("UPDATE run_agents SET shown_tokens = 1 WHERE agent = 'a'", "agent a: shown_tokens 50 too low"),
        (
            "UPDATE exchanges SET charged = 1 WHERE id = 'gen-000002'",
            "exchange gen-000002: 2 entries of 2, which charge",
        ),
        ("DELETE FROM attempts WHERE exchange = 'gen-000002' AND attempt = 1", "exchange gen-000002: 1 entries of 2"),
        ("DELETE FROM exchanges WHERE id = 'gen-000002'", "entry of gen-000002: there is no such exchange"),
        ("UPDATE exchanges SET cost = -5 WHERE id = 'gen-000001'", "entry 1 of gen-000001: a count or an amount"),
        ("UPDATE reservations SET expired = NULL WHERE id = 'gen-000004'", "gen-000004: it is open, and its exchange"),
        (
            "UPDATE reservations SET id = 'gen-000001' WHERE id = 'gen-000004'",
            "gen-000001: it expired, and its exchange",
        ),
        ("DELETE FROM reservations WHERE id = 'gen-000004'", "gen-000004: it expired, and there was no reservation"),
        ("UPDATE reservations SET expired = 1 WHERE id = 'gen-000005'", "gen-000005: it expired, and there is no"),
        ("INSERT INTO transfers VALUES ('t', 0, 'grant', 'promotion', 'wallet:x', 5, 'x', '', NULL, '')", "wallet:x"),
    ],
)
def test_what_was_changed_is_named(store: Store, statement: str, fault: str) -> None:
    """One line says where, and what is wrong there."""
    found = damage(store, statement)

    assert not found.holds
    assert [line for line in found.faults if fault in line], found.faults
    assert not any("\n" in line for line in found.faults)


def test_only_what_is_asked_for_is_compared(store: Store) -> None:
    """Since a day: entries before it are not looked at, balances always are."""
    assert damage(store, "UPDATE exchanges SET charged = 1 WHERE id = 'gen-000001'").faults
    found = verify(store.database, NOON, since=NOON + 90_000)

    assert (found.exchanges, found.entries, found.faults) == (1, 0, [])


def test_the_list_of_faults_has_an_end(store: Store) -> None:
    """A ledger that is wrong everywhere is not listed whole."""
    with store.database.write() as connection:
        many = [{"account": f"wallet:{n:05}", "node": "", "debits": 1, "credits": 0} for n in range(FAULTS_MAX + 5)]
        connection.execute(balances.insert(), many)
    found = verify(store.database, NOON)

    assert len(found.faults) == FAULTS_MAX + 1
    assert "the rest is not listed" in found.faults[-1]


def test_days_whose_entries_were_dropped_are_compared_by_their_hours(store: Store) -> None:
    """The balances still stand on the days; a day that does not equal its hours is named."""
    with store.database.write() as connection:
        connection.exec_driver_sql(f"INSERT INTO settings VALUES ('kept.entries', '{NOON + 43_200}')")
        connection.exec_driver_sql("DELETE FROM attempts")
        connection.exec_driver_sql("DELETE FROM exchanges WHERE id < 'gen-000003' OR id = 'gen-000004'")
        connection.exec_driver_sql("DELETE FROM reservations")
    assert verify(store.database, NOON).faults == []

    found = damage(store, "UPDATE rollups SET calls = calls + 1 WHERE grain = 3600 AND expired > 0")
    assert found.faults == ["roll-up of the day 2026-01-01, key=key_a project=default, by its hours: calls 1 too low"]
