"""What all tables have in common.

Money is whole nano-dollars, times are Unix seconds, counts are tokens unless named otherwise. No column is called by a
word that a database keeps for itself (`user`, `limit`), so statements need no quotes.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

HEAD: Final = "0007"
"""The newest revision in `migrations/versions`; a fresh database is made at it without running them."""

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

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
    sa.Column("value", sa.Text, nullable=False),
)
"""What the store remembers about itself."""


Number: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits; SQLite's whole numbers always have them, and only as `INTEGER` are they the row's own number."""


def text(name: str, default: str | None = None) -> sa.Column[str]:
    """A text that is never NULL; `default` is what rows from before the column have."""
    return sa.Column(name, sa.Text, nullable=False, server_default=default)


def count(name: str, default: int | None = None) -> sa.Column[int]:
    """A whole number that is never NULL."""
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=None if default is None else str(default))


def flag(name: str, default: int | None = None) -> sa.Column[int]:
    """0 or 1."""
    return sa.Column(name, sa.Integer, nullable=False, server_default=None if default is None else str(default))


def moment(name: str) -> sa.Column[float]:
    """Unix seconds; NULL when it has not come, or never will."""
    return sa.Column(name, sa.Double)
