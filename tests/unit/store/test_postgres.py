"""The store on a real PostgreSQL server: opened by several at once, left by its server, and found again."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from tests.records import NOON, reserved, settled
from tests.servers.postgres import PASSWORD, PostgresServer
from tokenway.store import postgres as module
from tokenway.store.accounts.records import SYSTEM
from tokenway.store.base import Progress, StoreError
from tokenway.store.open import Store
from tokenway.store.postgres import connect, open_postgres, redacted
from tokenway.store.retention import Ages
from tokenway.store.schema import HEAD, exchanges, metadata, rollups, settings, spend

pytestmark = pytest.mark.postgres


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    """A fresh store."""
    opened = open_postgres(postgres_url, clock=lambda: NOON, node="0000000a")
    yield opened
    opened.close()


def test_a_fresh_database_is_stamped_and_opens_again(empty_url: str) -> None:
    """The tables and the revision are there after the first opening, and the data after the second."""
    store = open_postgres(empty_url)
    store.accounts.bootstrap()
    store.close()
    again = open_postgres(empty_url, makes=False)
    with again.database.read() as connection:
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        found = set(sa.inspect(connection).get_table_names())
    names = list(again.accounts.keys.names().values())
    again.close()

    assert (names, version) == (["default"], HEAD)
    assert set(metadata.tables) <= found


def test_processes_that_start_at_once_make_the_tables_once(empty_url: str) -> None:
    """None of four that open an empty database at the same time fails, and one of them makes the first key."""
    code = (
        "import sys; from tokenway.store.postgres import open_postgres; sys.stdin.readline(); "
        "store = open_postgres(sys.argv[1]); print(store.accounts.bootstrap() is not None); store.close(); "
        "print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", code, empty_url]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]

    assert sorted(out for out, _ in said) == ["False\nFalse\n"] * 3 + ["True\nFalse\n"]
    assert [errors for _, errors in said] == [""] * 4


def test_nothing_is_made_where_nothing_may_be(empty_url: str) -> None:
    """Who only wants to look does not leave tables in the wrong database."""
    with pytest.raises(StoreError, match=r"nothing of Tokenway in the database .*; start the gateway once"):
        open_postgres(empty_url, makes=False)
    with contextlib.closing(psycopg.connect(empty_url)) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u:{password}@127.0.0.1:1/d", "cannot open|failed: .*refused"),
        ("postgresql://tokenway:wrong@127.0.0.1:{port}/postgres", "password authentication failed"),
        ("postgresql://tokenway:{password}@127.0.0.1:{port}/nowhere", 'database "nowhere" does not exist'),
        ("postgresql://tokenway:{password}@127.0.0.1:x/d", "cannot be read; expected postgresql://"),
        ("postgresql://tokenway:{password}@127.0.0.1:{port}/postgres?sslmode=require", "does not support SSL"),
        ("postgresql://tokenway:{password}@127.0.0.1:{port}/postgres?flavour=mild", "flavour"),
    ],
)
def test_what_cannot_be_opened_is_a_sentence(postgres: PostgresServer, url: str, reason: str) -> None:
    """It names the database and what is wrong, and never the password."""
    with pytest.raises(StoreError, match=reason) as caught:
        open_postgres(url.format(port=postgres.port, password=PASSWORD))
    assert PASSWORD not in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_a_url_is_shown_without_its_password() -> None:
    """Nor with what its query may hold."""
    assert redacted("postgresql://u:p%40ss@h:5432/d?password=x") == "postgresql://u@h:5432/d"
    assert redacted("postgres://h/d") == "postgres://h/d"
    assert redacted("postgresql:///d?host=/run") == "postgresql:///d"
    assert redacted("postgresql://u:secret@h:port/d") == "postgresql://…"


def test_the_driver_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that brings it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"needs the package psycopg: install tokenway\[postgres\]"):
        open_postgres("postgresql://h/d")


def test_a_newer_schema_is_refused(postgres_url: str) -> None:
    """Also by who may migrate; the database is left alone."""
    with contextlib.closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        for migrates in (False, True):
            with pytest.raises(StoreError, match=rf"schema 9999, which is newer .* \({HEAD}\); install"):
                open_postgres(postgres_url, migrates=migrates)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_an_older_schema_waits_for_who_says_so(postgres_url: str) -> None:
    """Several machines may run, so a start refuses it."""
    with contextlib.closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0005'")
        with pytest.raises(StoreError, match=rf"schema 0005, and .* needs {HEAD}: run `tokenway migrate`"):
            open_postgres(postgres_url)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0005",)]


def test_the_sixth_schema_is_brought_up_to_date(postgres_url: str) -> None:
    """With the columns and indexes that a fresh database has, and what was in it."""

    def described() -> dict[str, object]:
        engine = connect(postgres_url).engine
        inspector = sa.inspect(engine)
        found: dict[str, object] = {
            name: ([str(each) for each in inspector.get_columns(name)], inspector.get_indexes(name))
            for name in ("invoices", "nodes")
        }
        engine.dispose()
        return found

    fresh = described()
    with contextlib.closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        for statement in (
            "DROP INDEX ix_invoices_project_begins",
            "ALTER TABLE invoices DROP COLUMN voided",
            "ALTER TABLE invoices ADD CONSTRAINT uq_invoices_project_begins_ends UNIQUE (project, begins, ends)",
            "ALTER TABLE nodes DROP COLUMN retired",
            "INSERT INTO invoices VALUES ('inv_1', 'default', 0, 86400, 90000, 5, '[]')",
            "UPDATE alembic_version SET version_num = '0006'",
        ):
            connection.execute(statement)
    with contextlib.closing(open_postgres(postgres_url, migrates=True)) as store:
        (found,) = store.invoices.list()
    assert (found.id, found.total, found.voided) == ("inv_1", 5, None)
    assert described() == fresh


def test_reading_sees_one_state_and_changes_nothing(store: Store, postgres_url: str) -> None:
    """Whatever others commit meanwhile; who writes there is refused."""
    other = open_postgres(postgres_url)
    with store.database.read() as connection:
        before = connection.execute(sa.select(sa.func.count()).select_from(exchanges)).scalar()
        other.ledger.commit(Progress("j", "w", "o", 1), [reserved(1), settled(1)])
        assert connection.execute(sa.select(sa.func.count()).select_from(exchanges)).scalar() == before == 0
    with pytest.raises(sa.exc.InternalError, match="read-only"), store.database.read() as connection:
        connection.execute(settings.insert().values(key="a", value="1"))
    other.close()


def test_of_two_that_write_one_waits(store: Store, postgres_url: str) -> None:
    """What a writing transaction has read is true until its end, on whatever machine; adding goes on beside it."""
    other = open_postgres(postgres_url)

    def count_up(one: Store) -> None:
        for _ in range(20):
            with one.database.write() as connection:
                number = int(connection.execute(sa.select(settings.c.value).where(settings.c.key == "n")).scalar() or 0)
                connection.execute(settings.delete().where(settings.c.key == "n"))
                connection.execute(settings.insert().values(key="n", value=str(number + 1)))

    threads = [threading.Thread(target=count_up, args=(one,)) for one in (store, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.database.read() as connection:
        assert connection.execute(sa.select(settings.c.value).where(settings.c.key == "n")).scalar() == "40"
    with store.database.write():
        other.ledger.commit(Progress("j", "w", "o", 1), [reserved(1), settled(1)])
    other.close()


def test_keys_that_two_machines_make_at_once_are_all_there(store: Store, postgres_url: str) -> None:
    """And each change raises the revision."""
    store.accounts.bootstrap()
    before = store.accounts.changes.revision()
    stores = [open_postgres(postgres_url) for _ in range(3)]
    threads = [
        threading.Thread(target=lambda one=one: [one.accounts.keys.create("k", by=SYSTEM) for _ in range(10)])
        for one in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.accounts.keys.names()) == 31
    assert store.accounts.changes.revision() == before + 30
    for one in stores:
        one.close()


def test_a_lock_that_is_held_too_long_is_a_store_error(
    store: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction fails and the next one does not."""
    monkeypatch.setattr(module, "SESSION", ("SET lock_timeout = '50ms'",))
    other = open_postgres(postgres_url)
    with store.database.write(), pytest.raises(StoreError, match="lock timeout"):
        other.accounts.projects.create("lab", by=SYSTEM)
    assert other.accounts.projects.create("lab", by=SYSTEM).id == "lab"
    other.close()


