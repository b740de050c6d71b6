"""The tables of the ledger: what was reserved, what was settled, and how far the journals were read.

The shape of the ledger follows what writing costs, because every exchange is written once and read rarely:

* What repeats from exchange to exchange (key, model, endpoint, how it ended …) is one row of `kinds`, and an
  exchange carries its number. That saves twelve of some thirty columns, two thirds of the bytes and most of
  the time.
* Nearly every exchange has one attempt that ended as the exchange did. Its figures stand in the exchange's
  own row, and `kinds.inline_attempt` holds the attempt's number. Only other exchanges have rows in `attempts`.
* The view `entries` puts both together: one row for each attempt that reached a provider, whatever the way
  it is stored. `(exchange, attempt)` names an entry for ever.

Tables without a rowid are ordered by their primary key, so ids that begin with a time are appended and not
strewn over the file. An exchange belongs to the moment at which it was admitted (`at`): the period of a budget
that it is paid from, its bucket in every roll-up. Rows of the ledger have no foreign keys: keys may live in the
configuration file, and the rows of one exchange are written in one transaction.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from tokenway.model.usage import BUCKETS
from tokenway.store.schema.common import Number, count, metadata, text

INLINE_BUCKETS: Final = ("input_uncached", "cache_read", "output_text", "reasoning", "requests")
"""The buckets that an exchange's own row can hold; usage with any other goes to `attempts`."""

EXPIRED_ATTEMPT: Final = -1
"""The attempt number of the entry that says that a reservation expired; real attempts count from 0 or 1."""

kinds = sa.Table(
    "kinds",
    metadata,
    # 63 bits of a digest of the rest, so that machines which share a database agree on it without asking.
    sa.Column("id", Number, primary_key=True, autoincrement=False),
    text("key"),
    text("project"),
    text("model"),
    text("endpoint"),
    text("operation"),
    text("dialect"),
    sa.Column("stream", sa.Integer, nullable=False),
    text("settlement"),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("slow", sa.Integer, nullable=False),
    text("finish_reason"),
    text("error_type"),
    # The number of the only attempt when it is in the exchange's row; NULL when `attempts` has the rows.
    sa.Column("inline_attempt", sa.Integer),
    # Whom the key belonged to; empty for a key of nobody's.
    text("user_id"),
)
KIND_FIELDS: Final = tuple(column.name for column in kinds.columns if column.name != "id")

exchanges = sa.Table(
    "exchanges",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", Number, nullable=False),
    # The caller's run id, NULL when there is none.
    sa.Column("run", sa.Text),
    count("charged"),
    sa.Column("cost", sa.BigInteger),
    # Seconds, seconds, tokens per second, seconds.
    sa.Column("ttft", sa.Double),
    sa.Column("duration", sa.Double),
    sa.Column("output_speed", sa.Double),
    sa.Column("overhead", sa.Double, nullable=False),
    *(sa.Column(name, sa.BigInteger) for name in INLINE_BUCKETS),
    # What the budgets keep back beyond `charged`, because a provider may bill what it has not told; NULL for nothing.
    sa.Column("withheld", sa.BigInteger),
    # Within the run, NULL when not told: which agent asked, in which turn, and what class of request it was.
    sa.Column("agent", sa.Text),
    sa.Column("turn", sa.Text),
    sa.Column("request_class", sa.Text),
    sqlite_with_rowid=False,
)

# A run is looked up by its id; calls of no run cost nothing here.
run_index = sa.Index("ix_exchanges_run", exchanges.c.run, sqlite_where=exchanges.c.run.is_not(None))
"""On PostgreSQL with the same condition, which `store.postgres` adds: to name it here imports all of that dialect."""

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("exchange", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    text("endpoint"),
    text("settlement"),
    count("charged"),
    sa.Column("cost", sa.BigInteger),
    sa.Column("status", sa.Integer, nullable=False),
    text("fault"),
    sa.Column("absurd", sa.Integer, nullable=False),
    *(sa.Column(name, sa.BigInteger) for name in BUCKETS),
    # The class of service that it was served in; empty for the usual one.
    text("service"),
    sa.PrimaryKeyConstraint("exchange", "attempt", name="pk_attempts"),
    sqlite_with_rowid=False,
)

reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    text("key"),
    text("project"),
    count("amount"),
    # The life of the journal's writer: when that is over, what it left open expires.
    text("owner"),
    # NULL while it is open.
    sa.Column("expired", sa.Double),
    # The machine whose worker it is.
    text("node"),
    sqlite_with_rowid=False,
)

journal_positions = sa.Table(
    "journal_positions",
    metadata,
    sa.Column("journal", sa.Text, primary_key=True),
    text("name"),
    sa.Column("read_bytes", sa.BigInteger, nullable=False),
    # The machine that has the file.
    text("node", ""),
)

_DIMENSIONS: Final = (
    "x.at AS at, k.key AS key, k.project AS project, k.user_id AS user_id, k.model AS model, x.run AS run"
)
_INLINE: Final = ", ".join(f"x.{name} AS {name}" if name in INLINE_BUCKETS else f"0 AS {name}" for name in BUCKETS)
_APART: Final = ", ".join(f"a.{name} AS {name}" for name in BUCKETS)

ENTRIES_VIEW: Final = (
    "CREATE VIEW entries AS "  # noqa: S608 - every part is a name of ours
    f"SELECT x.id AS exchange, k.inline_attempt AS attempt, {_DIMENSIONS}, k.endpoint AS endpoint, "
    "k.settlement AS settlement, x.charged AS charged, x.cost AS cost, k.status AS status, "
    f"'' AS fault, 0 AS absurd, {_INLINE}, '' AS service "
    "FROM exchanges x JOIN kinds k ON k.id = x.kind WHERE k.inline_attempt IS NOT NULL "
    f"UNION ALL SELECT a.exchange AS exchange, a.attempt AS attempt, {_DIMENSIONS}, a.endpoint AS endpoint, "
    "a.settlement AS settlement, a.charged AS charged, a.cost AS cost, a.status AS status, "
    f"a.fault AS fault, a.absurd AS absurd, {_APART}, a.service AS service "
    "FROM attempts a JOIN exchanges x ON x.id = a.exchange JOIN kinds k ON k.id = x.kind"
)


@sa.event.listens_for(metadata, "after_create")
def _create_view(_metadata: object, connection: sa.Connection, **_options: object) -> None:
    connection.exec_driver_sql(ENTRIES_VIEW)


entries = sa.table(
    "entries",
    sa.column("exchange", sa.Text),
    sa.column("attempt", sa.Integer),
    sa.column("at", sa.Double),
    *(sa.column(name, sa.Text) for name in ("key", "project", "user_id", "model", "run", "endpoint", "settlement")),
    sa.column("charged", sa.BigInteger),
    sa.column("cost", sa.BigInteger),
    sa.column("status", sa.Integer),
    sa.column("fault", sa.Text),
    sa.column("absurd", sa.Integer),
    *(sa.column(name, sa.BigInteger) for name in BUCKETS),
    sa.column("service", sa.Text),
)
"""The view. Buckets and `cost` are NULL where no provider gave usage."""
