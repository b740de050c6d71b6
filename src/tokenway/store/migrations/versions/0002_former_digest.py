"""A key keeps its id when it is rotated, and its former digest while both are good."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Adds the two columns, which are empty for every key there is."""
    op.add_column("keys", sa.Column("former_digest", sa.Text))
    op.add_column("keys", sa.Column("former_ends", sa.Double))
