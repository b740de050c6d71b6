"""The ledger: each record counts once, whatever is repeated, late, lost or interrupted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from tests.records import NOON, USAGE, line, reserved, settled
from tokenway.metering.ledger import Draw, Expired, Record, Settlement
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.base import Committed, Progress
from tokenway.store.ledger import SqlLedger
from tokenway.store.open import Store
from tokenway.store.schema import (
    attempts,
    entries,
    exchanges,
    journal_positions,
    kinds,
    leases,
    nodes,
    reservations,
    spend,
)


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A fresh store whose clock stands still."""
    return open_store(clock=lambda: NOON + 1_000)


def commit(ledger: SqlLedger, records: Sequence[Record], *, offset: int = 1, owner: str = "o") -> Committed:
    """Commits one batch of the journal `j`."""
    return ledger.commit(Progress("j", "w-1.journal", owner, offset), records)


def rows(store: Store, table: sa.FromClause) -> list[dict[str, Any]]:
    """All rows of a table or view, in the order of its first columns."""
    with store.database.read() as connection:
        query = sa.select(table).order_by(*list(table.c)[:4])
        return [dict(row) for row in connection.execute(query).mappings()]


def test_a_plain_exchange_is_one_row_and_reads_as_one_entry(store: Store) -> None:
    """One attempt that ended as its exchange did takes no row of its own, and the view shows it whole."""
    committed = commit(store.ledger, [reserved(1), settled(1)])

    assert committed == Committed([settled(1)])
    assert rows(store, attempts) == []
    (entry,) = rows(store, entries)
    assert (entry["exchange"], entry["attempt"], entry["endpoint"]) == ("gen-000001", 1, "lab/mock")
    assert (entry["charged"], entry["cost"], entry["settlement"]) == (1_234, 1_234, "delivered")
    assert Usage(*(entry[name] for name in BUCKETS)) == USAGE
    (exchange,) = rows(store, exchanges)
    assert exchange["ttft"] == pytest.approx(0.25)
    assert exchange["duration"] == pytest.approx(1.3)
    assert exchange["output_speed"] == pytest.approx(60.0)


@pytest.mark.parametrize(
    "change",
    [
        {"usage": Usage(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)},
        {"usage": None, "cost": None},
        {"fault": "cut"},
        {"absurd": True},
        {"status": 206},
        {"endpoint": "other/mock"},
        {"settlement": Settlement.ABSORBED},
    ],
)
def test_an_attempt_that_says_more_than_its_exchange_is_kept_whole(store: Store, change: dict[str, Any]) -> None:
    """Nothing of an attempt is lost because the common case is stored in fewer columns."""
    attempt = line(**change)
    commit(store.ledger, [reserved(1), settled(1, lines=(attempt,))])
    (entry,) = rows(store, entries)

    assert len(rows(store, attempts)) == 1
    stored = None if entry["input_uncached"] is None else Usage(*(entry[name] for name in BUCKETS))
    assert stored == attempt.usage
    assert (entry["endpoint"], entry["status"], entry["cost"]) == (attempt.endpoint, attempt.status, attempt.cost)
    assert (entry["fault"], bool(entry["absurd"])) == (attempt.fault, attempt.absurd)
    assert entry["settlement"] == attempt.settlement.value


def test_what_a_key_pays_stands_once_with_the_attempt_that_answered(store: Store) -> None:
    """The entries of an exchange with several attempts add up to what was charged."""
    lines = (
        line(attempt=1, endpoint="a/m", settlement=Settlement.ABSORBED, cost=7),
        line(attempt=2, endpoint="b/m", settlement=Settlement.RELEASED, usage=None, cost=None, fault="connect"),
        line(attempt=3, endpoint="lab/mock", cost=50),
    )
    commit(store.ledger, [reserved(1), settled(1, lines=lines, charged=50)])
    found = rows(store, entries)

    assert [(row["attempt"], row["charged"], row["cost"]) for row in found] == [(1, 0, 7), (2, 0, None), (3, 50, 50)]


def test_an_exchange_without_an_attempt_has_no_entry(store: Store) -> None:
    """When no provider was reached, the exchange is known and nothing was bought."""
    commit(store.ledger, [reserved(1), settled(1, lines=(), charged=0, settlement=Settlement.RELEASED, endpoint="")])

    assert len(rows(store, exchanges)) == 1
    assert rows(store, entries) == []


