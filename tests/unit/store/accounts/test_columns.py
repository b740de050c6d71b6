"""Between records and rows."""

from __future__ import annotations

import sqlalchemy as sa

from tokenway.model.limits import OnOutage
from tokenway.store.accounts.columns import columns_of, record, said, stored
from tokenway.store.accounts.records import KeyRow, KeyTerms, ProjectRow, ProjectTerms
from tokenway.store.schema import keys, projects


def test_only_what_is_set_is_said() -> None:
    """None is something that can be said; nothing at all is said by nobody."""
    assert said(KeyTerms(expires=None, name="x")) == {"name": "x", "expires": None}
    assert said(ProjectTerms()) == {}
    assert said(None) == {}


def test_a_record_comes_back_as_it_was_stored() -> None:
    """Flags, cases, labels and lists, by a database of its own."""
    engine = sa.create_engine("sqlite://")
    project = ProjectRow("p", "P", 1.5, 7, True, OnOutage.REFUSE, {"b": "1", "a": "2"}, None, 3)
    key = KeyRow("k", "K", "p", "d", "tw-", 2.0, models=("a", "b"), addresses=(), max_cost=5)
    with engine.begin() as connection:
        projects.create(connection)
        keys.create(connection)
        for table, row in ((projects, project), (keys, key)):
            values = {name: getattr(row, name) for name in row.__struct_fields__ if name in table.c}
            connection.execute(table.insert().values(**stored(values)))
        read = connection.execute(sa.select(*columns_of(ProjectRow, projects))).one()
        assert record(ProjectRow, read) == project
        assert read.labels == '{"a":"2","b":"1"}'
        assert record(KeyRow, connection.execute(sa.select(*columns_of(KeyRow, keys))).one()) == key
    engine.dispose()