def end(server: PostgresServer) -> None:
    """Kills it, and starts it again."""
    server.kill()
    server.start()


def test_a_server_that_was_gone_is_found_again(mortal: PostgresServer) -> None:
    """While it is away every question is a StoreError; afterwards the same store goes on by itself."""
    store = open_postgres(mortal.url(mortal.create()), node="0000000a")
    store.accounts.bootstrap()
    for away in (mortal.kill, mortal.stop):
        assert len(store.accounts.keys.names()) == 1
        away()
        for _ in range(2):
            with pytest.raises(StoreError, match=r"the database postgresql://tokenway@127.* failed: "):
                store.accounts.changes.revision()
            with pytest.raises(StoreError, match="failed: "):
                store.ledger.commit(Progress("j", "w", "o", 1), [reserved(1), settled(1)])
        mortal.start()
        assert store.accounts.changes.revision() > 0
        store.ledger.commit(Progress("j", "w", "o", 1), [reserved(1), settled(1)])
    # A server that ends and starts between two questions is not even noticed.
    end(mortal)
    assert len(store.accounts.keys.names()) == 1
    end(mortal)
    assert store.accounts.projects.create("lab", by=SYSTEM).id == "lab"

    # In the middle of a transaction it is, and nothing of that stays.
    def interrupted() -> None:
        with store.database.write() as connection:
            connection.execute(settings.insert().values(key="a", value="1"))
            end(mortal)

    with pytest.raises(StoreError, match="failed: "):
        interrupted()
    with store.database.read() as connection:
        assert connection.execute(sa.select(settings.c.value).where(settings.c.key == "a")).scalar() is None
    assert [row.requests for row in store.usage.report()] == [1]
    store.close()


