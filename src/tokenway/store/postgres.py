"""The store on PostgreSQL, for several machines at once, and on what is compatible with it.

Used of the server: transactions (READ COMMITTED, and REPEATABLE READ for reading), `ON CONFLICT`, `FOR UPDATE`, COPY,
and partitions by range where it is PostgreSQL itself. Not used: advisory locks, LISTEN, sequences, triggers, types of
its own. Texts have the collation "C", so that they sort, and their indexes are read, as in SQLite.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.pool import NullPool

from tokenway.store.base import StoreError
from tokenway.store.copying import CopyWriter
from tokenway.store.database import Database
from tokenway.store.days import default_partitions, partitioned
from tokenway.store.open import Store, bring_up_to_date, version_of
from tokenway.store.schema import ENTRIES_VIEW, metadata, run_index, settings

run_index.dialect_options["postgresql"]["where"] = run_index.dialect_options["sqlite"]["where"]
SCHEMES: Final = ("postgresql", "postgres")
CONNECTION: Final[Mapping[str, Any]] = {
    "application_name": "tokenway",
    "connect_timeout": 5,
    # A server that is gone without a word is given up after half a minute.
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
"""What a connection has where the URL's query says nothing else."""
SESSION: Final = (
    "SET statement_timeout = '60s'",
    "SET lock_timeout = '10s'",
    "SET idle_in_transaction_session_timeout = '60s'",
)
LIKE_VERSION: Final = (13,)
"""What an engine is taken for that does not say which PostgreSQL it is like."""
_WRITER: Final = "writer"
"""The row of `settings` that is locked by who must be the only writer."""
_LOCK: Final = sa.select(settings.c.value).where(settings.c.key == _WRITER).with_for_update()
_PLAIN_ENGINES: Final = ("-YB-", "CockroachDB")
"""What is said by engines that call themselves PostgreSQL, or are like it, and have other partitions or none."""


class PostgresDatabase(Database):
    """Connections that are made anew after the server was gone, and whose failures are StoreErrors."""

    READS: ClassVar[Mapping[str, Any]] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    ADDS: ClassVar[Mapping[str, Any]] = {"isolation_level": "READ COMMITTED"}

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        with self._watched(), super().read() as connection:
            yield connection

    @contextmanager
    def add(self) -> Iterator[sa.Connection]:
        """A writing transaction that others may run beside."""
        with self._watched(), super().add() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that no other `write` runs beside, on whatever machine."""
        with self.add() as connection:
            connection.execute(_LOCK)
            yield connection

    def _connect(self, **options: Any) -> sa.Connection:
        """A new connection; whatever goes wrong with it, the server is away.

        One that breaks before it is set up is told of by the driver as a mistake of ours: its state is none in which
        options can be set.
        """
        try:
            return super()._connect(**options)
        except (sa.exc.DBAPIError, self.engine.dialect.loaded_dbapi.Error) as error:
            raise StoreError(f"the database {self.name} failed: {_reason(error)}") from error

    @contextmanager
    def _watched(self) -> Iterator[None]:
        driver = self.engine.dialect.loaded_dbapi
        away = (sa.exc.OperationalError, sa.exc.InterfaceError, driver.OperationalError, driver.InterfaceError)
        try:
            if any(map(_is_stale, (self._reader, self._writer))):
                self._forget()
            yield
        except away as error:
            self._forget()
            raise StoreError(f"the database {self.name} failed: {_reason(error)}") from error

    def _forget(self) -> None:
        """Lets go of both connections; the next transaction makes its own."""
        for connection in (self._reader, self._writer):
            if connection is not None:
                with contextlib.suppress(Exception):  # it is broken already
                    connection.invalidate()
                    connection.close()
        self._reader = self._writer = None


def open_postgres(
    url: str, *, clock: Callable[[], float] = time.time, node: str = "", makes: bool = True, migrates: bool = False
) -> Store:
    """Opens the store in the database that the URL names; makes its tables when there are none.

    Raises StoreError when it cannot be reached, when its schema is newer, and when it is older: several machines may
    use it, so it is brought up to date by who says so (`migrates`), and not by who starts first. The same where there
    are no tables and none may be made (`makes`).
    """
    # A migration takes as long as it takes.
    database = connect(url, session=() if migrates else SESSION)
    try:
        _prepare(database, makes=makes, migrates=migrates)
        store = Store(database, clock, node, CopyWriter(database))
        store.days.ready_ahead()
    except sa.exc.DBAPIError as error:
        database.close()
        raise StoreError(f"cannot open the database {database.name}: {_reason(error)}") from error
    except StoreError:
        database.close()
        raise
    return store


def connect(url: str, *, session: Sequence[str] = SESSION) -> PostgresDatabase:
    """The database that the URL names; nothing is asked of the server yet. Raises StoreError for a URL that is none."""
    return PostgresDatabase(_engine(url, session), redacted(url))


def redacted(url: str) -> str:
    """The URL without its password and its query, for people."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return f"{url.partition(':')[0]}://…"
    user = f"{parts.username}@" if parts.username else ""
    return f"{parts.scheme}://{user}{parts.hostname or ''}{port}{parts.path}"


