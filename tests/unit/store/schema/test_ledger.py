"""The schema: what the metadata makes is what the revisions make."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from tokenway.model.usage import BUCKETS
from tokenway.store import migrations
from tokenway.store.migrations.upgrade import upgrade
from tokenway.store.schema import ENTRIES_VIEW, HEAD, INLINE_BUCKETS, KIND_FIELDS, entries, kinds, metadata


def described(engine: sa.Engine) -> dict[str, object]:
    """Everything that reflection finds, in a form that can be compared."""
    found: dict[str, object] = {}
    inspector = sa.inspect(engine)
    for table in inspector.get_table_names():
        found[table] = {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)
            ],
            "key": inspector.get_pk_constraint(table),
            "references": inspector.get_foreign_keys(table),
            "unique": sorted(map(str, inspector.get_unique_constraints(table))),
            "indexes": sorted(map(_index, inspector.get_indexes(table))),
            "options": inspector.get_table_options(table),
        }
    for view in inspector.get_view_names():
        found[view] = re.sub(r"\s+", " ", inspector.get_view_definition(view) or "")
    return found


def _index(found: Any) -> str:
    options = {name: str(value) for name, value in found.get("dialect_options", {}).items()}
    return str({**found, "dialect_options": options})


def test_the_revisions_make_the_same_schema_as_the_metadata(tmp_path: Path) -> None:
    """A database that was migrated from nothing cannot be told from a fresh one."""
    fresh = sa.create_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    migrated = sa.create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with fresh.begin() as connection:
        metadata.create_all(connection)
    with migrated.begin() as connection:
        upgrade(connection)
    with migrated.connect() as connection:
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()

    assert version == HEAD
    assert described(migrated) == described(fresh)
    assert "entries" in described(fresh)
    fresh.dispose()
    migrated.dispose()


def test_head_is_the_newest_revision_and_there_is_one_line_of_them() -> None:
    """The constant that a fresh database is stamped with is where the revisions end."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))

    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_upgrading_what_is_up_to_date_changes_nothing(tmp_path: Path) -> None:
    """Running the revisions again is harmless."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 't.db'}")
    with engine.begin() as connection:
        upgrade(connection)
    before = described(engine)
    with engine.begin() as connection:
        upgrade(connection)

    assert described(engine) == before
    engine.dispose()


def test_the_view_has_the_columns_that_queries_use(tmp_path: Path) -> None:
    """The declared columns of `entries` are the view's own, every bucket among them."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 't.db'}")
    metadata.create_all(engine)
    columns = [column["name"] for column in sa.inspect(engine).get_columns("entries")]
    engine.dispose()

    assert sorted(columns) == sorted(column.name for column in entries.columns)
    assert set(BUCKETS) <= set(columns)
    assert ENTRIES_VIEW.startswith("CREATE VIEW entries")


def test_the_fields_of_a_kind_are_its_columns_and_the_inline_buckets_exist() -> None:
    """The names that the ledger writes by position agree with the table."""
    assert ["id", *KIND_FIELDS] == [column.name for column in kinds.columns]
    assert set(INLINE_BUCKETS) < set(BUCKETS)
