"""The broker over real stores: what workers want is lent, in whichever store it is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.limits.books import budget, settle, sqlite_database
from tokenway.aio.tasks import Tasks
from tokenway.control.broker import Broker
from tokenway.control.desk import RECALL_SECONDS
from tokenway.metering.terms import run_limit
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.link import Granted, Recall, Return, Want
from tokenway.model.snapshot import Snapshot
from tokenway.store.database import Database
from tokenway.store.leases import SqlLeases
from tokenway.store.rates import MemoryRates

RPM = Limit("lim_rpm", Scope.KEY, "key_1", Measure.REQUESTS, 10, Term.MINUTE)
SLOTS = Limit("lim_slots", Scope.KEY, "key_1", Measure.CONCURRENCY, 2)
LOOPS = Limit("lim_loops", Scope.KEY, "key_1", Measure.LOOPS, 2, per_run=True)
DEPTH = Limit("lim_depth", Scope.KEY, "key_1", Measure.DEPTH, 2)
PER_RUN = budget(10, identity="lim_run", per_run=True)
MONEY = budget(100)


class Worker:
    """One that says what it wants and hears the answers; recalled, it gives back all that it has."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker = broker
        self.name = name
        self.has: dict[str, int] = {}
        self.recalls = 0
        self.keeps = False
        self._answers: dict[int, asyncio.Future[Granted]] = {}
        self._wants = 0
        broker.joined(name, self.hear)

    def hear(self, message: Granted | Recall) -> None:
        """Hears an answer, or that something is recalled."""
        if isinstance(message, Recall):
            self.recalls += 1
            for limit in message.limits:
                if not self.keeps:
                    self.give(limit, self.has.pop(limit, 0))
            return
        self.has[message.limit] = self.has.get(message.limit, 0) + message.amount
        self._answers.pop(message.number).set_result(message)

    def give(self, limit: str, amount: int, period: int = 0) -> None:
        """Gives something back."""
        self.broker.take(self.name, Return(limit, period, amount))

    async def want(self, limit: str, least: int = 1, key: str = "", run: str = "", *detail: str) -> Granted:
        """Wants something, and waits for the answer."""
        self._wants += 1
        answer = self._answers[self._wants] = asyncio.get_running_loop().create_future()
        self.broker.take(self.name, Want(self._wants, limit, least, key, run, detail))
        async with asyncio.timeout(5):
            granted: Granted = await answer
        return granted


class Machine:
    """A broker at work, over a database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.leases = SqlLeases(database, "n1", time.time)
        self.rates = MemoryRates(time.time, time.time)
        self.thread = ThreadPoolExecutor(1)
        self.calls = 0
        self.is_slow = False
        self.is_down = False
        self.broker = Broker(self.leases, self.rates, self._in_thread)
        self.use(MONEY, RPM, SLOTS, LOOPS, DEPTH, PER_RUN)

    def use(self, *limits: Limit) -> None:
        """Another snapshot."""
        self.broker.use(Snapshot(1, {}, {}, {}, {}, limits={limit.id: limit for limit in limits}))

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        self.calls += 1
        if self.is_down:
            raise ConnectionError("the database is away")
        if self.is_slow:
            await asyncio.sleep(0.1)
        return await asyncio.get_running_loop().run_in_executor(self.thread, work, *arguments)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    """One with nothing lent."""
    machine = Machine(sqlite_database(tmp_path / "t.db"))
    failures: list[BaseException] = []
    tasks = Tasks(lambda _name, error: failures.append(error))
    tasks.spawn("books", machine.broker.run_books())
    tasks.spawn("rates", machine.broker.run_rates())
    yield machine
    await tasks.close()
    machine.thread.shutdown()
    machine.database.close()
    assert failures == []


async def test_money_is_lent_from_the_database(machine: Machine) -> None:
    """And what comes back is there again."""
    one, two = Worker(machine.broker, "w1"), Worker(machine.broker, "w2")
    assert await one.want("lim_1", 60) == Granted(1, "lim_1", 0, 60, 40)
    one.give("lim_1", 30)
    assert (await two.want("lim_1", 70)).amount == 70
    assert machine.leases.outstanding("lim_1", 0) == 100


async def test_rates_are_lent_beside_it(machine: Machine) -> None:
    """Though the database hangs."""
    machine.is_slow = True
    one = Worker(machine.broker, "w1")
    slow = asyncio.gather(one.want("lim_1", 1))
    granted = await one.want("lim_rpm", 4)
    assert not slow.done()
    assert (granted.amount, granted.remains, granted.ends - granted.begins) == (4, 6, 60)
    assert granted.period == int(granted.begins // 60)
    one.give("lim_rpm", 2, granted.period)
    assert (await one.want("lim_rpm", 8)).amount == 8
    await slow


async def test_what_queues_up_is_one_transaction(machine: Machine) -> None:
    """However many want something while the store is busy, each is answered, and all together get what there is."""
    workers = [Worker(machine.broker, f"w{number}") for number in range(20)]
    for worker in workers:
        worker.keeps = True
    granted = await asyncio.gather(*(worker.want("lim_1", 4) for worker in workers for _ in range(3)))
    assert sum(each.amount for each in granted) == 100
    assert machine.calls < 12


async def test_others_give_back_what_they_do_not_use(machine: Machine) -> None:
    """Before somebody is told that there is not enough."""
    one, two = Worker(machine.broker, "w1"), Worker(machine.broker, "w2")
    await one.want("lim_1", 90)
    began = time.monotonic()
    assert (await two.want("lim_1", 50)).amount == 50
    assert time.monotonic() - began < RECALL_SECONDS
    assert (one.recalls, two.recalls) == (1, 0)
    one.keeps = two.keeps = True
    await one.want("lim_1", 50)
    began = time.monotonic()
    refused = await two.want("lim_1", 1)
    assert refused.amount == 0
    assert refused.wait
    assert time.monotonic() - began < 0.5


async def test_a_worker_that_is_gone_is_lent_nothing(machine: Machine) -> None:
    """Its slots are free, and what was on its way to it comes back; what it has of the books is its journal's."""
    one, two = Worker(machine.broker, "w1"), Worker(machine.broker, "w2")
    one.keeps = True
    assert (await one.want("lim_slots", 2)).amount == 2
    await one.want("lim_1", 10)
    assert (await two.want("lim_slots", 1)).amount == 0
    machine.is_slow = True
    asyncio.get_running_loop().call_later(0.03, machine.broker.gone, "w1", one.hear)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await one.want("lim_1", 50)
    assert (await two.want("lim_slots", 2)).amount == 2
    assert machine.leases.outstanding("lim_1", 0) == 10
    machine.broker.take("w1", Want(9, "lim_1", 1))
    machine.broker.gone("w2", one.hear)
    assert (await two.want("lim_1", 90)).amount == 90


