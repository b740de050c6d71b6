"""Leases in the database: never more than the limit, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.limits.books import NOON, budget, postgres_database, settle, sqlite_database
from tests.unit.store.conftest import Clock
from tokenway.metering.terms import run_limit
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.usage import BUCKETS
from tokenway.store.base import StoreError
from tokenway.store.database import Database
from tokenway.store.granting import Ask, Given, Lent
from tokenway.store.leases import AGAIN_SECONDS, SqlLeases
from tokenway.store.schema import RUN_SUMS, balances, leases, reservations, runs, spend, transfers

DAY = 86_400
HOUR = 3_600


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of either kind."""
    if request.param == "sqlite":
        database = sqlite_database(tmp_path / "t.db")
    else:
        database = postgres_database(request.getfixturevalue("postgres_url"))
    yield database
    database.close()


@pytest.fixture
def clock() -> Clock:
    """Noon on a Sunday on which a month begins."""
    made = Clock()
    made.now = NOON
    return made


@pytest.fixture
def mine(database: Database, clock: Clock) -> SqlLeases:
    """The leases as this machine sees them."""
    return SqlLeases(database, "n1", clock)


def lend(store: SqlLeases, limit: Limit, least: int, holder: str = "w1", holders: int = 1) -> Lent:
    """One ask."""
    return store.lend([Ask(limit.id, limit, holder, least, holders)])[0]


def spent(database: Database, limit: Limit, at: float, amount: int, holder: str = "", period: int = 0) -> None:
    """A settlement, with its holder where a lease was drawn from."""
    with database.write() as connection:
        settle(connection, limit, at, amount, holder=holder, period=period)


def rows(database: Database) -> list[tuple[object, ...]]:
    """The leases but for the locks: limit, period, holder, granted, consumed."""
    columns = [leases.c[name] for name in ("limit_id", "period", "holder", "granted", "consumed")]
    with database.read() as connection:
        found = connection.execute(sa.select(*columns).where(leases.c.holder != "").order_by(*columns))
        return [tuple(row) for row in found]


def test_no_more_is_lent_than_there_is(mine: SqlLeases) -> None:
    """What remains is lent to who needs more; then nothing, and asking again helps while others hold some."""
    limit = budget(100)
    assert lend(mine, limit, 60).amount == 60
    second = lend(mine, limit, 60, "w2")
    assert (second.amount, second.remains, second.elsewhere, second.wait) == (40, 0, 60, AGAIN_SECONDS)
    assert lend(mine, limit, 1).elsewhere == 40
    assert lend(mine, limit, 1, "w3").amount == 0
    assert mine.outstanding("lim_1", 0) == 100


def test_a_lease_is_a_small_part_of_a_large_limit(mine: SqlLeases) -> None:
    """A fortieth over all holders, though only one was needed."""
    assert lend(mine, budget(40_000), 1, holders=4).amount == 250


def test_many_ask_in_one_transaction(mine: SqlLeases, database: Database) -> None:
    """Each in its turn, of whatever limit, the same holder twice."""
    limit, other = budget(100), budget(7, identity="lim_0", measure=Measure.REQUESTS)
    asks = [
        Ask(each.id, each, holder, least)
        for each, holder, least in (
            (limit, "w1", 50),
            (other, "w1", 5),
            (limit, "w2", 30),
            (limit, "w1", 30),
            (other, "w2", 5),
        )
    ]
    assert [lent.amount for lent in mine.lend(asks)] == [50, 5, 30, 20, 2]
    assert rows(database) == [
        ("lim_0", 0, "w1", 5, 0),
        ("lim_0", 0, "w2", 2, 0),
        ("lim_1", 0, "w1", 70, 0),
        ("lim_1", 0, "w2", 30, 0),
    ]


def test_what_is_given_back_is_lent_anew(mine: SqlLeases) -> None:
    """Never more than was lent, whatever is said."""
    limit = budget(100)
    lend(mine, limit, 100)
    mine.take_back([])
    mine.take_back([Given("lim_1", 0, "w1", 30), Given("lim_1", 0, "w1", 10), Given("lim_1", 0, "w1", -50)])
    mine.take_back([Given("lim_1", 1, "w1", 30), Given("nothing", 0, "w1", 10)])
    assert lend(mine, limit, 100, "w2").amount == 40
    mine.take_back([Given("lim_1", 0, "w2", 10**6)])
    assert lend(mine, limit, 100, "w2").amount == 40


