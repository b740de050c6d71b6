"""Records into rows: a reservation and its settlement meet in memory, and money is summed by key and day."""

from __future__ import annotations

from typing import Any

import pytest

from tests.records import NOON, line, reserved, settled
from tokenway.metering.ledger import Expired, Settlement
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.rows import SECONDS_PER_DAY, Batch, Kind, bounded, expired_kind, expired_rows
from tokenway.store.schema import INLINE_BUCKETS, KIND_FIELDS, attempts, exchanges


class Numbers(dict[Kind, int]):
    """Numbers of kinds, with a memory of those that were asked for."""

    def learn(self, kind: Kind) -> int:
        """Gives the next number."""
        self[kind] = len(self) + 1
        return self[kind]


def batch_of(*records: Any, known: frozenset[str] = frozenset()) -> Batch:
    """The rows of these records, when no kind is known."""
    numbers = Numbers()
    batch = Batch(numbers, numbers.learn)
    batch.take(records, set(known))
    return batch


def exchange_rows(batch: Batch) -> list[dict[str, Any]]:
    """The rows of `exchanges` by column."""
    names = exchanges.columns.keys()
    values = batch.exchanges
    assert len(values) % len(names) == 0
    return [dict(zip(names, values[at : at + len(names)], strict=True)) for at in range(0, len(values), len(names))]


def test_a_reservation_and_its_settlement_in_one_batch_leave_only_the_exchange() -> None:
    """Nothing is opened and nothing closed, in whatever order other records stand between them."""
    batch = batch_of(reserved(1), reserved(2), settled(2), settled(1))

    assert [row["id"] for row in exchange_rows(batch)] == ["gen-000002", "gen-000001"]
    assert batch.settled == [settled(2), settled(1)]
    assert (batch.opened, batch.closed, batch.unreserved) == ({}, [], 0)


def test_a_settlement_of_an_earlier_batch_closes_the_reservation_that_has_a_row() -> None:
    """One whose reservation is nowhere is kept and counted; what is not settled yet is opened."""
    batch = batch_of(settled(1), settled(2), reserved(3), known=frozenset({"gen-000001"}))

    assert batch.closed == ["gen-000001"]
    assert batch.unreserved == 1
    assert batch.opened == {"gen-000003": reserved(3)}
    assert len(exchange_rows(batch)) == 2


def test_a_reservation_that_comes_again_with_its_settlement_gives_up_its_row() -> None:
    """After a replay it is in the table and in the batch; it must not stay open."""
    batch = batch_of(reserved(1), settled(1), known=frozenset({"gen-000001"}))

    assert (batch.opened, batch.closed, batch.unreserved) == ({}, ["gen-000001"], 0)


def test_an_expired_record_comes_to_no_row() -> None:
    """Only the store expires reservations."""
    batch = batch_of(Expired("gen-000001", NOON))

    assert (batch.exchanges, batch.attempts, batch.settled, batch.spend()) == ([], [], [], [])


def test_a_kind_is_asked_for_once() -> None:
    """Exchanges that differ in nothing that repeats share its number; its values stand in the columns' order."""
    numbers = Numbers()
    batch = Batch(numbers, numbers.learn)
    batch.take([settled(1), settled(2, run="r"), settled(3, model="big")], set())
    batch.take([settled(4)], set())

    assert [row["kind"] for row in exchange_rows(batch)] == [1, 1, 2, 1]
    assert [row["run"] for row in exchange_rows(batch)] == [None, "r", None, None]
    assert dict(zip(KIND_FIELDS, next(iter(numbers)), strict=True)) == {
        "key": "key_a",
        "project": "default",
        "model": "mock",
        "endpoint": "lab/mock",
        "operation": "chat",
        "dialect": "openai_chat",
        "stream": True,
        "settlement": Settlement.DELIVERED,
        "status": 200,
        "attempts": 1,
        "slow": False,
        "finish_reason": "stop",
        "error_type": "",
        "inline_attempt": 1,
        "user_id": "",
    }


def test_spending_is_summed_by_key_and_day() -> None:
    """A day begins at midnight in UTC, to the second, and days may come in any order."""
    midnight = NOON + SECONDS_PER_DAY / 2
    batch = batch_of(
        settled(1, at=midnight, charged=1),
        settled(2, at=midnight - 1, charged=10),
        settled(3, at=midnight - 2, charged=100),
        settled(4, at=midnight, key="key_b", charged=1_000),
        settled(5, at=midnight + 1, charged=10_000),
    )
    today = int(NOON // SECONDS_PER_DAY)

    assert sorted(batch.spend()) == [
        ("key_a", today, 2, 110, midnight - 1),
        ("key_a", today + 1, 2, 10_001, midnight + 1),
        ("key_b", today + 1, 1, 1_000, midnight),
    ]


def test_an_exchange_with_several_attempts_has_them_in_rows_of_their_own() -> None:
    """The exchange's own row then has no figures but its speed, which is of the attempt that answered."""
    failed = line(attempt=1, settlement=Settlement.ABSORBED, usage=Usage(5), cost=7)
    batch = batch_of(settled(1, lines=(failed, line(attempt=2))))
    (row,) = exchange_rows(batch)

    assert (row["cost"], row["input_uncached"], row["requests"]) == (None, None, None)
    assert row["output_speed"] is not None
    assert [(found[1], found[4], found[5]) for found in batch.attempts] == [(1, 0, 7), (2, 1_234, 1_234)]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_stands_in_the_row_that_has_a_column_for_it(bucket: str) -> None:
    """Each bucket by itself is in the exchange's row, by its name, or with the attempt; none is lost."""
    batch = batch_of(settled(1, lines=(line(usage=Usage(**{bucket: 7})),)))
    (row,) = exchange_rows(batch)

    if bucket in INLINE_BUCKETS:
        assert {name: row[name] for name in INLINE_BUCKETS} == dict.fromkeys(INLINE_BUCKETS, 0) | {bucket: 7}
        assert batch.attempts == []
    else:
        (attempt,) = batch.attempts
        assert dict(zip(attempts.columns.keys(), attempt, strict=True))[bucket] == 7
        assert row["requests"] is None


def test_an_expired_reservation_is_an_exchange_and_an_entry_without_money() -> None:
    """Its rows are as wide as the tables."""
    exchange, entry = expired_rows(reserved(1), 3)
    kind = dict(zip(KIND_FIELDS, expired_kind(reserved(1)), strict=True))

    assert len(exchange) == len(exchanges.columns)
    assert len(entry) == len(attempts.columns)
    assert exchange[:5] == ("gen-000001", reserved(1).at, 3, None, 0)
    assert (kind["key"], kind["settlement"], kind["attempts"]) == ("key_a", Settlement.EXPIRED, 0)


def test_what_a_column_cannot_hold_is_cut_and_costs_nothing() -> None:
    """Numbers of more than 64 bits become the largest there are, and their attempt is absurd."""
    huge = line(usage=Usage(2**64), cost=2**64)
    (cut, plain) = bounded(settled(1, lines=(huge, line()), charged=2**64)).lines  # type: ignore[union-attr]

    assert (cut.usage, cut.cost, cut.absurd) == (Usage(2**63 - 1), None, True)
    assert plain == line()
    assert bounded(reserved(1, amount=2**64)) == reserved(1, amount=2**63 - 1)
    assert bounded(Expired("x", NOON)) == Expired("x", NOON)
