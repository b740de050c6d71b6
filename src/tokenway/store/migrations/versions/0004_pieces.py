"""Attempts tell how they were served, and what is sold by the piece: images, time of sound, characters of text."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_VIEW = """
CREATE VIEW entries AS SELECT x.id AS exchange, k.inline_attempt AS attempt, x.at AS at, k.key AS key,
k.project AS project, k.model AS model, x.run AS run, k.endpoint AS endpoint, k.settlement AS settlement,
x.charged AS charged, x.cost AS cost, k.status AS status, '' AS fault, 0 AS absurd, x.input_uncached AS
input_uncached, x.cache_read AS cache_read, 0 AS cache_write_5m, 0 AS cache_write_1h, x.output_text AS
output_text, x.reasoning AS reasoning, 0 AS audio_in, 0 AS audio_out, 0 AS image_in, 0 AS image_out,
x.requests AS requests, 0 AS searches, 0 AS images, 0 AS sound_ms, 0 AS characters,
'' AS service
FROM exchanges x JOIN kinds k ON k.id = x.kind WHERE k.inline_attempt IS NOT NULL
UNION ALL SELECT a.exchange AS exchange, a.attempt AS attempt, x.at AS at, k.key AS key, k.project AS project,
k.model AS model, x.run AS run, a.endpoint AS endpoint, a.settlement AS settlement, a.charged AS charged,
a.cost AS cost, a.status AS status, a.fault AS fault, a.absurd AS absurd, a.input_uncached AS input_uncached,
a.cache_read AS cache_read, a.cache_write_5m AS cache_write_5m, a.cache_write_1h AS cache_write_1h,
a.output_text AS output_text, a.reasoning AS reasoning, a.audio_in AS audio_in, a.audio_out AS audio_out,
a.image_in AS image_in, a.image_out AS image_out, a.requests AS requests, a.searches AS searches,
a.images AS images, a.sound_ms AS sound_ms, a.characters AS characters,
a.service AS service
FROM attempts a JOIN exchanges x ON x.id = a.exchange JOIN kinds k ON k.id = x.kind
"""


def upgrade() -> None:
    """Adds the columns, which are zero for every attempt whose usage is known, and makes the view anew."""
    op.execute("DROP VIEW entries")
    for name in ("images", "sound_ms", "characters"):
        op.add_column("attempts", sa.Column(name, sa.BigInteger))
    op.add_column("attempts", sa.Column("service", sa.Text, nullable=False, server_default=""))
    op.execute("UPDATE attempts SET images = 0, sound_ms = 0, characters = 0 WHERE input_uncached IS NOT NULL")
    op.execute(_VIEW)