def test_a_server_that_hangs_does_not_hang_us_for_ever(mortal: PostgresServer) -> None:
    """A new connection is given up after the time that its settings say."""
    url = mortal.url(mortal.create())
    open_postgres(url).close()
    mortal.pause()
    try:
        with pytest.raises(StoreError, match="timeout"):
            open_postgres(f"{url}?connect_timeout=2")
    finally:
        mortal.resume()


@pytest.mark.parametrize("begin", ["read", "add"])
def test_a_connection_that_breaks_before_it_is_set_up_is_a_store_error(postgres_url: str, begin: str) -> None:
    """As when the server is killed just then: the driver calls it a mistake of ours."""
    database = module.connect(postgres_url)
    with database.read():
        pass  # what the dialect wants to know of the server, it knows
    database.close()
    sa.event.listen(database.engine, "connect", lambda connection, _record: connection.close())
    with pytest.raises(StoreError, match=r"the database .* failed"), getattr(database, begin)():
        pytest.fail("there is no connection")


def test_a_session_has_its_limits_and_its_name(store: Store) -> None:
    """What the URL's query says wins."""

    def asked(one: Store, *names: str) -> list[Any]:
        with one.database.read() as connection:
            return [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]

    names = ("application_name", "statement_timeout", "lock_timeout", "transaction_isolation")
    assert asked(store, *names) == ["tokenway", "1min", "10s", "repeatable read"]
    with store.database.write() as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"


