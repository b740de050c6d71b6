"""The tables of who may do what, what is kept for them, and the log of every change.

`version` rises with each change of a row; who changes one says which version he has seen. Rows that the ledger speaks
of are archived, never deleted.
"""

from __future__ import annotations

import sqlalchemy as sa

from tokenway.store.schema.common import count, flag, metadata, moment, text

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    text("name"),
    sa.Column("created", sa.Double, nullable=False),
    # On top of what a call costs, in millionths: 100000 is 10 % more, -50000 is 5 % less.
    count("markup", 0),
    # Whether it spends only what was paid in beforehand.
    flag("prepaid", 0),
    # `serve` or `refuse`: what becomes of calls while limits cannot be asked for.
    text("on_outage", "serve"),
    # JSON object of texts.
    text("labels", "{}"),
    moment("archived"),
    count("version", 1),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    # What he signs in with; an e-mail address, as a rule.
    sa.Column("name", sa.Text, nullable=False, unique=True),
    # `admin` may do everything; `user` what his memberships allow.
    text("role"),
    sa.Column("created", sa.Double, nullable=False),
    # `person` or `service`: a service account has no password and does not sign in.
    text("kind", "person"),
    # Argon2's text; NULL for who cannot sign in by password.
    sa.Column("password", sa.Text),
    # The issuer and subject of a foreign identity, joined by a space.
    sa.Column("identity", sa.Text),
    text("labels", "{}"),
    moment("archived"),
    count("version", 1),
)
sa.Index("uq_users_identity", users.c.identity, unique=True)

memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.id"), nullable=False),
    # `admin`, `member` or `viewer`.
    text("role"),
    sa.Column("created", sa.Double, nullable=False),
    sa.PrimaryKeyConstraint("user_id", "project", name="pk_memberships"),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    text("name"),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.id"), nullable=False),
    # SHA-256 of the key in hexadecimal; the key itself is nowhere.
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    text("prefix"),
    sa.Column("created", sa.Double, nullable=False),
    moment("revoked"),
    moment("expires"),
    # The digest before the last rotation, and when it stops: NULL when it stopped at once.
    sa.Column("former_digest", sa.Text),
    moment("former_ends"),
    # Whose it is; empty for nobody's.
    text("user_id", ""),
    text("labels", "{}"),
    # The most that one call may cost, nano-dollars.
    sa.Column("max_cost", sa.BigInteger),
    # JSON lists of texts, NULL for all: models by the names that callers use, endpoints by id, networks (CIDR).
    sa.Column("models", sa.Text),
    sa.Column("endpoints", sa.Text),
    sa.Column("addresses", sa.Text),
    moment("archived"),
    count("version", 1),
)

limits = sa.Table(
    "limits",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    # `key`, `project`, `user` or `model`, and which one.
    text("scope"),
    text("subject"),
    # `usd` (nano-dollars), `requests`, `input_tokens`, `output_tokens`, `tokens`, `concurrency`, `depth`, `loops`.
    text("measure"),
    count("amount"),
    # `minute`, `day`, `week`, `month` or `total`.
    text("term"),
    # Whether the term is the time that lies just behind, and not the calendar's.
    flag("rolling"),
    # Whether it holds for each run by itself.
    flag("per_run"),
    sa.Column("created", sa.Double, nullable=False),
    count("version", 1),
    sa.UniqueConstraint("scope", "subject", "measure", "term", "rolling", "per_run"),
)

codes = sa.Table(
    "codes",
    metadata,
    # SHA-256 of the code in hexadecimal.
    sa.Column("digest", sa.Text, primary_key=True),
    text("prefix"),
    count("amount"),
    sa.Column("created", sa.Double, nullable=False),
    moment("expires"),
    text("note"),
    # The project that it was redeemed for, and when.
    sa.Column("project", sa.Text),
    moment("redeemed"),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), nullable=False),
    text("name"),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    text("prefix"),
    sa.Column("created", sa.Double, nullable=False),
    moment("expires"),
    moment("revoked"),
    moment("last_used"),
)
"""What the control API is spoken to with."""

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
)

audit = sa.Table(
    "audit",
    metadata,
    # Ids begin with the number of the change, so their order is that of the commits.
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    # A user's id, `cli`, or `system`; and where from.
    text("actor"),
    text("address"),
    # As in `create`, and what was changed, as in `key` and its id.
    text("action"),
    text("resource"),
    text("subject"),
    # The project that it belongs to, or empty; JSON of what was changed, without secrets.
    text("project"),
    text("detail"),
)
sa.Index("ix_audit_project_id", audit.c.project, audit.c.id)

idempotency = sa.Table(
    "idempotency",
    metadata,
    text("actor"),
    text("key"),
    # SHA-256 of the request, and the answer that it had.
    text("request"),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.PrimaryKeyConstraint("actor", "key", name="pk_idempotency"),
)

documents = sa.Table(
    "documents",
    metadata,
    # Counts the configurations that were published, from 1; the one in force stands in `settings`.
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("created", sa.Double, nullable=False),
    text("author"),
    text("note"),
    # JSON, secrets sealed.
    text("body"),
)

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    text("name"),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),
    sa.Column("workers", sa.Integer, nullable=False),
    text("release"),
    # The published configuration that is in force there, and why the newest one is not; 0 and empty else.
    sa.Column("configuration", sa.Integer, nullable=False, server_default="0"),
    text("fault", ""),
    # When somebody has declared it gone; NULL again as soon as it says that it lives.
    moment("retired"),
)
"""The machines that share the database. What one left open expires when it was not seen for long."""

responses = sa.Table(
    "responses",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    text("project"),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
    text("model"),
    text("endpoint"),
    text("status"),
    # JSON texts: the response object, and the list of input items that led to it.
    sa.Column("response", sa.LargeBinary, nullable=False),
    sa.Column("items", sa.LargeBinary, nullable=False),
    sa.Column("native", sa.Integer, nullable=False),
    # The id of the response that it went on from, or empty.
    text("previous"),
    # The worker that is at work on it, while it is unfinished.
    text("maker"),
    # The events of its stream, compressed, where it was made in the background; else empty.
    sa.Column("events", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("ix_responses_expires", responses.c.expires)
