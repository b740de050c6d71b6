"""The store as a whole, whatever the database, and how one comes to its tables.

A fresh database is made from `schema.metadata` and stamped with the newest revision, without importing Alembic,
which would double the time of a first start. An older one is migrated, a newer one refused.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from tokenway.store.accounts.accounts import Accounts
from tokenway.store.base import StoreError
from tokenway.store.daily import SqlDaily
from tokenway.store.database import Database
from tokenway.store.days import SqlDays
from tokenway.store.documents import SqlDocuments
from tokenway.store.entries import SqlEntries
from tokenway.store.invoices import SqlInvoices
from tokenway.store.leases import SqlLeases
from tokenway.store.ledger import SqlLedger
from tokenway.store.money import SqlMoney
from tokenway.store.nodes import SqlNodes
from tokenway.store.probes import SqlProbes
from tokenway.store.reports import SqlReports
from tokenway.store.responses import SqlResponses
from tokenway.store.retention import Ages, SqlRetention
from tokenway.store.runs import SqlRuns
from tokenway.store.samples import SqlSamples
from tokenway.store.schema import HEAD, alembic_version
from tokenway.store.usage import SqlUsage
from tokenway.store.withheld import SqlWithheld
from tokenway.store.writing import Writer


class Store:
    """All parts of the store over one database. `node` is the machine that writes, `writer` how it writes rows."""

    def __init__(self, database: Database, clock: Callable[[], float], node: str, writer: Writer) -> None:
        self.database = database
        self._clock = clock
        self.days = SqlDays(database, clock)
        self.accounts = Accounts(database, clock, node=node)
        self.documents = SqlDocuments(database, clock)
        self.entries = SqlEntries(database)
        self.reports = SqlReports(database)
        self.ledger = SqlLedger(database, clock, node, writer=writer, days=self.days)
        self.money = SqlMoney(database, clock, node)
        self.withheld = SqlWithheld(database, clock, node)
        self.leases = SqlLeases(database, node, clock)
        self.nodes = SqlNodes(database, clock, node)
        self.usage = SqlUsage(database, clock)
        self.invoices = SqlInvoices(database, clock, self.usage)
        self.responses = SqlResponses(database, clock, node)
        self.samples = SqlSamples(database, clock)
        self.probes = SqlProbes(database)
        self.runs = SqlRuns(database)
        self.daily = SqlDaily(database)

    def retention(self, ages: Ages) -> SqlRetention:
        """What drops all that is older than these ages, a little with each step."""
        drop = self.days.drop_before if self.database.has_partitions else None
        return SqlRetention(self.database, self._clock, ages, drop_entries=drop)

    def close(self) -> None:
        """Closes the connections."""
        self.database.close()


def version_of(connection: sa.Connection) -> str | None:
    """The schema's revision; None where there are no tables yet."""
    if not sa.inspect(connection).has_table(alembic_version.name):
        return None
    return connection.execute(sa.select(alembic_version.c.version_num)).scalar()


def revision(database: Database) -> str | None:
    """The schema's revision, of a database that is opened for this alone; raises StoreError for a newer one."""
    try:
        with database.read() as connection:
            version = version_of(connection)
    except sa.exc.DatabaseError as error:
        raise StoreError(f"cannot open the database {database.name}: {error.orig}") from error
    finally:
        database.close()
    if version not in {None, HEAD}:
        from tokenway.store.migrations.upgrade import require_known  # noqa: PLC0415 - slow to import

        require_known(str(version), database.name)
    return version


def bring_up_to_date(database: Database, make: Callable[[sa.Connection], object], *, migrates: bool) -> None:
    """Makes the tables where there are none, by `make`; else brings an older schema up to date.

    Raises StoreError for a newer schema, and for an older one when this may not migrate.
    """
    with database.read() as connection:
        if version_of(connection) == HEAD:
            return
    # The lock first: of two processes that start at once only one must make the tables.
    with database.write() as connection:
        version = version_of(connection)
        if version is None:
            make(connection)
            connection.execute(alembic_version.insert().values(version_num=HEAD))
        elif version != HEAD:
            from tokenway.store.migrations.upgrade import require_known, upgrade  # noqa: PLC0415 - slow to import

            require_known(version, database.name)
            if not migrates:
                raise StoreError(
                    f"the database {database.name} has the schema {version}, and this version needs {HEAD}: "
                    "run `tokenway migrate`"
                )
            upgrade(connection)
