"""Runs the revisions that a database is missing. Imported only when one is, because Alembic is slow to import."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from tokenway.store.base import StoreError
from tokenway.store.schema import HEAD

_FOLDER: Final = Path(__file__).parent


def upgrade(connection: sa.Connection, version: str | None, database: object) -> None:
    """Brings the schema from `version` (None: no tables) to HEAD within the connection's transaction.

    `database` is named in the message. Raises StoreError when this program does not know the version, which
    then comes from a newer one.
    """
    config = Config()
    # A percent sign would be read as the start of a substitution.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    if version is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(version)
        except CommandError:
            raise StoreError(
                f"the database {database} has the schema {version}, which is newer than this version of Tokenway "
                f"knows ({HEAD}); install the newer version again, or start with another data directory"
            ) from None
    command.upgrade(config, "head")