def test_sums_of_machines_that_ingest_at_once_are_right(postgres_url: str) -> None:
    """Two ingest exchanges of the same keys and runs at once; nothing is lost, and nobody waits in a circle."""
    stores = [open_postgres(postgres_url, clock=lambda: NOON, node=f"0000000{name}") for name in "ab"]
    batches, size = 30, 40
    failures: list[Exception] = []

    def ingest(number: int, one: Store) -> None:
        try:
            for batch in range(batches):
                numbers = [number * 100_000 + batch * size + place for place in range(size)]
                records = [
                    record
                    for each in numbers
                    for record in (
                        reserved(each, key=f"key_{each % 5}"),
                        settled(each, at=NOON, key=f"key_{each % 5}", run=f"run-{each % 3}", charged=7),
                    )
                ]
                one.ledger.commit(Progress(f"j{number}", "w", f"o{number}", batch + 1), records)
        except Exception as error:  # noqa: BLE001 - told in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=ingest, args=(place, one)) for place, one in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    total = 2 * batches * size
    assert stores[0].usage.report(())[0].requests == total
    assert sum(row.total for row in stores[1].usage.spent().values()) == total * 7
    with stores[0].database.read() as connection:
        by_node = connection.execute(
            sa.select(rollups.c.node, sa.func.sum(rollups.c.calls)).where(rollups.c.grain == 86_400).group_by("node")
        ).all()
        assert sorted((node, int(calls)) for node, calls in by_node) == [
            ("0000000a", total // 2),
            ("0000000b", total // 2),
        ]
        runs = sa.text("SELECT sum(calls), sum(charged) FROM runs")
        assert [int(value) for value in connection.execute(runs).one()] == [total, total * 7]
        charged = sa.select(sa.func.sum(spend.c.charged)).where(spend.c.scope == "project", spend.c.grain == 0)
        assert int(connection.execute(charged).scalar() or 0) == total * 7
    for one in stores:
        one.close()


@pytest.mark.parametrize("damage", [{"run": "a\0b"}, {"model": "m\0"}, {"charged": 2**70}])
def test_what_a_column_cannot_hold_does_not_stop_the_ledger(store: Store, damage: dict[str, Any]) -> None:
    """A zero byte in a text that a caller made up, and a number beyond 64 bits."""
    committed = store.ledger.commit(Progress("j", "w", "o", 1), [settled(1, **damage), settled(2)])
    assert len(committed.settled) == 2
    assert store.usage.report(())[0].requests == 2


def test_every_text_comes_back_as_it_was(store: Store) -> None:
    """COPY has characters of its own."""
    texts = ["\\N", "\\.", "a\tb\nc\rd\\e", "ä€😀", "", "\x7f\x01", "'\"%s{}"]
    store.ledger.commit(
        Progress("j", "w", "o", 1), [settled(place, model=text, run=text) for place, text in enumerate(texts, 1)]
    )
    groups = {row.group for row in store.usage.report(("model", "run"))}
    assert groups == {(text, text) for text in texts}


FAKE_ENGINE = """
CREATE SCHEMA fake;
CREATE FUNCTION fake.version() RETURNS text LANGUAGE sql AS $$ SELECT 'CockroachDB' $$;
"""


def test_an_engine_without_partitions_has_plain_tables(empty_url: str) -> None:
    """It says what it is; everything works on it, and old days are deleted."""
    with contextlib.closing(psycopg.connect(empty_url, autocommit=True)) as connection:
        connection.execute(FAKE_ENGINE)
        name = psycopg.conninfo.conninfo_to_dict(empty_url)["dbname"]
        connection.execute(f'ALTER DATABASE "{name}" SET search_path = fake, public, pg_catalog'.encode())
    store = open_postgres(empty_url, clock=lambda: NOON)
    assert not store.database.has_partitions
    old = settled(2, id="gen-4fe1-1", at=NOON - 5 * 86_400)
    store.ledger.commit(Progress("j", "w", "o", 1), [settled(1, id="gen-4fe6-1"), old])
    store.retention(Ages(entries=2 * 86_400.0)).run()
    with store.database.read() as connection:
        kept = list(connection.execute(sa.select(exchanges.c.id)).scalars())
    assert kept == ["gen-4fe6-1"]
    store.close()
    again = open_postgres(empty_url)
    assert not again.database.has_partitions
    again.close()


def test_a_version_that_is_no_number_is_taken_for_an_old_one(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engines that are like PostgreSQL call themselves what they like."""
    from sqlalchemy.dialects.postgresql.base import PGDialect  # noqa: PLC0415

    def unknown(_dialect: object, _connection: object) -> tuple[int, ...]:
        raise AssertionError("Could not determine version from string 'CockroachDB CCL v24.1.0'")

    monkeypatch.setattr(PGDialect, "_get_server_version_info", unknown)
    store = open_postgres(postgres_url)
    assert store.database.engine.dialect.server_version_info == (13,)
    store.accounts.bootstrap()
    store.close()
