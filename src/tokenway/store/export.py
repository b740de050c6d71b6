"""Every entry of a project in a period, as CSV or Parquet: one row for each attempt, read and written bit by bit.

Amounts are whole nano-dollars and times Unix seconds. What no provider told is empty.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import sqlalchemy as sa

from tokenway.model.usage import BUCKETS
from tokenway.store.base import StoreError
from tokenway.store.database import Database
from tokenway.store.schema import EXPIRED_ATTEMPT, entries

COLUMNS: Final = (
    *("exchange", "attempt", "at", "key", "project", "user_id", "model", "run", "endpoint", "settlement"),
    *("charged", "cost", "status", "fault", "absurd"),
    *BUCKETS,
    "service",
)
_TEXTS: Final = frozenset(
    {"exchange", "key", "project", "user_id", "model", "run", "endpoint", "settlement", "fault", "service"}
)
_FETCHED: Final = 2_000
"""Rows that are in memory at a time, and in a group of a Parquet file."""

Row = Sequence[Any]


def entries_of(database: Database, project: str, begins: float, ends: float) -> Iterator[Row]:
    """The entries of exchanges that were admitted in [begins, ends), by the exchange and the attempt."""
    query = sa.select(*(entries.c[name] for name in COLUMNS)).where(
        entries.c.project == project,
        entries.c.at >= begins,
        entries.c.at < ends,
        entries.c.attempt != EXPIRED_ATTEMPT,
    )
    query = query.order_by(entries.c.exchange, entries.c.attempt).execution_options(
        stream_results=True, yield_per=_FETCHED
    )
    with database.read() as connection:
        yield from connection.execute(query)


def write_csv(rows: Iterator[Row], file: IO[str]) -> int:
    """Writes the rows below a header; how many there were."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        writer.writerow(row)
        count += 1
    return count


def write_parquet(rows: Iterator[Row], path: Path) -> int:
    """Writes the rows into a file, a group of rows at a time; how many there were. Raises StoreError."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415 - the same
    except ModuleNotFoundError:
        raise StoreError("Parquet needs the package pyarrow: install tokenway[parquet]") from None
    schema = pa.schema([(name, _type(pa, name)) for name in COLUMNS])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := [tuple(row) for row in islice(rows, _FETCHED)]:
            columns = [pa.array(values, schema.field(at).type) for at, values in enumerate(zip(*group, strict=True))]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            count += len(group)
    return count


def _type(pa: Any, name: str) -> Any:
    return pa.string() if name in _TEXTS else pa.float64() if name == "at" else pa.int64()
