"""The tables. Money is whole nano-dollars, times are Unix seconds, counts are tokens unless named otherwise.

The shape of the ledger follows what writing costs, because every exchange is written once and read rarely:

* What repeats from exchange to exchange (key, model, endpoint, how it ended …) is one row of `kinds`, and an
  exchange carries its number. That saves twelve of some thirty columns, two thirds of the bytes and most of
  the time.
* Nearly every exchange has one attempt that ended as the exchange did. Its figures stand in the exchange's
  own row, and `kinds.inline_attempt` holds the attempt's number. Only other exchanges have rows in `attempts`.
* The view `entries` puts both together: one row for each attempt that reached a provider, whatever the way
  it is stored. `(exchange, attempt)` names an entry for ever.

Tables without a rowid are ordered by their primary key, so ids that begin with a time are appended and not
strewn over the file. Rows of the ledger have no foreign keys: keys may live in the configuration file, and
the rows of one exchange are written in one transaction.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from tokenway.model.usage import BUCKETS

HEAD: Final = "0005"
"""The newest revision in `migrations/versions`; a fresh database is made at it without running them."""

INLINE_BUCKETS: Final = ("input_uncached", "cache_read", "output_text", "reasoning", "requests")
"""The buckets that an exchange's own row can hold; usage with any other goes to `attempts`."""

EXPIRED_ATTEMPT: Final = -1
"""The attempt number of the entry that says that a reservation expired; real attempts count from 0 or 1."""

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


alembic_version = sa.Table(
    "alembic_version",
    metadata,
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

settings = sa.Table(
    "settings",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    _text("value"),
)

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _text("name"),
    sa.Column("created", sa.Double, nullable=False),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    _text("role"),
    sa.Column("created", sa.Double, nullable=False),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _text("name"),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.id"), nullable=False),
    # SHA-256 of the key in hexadecimal; the key itself is nowhere.
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    _text("prefix"),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("revoked", sa.Double),
    sa.Column("expires", sa.Double),
    sa.Column("budget", sa.BigInteger),
    _text("budget_period"),
    # The digest before the last rotation, and when it stops: NULL when it stopped at once.
    sa.Column("former_digest", sa.Text),
    sa.Column("former_ends", sa.Double),
)

kinds = sa.Table(
    "kinds",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _text("key"),
    _text("project"),
    _text("model"),
    _text("endpoint"),
    _text("operation"),
    _text("dialect"),
    sa.Column("stream", sa.Integer, nullable=False),
    _text("settlement"),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("slow", sa.Integer, nullable=False),
    _text("finish_reason"),
    _text("error_type"),
    # The number of the only attempt when it is in the exchange's row; NULL when `attempts` has the rows.
    sa.Column("inline_attempt", sa.Integer),
)
KIND_FIELDS: Final = tuple(column.name for column in kinds.columns if column.name != "id")
sa.Index("ix_kinds_all", *(kinds.c[name] for name in KIND_FIELDS))

exchanges = sa.Table(
    "exchanges",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.Integer, nullable=False),
    # The caller's run id, NULL when there is none.
    sa.Column("run", sa.Text),
    _count("charged"),
    sa.Column("cost", sa.BigInteger),
    # Seconds, seconds, tokens per second, seconds.
    sa.Column("ttft", sa.Double),
    sa.Column("duration", sa.Double),
    sa.Column("output_speed", sa.Double),
    sa.Column("overhead", sa.Double, nullable=False),
    *(sa.Column(name, sa.BigInteger) for name in INLINE_BUCKETS),
    sqlite_with_rowid=False,
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("exchange", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    _text("endpoint"),
    _text("settlement"),
    _count("charged"),
    sa.Column("cost", sa.BigInteger),
    sa.Column("status", sa.Integer, nullable=False),
    _text("fault"),
    sa.Column("absurd", sa.Integer, nullable=False),
    *(sa.Column(name, sa.BigInteger) for name in BUCKETS),
    # The class of service that it was served in; empty for the usual one.
    _text("service"),
    sa.PrimaryKeyConstraint("exchange", "attempt", name="pk_attempts"),
    sqlite_with_rowid=False,
)

reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    _text("key"),
    _text("project"),
    _count("amount"),
    # The life of the journal's writer: when that is over, what it left open expires.
    _text("owner"),
    # NULL while it is open.
    sa.Column("expired", sa.Double),
    sqlite_with_rowid=False,
)

spend = sa.Table(
    "spend",
    metadata,
    _text("key"),
    # Whole days since 1970 in UTC.
    sa.Column("day", sa.Integer, nullable=False),
    _count("requests"),
    _count("charged"),
    sa.Column("last_used", sa.Double, nullable=False),
    sa.PrimaryKeyConstraint("key", "day", name="pk_spend"),
    sqlite_with_rowid=False,
)

journal_positions = sa.Table(
    "journal_positions",
    metadata,
    sa.Column("journal", sa.Text, primary_key=True),
    _text("name"),
    sa.Column("read_bytes", sa.BigInteger, nullable=False),
)

responses = sa.Table(
    "responses",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _text("project"),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
    _text("model"),
    _text("endpoint"),
    _text("status"),
    # JSON texts: the response object, and the list of input items that led to it.
    sa.Column("response", sa.LargeBinary, nullable=False),
    sa.Column("items", sa.LargeBinary, nullable=False),
    sa.Column("native", sa.Integer, nullable=False),
    # The id of the response that it went on from, or empty.
    _text("previous"),
    # The worker that is at work on it, while it is unfinished.
    _text("maker"),
    # The events of its stream, compressed, where it was made in the background; else empty.
    sa.Column("events", sa.LargeBinary, nullable=False, server_default=sa.text("x''")),
    sqlite_with_rowid=False,
)
sa.Index("ix_responses_expires", responses.c.expires)

_DIMENSIONS: Final = "x.at AS at, k.key AS key, k.project AS project, k.model AS model, x.run AS run"
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
    *(sa.column(name, sa.Text) for name in ("key", "project", "model", "run", "endpoint", "settlement")),
    sa.column("charged", sa.BigInteger),
    sa.column("cost", sa.BigInteger),
    sa.column("status", sa.Integer),
    sa.column("fault", sa.Text),
    sa.column("absurd", sa.Integer),
    *(sa.column(name, sa.BigInteger) for name in BUCKETS),
    sa.column("service", sa.Text),
)
"""The view. Buckets and `cost` are NULL where no provider gave usage."""