def test_a_reservation_is_stored_only_while_it_is_open(store: Store) -> None:
    """What is settled in its own batch is never written; what stays open is, and goes when it is settled."""
    commit(store.ledger, [reserved(1), settled(1), reserved(2)])
    assert [row["id"] for row in rows(store, reservations)] == ["gen-000002"]
    assert store.ledger.owners() == {"o"}

    committed = commit(store.ledger, [settled(2)], offset=2)
    assert rows(store, reservations) == []
    assert committed.unreserved == 0


def test_open_reservations_are_known_after_a_restart(store: Store) -> None:
    """A settlement finds the reservation that an earlier process stored."""
    commit(store.ledger, [reserved(1)])
    again = SqlLedger(store.database, lambda: NOON)

    assert commit(again, [settled(1)], offset=2).unreserved == 0
    assert rows(store, reservations) == []


@pytest.mark.parametrize("count", [1, 31, 32, 33, 70])
def test_every_exchange_of_a_batch_is_written_as_it_is(store: Store, count: int) -> None:
    """However many rows a statement takes, each exchange has its own values, once."""
    records = [settled(number, charged=number, run=f"run {number}") for number in range(count)]
    commit(store.ledger, [record for number in range(count) for record in (reserved(number), records[number])])
    found = rows(store, exchanges)

    assert [(row["id"], row["charged"], row["run"]) for row in found] == [(r.id, r.charged, r.run) for r in records]
    assert store.usage.key_usage("key_a").total == sum(range(count))


@pytest.mark.parametrize("cut", range(7))
def test_batches_may_end_anywhere(store: Store, cut: int) -> None:
    """Wherever a transaction ends between reservations and settlements, the tables and the sums are the same."""
    records: list[Record] = [reserved(1), reserved(2), settled(2), reserved(3), settled(1), settled(3)]
    first = commit(store.ledger, records[:cut])
    second = commit(store.ledger, records[cut:], offset=2)

    assert [*first.settled, *second.settled] == [settled(2), settled(1), settled(3)]
    assert (first.unreserved, second.unreserved, first.replayed, second.replayed) == (0, 0, 0, 0)
    assert rows(store, reservations) == []
    assert [row["id"] for row in rows(store, exchanges)] == ["gen-000001", "gen-000002", "gen-000003"]
    assert (store.usage.key_usage("key_a").requests, store.usage.key_usage("key_a").total) == (3, 3 * 1_234)


@pytest.mark.parametrize("cut", range(7))
def test_a_replay_that_begins_anywhere_changes_nothing(store: Store, cut: int) -> None:
    """What was committed up to some record and comes again twice, with the rest, is in the ledger once."""
    records: list[Record] = [reserved(1), reserved(2), settled(2), reserved(3), settled(1), settled(3)]
    commit(store.ledger, records[:cut])
    second = commit(SqlLedger(store.database, lambda: NOON), records, offset=2)
    third = commit(SqlLedger(store.database, lambda: NOON), records, offset=3)

    assert len(second.settled) == 3 - sum(record in records[:cut] for record in (settled(1), settled(2), settled(3)))
    assert third == Committed([], replayed=6)
    assert rows(store, reservations) == []
    assert len(rows(store, exchanges)) == 3
    assert store.usage.key_usage("key_a").total == 3 * 1_234


def test_a_batch_that_comes_twice_counts_once(store: Store) -> None:
    """The same records again, as after a lost position, change no table but the position."""
    batch: list[Record] = [reserved(1), settled(1), reserved(2), settled(2, lines=(line(fault="cut"),)), reserved(3)]
    commit(store.ledger, batch)
    before = [rows(store, table) for table in (exchanges, attempts, reservations, spend, kinds)]
    again = SqlLedger(store.database, lambda: NOON)
    committed = commit(again, batch, offset=2)

    assert committed == Committed([], replayed=5)
    assert [rows(store, table) for table in (exchanges, attempts, reservations, spend, kinds)] == before
    assert store.ledger.offset("j") == 2


def test_replays_and_news_in_one_batch_are_told_apart(store: Store) -> None:
    """Only what was not there is added and reported, also when a record is repeated inside the batch."""
    commit(store.ledger, [reserved(1), settled(1)])
    committed = commit(store.ledger, [settled(1), reserved(2), settled(2), settled(2), reserved(1)], offset=2)

    assert committed.settled == [settled(2)]
    assert committed.replayed == 3
    assert store.usage.key_usage("key_a").requests == 2


def test_a_repeated_reservation_of_a_settled_exchange_does_not_open_it_again(store: Store) -> None:
    """A settled exchange stays settled."""
    commit(store.ledger, [reserved(1), settled(1)])
    commit(store.ledger, [reserved(1)], offset=2)

    assert rows(store, reservations) == []


