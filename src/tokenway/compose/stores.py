"""Opens the store that the settings ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokenway.control.config import store_url
from tokenway.model.settings import Settings
from tokenway.store.base import StoreError

if TYPE_CHECKING:
    from tokenway.store.sqlite import SqliteStore

_SQLITE: Final = "sqlite:///"


def database_path(settings: Settings, data_dir: Path) -> Path:
    """The database file; that the setting names one is a rule of the configuration."""
    return Path(store_url(settings, data_dir).removeprefix(_SQLITE))


def open_store(settings: Settings, data_dir: Path) -> SqliteStore:
    """Opens the store, made or brought up to date when needed; raises StoreError."""
    # SQLAlchemy is the slowest import there is here; only those who open a store pay for it.
    from tokenway.store.sqlite import open_sqlite  # noqa: PLC0415

    path = database_path(settings, data_dir)
    try:
        return open_sqlite(path)
    except OSError as error:
        raise StoreError(f"cannot open the database {path}: {error.strerror}") from None


def database_errors(store: SqliteStore) -> tuple[type[Exception], ...]:
    """What is raised when the database fails, whether it goes through SQLAlchemy or to the driver itself."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - it is imported with the store

    return DBAPIError, store.database.engine.dialect.loaded_dbapi.Error
