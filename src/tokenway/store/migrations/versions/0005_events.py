"""The streams of responses that were made in the background."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Adds the column; what was kept before has no stream."""
    op.add_column("responses", sa.Column("events", sa.LargeBinary, nullable=False, server_default=sa.text("x''")))
