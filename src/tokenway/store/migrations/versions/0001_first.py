"""The first schema: accounts, keys, the ledger and the positions in the journals."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_VIEW = """
CREATE VIEW entries AS SELECT x.id AS exchange, k.inline_attempt AS attempt, x.at AS at, k.key AS key,
k.project AS project, k.model AS model, x.run AS run, k.endpoint AS endpoint, k.settlement AS settlement,
x.charged AS charged, x.cost AS cost, k.status AS status, '' AS fault, 0 AS absurd, x.input_uncached AS
input_uncached, x.cache_read AS cache_read, 0 AS cache_write_5m, 0 AS cache_write_1h, x.output_text AS
output_text, x.reasoning AS reasoning, 0 AS audio_in, 0 AS audio_out, 0 AS image_in, 0 AS image_out,
x.requests AS requests, 0 AS searches
FROM exchanges x JOIN kinds k ON k.id = x.kind WHERE k.inline_attempt IS NOT NULL
UNION ALL SELECT a.exchange AS exchange, a.attempt AS attempt, x.at AS at, k.key AS key, k.project AS project,
k.model AS model, x.run AS run, a.endpoint AS endpoint, a.settlement AS settlement, a.charged AS charged,
a.cost AS cost, a.status AS status, a.fault AS fault, a.absurd AS absurd, a.input_uncached AS input_uncached,
a.cache_read AS cache_read, a.cache_write_5m AS cache_write_5m, a.cache_write_1h AS cache_write_1h,
a.output_text AS output_text, a.reasoning AS reasoning, a.audio_in AS audio_in, a.audio_out AS audio_out,
a.image_in AS image_in, a.image_out AS image_out, a.requests AS requests, a.searches AS searches
FROM attempts a JOIN exchanges x ON x.id = a.exchange JOIN kinds k ON k.id = x.kind
"""


def upgrade() -> None:
    """Makes every table but Alembic's own, and the view of the entries."""
    _accounts()
    _exchanges()
    _attempts()
    _balances()
    op.execute(_VIEW)


def _accounts() -> None:
    """Projects, users, keys, and what the store remembers about itself."""
    op.create_table(
        "settings",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_settings"),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("revoked", sa.Double, nullable=True),
        sa.Column("expires", sa.Double, nullable=True),
        sa.Column("budget", sa.BigInteger, nullable=True),
        sa.Column("budget_period", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_keys_project"),
        sa.UniqueConstraint("digest", name="uq_keys_digest"),
    )


def _exchanges() -> None:
    """Every exchange, and what exchanges have in common."""
    op.create_table(
        "kinds",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("dialect", sa.Text, nullable=False),
        sa.Column("stream", sa.Integer, nullable=False),
        sa.Column("settlement", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("slow", sa.Integer, nullable=False),
        sa.Column("finish_reason", sa.Text, nullable=False),
        sa.Column("error_type", sa.Text, nullable=False),
        sa.Column("inline_attempt", sa.Integer, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_kinds"),
    )
    op.create_index(
        "ix_kinds_all",
        "kinds",
        [
            "key",
            "project",
            "model",
            "endpoint",
            "operation",
            "dialect",
            "stream",
            "settlement",
            "status",
            "attempts",
            "slow",
            "finish_reason",
            "error_type",
            "inline_attempt",
        ],
    )
    op.create_table(
        "exchanges",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("run", sa.Text, nullable=True),
        sa.Column("charged", sa.BigInteger, nullable=False),
        sa.Column("cost", sa.BigInteger, nullable=True),
        sa.Column("ttft", sa.Double, nullable=True),
        sa.Column("duration", sa.Double, nullable=True),
        sa.Column("output_speed", sa.Double, nullable=True),
        sa.Column("overhead", sa.Double, nullable=False),
        sa.Column("input_uncached", sa.BigInteger, nullable=True),
        sa.Column("cache_read", sa.BigInteger, nullable=True),
        sa.Column("output_text", sa.BigInteger, nullable=True),
        sa.Column("reasoning", sa.BigInteger, nullable=True),
        sa.Column("requests", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_exchanges"),
        sqlite_with_rowid=False,
    )


def _attempts() -> None:
    """Attempts that do not fit into their exchange's row."""
    op.create_table(
        "attempts",
        sa.Column("exchange", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("settlement", sa.Text, nullable=False),
        sa.Column("charged", sa.BigInteger, nullable=False),
        sa.Column("cost", sa.BigInteger, nullable=True),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("fault", sa.Text, nullable=False),
        sa.Column("absurd", sa.Integer, nullable=False),
        sa.Column("input_uncached", sa.BigInteger, nullable=True),
        sa.Column("cache_read", sa.BigInteger, nullable=True),
        sa.Column("cache_write_5m", sa.BigInteger, nullable=True),
        sa.Column("cache_write_1h", sa.BigInteger, nullable=True),
        sa.Column("output_text", sa.BigInteger, nullable=True),
        sa.Column("reasoning", sa.BigInteger, nullable=True),
        sa.Column("audio_in", sa.BigInteger, nullable=True),
        sa.Column("audio_out", sa.BigInteger, nullable=True),
        sa.Column("image_in", sa.BigInteger, nullable=True),
        sa.Column("image_out", sa.BigInteger, nullable=True),
        sa.Column("requests", sa.BigInteger, nullable=True),
        sa.Column("searches", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("exchange", "attempt", name="pk_attempts"),
        sqlite_with_rowid=False,
    )


def _balances() -> None:
    """Open reservations, sums by key and day, and how far the journals were read."""
    op.create_table(
        "reservations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("expired", sa.Double, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_reservations"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "spend",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("charged", sa.BigInteger, nullable=False),
        sa.Column("last_used", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("key", "day", name="pk_spend"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "journal_positions",
        sa.Column("journal", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("read_bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("journal", name="pk_journal_positions"),
    )
