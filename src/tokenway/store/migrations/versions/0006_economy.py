"""Accounts, limits, leases, roll-ups, balances and runs; what the ledger had is counted into them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from tokenway.store.migrations.backfill import count_again

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SUMS = (
    "calls",
    "attempts",
    "errors",
    "slow",
    "unmetered",
    "unpriced",
    "expired",
    "charged",
    "withheld",
    "cost",
    "absorbed",
    "input_uncached",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output_text",
    "reasoning",
    "audio_in",
    "audio_out",
    "image_in",
    "image_out",
    "requests",
    "searches",
    "images",
    "sound_ms",
    "characters",
    "ttft_us",
    "first_tokens",
    "timed_tokens",
    "timed_us",
    "duration_us",
)
_RUN_SUMS = (
    "calls",
    "shown",
    "shown_tokens",
    "errors",
    "slow",
    "charged",
    "withheld",
    "cost",
    "input_uncached",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output_text",
    "reasoning",
    "audio_in",
    "audio_out",
    "image_in",
    "image_out",
    "requests",
    "searches",
    "images",
    "sound_ms",
    "characters",
    "ttft_us",
    "first_tokens",
    "timed_tokens",
    "timed_us",
    "duration_us",
)

_VIEW = """
CREATE VIEW entries AS SELECT x.id AS exchange, k.inline_attempt AS attempt, x.at AS at, k.key AS key,
k.project AS project, k.user_id AS user_id, k.model AS model, x.run AS run, k.endpoint AS endpoint,
k.settlement AS settlement, x.charged AS charged, x.cost AS cost, k.status AS status, '' AS fault, 0 AS absurd,
x.input_uncached AS
input_uncached, x.cache_read AS cache_read, 0 AS cache_write_5m, 0 AS cache_write_1h, x.output_text AS
output_text, x.reasoning AS reasoning, 0 AS audio_in, 0 AS audio_out, 0 AS image_in, 0 AS image_out,
x.requests AS requests, 0 AS searches, 0 AS images, 0 AS sound_ms, 0 AS characters,
'' AS service
FROM exchanges x JOIN kinds k ON k.id = x.kind WHERE k.inline_attempt IS NOT NULL
UNION ALL SELECT a.exchange AS exchange, a.attempt AS attempt, x.at AS at, k.key AS key, k.project AS project,
k.user_id AS user_id, k.model AS model, x.run AS run, a.endpoint AS endpoint, a.settlement AS settlement,
a.charged AS charged, a.cost AS cost, a.status AS status, a.fault AS fault, a.absurd AS absurd,
a.input_uncached AS input_uncached,
a.cache_read AS cache_read, a.cache_write_5m AS cache_write_5m, a.cache_write_1h AS cache_write_1h,
a.output_text AS output_text, a.reasoning AS reasoning, a.audio_in AS audio_in, a.audio_out AS audio_out,
a.image_in AS image_in, a.image_out AS image_out, a.requests AS requests, a.searches AS searches,
a.images AS images, a.sound_ms AS sound_ms, a.characters AS characters,
a.service AS service
FROM attempts a JOIN exchanges x ON x.id = a.exchange JOIN kinds k ON k.id = x.kind
"""


def upgrade() -> None:
    """Adds columns and tables, moves the budgets of keys to the limits, and makes the view anew."""
    op.execute("DROP VIEW entries")
    op.drop_index("ix_kinds_all", "kinds")
    op.add_column("kinds", sa.Column("user_id", sa.Text, nullable=False, server_default=""))
    op.add_column("exchanges", sa.Column("withheld", sa.BigInteger))
    for name in ("agent", "turn", "request_class"):
        op.add_column("exchanges", sa.Column(name, sa.Text))
    for table in ("reservations", "journal_positions"):
        op.add_column(table, sa.Column("node", sa.Text, nullable=False, server_default=""))
    has_run = sa.text("run IS NOT NULL")
    op.create_index("ix_exchanges_run", "exchanges", ["run"], sqlite_where=has_run, postgresql_where=has_run)
    op.drop_table("spend")
    _columns_of_accounts()
    _accounts()
    _administration()
    _money()
    _sums()
    _move_budgets()
    count_again(op.execute, op.get_bind())
    op.execute(_VIEW)


def _columns_of_accounts() -> None:
    """What projects, users and keys have beyond their names."""
    op.add_column("projects", sa.Column("markup", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("projects", sa.Column("prepaid", sa.Integer, nullable=False, server_default="0"))
    op.add_column("projects", sa.Column("on_outage", sa.Text, nullable=False, server_default="serve"))
    op.add_column("users", sa.Column("kind", sa.Text, nullable=False, server_default="person"))
    op.add_column("users", sa.Column("password", sa.Text))
    op.add_column("users", sa.Column("identity", sa.Text))
    op.add_column("keys", sa.Column("user_id", sa.Text, nullable=False, server_default=""))
    for table in ("projects", "users", "keys"):
        op.add_column(table, sa.Column("labels", sa.Text, nullable=False, server_default="{}"))
        if table == "keys":
            op.add_column(table, sa.Column("max_cost", sa.BigInteger))
            for name in ("models", "endpoints", "addresses"):
                op.add_column(table, sa.Column(name, sa.Text))
        op.add_column(table, sa.Column("archived", sa.Double))
        op.add_column(table, sa.Column("version", sa.BigInteger, nullable=False, server_default="1"))
    op.create_index("uq_users_identity", "users", ["identity"], unique=True)


def _move_budgets() -> None:
    """A key's budget is a limit like any other."""
    op.execute(
        "INSERT INTO limits (id, scope, subject, measure, amount, term, rolling, per_run, created, version) "
        "SELECT 'lim_' || substr(id, 5), 'key', id, 'usd', budget, budget_period, 0, 0, created, 1 FROM keys "
        "WHERE budget IS NOT NULL"
    )
    op.drop_column("keys", "budget")
    op.drop_column("keys", "budget_period")


