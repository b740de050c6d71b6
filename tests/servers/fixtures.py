"""Real servers as fixtures: one of each per test process, and a fresh database or an empty server for each test.

    postgres     a server for everybody; `postgres_url` is a fresh database with the store's tables in it
    empty_url    a fresh database with nothing in it
    mortal       a server of the test's own that writes as in production: to be killed
    open_store   opens a fresh store, on SQLite and on PostgreSQL in turn; more than once for several that share it
    valkey       an empty Valkey or Redis for everybody; `mortal_valkey` is the test's own

Without the programs such tests are skipped, and say so. In the continuous build (`CI=true`) they fail instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.servers import postgres as postgres_module
from tests.servers import valkey as valkey_module
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer

if TYPE_CHECKING:
    from tokenway.store.open import Store

Server = TypeVar("Server", PostgresServer, ValkeyServer)


def demand(why_not: Callable[[], str | None]) -> None:
    """Skips the test when a server cannot be had; fails it where every test must run."""
    reason = why_not()
    if reason is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _running(why_not: Callable[[], str | None], make: Callable[[], Server]) -> Iterator[Server]:
    demand(why_not)
    server = make()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; whoever stops it starts it again."""
    yield from _running(postgres_module.why_not, PostgresServer)


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """The name of a database with the store's tables and nothing in them."""
    from tokenway.store.postgres import open_postgres  # noqa: PLC0415 - only for who wants it

    name = postgres.create()
    open_postgres(postgres.url(name)).close()
    return name


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_template: str) -> Iterator[str]:
    """A fresh database with the store's tables."""
    name = postgres.create(template=postgres_template)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Opens the same fresh database whenever it is called, with the clock and the machine's id that are given."""
    from tokenway.store.postgres import open_postgres  # noqa: PLC0415 - only for who wants it
    from tokenway.store.sqlite import open_sqlite  # noqa: PLC0415

    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    opened: list[Store] = []

    def opens(**options: Any) -> Store:
        store = open_sqlite(tmp_path / "t.db", **options) if url is None else open_postgres(url, **options)
        opened.append(store)
        return store

    yield opens
    for store in opened:
        store.close()


@pytest.fixture
def empty_url(postgres: PostgresServer) -> Iterator[str]:
    """A fresh database with nothing in it."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def mortal() -> Iterator[PostgresServer]:
    """A PostgreSQL server that the test may kill; it keeps what it has committed."""
    yield from _running(postgres_module.why_not, partial(PostgresServer, lasting=True))


@pytest.fixture(scope="session")
def _valkey() -> Iterator[ValkeyServer]:
    yield from _running(valkey_module.why_not, ValkeyServer)


@pytest.fixture
def valkey(_valkey: ValkeyServer) -> ValkeyServer:
    """An empty server."""
    _valkey.clear()
    return _valkey


@pytest.fixture
def mortal_valkey() -> Iterator[ValkeyServer]:
    """A server that the test may kill."""
    yield from _running(valkey_module.why_not, ValkeyServer)