def test_a_settlement_moves_money_from_the_lease_to_what_is_spent(mine: SqlLeases, database: Database) -> None:
    """So what remains is the same before and after, and the unspent rest is free when its holder is gone."""
    limit = budget(100)
    lend(mine, limit, 60)
    spent(database, limit, NOON, 25, "w1")
    assert mine.outstanding("lim_1", 0) == 35
    assert lend(mine, limit, 1, "w2", holders=40).remains == 39
    assert mine.holders() == {"w1", "w2"}
    mine.release("w1")
    mine.release("")
    assert mine.holders() == {"w2"}
    assert lend(mine, limit, 100, "w2").amount == 74


def test_a_call_that_cost_more_than_its_lease_is_paid_by_what_is_lent_next(mine: SqlLeases, database: Database) -> None:
    """Nobody else has less than he was lent, and nothing is free that is spent."""
    limit = budget(100)
    lend(mine, limit, 60)
    spent(database, limit, NOON, 70, "w1")
    assert mine.outstanding("lim_1", 0) == 0
    assert lend(mine, limit, 100, "w2").amount == 30


def test_what_was_spent_before_there_was_a_limit_counts(mine: SqlLeases, database: Database) -> None:
    """So does what calls come to that began before it without a lease: it may go beyond, and then nothing is lent."""
    limit = budget(100)
    spent(database, limit, NOON, 90)
    assert lend(mine, limit, 50).amount == 10
    spent(database, limit, NOON, 20)
    over = lend(mine, limit, 1, "w2")
    assert (over.amount, over.remains) == (0, 0)


def test_another_amount_holds_at_once(mine: SqlLeases, database: Database) -> None:
    """Below what is spent it blocks; raised, there is more; and nothing helps in this period but that."""
    spent(database, budget(100), NOON, 50)
    assert lend(mine, budget(40), 1) == Lent(0)
    assert lend(mine, budget(50), 1) == Lent(0)
    assert lend(mine, budget(60), 100).amount == 10
    assert lend(mine, budget(55), 1).amount == 0
    assert lend(mine, budget(70), 100).amount == 10