def test_a_settlement_without_a_reservation_is_kept_and_counted(store: Store) -> None:
    """Money that was spent is in the ledger even when its reservation was lost."""
    committed = commit(store.ledger, [settled(1)])

    assert committed == Committed([settled(1)], unreserved=1)
    assert len(rows(store, entries)) == 1


def test_what_a_gone_worker_left_open_expires_visibly(store: Store) -> None:
    """Its reservations become expired exchanges and entries without money; other owners' stay open."""
    commit(store.ledger, [reserved(1), reserved(2)], owner="gone")
    commit(store.ledger, [reserved(3)], owner="alive", offset=2)
    lost = store.ledger.expire("gone")

    assert lost == [reserved(1), reserved(2)]
    assert store.ledger.expire("gone") == []
    assert store.ledger.owners() == {"alive"}
    assert [(row["exchange"], row["attempt"], row["settlement"]) for row in rows(store, entries)] == [
        ("gen-000001", -1, "expired"),
        ("gen-000002", -1, "expired"),
    ]
    assert store.usage.key_usage("key_a").total == 0


def test_a_settlement_found_after_expiry_is_the_truth(store: Store) -> None:
    """The sum changes by exactly that settlement, and that it had expired stays on record."""
    commit(store.ledger, [reserved(1)])
    store.ledger.expire("o")
    committed = commit(store.ledger, [settled(1)], offset=2)

    assert committed == Committed([settled(1)])
    assert [(row["attempt"], row["charged"]) for row in rows(store, entries)] == [(-1, 0), (1, 1_234)]
    assert [row["settlement"] for row in rows(store, kinds) if row["model"]] == ["delivered"]
    assert rows(store, reservations) == []
    assert commit(store.ledger, [settled(1)], offset=3).replayed == 1


def test_an_expired_record_changes_nothing_by_itself(store: Store) -> None:
    """Only the store expires reservations; a record that says so in a journal does not."""
    commit(store.ledger, [reserved(1), Expired("gen-000001", NOON)])

    assert [row["expired"] for row in rows(store, reservations)] == [None]


def test_a_failed_batch_leaves_nothing_behind(store: Store) -> None:
    """Records and position are written together or not at all, and the next attempt succeeds."""
    with store.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE journal_positions RENAME TO aside")
    with pytest.raises((sqlite3.OperationalError, psycopg.errors.UndefinedTable), match="journal_positions"):
        commit(store.ledger, [reserved(1), settled(1), reserved(2)])
    with store.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE aside RENAME TO journal_positions")
    assert [rows(store, table) for table in (exchanges, kinds, reservations, spend, journal_positions)] == [[]] * 5

    assert commit(store.ledger, [reserved(1), settled(1), reserved(2)]).settled == [settled(1)]
    assert len(rows(store, kinds)) == 1


def test_a_count_beyond_the_database_does_not_stop_the_ledger(store: Store) -> None:
    """Usage of more than 64 bits is kept as far as a column goes, marked absurd, and in no sum."""
    huge = line(usage=Usage(2**64 - 1, output_text=-(2**63)), cost=2**64 - 1)
    committed = commit(store.ledger, [reserved(1, amount=2**64 - 1), settled(1, lines=(huge,), charged=0), settled(2)])
    entry = next(row for row in rows(store, entries) if row["exchange"] == "gen-000001")

    assert [record.id for record in committed.settled] == ["gen-000001", "gen-000002"]
    assert (entry["input_uncached"], entry["cost"], entry["absurd"]) == (2**63 - 1, None, 1)
    assert [row.usage for row in store.usage.report()] == [USAGE]


def test_an_open_reservation_beyond_the_database_is_cut(store: Store) -> None:
    """The largest amount that can be stored stands for one that cannot."""
    commit(store.ledger, [reserved(1, amount=2**64 - 1), Expired("gen-000009", NOON)])

    assert [row["amount"] for row in rows(store, reservations)] == [2**63 - 1]


def test_what_repeats_is_stored_once(store: Store) -> None:
    """Exchanges of the same kind share a row, and a second process finds the first one's."""
    commit(store.ledger, [settled(1), settled(2), settled(3, model="big"), settled(4, slow=True)])
    again = SqlLedger(store.database, lambda: NOON)
    commit(again, [settled(5)], offset=2)

    assert len(rows(store, kinds)) == 3
    numbers = {row["id"]: row["kind"] for row in rows(store, exchanges)}
    assert numbers["gen-000001"] == numbers["gen-000002"] == numbers["gen-000005"]


