"""Opening the SQLite store: fresh, again, by two at once, and from another version."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from msgspec.structs import astuple

from tests.records import line, reserved, settled
from tokenway.model.stored import StoredResponse
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store import migrations
from tokenway.store.accounts.records import CLI
from tokenway.store.base import Progress, StoreError
from tokenway.store.invoices import Invoice
from tokenway.store.schema import HEAD, entries
from tokenway.store.sqlite import open_sqlite


def set_version(path: Path, version: str) -> None:
    """Stamps a database with another schema revision."""
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    connection.commit()
    connection.close()


def test_a_fresh_file_is_stamped_and_opens_again(tmp_path: Path) -> None:
    """The tables and the revision are there after the first opening, and the data after the second."""
    path = tmp_path / "new" / "t.db"
    store = open_sqlite(path)
    store.accounts.bootstrap()
    store.close()
    again = open_sqlite(path)
    names = list(again.accounts.keys.names().values())
    with again.database.read() as connection:
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    again.close()

    assert names == ["default"]
    assert version == HEAD


def test_a_fresh_file_needs_no_migration_tool(tmp_path: Path) -> None:
    """The first start does not pay for importing Alembic."""
    code = (
        "import sys; from pathlib import Path; from tokenway.store.sqlite import open_sqlite; "
        "open_sqlite(Path(sys.argv[1])).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.db")], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "False\n"


def test_processes_that_start_at_once_make_the_tables_once(tmp_path: Path) -> None:
    """Neither of two processes that open a missing file at the same time fails."""
    code = (
        "import sys; from pathlib import Path; from tokenway.store.sqlite import open_sqlite; "
        "sys.stdin.readline(); open_sqlite(Path(sys.argv[1])).close()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "t.db")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1].decode() for process in processes]

    assert errors == ["", "", ""]


def old_file(path: Path, revision: str, *statements: str) -> None:
    """Makes a database as it was at a revision, and runs the statements in it."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_an_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    """A file of the first schema opens with the keys that it had."""
    path = tmp_path / "t.db"
    old_file(
        path,
        "0001",
        "INSERT INTO projects VALUES ('default', 'default', 1.0)",
        "INSERT INTO keys (id, name, project, digest, prefix, created, budget_period) "
        "VALUES ('key_a', 'old', 'default', 'd', 'tw-old', 1.0, 'total')",
    )
    store = open_sqlite(path)
    found = store.accounts.keys.page().rows

    assert [(row.id, row.name, row.prefix) for row in found] == [("key_a", "old", "tw-old")]
    store.close()


def test_a_file_without_a_place_for_responses_is_given_one(tmp_path: Path) -> None:
    """A file of the second schema keeps them from its next opening on."""
    path = tmp_path / "t.db"
    old_file(path, "0002")
    again = open_sqlite(path)
    kept = StoredResponse("resp_1", "default", 1.0, "m", "p/up", "completed", b"{}", b"[]")
    again.responses.put(kept, expires=2.0**40, maker="1")

    assert again.responses.get("resp_1", "default") == kept
    again.close()


def test_invoices_of_an_older_file_hold(tmp_path: Path) -> None:
    """In a file of the sixth schema none could be voided; its table is made anew with what was in it."""
    path = tmp_path / "t.db"
    old_file(path, "0006", "INSERT INTO invoices VALUES ('inv_1', 'default', 0.0, 86400.0, 90000.0, 5, '[]')")
    store = open_sqlite(path)
    (found,) = store.invoices.list()
    assert found == Invoice("inv_1", "default", 0.0, 86_400.0, 90_000.0, 5, ())
    assert store.invoices.void("inv_1", by=CLI).voided is not None
    store.close()


def test_a_file_without_pieces_is_given_columns_for_them(tmp_path: Path) -> None:
    """In a file of the third schema attempts had none, where their usage is known; a new one has some."""
    path = tmp_path / "t.db"
    kind = "'{id}', 'k', 'p', 'm', 'e/m', 'chat', 'openai_chat', 0, 'delivered', 200, 1, 0, '', '', NULL"
    attempt = "'{id}', 1, 'e/m', 'delivered', 5, 5, 200, '', 0, {usage}"
    figures = ", ".join(["NULL"] * 5)
    old_file(
        path,
        "0003",
        f"INSERT INTO kinds VALUES ({kind.format(id=1)})",
        f"INSERT INTO exchanges VALUES ('gen-a', 1.0, 1, NULL, 5, 5, NULL, NULL, NULL, 0.0, {figures})",
        f"INSERT INTO exchanges VALUES ('gen-b', 1.0, 1, NULL, 5, 5, NULL, NULL, NULL, 0.0, {figures})",
        f"INSERT INTO attempts VALUES ({attempt.format(id='gen-a', usage=', '.join('123456789012'))})",
        f"INSERT INTO attempts VALUES ({attempt.format(id='gen-b', usage=', '.join(['NULL'] * 12))})",
    )
    store = open_sqlite(path)
    old = Usage(*map(int, "123456789012"))
    with store.database.read() as connection:
        found = {row["exchange"]: row for row in connection.execute(sa.select(entries)).mappings()}
    assert Usage(*(found["gen-a"][name] for name in BUCKETS)) == old
    assert {found["gen-b"][name] for name in BUCKETS} == {None}
    assert {each["service"] for each in found.values()} == {""}

    new = Usage(images=2, sound_ms=1_500, characters=7)
    store.ledger.commit(Progress("j", "w", "o", 1), [reserved(1), settled(1, lines=(line(usage=new),))])
    (row,) = store.usage.report(())
    assert row.usage == Usage(*(a + b for a, b in zip(astuple(old), astuple(new), strict=True)))
    store.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """The message says which schema it has and what to do, and the file is left alone."""
    path = tmp_path / "t.db"
    open_sqlite(path).close()
    set_version(path, "9999")

    with pytest.raises(StoreError, match=rf"schema 9999, which is newer .* \({HEAD}\); install"):
        open_sqlite(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    connection.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A sentence, not a driver's exception."""
    path = tmp_path / "t.db"
    path.write_bytes(b"not a database" * 100)

    with pytest.raises(StoreError, match="cannot open the database"):
        open_sqlite(path)


def test_a_directory_in_the_files_place_is_refused(tmp_path: Path) -> None:
    """A path that cannot be opened at all is the same kind of error."""
    (tmp_path / "t.db").mkdir()

    with pytest.raises(StoreError, match="cannot open the database"):
        open_sqlite(tmp_path / "t.db")


def test_the_file_is_in_write_ahead_mode_and_checks_references(tmp_path: Path) -> None:
    """Readers do not wait for the ingest, and a key cannot belong to a project that is not there."""
    store = open_sqlite(tmp_path / "t.db")
    with store.database.read() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    with pytest.raises(sa.exc.IntegrityError), store.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO keys (id, name, project, digest, prefix, created) VALUES ('k', 'k', 'nowhere', 'd', 'p', 0)"
        )
    store.close()

    assert (mode, synchronous) == ("wal", 1)


def test_another_process_reads_while_a_batch_is_written(tmp_path: Path) -> None:
    """A reader sees the state before a transaction that is still open, at once."""
    store = open_sqlite(tmp_path / "t.db")
    store.ledger.commit(Progress("j", "w", "o", 1), [reserved(1), settled(1)])
    other = open_sqlite(tmp_path / "t.db")
    with store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM exchanges")
        seen = [row.requests for row in other.usage.report()]
    other.close()
    store.close()

    assert seen == [1]