async def test_a_limit_that_is_not_known_is_refused(machine: Machine) -> None:
    """For the moment: the next snapshot may have it. So is a run's whose key or run is not told, or another's."""
    one = Worker(machine.broker, "w1")
    right = run_limit("lim_run", "key_1", "r")
    for limit, key, run in (
        ("lim_9", "", ""),
        (right, "key_1", "s"),
        (right, "key_2", "r"),
        (right, "", ""),
        ("lim_run", "key_1", "r"),
        ("lim_run", "", ""),
        (run_limit("lim_1", "key_1", "r"), "key_1", "r"),
        (run_limit("lim_run", "key_1", ""), "key_1", ""),
    ):
        granted = await one.want(limit, 1, key, run)
        assert (granted.amount, granted.ok, granted.wait > 0) == (0, True, True), (limit, key, run)
    assert (await one.want(right, 7, "key_1", "r")).amount == 7
    assert (await one.want(right, 7, "key_1", "r")).amount == 3
    machine.use()
    one.give("lim_1", 5)
    one.give("lim_rpm", 5, 7)
    assert (await one.want("lim_1")).amount == 0


async def test_another_amount_holds_with_its_snapshot(machine: Machine) -> None:
    """More at once, and below what is spent nothing."""
    one = Worker(machine.broker, "w1")
    with machine.database.write() as connection:
        settle(connection, MONEY, time.time(), 95)
    assert (await one.want("lim_1", 50)).amount == 5
    machine.use(budget(150))
    assert (await one.want("lim_1", 50)).amount == 50
    machine.use(budget(90))
    assert await one.want("lim_1", 1) == Granted(3, "lim_1", 0, 0)


async def test_depth_and_loops_are_looked_at_call_by_call(machine: Machine) -> None:
    """By run; without one there is nothing that they could hold for."""
    one = Worker(machine.broker, "w1")
    loops, depth = run_limit("lim_loops", "key_1", "r"), run_limit("lim_depth", "key_1", "r")
    assert [(await one.want(loops, 1, "key_1", "r", "x")).amount for _ in range(3)] == [1, 1, 0]
    assert (await one.want(loops, 1, "key_1", "r", "y")).amount == 1
    assert (await one.want(depth, 1, "key_1", "r", "a", "main")).amount == 1
    assert (await one.want(depth, 1, "key_1", "r", "b", "a")).amount == 0
    assert (await one.want("lim_depth", 1)).amount == 1


async def test_while_the_database_is_away_nobody_knows(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once; what comes back meanwhile is given back when it is there again, without being asked for."""
    one = Worker(machine.broker, "w1")
    await one.want("lim_1", 60)
    machine.is_down = True
    assert not (await one.want("lim_1", 1)).ok
    one.give("lim_1", 20)
    assert not (await one.want("lim_1", 1)).ok
    assert (await one.want("lim_rpm", 1)).ok
    machine.is_down = False
    for _ in range(60):
        await asyncio.sleep(0.05)
        if machine.leases.outstanding("lim_1", 0) == 40:
            break
    assert (await one.want("lim_1", 60)).amount == 60
    said = [record.message for record in caplog.records]
    assert said == ["nothing can be lent of budgets: the database is away", "budgets can be lent of again"]


async def test_leases_are_small_where_many_share_a_limit(machine: Machine) -> None:
    """However many of those workers are on this machine."""
    machine.use(budget(40_000))
    one = Worker(machine.broker, "w1")
    assert (await one.want("lim_1", 1)).amount == 1000
    machine.broker.shared_by(10)
    assert (await one.want("lim_1", 1)).amount == 100