def _accounts() -> None:
    """Limits, codes, and what the control API is spoken to with."""
    op.create_table(
        "limits",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("measure", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("term", sa.Text, nullable=False),
        sa.Column("rolling", sa.Integer, nullable=False),
        sa.Column("per_run", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_limits"),
        sa.UniqueConstraint(
            "scope",
            "subject",
            "measure",
            "term",
            "rolling",
            "per_run",
            name="uq_limits_scope_subject_measure_term_rolling_per_run",
        ),
    )
    op.create_table(
        "codes",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("project", sa.Text),
        sa.Column("redeemed", sa.Double),
        sa.PrimaryKeyConstraint("digest", name="pk_codes"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", name="fk_tokens_user_id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("revoked", sa.Double),
        sa.Column("last_used", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", name="fk_sessions_user_id"), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sessions"),
    )


def _administration() -> None:
    """The log of changes, configurations, machines and memberships."""
    op.create_table(
        "audit",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_project_id", "audit", ["project", "id"])
    op.create_table(
        "idempotency",
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name="pk_idempotency"),
    )
    op.create_table(
        "documents",
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_documents"),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("seen", sa.Double, nullable=False),
        sa.Column("workers", sa.Integer, nullable=False),
        sa.Column("release", sa.Text, nullable=False),
        sa.Column("configuration", sa.Integer, nullable=False, server_default="0"),
        sa.Column("fault", sa.Text, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name="pk_nodes"),
    )
    op.create_table(
        "memberships",
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", name="fk_memberships_user_id"), nullable=False),
        sa.Column("project", sa.Text, sa.ForeignKey("projects.id", name="fk_memberships_project"), nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "project", name="pk_memberships"),
    )


def _money() -> None:
    """Leases, balances, and money that moves without an exchange."""
    op.create_table(
        "leases",
        sa.Column("limit_id", sa.Text, nullable=False),
        sa.Column("period", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("granted", sa.BigInteger, nullable=False),
        sa.Column("consumed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("limit_id", "period", "holder", name="pk_leases"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_leases_holder", "leases", ["holder"])
    op.create_table(
        "balances",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("debits", sa.BigInteger, nullable=False),
        sa.Column("credits", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account", "node", name="pk_balances"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "transfers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("debit", sa.Text, nullable=False),
        sa.Column("credit", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("note", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transfers"),
        sa.UniqueConstraint("reference", name="uq_transfers_reference"),
    )
    op.create_index("ix_transfers_project_at", "transfers", ["project", "at"])
    op.create_table(
        "invoices",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("begins", sa.Double, nullable=False),
        sa.Column("ends", sa.Double, nullable=False),
        sa.Column("issued", sa.Double, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_invoices"),
        sa.UniqueConstraint("project", "begins", "ends", name="uq_invoices_project_begins_ends"),
    )


def _sums() -> None:
    """What is counted of the entries."""
    op.create_table(
        "facets",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_facets"),
    )
    op.create_table(
        "spend",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("grain", sa.Integer, nullable=False),
        sa.Column("bucket", sa.Integer, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("charged", sa.BigInteger, nullable=False),
        sa.Column("withheld", sa.BigInteger, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("last_used", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("scope", "subject", "grain", "bucket", "node", name="pk_spend"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollups",
        sa.Column("grain", sa.Integer, nullable=False),
        sa.Column("bucket", sa.Integer, nullable=False),
        sa.Column("facet", sa.BigInteger, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _SUMS),
        sa.PrimaryKeyConstraint("grain", "bucket", "facet", "node", name="pk_rollups"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "runs",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("ended", sa.Double, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _RUN_SUMS),
        sa.PrimaryKeyConstraint("key", "run", name="pk_runs"),
    )
    op.create_index("ix_runs_ended", "runs", ["ended"])
    op.create_table(
        "run_agents",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("parent", sa.Text),
        sa.Column("agent_type", sa.Text),
        sa.Column("started", sa.Double),
        sa.Column("ended", sa.Double),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _RUN_SUMS),
        sa.PrimaryKeyConstraint("key", "run", "agent", name="pk_run_agents"),
        sqlite_with_rowid=False,
    )
