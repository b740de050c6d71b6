"""A month's end and clocks that step, through workers' admission, journals, brokers and the books of two machines.

Nothing between a caller and the ledger is left out but the network: calls are admitted by leases that a broker lends of
a real store, journaled, ingested, and invoiced. Only the clocks on the wall are the test's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.records import line, settled
from tokenway.aio.tasks import Tasks
from tokenway.control.broker import Broker
from tokenway.control.ingest import Ingest
from tokenway.edge import admission as admission_module
from tokenway.edge import stocks as stocks_module
from tokenway.edge import waiting as waiting_module
from tokenway.edge.admission import Admission
from tokenway.edge.claims import Claim
from tokenway.metering.ledger import Line, Reserved, Trace
from tokenway.metering.terms import period_of
from tokenway.model.errors import Problem
from tokenway.model.identity import ids_of_day
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.link import Granted, Recall, Return, Want
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.store.accounts.records import CLI
from tokenway.store.journal import JournalWriter
from tokenway.store.open import Store
from tokenway.store.rates import MemoryRates
from tokenway.store.verify import verify

DAY = 86_400
JANUARY, FEBRUARY, MARCH = 20_454 * DAY, 20_485 * DAY, 20_513 * DAY
"""When the months of 2026 begin."""
MONTH = Limit("lim_month", Scope.KEY, "key_a", Measure.USD, 100, Term.MONTH)
CALLS = Limit("lim_calls", Scope.PROJECT, "lab", Measure.REQUESTS, 1_000, Term.DAY)
ROLLING = Limit("lim_rolling", Scope.KEY, "key_a", Measure.USD, 170, Term.DAY, rolling=True)
GATHER_SECONDS = 0.3
"""How long a call waits for what another machine has: it asks once more, and is refused."""
LIMITS = {limit.id: limit for limit in (MONTH, CALLS, ROLLING)}
PRINCIPAL = Principal("key_a", "a", "lab", limits=tuple(LIMITS))


class Call:
    """One call; `status` is None until it is decided."""

    content = b""
    run = ""
    counted = "mock"
    asked_at = 0.0
    principal = PRINCIPAL
    trace: Trace | None = None

    def __init__(self, machine: Machine, number: int, most: int) -> None:
        self.machine = machine
        self.number = number
        self.most = most
        self.claim: Claim | None = None
        self.status: int | None = None
        self.at = 0.0

    def tokens_most(self) -> tuple[int, int]:
        """No limit asks."""
        raise AssertionError

    def admitted(self, at: float) -> None:
        """As `edge.entry.enter`: it is journaled before anything is sent."""
        self.at, self.status = at, 200
        self.machine.journal.append(Reserved(self.id, at, "key_a", "lab", self.most))

    def refused(self, problem: Problem) -> None:
        """It is over."""
        self.status = problem.status

    def broke(self, error: Exception) -> None:
        """Nothing here may."""
        raise error

    @property
    def id(self) -> str:
        """As the day of its admission has it."""
        return f"{ids_of_day(int(self.at // DAY))}{self.number:026x}"

    def end(self, cost: int) -> None:
        """As `edge.entry.settle`: it is over, and cost so much."""
        lines: tuple[Line, ...] = (line(cost=cost),)
        assert self.claim is not None
        draws = self.machine.admission.close(self.claim, cost, lines, self.counted)
        now = self.machine.now
        self.machine.journal.append(
            settled(0, id=self.id, project="lab", at=now, admitted=self.at, charged=cost, lines=lines, draws=draws)
        )


class Machine:
    """A worker and a control process with a clock of their own, over the database of all."""

    def __init__(self, name: str, open_store: Callable[..., Store], directory: Path, now: float) -> None:
        self.now = now
        self.store = open_store(clock=self.wall, node=f"0000000{name}")
        directory.mkdir()
        self.journal = JournalWriter(directory, "w1")
        self.ingest = Ingest(self.store.ledger, directory)
        self.thread = ThreadPoolExecutor(1)
        self.broker = Broker(self.store.leases, MemoryRates(self.wall, self.wall), self._in_thread)
        self.admission = Admission(self._say, asyncio.get_running_loop().call_soon)
        snapshot = Snapshot(1, {}, {}, {}, {}, limits=LIMITS, workers=2)
        self.broker.use(snapshot)
        self.broker.joined(self.journal.owner, self._hear)
        self.admission.adopt(snapshot)

    def wall(self) -> float:
        """What its clock shows."""
        return self.now

    def _say(self, message: Want | Return) -> None:
        self.broker.take(self.journal.owner, message)

    def _hear(self, message: Granted | Recall) -> None:
        if isinstance(message, Granted):
            self.admission.granted(message)
        else:
            self.admission.recall(message.limits)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.thread, work, *arguments)


class World:
    """Two machines; `looks` says whose clock the modules of admission look at."""

    def __init__(self, one: Machine, two: Machine) -> None:
        self.machines = one, two
        self.looks = one
        self.calls = 0
        self.spent: dict[tuple[str, int], int] = {}

    async def call(self, machine: Machine, most: int) -> Call:
        """Somebody calls one of the machines, and waits until it is decided."""
        self.calls += 1
        self.looks = machine
        made = Call(machine, self.calls, most)
        machine.admission.reserve(made, most)
        async with asyncio.timeout(10):
            while made.status is None:
                await asyncio.sleep(0.005)
                machine.admission.sweep(asyncio.get_running_loop().time())
        return made

    def end(self, call: Call, cost: int) -> None:
        """A call is over."""
        self.looks = call.machine
        call.end(cost)
        for limit in (MONTH, CALLS):
            place = limit.id, period_of(limit, call.at).number
            self.spent[place] = self.spent.get(place, 0) + (cost if limit is MONTH else 1)

    async def ingest(self) -> None:
        """All that was journaled is in the books."""
        for machine in self.machines:
            await machine._in_thread(machine.ingest.run_once)

    async def settle_down(self) -> None:
        """What workers hold and do not use goes back, and the books have all."""
        await self.ingest()
        for machine in self.machines:
            self.looks = machine
            machine.admission.stop()
        await asyncio.sleep(0.05)

    def invoiced(self, begins: int, ends: int) -> int:
        """What the project is billed for these days."""
        store = self.machines[0].store
        return store.invoices.create("lab", begins, ends, by=CLI).total


@pytest.fixture
async def world(
    open_store: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """Ten seconds before February, on both machines."""
    one, two = (Machine(name, open_store, tmp_path / name, FEBRUARY - 10.0) for name in "ab")
    one.store.accounts.projects.create("Lab", by=CLI)
    made = World(one, two)
    for module in (admission_module, stocks_module, waiting_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: made.looks.now))
    # Calls come one after the other: nothing is given back while one waits.
    monkeypatch.setattr(waiting_module, "GATHER_SECONDS", GATHER_SECONDS)
    failures: list[BaseException] = []
    tasks = Tasks(lambda _name, error: failures.append(error))
    for machine in made.machines:
        tasks.spawn("books", machine.broker.run_books())
        tasks.spawn("rates", machine.broker.run_rates())
    yield made
    await tasks.close()
    for machine in made.machines:
        machine.journal.close()
        machine.ingest.close()
        machine.thread.shutdown()
    assert failures == []


async def test_a_months_end(world: World) -> None:
    """A call belongs to the month in which it was let in, whatever the clock shows when it ends; so does its bill."""
    one, _ = world.machines
    first, second = await world.call(one, 40), await world.call(one, 30)
    assert (await world.call(one, 31)).status == 402
    one.now = FEBRUARY + 5.0
    world.end(first, 40)
    await world.ingest()
    # The new month has all of its budget, while a call of the old one goes on. The rolling day counts both.
    third = await world.call(one, 100)
    assert (first.status, second.status, third.status) == (200, 200, 200)
    assert (await world.call(one, 1)).status == 402

    one.now = FEBRUARY - 2.0  # the clock is set right: it was January yet
    assert (await world.call(one, 31)).status == 402
    world.end(second, 10)
    await world.ingest()
    assert (await world.call(one, 51)).status == 402
    fourth = await world.call(one, 20)
    world.end(fourth, 20)

    one.now = FEBRUARY + 60.0
    world.end(third, 90)
    await world.settle_down()
    assert (await world.call(one, 11)).status == 402
    fifth = await world.call(one, 10)
    world.end(fifth, 10)
    await world.settle_down()
    assert world.spent["lim_month", JANUARY // DAY] == 70
    assert world.spent["lim_month", FEBRUARY // DAY] == 100

    one.now = MARCH + 0.0
    assert (world.invoiced(JANUARY, FEBRUARY), world.invoiced(FEBRUARY, MARCH)) == (70, 100)
    assert verify(one.store.database, one.now).faults == []


async def test_machines_that_do_not_agree_on_the_month(world: World) -> None:
    """Each call counts for the month that its own machine has; no month is overspent, nothing is counted twice."""
    one, two = world.machines
    one.now, two.now = FEBRUARY + 30.0, FEBRUARY - 1_800.0
    for machine in (one, two):
        call = await world.call(machine, 80)
        assert call.status == 200
        world.end(call, 80)
    await world.ingest()
    two.now = FEBRUARY + 31.0  # it follows
    await world.settle_down()
    assert (await world.call(two, 21)).status == 402
    one.now = FEBRUARY - 31.0  # and the first goes back
    assert (await world.call(one, 21)).status == 402
    await world.settle_down()
    one.now = two.now = MARCH + 0.0
    assert (world.invoiced(JANUARY, FEBRUARY), world.invoiced(FEBRUARY, MARCH)) == (80, 80)
    assert verify(one.store.database, one.now).faults == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_no_month_is_overspent_whatever_clocks_do(world: World, seed: int) -> None:
    """Calls, ends, readings of journals and steps of either clock in any order."""
    chance = random.Random(seed)
    running: list[Call] = []
    for _ in range(100):
        machine = chance.choice(world.machines)
        what = chance.random()
        if what < 0.5:
            call = await world.call(machine, chance.randint(1, 30))
            assert call.status in {200, 402}
            running += [call] if call.status == 200 else []
        elif what < 0.75 and running:
            call = running.pop(chance.randrange(len(running)))
            world.end(call, chance.randint(0, call.most))
        elif what < 0.85:
            await world.ingest()
        else:
            machine.now = FEBRUARY + chance.choice([-DAY, -3_600, -20, -1, 0, 1, 20, 3_600, DAY])
    for call in running:
        world.end(call, call.most)
    await world.settle_down()
    assert max(amount for (limit, _), amount in world.spent.items() if limit == MONTH.id) <= MONTH.amount
    store = world.machines[0].store
    for limit in LIMITS.values():
        for period in {0, JANUARY // DAY, FEBRUARY // DAY}:
            assert store.leases.outstanding(limit.id, period) == 0
    for machine in world.machines:
        machine.now = MARCH + 0.0
    months = [world.spent.get(("lim_month", begins // DAY), 0) for begins in (JANUARY, FEBRUARY)]
    assert [world.invoiced(JANUARY, FEBRUARY), world.invoiced(FEBRUARY, MARCH)] == months
    assert verify(store.database, MARCH).faults == []
