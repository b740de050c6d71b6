"""Invoices can be voided, and their periods invoiced again; machines can be declared gone."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Adds the columns; a period may be there more than once now. SQLite makes the table anew for that."""
    with op.batch_alter_table("invoices") as invoices:
        invoices.add_column(sa.Column("voided", sa.Double))
        invoices.drop_constraint("uq_invoices_project_begins_ends", type_="unique")
    op.add_column("nodes", sa.Column("retired", sa.Double))
    op.create_index("ix_invoices_project_begins", "invoices", ["project", "begins"])