def test_spending_is_added_up_by_key_and_day(store: Store) -> None:
    """The sums that budgets are made from equal the exchanges, day by day in UTC."""
    half_day = 43_200
    batch = [
        settled(1, charged=5),
        settled(2, at=NOON + half_day, charged=7),
        settled(3, key="key_b", charged=11),
        settled(4, charged=13),
    ]
    commit(store.ledger, batch)
    found = {
        (row["subject"], row["bucket"]): (row["calls"], row["charged"])
        for row in rows(store, spend)
        if (row["scope"], row["grain"]) == ("key", 86_400)
    }
    day = int(NOON // 86_400)

    assert found == {("key_a", day): (2, 18), ("key_a", day + 1): (1, 7), ("key_b", day): (1, 11)}


def test_positions_are_kept_until_they_are_forgotten(store: Store) -> None:
    """A journal's position is the last one committed, and zero once its file is forgotten."""
    commit(store.ledger, [], offset=100)
    commit(store.ledger, [], offset=250)
    assert store.ledger.offset("j") == 250
    assert store.ledger.positions() == ["j"]

    store.ledger.forget("j")
    assert store.ledger.offset("j") == 0
    assert store.ledger.positions() == []


def test_what_was_taken_of_a_lease_is_entered_with_the_settlement(store: Store) -> None:
    """Of the holder's own lease and of the period that the call was admitted in; one that is gone is passed over."""
    lease = {"limit_id": "l", "period": 7, "holder": "o", "node": "", "granted": 100, "consumed": 5}
    with store.database.write() as connection:
        connection.execute(leases.insert(), [lease, lease | {"holder": "p"}, lease | {"period": 8}])
    commit(store.ledger, [settled(1, draws=(Draw("l", 7, 30), Draw("gone", 7, 1)))])
    commit(store.ledger, [settled(1, draws=(Draw("l", 7, 30),))], offset=2)
    found = {(row["period"], row["holder"]): row["consumed"] for row in rows(store, leases)}

    assert found == {(7, "o"): 35, (7, "p"): 5, (8, "o"): 5}


def test_the_leases_of_a_worker_that_is_gone_are_free_again(store: Store) -> None:
    """Also when it left nothing open; those of other holders, and of other machines, stay."""
    lease = {"limit_id": "l", "period": 7, "holder": "o", "node": "", "granted": 100, "consumed": 5}
    with store.database.write() as connection:
        connection.execute(leases.insert(), [lease, lease | {"holder": "p"}, lease | {"limit_id": "m", "node": "far"}])
    assert store.ledger.owners() == {"o", "p"}
    store.ledger.expire("o")

    assert [(row["holder"], row["node"]) for row in rows(store, leases)] == [("p", ""), ("o", "far")]


def test_another_machine_expires_only_what_a_gone_one_left(store: Store) -> None:
    """Its owners are its own and those of machines that were not seen for ten minutes."""
    one, two = (SqlLedger(store.database, lambda: NOON, node) for node in ("one", "two"))
    commit(one, [reserved(1)], owner="first")
    commit(two, [reserved(2)], owner="second", offset=2)
    machine = {"id": "one", "name": "", "started": 0.0, "seen": NOON - 599, "workers": 1, "release": ""}
    with store.database.write() as connection:
        connection.execute(nodes.insert(), [machine, machine | {"id": "two"}])
    assert (one.owners(), two.owners()) == ({"first"}, {"second"})

    late = SqlLedger(store.database, lambda: NOON + 2, "two")
    assert late.owners() == {"first", "second"}
    assert late.expire("first") == [reserved(1)]


def test_positions_are_those_of_this_machine(store: Store) -> None:
    """Another machine's journals are not here, and their positions are not forgotten."""
    one, two = (SqlLedger(store.database, lambda: NOON, node) for node in ("one", "two"))
    one.commit(Progress("a", "w", "o", 5), [])
    two.commit(Progress("b", "w", "o", 6), [])

    assert (one.positions(), two.positions()) == (["a"], ["b"])


def test_a_charge_beyond_reason_does_not_stop_the_ledger(store: Store) -> None:
    """It is cut to what no call can cost, so that no sum overflows."""
    committed = commit(store.ledger, [settled(1, charged=2**62), settled(2, charged=2**63)])

    assert len(committed.settled) == 2
    assert store.usage.key_usage("key_a").total == 2**44