def is_plain(said: str) -> bool:
    """Whether an engine with this `version()` is only like PostgreSQL, and gets plain tables."""
    return not said.startswith("PostgreSQL") or any(name in said for name in _PLAIN_ENGINES)


def _engine(url: str, session: Sequence[str]) -> sa.Engine:
    try:
        parsed = sa.make_url(url).set(drivername="postgresql+psycopg")
        unsaid = {name: value for name, value in CONNECTION.items() if name not in parsed.query}
        engine = sa.create_engine(parsed, poolclass=NullPool, connect_args=unsaid, use_native_hstore=False)
    except ModuleNotFoundError:
        raise StoreError("a store on PostgreSQL needs the package psycopg: install tokenway[postgres]") from None
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError(
            f"the store's URL {redacted(url)} cannot be read; expected postgresql://user:password@host:5432/database"
        ) from None
    dialect: Any = engine.dialect
    ask_version = dialect._get_server_version_info  # noqa: SLF001 - there is no other way to say what is spoken

    def version(connection: sa.Connection) -> tuple[int, ...]:
        try:
            found: tuple[int, ...] = ask_version(connection)
        except AssertionError:  # it is compatible, and calls itself something else
            return LIKE_VERSION
        return found

    dialect._get_server_version_info = version  # noqa: SLF001

    @sa.event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.autocommit = True
        for statement in session:
            connection.execute(statement)
        connection.autocommit = False

    return engine


def _prepare(database: PostgresDatabase, *, makes: bool, migrates: bool) -> None:
    """Makes the tables, migrates them, or raises StoreError."""
    with database.read() as connection:
        is_fresh = version_of(connection) is None
    if is_fresh:
        if not makes:
            raise StoreError(f"there is nothing of Tokenway in the database {database.name}; start the gateway once")
        _make_lock(database)
    bring_up_to_date(database, _make, migrates=migrates)
    with database.read() as connection:
        kind = connection.exec_driver_sql("SELECT relkind FROM pg_class WHERE oid = 'exchanges'::regclass").scalar()
    database.has_partitions = kind in {"p", b"p"}


def _make_lock(database: PostgresDatabase) -> None:
    """Makes what `write` locks, which must be there before anything else; any number of processes may do it at once."""
    table = _in_postgres(metadata, is_plain=True).tables[settings.name]
    for is_last in (False, True):
        try:
            with database.add() as connection:
                connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
                connection.execute(insert(settings).values(key=_WRITER, value="").on_conflict_do_nothing())
        except (sa.exc.IntegrityError, sa.exc.ProgrammingError):
            # Two that make a table at once: the one that comes too late finds it there next time.
            if is_last:
                raise
        else:
            return


def _make(connection: sa.Connection) -> None:
    """Makes all tables that are not there yet, and the view."""
    plain = is_plain(str(connection.exec_driver_sql("SELECT version()").scalar()))
    _in_postgres(metadata, is_plain=plain).create_all(connection)
    if not plain:
        default_partitions(connection)
    connection.exec_driver_sql(ENTRIES_VIEW)


def _in_postgres(tables: sa.MetaData, *, is_plain: bool) -> sa.MetaData:
    """The tables as PostgreSQL is to have them; as compatible engines take them when they are to be plain."""
    copy = sa.MetaData()
    for table in tables.sorted_tables:
        table.to_metadata(copy)
    if not is_plain:
        for table in copy.tables.values():
            for column in table.columns:
                if isinstance(column.type, sa.Text):
                    column.type = sa.Text(collation="C")
        partitioned(copy)
    return copy


def _is_stale(connection: sa.Connection | None) -> bool:
    """Whether the server has said something on an idle connection: as a rule, that it ends."""
    if connection is None or connection.invalidated:
        return connection is not None
    driver = connection.connection.driver_connection
    if driver is None or driver.closed:
        return True
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _reason(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
    return " ".join(said.split())
