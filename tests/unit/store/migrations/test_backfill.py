"""A ledger of the revision before the sums is counted when it is brought up to date."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tokenway.store import migrations
from tokenway.store.schema import facets, kinds, rollups, runs, spend
from tokenway.store.sqlite import open_sqlite
from tokenway.store.sums import digest_of
from tokenway.store.verify import verify

AT = 1_767_268_800.0
_KIND = (
    "INSERT INTO kinds (id, key, project, model, endpoint, operation, dialect, stream, settlement, status, attempts, "
    "slow, finish_reason, error_type, inline_attempt) VALUES ({}, 'key_ü', 'default', 'mock', '{}', 'chat', "
    "'openai_chat', 1, '{}', {}, {}, {}, 'stop', '', {})"
)
_EXCHANGE = (
    "INSERT INTO exchanges (id, at, kind, run, charged, cost, ttft, duration, output_speed, overhead, input_uncached, "
    "cache_read, output_text, reasoning, requests) VALUES ('gen-{}', {}, {}, {}, {}, {}, 0.25, 1.3, {}, 0.0, {})"
)
_ATTEMPT = (
    "INSERT INTO attempts (exchange, attempt, endpoint, settlement, charged, cost, status, fault, absurd, "
    "input_uncached, cache_read, cache_write_5m, cache_write_1h, output_text, reasoning, audio_in, audio_out, "
    "image_in, image_out, requests, searches, images, sound_ms, characters, service) "
    "VALUES ('gen-{}', {}, '{}', '{}', {}, {}, 200, '', {}, {}, '')"
)
_USED = ", ".join(["7"] * 15)
_NONE = ", ".join(["NULL"] * 15)
STATEMENTS = (
    _KIND.format(1, "lab/mock", "delivered", 200, 1, 0, 1),
    _KIND.format(2, "lab/mock", "delivered", 200, 3, 1, "NULL"),
    _KIND.format(3, "", "expired", 0, 0, 0, "NULL"),
    _KIND.format(4, "", "released", 500, 0, 0, "NULL"),
    _EXCHANGE.format("a", AT, 1, "'r'", 100, 90, 61.3, "5, 6, 7, 8, 1"),
    _EXCHANGE.format("b", AT + 61, 1, "NULL", 10, "NULL", "NULL", "5, 6, 7, 8, 1"),
    _EXCHANGE.format("c", AT + 86_400.7, 2, "'r'", 30, "NULL", 17.0, "NULL, NULL, NULL, NULL, NULL"),
    _EXCHANGE.format("d", AT, 3, "NULL", 0, "NULL", "NULL", "NULL, NULL, NULL, NULL, NULL"),
    _EXCHANGE.format("e", AT, 4, "'s'", 0, "NULL", "NULL", "NULL, NULL, NULL, NULL, NULL"),
    _ATTEMPT.format("c", 1, "far/big", "absorbed", 0, 70, 0, _USED),
    _ATTEMPT.format("c", 2, "far/big", "upstream_billed", 0, "NULL", 0, _NONE),
    _ATTEMPT.format("c", 3, "lab/mock", "delivered", 30, "NULL", 0, _USED),
    _ATTEMPT.format("d", -1, "", "expired", 0, "NULL", 0, _NONE),
    f"INSERT INTO reservations VALUES ('gen-d', {AT}, 'key_ü', 'default', 5, 'o', {AT + 9})",
)


def test_what_was_there_is_counted(tmp_path: Path) -> None:
    """Every sum equals the entries, and facets have the numbers that the ingest gives them."""
    path = tmp_path / "t.db"
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        for statement in STATEMENTS:
            connection.exec_driver_sql(statement)
    engine.dispose()
    store = open_sqlite(path)
    found = verify(store.database, AT)
    with store.database.read() as connection:
        rows = connection.execute(sa.select(rollups.c.calls).where(rollups.c.grain == 86_400)).scalars().all()
        spent = connection.execute(
            sa.select(spend.c.calls, spend.c.charged, spend.c.input_tokens, spend.c.last_used).where(
                spend.c.grain == 0, spend.c.scope == "key"
            )
        ).all()
        run = connection.execute(sa.select(runs.c.calls, runs.c.cost, runs.c.shown).where(runs.c.run == "r")).one()
        facet = connection.execute(sa.select(facets).where(facets.c.endpoint == "far/big")).one()
        numbers = connection.execute(sa.select(kinds.c.id)).scalars().all()
    store.close()

    assert found.faults == []
    assert (found.exchanges, found.entries, found.debits) == (5, 5, 140 + 160)
    assert sum(rows) == 5
    assert spent == [(4, 140, 11 + 11 + 42, AT + 86_400.7)]
    assert run == (2, 160, 2)
    assert facet.id == digest_of(("key_ü", "default", "", "mock", "far/big"))
    assert sorted(numbers) == [1, 2, 3, 4]
