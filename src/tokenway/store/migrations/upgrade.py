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

FOLDER: Final = Path(__file__).parent


def require_known(version: str, database: str) -> None:
    """Raises StoreError when this program does not know a version, which then comes from a newer one.

    `database` is named in the message.
    """
    try:
        ScriptDirectory.from_config(_config()).get_revision(version)
    except CommandError:
        raise StoreError(
            f"the database {database} has the schema {version}, which is newer than this version of Tokenway "
            f"knows ({HEAD}); install the newer version again, or start with another data directory"
        ) from None


def upgrade(connection: sa.Connection) -> None:
    """Brings the schema to HEAD within the connection's transaction: from nothing, or from what it has."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    # A percent sign would be read as the start of a substitution.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config
