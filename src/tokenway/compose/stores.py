"""Opens the stores that the settings ask for, and brings the database's schema up to date."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tokenway.compose.paths import node_id
from tokenway.control.config import store_url
from tokenway.model.errors import ConfigError
from tokenway.model.settings import POSTGRES, Settings
from tokenway.store.base import StoreError

if TYPE_CHECKING:
    from tokenway.store.database import Database
    from tokenway.store.leases import SqlLeases
    from tokenway.store.open import Store
    from tokenway.store.rates import SharedRates

_SQLITE: Final = "sqlite:///"


class Schema(msgspec.Struct, frozen=True):
    """The schema of a database: the revision it had, the one it has now, and the one that this version needs."""

    database: str
    had: str | None
    has: str | None
    needs: str

    @property
    def is_current(self) -> bool:
        """Whether a gateway of this version can use it as it is."""
        return self.has == self.needs


def database_path(settings: Settings, data_dir: Path) -> Path | None:
    """The database file; None where the store is on a server."""
    url = store_url(settings, data_dir)
    return None if url.startswith(POSTGRES) else Path(url.removeprefix(_SQLITE))


def open_store(settings: Settings, data_dir: Path, *, makes: bool = True, migrates: bool = False) -> Store:
    """Opens the store; raises StoreError, or ConfigError when there is none and it may not be made (`makes`).

    A file is brought up to date. A database on a server may be in use by other machines, and is only with `migrates`.
    """
    path = database_path(settings, data_dir)
    if path is not None and not makes and not path.exists():
        raise ConfigError(
            f"There is no database {path}; start the gateway once, or name its directory with --data-dir, "
            "or the configuration that says where it is with --config."
        )
    node = node_id(data_dir)
    # SQLAlchemy is the slowest import there is here; only those who open a store pay for it.
    if path is None:
        from tokenway.store.postgres import open_postgres  # noqa: PLC0415

        return open_postgres(store_url(settings, data_dir), node=node, makes=makes, migrates=migrates)
    from tokenway.store.sqlite import open_sqlite  # noqa: PLC0415

    try:
        return open_sqlite(path, node=node)
    except OSError as error:
        raise StoreError(f"cannot open the database {path}: {error.strerror}") from None


def database_errors(store: Store) -> tuple[type[Exception], ...]:
    """What is raised when the database fails, whether it goes through SQLAlchemy or to the driver itself."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - it is imported with the store

    return DBAPIError, store.database.engine.dialect.loaded_dbapi.Error


def connect_again(settings: Settings, data_dir: Path) -> Database:
    """Connections of one's own to a database that is open: who has them does not wait for the ingest."""
    path = database_path(settings, data_dir)
    if path is None:
        from tokenway.store.postgres import connect  # noqa: PLC0415 - only those who open a store pay for it

        return connect(store_url(settings, data_dir))
    from tokenway.store.sqlite import connect as connect_file  # noqa: PLC0415 - the same

    return connect_file(path)


def open_leases(settings: Settings, data_dir: Path) -> SqlLeases:
    """The leases, over connections of their own."""
    from tokenway.store.leases import SqlLeases  # noqa: PLC0415 - only those who open a store pay for it

    return SqlLeases(connect_again(settings, data_dir), node_id(data_dir), time.time)


def open_rates(settings: Settings, data_dir: Path, nodes: Callable[[], int]) -> SharedRates:
    """What counts rates, as one of so many machines; nothing is asked of a server yet. Raises StoreError."""
    from tokenway.store.rates import MemoryRates, SharedRates  # noqa: PLC0415 - the same

    offset = time.time() - time.monotonic()
    near = MemoryRates(lambda: time.monotonic() + offset, time.time)
    if settings.shared is None:
        return SharedRates(None, near, nodes)
    try:
        from tokenway.store.valkey import ValkeyRates  # noqa: PLC0415 - only those who share rates pay for it
    except ModuleNotFoundError:
        raise StoreError("Valkey and Redis need the package valkey: install tokenway[valkey]") from None
    return SharedRates(ValkeyRates(settings.shared, node_id(data_dir), time.time), near, nodes)


def schema_of(settings: Settings, data_dir: Path) -> Schema:
    """The schema as it is; changes nothing. Raises StoreError for one that is newer than this version."""
    from tokenway.store.open import revision  # noqa: PLC0415 - only those who open a store pay for it
    from tokenway.store.schema import HEAD  # noqa: PLC0415

    path = database_path(settings, data_dir)
    if path is None:
        from tokenway.store.postgres import connect, redacted  # noqa: PLC0415

        url = store_url(settings, data_dir)
        name, has = redacted(url), revision(connect(url))
    else:
        from tokenway.store.sqlite import connect as connect_file  # noqa: PLC0415

        name, has = str(path), revision(connect_file(path)) if path.exists() else None
    return Schema(name, has, has, HEAD)


def migrate(settings: Settings, data_dir: Path) -> Schema:
    """Brings the schema to what this version needs; makes it where there is none. Raises StoreError."""
    before = schema_of(settings, data_dir)
    if not before.is_current:
        open_store(settings, data_dir, migrates=True).close()
    return msgspec.structs.replace(before, has=before.needs)
