"""Entries of a project as files: all of them, in order, and only those of the period."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.records import NOON, USAGE, line, reserved, settled
from tokenway.metering.ledger import Settlement
from tokenway.store import export
from tokenway.store.base import Progress, StoreError
from tokenway.store.export import COLUMNS, entries_of, write_csv, write_parquet
from tokenway.store.open import Store


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A store with entries of two projects and two days, and a reservation that expired."""
    opened = open_store(clock=lambda: NOON)
    lost = line(attempt=1, settlement=Settlement.ABSORBED, usage=None, cost=None, fault="cut, here")
    records = [settled(n, run=f"r{n}") for n in range(5)]
    records += [settled(5, lines=(lost, line(attempt=2))), settled(6, project="other"), settled(7, at=NOON + 86_400)]
    opened.ledger.commit(Progress("j", "w", "o", 1), [*records, reserved(8)])
    opened.ledger.expire("o")
    return opened


def test_csv_has_every_entry_below_a_header(store: Store) -> None:
    """What no provider told is empty."""
    file = io.StringIO()
    count = write_csv(entries_of(store.database, "default", NOON, NOON + 43_200), file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))

    assert count == len(rows) == 7
    assert tuple(rows[0]) == COLUMNS
    assert [row["exchange"][-1] for row in rows] == ["0", "1", "2", "3", "4", "5", "5"]
    assert (rows[5]["fault"], rows[5]["input_uncached"], rows[5]["cost"]) == ("cut, here", "", "")
    assert (rows[6]["attempt"], rows[6]["reasoning"]) == ("2", str(USAGE.reasoning))


def test_parquet_has_the_same(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In groups of rows, with types, and nulls where nothing was told."""
    monkeypatch.setattr(export, "_FETCHED", 3)
    path = tmp_path / "x.parquet"
    count = write_parquet(entries_of(store.database, "default", NOON, NOON + 43_200), path)
    table = pq.read_table(path)

    assert count == table.num_rows == 7
    assert pq.ParquetFile(path).num_row_groups == 3
    assert table.column_names == list(COLUMNS)
    assert str(table.schema.field("charged").type) == "int64"
    assert table.column("input_uncached").to_pylist()[5:] == [None, USAGE.input_uncached]
    assert sum(table.column("charged").to_pylist()) == 6 * 1_234


def test_without_the_extra_the_sentence_says_what_to_install(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written then."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StoreError, match=r"install tokenway\[parquet\]"):
        write_parquet(entries_of(store.database, "default", NOON, NOON + 1), tmp_path / "x.parquet")

    assert list(tmp_path.glob("*.parquet")) == []