def test_a_calendar_limit_starts_anew(mine: SqlLeases, database: Database, clock: Clock) -> None:
    """Each period has its own leases and spending; a clock that steps back finds those of the earlier one."""
    limit = budget(100, Term.DAY)
    today = int(NOON // DAY)
    first = lend(mine, limit, 100)
    assert (first.period, first.begins, first.ends) == (today, today * DAY, (today + 1) * DAY)
    clock.now += DAY
    spent(database, limit, clock.now, 30)
    second = lend(mine, limit, 100)
    assert (second.period, second.amount) == (today + 1, 70)
    clock.now -= DAY
    assert lend(mine, limit, 1, "w2").amount == 0


@pytest.mark.parametrize(("term", "begins"), [(Term.DAY, 0), (Term.WEEK, 6), (Term.MONTH, 0), (Term.TOTAL, 10**6)])
def test_only_the_period_is_added_up(mine: SqlLeases, database: Database, term: Term, begins: int) -> None:
    """The second before it does not count, and its first and its last hour do."""
    limit = budget(100, term)
    edge = NOON - NOON % DAY - begins * DAY
    spent(database, limit, max(0.0, edge), 7)
    spent(database, limit, edge - 1 if term is not Term.TOTAL else NOON, 20)
    expected = 73 if term is Term.TOTAL else 93
    assert lend(mine, limit, 100).amount == expected


@pytest.mark.parametrize(
    ("term", "seconds", "grain"), [(Term.DAY, DAY, HOUR), (Term.WEEK, 7 * DAY, DAY), (Term.MONTH, 30 * DAY, DAY)]
)
def test_a_rolling_limit_counts_what_lies_just_behind(
    mine: SqlLeases, database: Database, clock: Clock, term: Term, seconds: int, grain: int
) -> None:
    """To the beginning of the hour or day in which it begins, and asking again helps when that is over."""
    limit = budget(100, term, rolling=True)
    clock.now = NOON + 1800
    first = (clock.now - seconds) // grain * grain
    spent(database, limit, first, 100)
    refused = lend(mine, limit, 1)
    assert (refused.amount, refused.period, refused.begins, refused.ends) == (0, 0, 0.0, 0.0)
    assert refused.wait == grain - clock.now % grain
    clock.now += refused.wait
    assert lend(mine, limit, 100).amount == 100
    clock.now -= 3 * DAY
    spent(database, limit, clock.now + DAY, 5, "w1")
    assert lend(mine, limit, 1).amount == 0


@pytest.mark.parametrize(
    ("measure", "remaining"),
    [
        (Measure.USD, 87),
        (Measure.REQUESTS, 98),
        (Measure.INPUT_TOKENS, 70),
        (Measure.OUTPUT_TOKENS, 60),
        (Measure.TOKENS, 30),
    ],
)
def test_every_measure_has_its_columns(mine: SqlLeases, database: Database, measure: Measure, remaining: int) -> None:
    """What is withheld counts as money, and machines are added up."""
    with database.write() as connection:
        for node in ("n1", "n2"):
            connection.execute(
                spend.insert().values(
                    scope="project",
                    subject="p",
                    grain=0,
                    bucket=0,
                    node=node,
                    calls=1,
                    charged=5 if node == "n1" else 6,
                    withheld=1,
                    input_tokens=15,
                    output_tokens=20,
                    last_used=0.0,
                )
            )
    limit = budget(100, measure=measure, scope=Scope.PROJECT, subject="p")
    assert lend(mine, limit, 100).amount == remaining


@pytest.mark.parametrize(
    ("measure", "remaining"),
    [
        (Measure.USD, 995),
        (Measure.REQUESTS, 999),
        (Measure.INPUT_TOKENS, 940),
        (Measure.OUTPUT_TOKENS, 960),
        (Measure.TOKENS, 900),
    ],
)
def test_a_limit_for_each_run_is_counted_by_run(
    mine: SqlLeases, database: Database, measure: Measure, remaining: int
) -> None:
    """By its own sums, for that key's run alone; searches, pictures and requests are no tokens."""
    sums = dict.fromkeys(RUN_SUMS, 0) | {"calls": 1, "charged": 3, "withheld": 2} | dict.fromkeys(BUCKETS, 10)
    with database.write() as connection:
        connection.execute(runs.insert().values(key="key_1", run="r", project="p", started=0.0, ended=0.0, **sums))
    limit = budget(1000, measure=measure, per_run=True, term=Term.DAY)

    def ask(key: str, run: str) -> Lent:
        return mine.lend([Ask(run_limit("lim_1", key, run), limit, "w1", 1000, key_id=key, run=run)])[0]

    assert ask("key_1", "r").amount == remaining
    assert ask("key_1", "s").amount == 1000
    assert ask("key_2", "r") == Lent(1000)
    assert ask("key_2", "r").amount == 0


def test_a_prepaid_project_spends_what_was_paid_in(mine: SqlLeases, database: Database) -> None:
    """Whatever amount the limit names: the wallet's credits over all machines, less all it was ever charged."""
    limit = budget(0, identity="credits:p", scope=Scope.PROJECT, subject="p")
    assert lend(mine, limit, 1).amount == 0
    with database.write() as connection:
        for node, credit in (("n1", 60), ("n2", 40)):
            connection.execute(balances.insert().values(account="wallet:p", node=node, debits=30, credits=credit))
        connection.execute(balances.insert().values(account="wallet:q", node="n1", debits=0, credits=1000))
    spent(database, limit, NOON - 400 * DAY, 30)
    assert lend(mine, limit, 50).amount == 50
    with database.write() as connection:
        connection.execute(balances.update().where(balances.c.node == "n2").values(credits=45))
    assert lend(mine, limit, 50).amount == 25


def test_what_was_taken_out_of_a_wallet_is_spent_by_nobody(mine: SqlLeases, database: Database) -> None:
    """A correction downwards is lent no more; without it a project would spend what it was never given."""
    limit = budget(0, identity="credits:p", scope=Scope.PROJECT, subject="p")
    taken = {"kind": "adjustment", "debit": "wallet:p", "credit": "adjustment", "actor": "", "note": "", "at": NOON}
    with database.write() as connection:
        connection.execute(balances.insert().values(account="wallet:p", node="n1", debits=60, credits=100))
        connection.execute(transfers.insert().values(id="trf_1", project="p", amount=60, **taken))
        other = taken | {"debit": "wallet:q"}
        connection.execute(transfers.insert().values(id="trf_2", project="q", amount=1000, **other))
    assert lend(mine, limit, 100).amount == 40


def test_a_lost_machine_keeps_its_leases_while_reservations_are_open(mine: SqlLeases, database: Database) -> None:
    """When those have expired, what it held is free; nobody else's is."""
    limit = budget(100)
    theirs = SqlLeases(database, "n2", lambda: NOON)
    lend(theirs, limit, 10, "w8")
    lend(theirs, limit, 20, "w9")
    lend(mine, limit, 30, "w1")
    with database.write() as connection:
        connection.execute(
            reservations.insert().values(id="gen-1", at=NOON, key="k", project="p", amount=5, owner="w9", node="n2")
        )
    assert mine.release_lost(["n2"]) == 1
    assert mine.outstanding("lim_1", 0) == 50
    with database.write() as connection:
        connection.execute(reservations.update().values(expired=NOON))
    assert mine.release_lost(["n2"]) == 1
    assert mine.release_lost([]) == 0
    assert mine.outstanding("lim_1", 0) == 30


def test_the_locks_are_of_no_machine(mine: SqlLeases, database: Database) -> None:
    """So nobody takes them for what a holder has left, and they are worth nothing."""
    lend(mine, budget(100), 10)
    with database.read() as connection:
        locks = connection.execute(sa.select(leases).where(leases.c.holder == "")).all()
    assert [tuple(each) for each in locks] in ([], [("lim_1", 0, "", "-", 0, 0)])
    assert mine.holders() == {"w1"}


def test_only_who_has_a_journal_keeps_his_lease(mine: SqlLeases, database: Database) -> None:
    """On this machine: of the others nobody here knows what they have."""
    limit = budget(100)
    lend(SqlLeases(database, "n2", lambda: NOON), limit, 10, "w9")
    lend(mine, limit, 20, "w1")
    lend(mine, limit, 30, "w2")
    assert mine.release_others(["w2"]) == 1
    assert mine.outstanding("lim_1", 0) == 40
    assert mine.release_others([]) == 1
    assert mine.outstanding("lim_1", 0) == 10


def test_what_is_spent_to_the_end_is_dropped(mine: SqlLeases, database: Database) -> None:
    """With the lock of a limit that nobody holds; what can still be spent stays, and so does the other machine's."""
    limit, other = budget(100), budget(100, identity="lim_2")
    lend(SqlLeases(database, "n2", lambda: NOON), other, 10, "w9")
    lend(mine, limit, 10)
    mine.prune()
    assert rows(database) == [("lim_1", 0, "w1", 10, 0), ("lim_2", 0, "w9", 10, 0)]
    spent(database, limit, NOON, 10, "w1")
    with database.write() as connection:
        settle(connection, other, NOON, 10, holder="w9")
    mine.prune()
    mine.prune()
    assert rows(database) == [("lim_2", 0, "w9", 10, 10)]
    with database.read() as connection:
        assert set(connection.execute(sa.select(leases.c.limit_id)).scalars()) == {"lim_2"}


def test_a_database_that_fails_changes_nothing(mine: SqlLeases, database: Database) -> None:
    """The error is the caller's to see, and everything can be said again."""
    limit = budget(100)
    lend(mine, limit, 10)
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE leases RENAME TO elsewhere")
    with pytest.raises((sa.exc.DBAPIError, StoreError)):
        lend(mine, limit, 10)
    with pytest.raises((sa.exc.DBAPIError, StoreError)):
        mine.take_back([Given("lim_1", 0, "w1", 5)])
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO leases")
    mine.take_back([Given("lim_1", 0, "w1", 5)])
    assert mine.outstanding("lim_1", 0) == 5
