"""Records into rows: a reservation and its settlement meet in memory."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.records import NOON, line, reserved, settled
from tokenway.metering.ledger import Draw, Expired, Settled, Settlement
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.rows import Batch, bounded, kind_row
from tokenway.store.schema import INLINE_BUCKETS, KIND_FIELDS, attempts, exchanges, kinds


def batch_of(*records: Any, known: frozenset[str] = frozenset()) -> Batch:
    """The rows of these records, when no kind is known."""
    batch = Batch({})
    batch.take(records, set(known))
    return batch


def table_rows(table: sa.Table, values: list[Any]) -> list[dict[str, Any]]:
    """Rows whose values stand one after the other, by column."""
    names = table.columns.keys()
    assert len(values) % len(names) == 0
    return [dict(zip(names, values[at : at + len(names)], strict=True)) for at in range(0, len(values), len(names))]


def exchange_rows(batch: Batch) -> list[dict[str, Any]]:
    """The rows of `exchanges` by column."""
    return table_rows(exchanges, batch.exchanges)


def attempt_rows(batch: Batch) -> list[dict[str, Any]]:
    """The rows of `attempts` by column."""
    return table_rows(attempts, batch.attempts)


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

    assert (batch.exchanges, batch.attempts, batch.settled, batch.sums.minutes) == ([], [], [], {})


def test_a_kind_has_the_same_number_on_every_machine() -> None:
    """Exchanges that differ in nothing that repeats share its number, and a known one is not learnt again."""
    batch = batch_of(settled(1), settled(2, run="r"), settled(3, model="big"))
    batch.take([settled(4)], set())
    numbers = [row["kind"] for row in exchange_rows(batch)]
    again = Batch(dict(batch.kinds))
    again.take([settled(3, model="big"), settled(5, model="new")], set())

    assert numbers == [numbers[0], numbers[0], numbers[2], numbers[0]]
    assert numbers[0] != numbers[2]
    assert exchange_rows(again)[0]["kind"] == numbers[2]
    assert [kind[2] for kind in again.kinds] == ["new"]


def test_a_kinds_row_has_its_values_in_the_columns_order() -> None:
    """Flags are numbers there, and how it was settled is a text."""
    ((kind, number),) = batch_of(settled(1)).kinds.items()

    assert table_rows(kinds, list(kind_row(kind, number))) == [
        {
            "id": number,
            "key": "key_a",
            "project": "default",
            "model": "mock",
            "endpoint": "lab/mock",
            "operation": "chat",
            "dialect": "openai_chat",
            "stream": 1,
            "settlement": "delivered",
            "status": 200,
            "attempts": 1,
            "slow": 0,
            "finish_reason": "stop",
            "error_type": "",
            "inline_attempt": 1,
            "user_id": "",
        }
    ]


def test_an_exchange_with_several_attempts_has_them_in_rows_of_their_own() -> None:
    """The exchange's own row then has no figures but its speed, which is of the attempt that answered."""
    failed = line(attempt=1, settlement=Settlement.ABSORBED, usage=Usage(5), cost=7)
    batch = batch_of(settled(1, lines=(failed, line(attempt=2))))
    (row,) = exchange_rows(batch)

    assert (row["cost"], row["input_uncached"], row["requests"]) == (None, None, None)
    assert row["output_speed"] is not None
    assert [(found["attempt"], found["charged"], found["cost"]) for found in attempt_rows(batch)] == [
        (1, 0, 7),
        (2, 1_234, 1_234),
    ]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_stands_in_the_row_that_has_a_column_for_it(bucket: str) -> None:
    """Each bucket by itself is in the exchange's row, by its name, or with the attempt; none is lost."""
    batch = batch_of(settled(1, lines=(line(usage=Usage(**{bucket: 7})),)))
    (row,) = exchange_rows(batch)

    if bucket in INLINE_BUCKETS:
        assert {name: row[name] for name in INLINE_BUCKETS} == dict.fromkeys(INLINE_BUCKETS, 0) | {bucket: 7}
        assert batch.attempts == []
    else:
        (attempt,) = attempt_rows(batch)
        assert attempt[bucket] == 7
        assert row["requests"] is None


def test_an_expired_reservation_is_an_exchange_and_an_entry_without_money() -> None:
    """It is of its key and project, and of nobody's model or endpoint."""
    batch = Batch({})
    batch.expire(reserved(1))
    (exchange,), (entry,), (kind,) = exchange_rows(batch), attempt_rows(batch), batch.kinds
    named = dict(zip(KIND_FIELDS, kind, strict=True))

    assert (exchange["id"], exchange["at"], exchange["charged"]) == ("gen-000001", reserved(1).at, 0)
    assert exchange["kind"] == batch.kinds[kind]
    assert (entry["exchange"], entry["attempt"], entry["settlement"], entry["cost"]) == (
        "gen-000001",
        -1,
        "expired",
        None,
    )
    assert (named["key"], named["model"], named["settlement"]) == ("key_a", "", Settlement.EXPIRED)


def test_what_is_beyond_reason_is_cut_and_costs_nothing() -> None:
    """Numbers of more than 64 bits become the largest there are, and their attempt is absurd; sums stay small."""
    huge = line(usage=Usage(2**64), cost=2**64)
    cut = bounded(settled(1, lines=(huge, line()), charged=2**64, withheld=2**60, draws=(Draw("l", 0, 2**64),)))
    assert isinstance(cut, Settled)
    first, second = cut.lines

    assert (first.usage, first.cost, first.absurd) == (Usage(2**63 - 1), None, True)
    assert second == line()
    assert (cut.charged, cut.withheld, cut.draws) == (2**43, 2**43, (Draw("l", 0, 2**43),))
    assert bounded(settled(1)) == settled(1)
    assert bounded(reserved(1, amount=2**64)) == reserved(1, amount=2**63 - 1)
    assert bounded(Expired("x", NOON)) == Expired("x", NOON)
