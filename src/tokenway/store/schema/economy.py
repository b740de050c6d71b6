"""The tables of money beyond the entries: leases, what was spent, roll-ups, balances, and what runs came to.

Each is derived from the entries, in the transaction that writes them, so that they can be proved against each other
(`tokenway ledger verify`). Every machine adds to rows of its own (`node`): two that share a database never wait for
each other's row, and who reads adds them up.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from tokenway.model.usage import BUCKETS
from tokenway.store.schema.common import Number, count, metadata, moment, text

leases = sa.Table(
    "leases",
    metadata,
    text("limit_id"),
    # The period of the limit, by the Unix day on which it begins; 0 for one that never starts anew, or rolls.
    count("period"),
    # The life of the journal's writer that may spend it.
    text("holder"),
    text("node"),
    # Both in the limit's unit, and both only rise, but for what the holder gives back.
    count("granted"),
    count("consumed"),
    sa.PrimaryKeyConstraint("limit_id", "period", "holder", name="pk_leases"),
    sqlite_with_rowid=False,
)
sa.Index("ix_leases_holder", leases.c.holder)

spend = sa.Table(
    "spend",
    metadata,
    # `key`, `project`, `user` or `model`, and which one.
    text("scope"),
    text("subject"),
    # Seconds that a bucket is long: 3600, 86400, or 0 for all time; and its number since 1970 in UTC.
    sa.Column("grain", sa.Integer, nullable=False),
    sa.Column("bucket", sa.Integer, nullable=False),
    text("node"),
    count("calls"),
    count("charged"),
    count("withheld"),
    count("input_tokens"),
    count("output_tokens"),
    sa.Column("last_used", sa.Double, nullable=False),
    sa.PrimaryKeyConstraint("scope", "subject", "grain", "bucket", "node", name="pk_spend"),
    sqlite_with_rowid=False,
)
"""What limits are counted against."""

FACET_FIELDS: Final = ("key", "project", "user_id", "model", "endpoint")

facets = sa.Table(
    "facets",
    metadata,
    # 63 bits of a digest of the rest.
    sa.Column("id", Number, primary_key=True, autoincrement=False),
    *(text(name) for name in FACET_FIELDS),
)

SUMS: Final = (
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
    # The part of `cost` that nobody is charged for.
    "absorbed",
    *BUCKETS,
    # Microseconds and tokens, of which means are made: TTFT of `first_tokens` calls, speed of the timed output.
    "ttft_us",
    "first_tokens",
    "timed_tokens",
    "timed_us",
    "duration_us",
)
"""The columns of a roll-up that are added up. Calls stand with the endpoint that answered, tokens and cost with the one
that made them."""

rollups = sa.Table(
    "rollups",
    metadata,
    # Seconds that a bucket is long: 60, 3600 or 86400, and its number since 1970 in UTC.
    sa.Column("grain", sa.Integer, nullable=False),
    sa.Column("bucket", sa.Integer, nullable=False),
    sa.Column("facet", sa.BigInteger, nullable=False),
    text("node"),
    *(count(name) for name in SUMS),
    sa.PrimaryKeyConstraint("grain", "bucket", "facet", "node", name="pk_rollups"),
    sqlite_with_rowid=False,
)

balances = sa.Table(
    "balances",
    metadata,
    # `wallet:PROJECT`, `sales`, `cost`, `absorbed`, `provider:NAME`, `cash`, `promotion`, `adjustment`.
    text("account"),
    text("node"),
    count("debits"),
    count("credits"),
    sa.PrimaryKeyConstraint("account", "node", name="pk_balances"),
    sqlite_with_rowid=False,
)

transfers = sa.Table(
    "transfers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    # `top_up`, `grant`, `redemption`, `refund` or `adjustment`.
    text("kind"),
    text("debit"),
    text("credit"),
    count("amount"),
    text("project"),
    # Who did it, and the caller's own reference, which is used once.
    text("actor"),
    sa.Column("reference", sa.Text, unique=True),
    text("note"),
)
"""Money that moved without an exchange. An exchange is two transfers by itself: from its project's wallet to `sales`
what it was charged, and from `cost` (or `absorbed`) to its providers what they bill."""
sa.Index("ix_transfers_project_at", transfers.c.project, transfers.c.at)

invoices = sa.Table(
    "invoices",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    text("project"),
    sa.Column("begins", sa.Double, nullable=False),
    sa.Column("ends", sa.Double, nullable=False),
    sa.Column("issued", sa.Double, nullable=False),
    count("total"),
    # JSON: the lines as they were when it was issued.
    text("body"),
    # When it was taken back; NULL for one that holds.
    moment("voided"),
)
sa.Index(None, invoices.c.project, invoices.c.begins)

RUN_SUMS: Final = (
    "calls",
    # Calls whose answer the user saw, and its tokens; what came of all others stays behind the scenes.
    "shown",
    "shown_tokens",
    "errors",
    "slow",
    "charged",
    "withheld",
    "cost",
    *BUCKETS,
    "ttft_us",
    "first_tokens",
    "timed_tokens",
    "timed_us",
    "duration_us",
)

runs = sa.Table(
    "runs",
    metadata,
    text("key"),
    text("run"),
    text("project"),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("ended", sa.Double, nullable=False),
    *(count(name) for name in RUN_SUMS),
    sa.PrimaryKeyConstraint("key", "run", name="pk_runs"),
)
sa.Index("ix_runs_ended", runs.c.ended)

run_agents = sa.Table(
    "run_agents",
    metadata,
    text("key"),
    text("run"),
    # Empty for the run's own, which has no parent.
    text("agent"),
    sa.Column("parent", sa.Text),
    # What it says that it is, as in `Explore`.
    sa.Column("agent_type", sa.Text),
    moment("started"),
    moment("ended"),
    *(count(name) for name in RUN_SUMS),
    sa.PrimaryKeyConstraint("key", "run", "agent", name="pk_run_agents"),
    sqlite_with_rowid=False,
)
