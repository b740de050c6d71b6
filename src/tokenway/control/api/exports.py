"""The ledger as a file, CSV or Parquet: a row for each attempt, read and sent bit by bit."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Protocol

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from tokenway.control.api.callers import Gateway, Guarded, Who
from tokenway.control.api.ledger import Which
from tokenway.control.api.problems import Problem
from tokenway.control.api.services import Services
from tokenway.control.api.types import shown_time, usd
from tokenway.model.money import NANO_PER_USD
from tokenway.model.usage import BUCKETS
from tokenway.store.database import Database
from tokenway.store.entries import Entry, EntryFilter, EntryLine, SqlEntries

router = APIRouter(route_class=Guarded, tags=["ledger"])

EXPORTED: Final = 1000
"""Exchanges that are read at a time."""
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
_TEXTS: Final = ("id", "project", "key", "user", "model", "run", "endpoint", "settlement")
_MONEY: Final = ("charged", "cost")
_COLUMNS: Final = (
    *("id", "at", "project", "key", "user", "model", "run"),
    *("attempt", "endpoint", "settlement", "status", "charged", "cost"),
    *BUCKETS,
)
_MONEY_DIGITS: Final = 28

Form = Annotated[
    Literal["csv", "parquet"],
    Query(
        alias="format",
        description="CSV, with money in USD and times in RFC 3339; or Parquet, typed, where the gateway has the extra "
        "`parquet` (else 501).",
    ),
]
Row = Sequence[Any]
"""The values of `_COLUMNS`: money in nano-dollars, the time in seconds; None for what is not known."""


class _Writer(Protocol):
    """What makes a file of rows, piece by piece."""

    def rows(self, rows: list[Row]) -> bytes:
        """The bytes that come with these."""

    def end(self) -> bytes:
        """What comes behind the last."""


@router.get(
    "/ledger/export",
    response_class=StreamingResponse,
    responses={200: {"content": {CSV: {}, PARQUET: {}}}, 501: {}},
)
async def export_entries(who: Who, services: Gateway, which: Which, form: Form = "csv") -> StreamingResponse:
    """The same as a file, the oldest days first, a row for each attempt; it comes as it is read."""
    wanted = which.filter(who)
    try:
        writer: _Writer = _Csv() if form == "csv" else await services.asides.exports.run(lambda _: _Parquet())
    except ModuleNotFoundError:
        raise Problem(501, "Parquet needs the package pyarrow: install tokenway[parquet]", field="format") from None
    await services.run(services.drain)
    headers = {"content-disposition": f'attachment; filename="ledger.{form}"'}
    content = _content(services, writer, wanted, tells_costs=who.is_admin)
    return StreamingResponse(content, media_type=CSV if form == "csv" else PARQUET, headers=headers)


async def _content(
    services: Services, writer: _Writer, wanted: EntryFilter, *, tells_costs: bool
) -> AsyncIterator[bytes]:
    after: str | None = None

    def read(database: Database) -> tuple[bytes, str | None]:
        """The next piece of the file; None where nothing comes behind it."""
        found = SqlEntries(database).page(wanted, after=after, count=EXPORTED, newest=False)
        piece = writer.rows([_row(entry, line, tells_costs) for entry in found for line in entry.lines])
        return (piece, found[-1].id) if len(found) == EXPORTED else (piece + writer.end(), None)

    while True:
        piece, after = await services.asides.exports.run(read)
        yield piece
        if after is None:
            return


def _row(entry: Entry, line: EntryLine, tells_costs: bool) -> Row:  # noqa: FBT001 - one of three values
    usage = line.usage
    return (
        *(entry.id, entry.at, entry.project, entry.key, entry.user_id, entry.model, entry.run or ""),
        *(line.attempt, line.endpoint, line.settlement, line.status, line.charged),
        line.cost if tells_costs else None,
        *((getattr(usage, name) for name in BUCKETS) if usage is not None else (None,) * len(BUCKETS)),
    )


class _Csv:
    def __init__(self) -> None:
        self._is_begun = False

    def rows(self, rows: list[Row]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text)
        if not self._is_begun:
            writer.writerow(_COLUMNS)
            self._is_begun = True
        writer.writerows([_cell(name, value) for name, value in zip(_COLUMNS, row, strict=True)] for row in rows)
        return text.getvalue().encode()

    def end(self) -> bytes:
        return b""


def _cell(name: str, value: Any) -> object:
    if value is None:
        return ""
    if name == "at":
        return shown_time(value)
    if name in _MONEY:
        return usd(value)
    # A text that no spreadsheet takes for a formula: callers choose some of these names.
    return f"'{value}" if name in _TEXTS and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


class _Parquet:
    """Raises ModuleNotFoundError where the extra is not installed."""

    def __init__(self) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415 - the same

        types = {name: pa.string() for name in _TEXTS} | {name: pa.decimal128(_MONEY_DIGITS, 9) for name in _MONEY}
        types["at"] = pa.timestamp("us", "UTC")
        self._arrow: Any = pa
        self._schema: Any = pa.schema([(name, types.get(name, pa.int64())) for name in _COLUMNS])
        self._sink = _Sink()
        self._writer: Any = pq.ParquetWriter(self._sink, self._schema, compression="zstd")

    def rows(self, rows: list[Row]) -> bytes:
        if rows:
            columns = [
                self._arrow.array([_typed(name, value) for value in values], self._schema.field(name).type)
                for name, values in zip(_COLUMNS, zip(*rows, strict=True), strict=True)
            ]
            self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))
        return self._sink.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.take()


def _typed(name: str, value: Any) -> object:
    if value is None:
        return None
    if name == "at":
        return datetime.fromtimestamp(value, UTC)
    return Decimal(value) / NANO_PER_USD if name in _MONEY else value


class _Sink(io.RawIOBase):
    """A file that is taken away while it is written."""

    def __init__(self) -> None:
        self._written = bytearray()
        self._taken = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def tell(self) -> int:
        return self._taken + len(self._written)

    def take(self) -> bytes:
        """What was written since it was last taken."""
        piece = bytes(self._written)
        self._taken += len(piece)
        self._written.clear()
        return piece
