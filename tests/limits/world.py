"""Machines in simulated time: workers' own admission, the control processes' desks, and a real database.

A seed draws everything: when calls come and what they cost, how late messages are, when workers and control processes
die, how wall clocks step. Nothing waits and nothing is random beside, so a seed that fails fails again.

    Caller ──▶ Worker (edge.admission) ──Want, Return──▶ Control (control.desk) ──▶ SqlLeases, SharedRates
                 └─ journal ──▶ Control's ingest ──▶ what is spent, what is consumed, released leases

A worker that dies keeps its journal; a control process that dies loses all that it had not written, and what was on its
links. What the world knows to be true it counts by itself, from the journals.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from tests.limits.actors import Caller, Clock, Control, Entry, Far, Worker, now_or_never
from tests.limits.books import settle
from tokenway.metering.terms import period_of
from tokenway.model.errors import Problem
from tokenway.model.limits import Limit, Measure
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.store.database import Database
from tokenway.store.nodes import BEAT_SECONDS

SWEEP: Final = 0.05
"""How often workers look at who waits."""
PAYMENT_REQUIRED: Final = 402
INGEST: Final = 0.2
"""How often journals are read."""
WAYS_TO_BE_LOST: Final = ("dead", "without control", "cut off")
"""All of it has ended; its workers serve on without a control process; it does not reach the database."""


_HELD: Final = sa.text(
    "SELECT limit_id, period, SUM(CASE WHEN granted > consumed THEN granted - consumed ELSE 0 END) FROM leases "
    "GROUP BY limit_id, period"
)
"""What all holders together may still spend, by limit and period."""


@dataclass(frozen=True)
class Plan:
    """What a world is like. `most` is what a call can cost at most, `actual` the least share of it that it does cost.

    Rates are per second: how many calls come, and how often something dies or a clock steps. A message is `late` by so
    many seconds on the average, now and then up to `latest`, which workers take for an outage when it is beyond two.
    A machine that is lost is `away` for a time between these.
    """

    limits: tuple[Limit, ...]
    machines: int = 2
    workers: int = 4
    seconds: float = 60.0
    calls: float = 100.0
    most: int = 1_000
    actual: float = 0.0
    tokens: int = 1
    duration: float = 1.0
    late: float = 0.003
    latest: float = 1.0
    crashes: float = 0.0
    outages: float = 0.0
    losses: float = 0.0
    away: tuple[float, float] = (0.0, 0.0)
    steps: float = 0.0
    queue: float = 0.0


class World:
    """All of it. `run` it; then ask what came of it."""

    def __init__(self, plan: Plan, database: Database, seed: int) -> None:
        self.plan = plan
        self.database = database
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.limits = {limit.id: limit for limit in plan.limits}
        self.snapshot = Snapshot(
            1, {}, {}, {}, {}, limits=self.limits, workers=plan.machines * plan.workers, queue=plan.queue
        )
        self.principal = Principal("key_1", "k", "p", limits=tuple(self.limits))
        self.admitted: list[tuple[float, int]] = []
        """When calls were admitted, by the clock that is right, and their tokens."""
        self.refused: dict[int, int] = defaultdict(int)
        """How many calls were refused, by status."""
        self.idle_when_dry: dict[str, int] | None = None
        """What workers held and did not use when money was refused first, by limit."""
        self.most_at_once = 0
        self.is_database_away = False
        self.losses: dict[str, int] = defaultdict(int)
        """How often a machine was lost, by the way."""
        self.far = Far(self)
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()
        self._lives = itertools.count(1)
        self._booked: dict[tuple[str, int], int] = defaultdict(int)
        """What the ledger has, by limit and period."""
        self.controls = [Control(self, f"n{number}") for number in range(plan.machines)]
        with self.clock.instead_of_the_systems():
            self.workers = [self._worker(control) for control in self.controls for _ in range(plan.workers)]
        self._shares = [self.chance.random() ** 3 + 0.02 for _ in self.workers]
        """How unevenly the calls come."""

    # -- time --------------------------------------------------------------------------------------------

    def at(self, moment: float, work: Callable[..., None], *arguments: Any) -> None:
        """Does something at a monotonic moment."""
        heapq.heappush(self._events, (max(moment, self.clock.mono), next(self._numbers), work, arguments))

    def later(self, seconds: float, work: Callable[..., None], *arguments: Any) -> None:
        """Does something after a while."""
        self.at(self.clock.mono + seconds, work, *arguments)

    def lateness(self) -> float:
        """How long a message is on its way: now and then very long."""
        is_very = self.chance.random() < 0.001
        return self.chance.uniform(0, self.plan.latest) if is_very else self.chance.expovariate(1 / self.plan.late)

    def run(self) -> None:
        """Lets everything happen, and then all calls and journals end."""
        plan, ends = self.plan, self.clock.mono + self.plan.seconds
        self._again(SWEEP, ends, self._sweep)
        self._again(1.0, ends, self._tick)
        for control in self.controls:
            self._again(INGEST, ends, control.ingest)
            self._again(BEAT_SECONDS, ends, control.look_after)
        self._by_chance(plan.calls, ends, self._call)
        self._by_chance(plan.crashes, ends, self._crash_worker)
        self._by_chance(plan.crashes / 3, ends, self._crash_control)
        self._by_chance(plan.outages, ends, self._outage)
        self._by_chance(plan.losses, ends, self._lose)
        self._by_chance(plan.steps, ends, self._step)
        with self.clock.instead_of_the_systems():
            self._play(ends)
            self._play(ends + plan.duration + 10)
        for control in self.controls:
            control.is_cut_off = False
            if not control.is_alive:
                control.start()
            for _ in range(10_000):
                if all(journal.read == len(journal.entries) for journal in control.journals):
                    break
                control.ingest()
            control.ingest()

    def _play(self, ends: float) -> None:
        while self._events and self._events[0][0] <= ends:
            moment, _, work, arguments = heapq.heappop(self._events)
            self.clock.mono = moment
            work(*arguments)

    def _again(self, seconds: float, ends: float, work: Callable[[], object]) -> None:
        def step() -> None:
            work()
            if self.clock.mono < ends + 10:
                self.later(seconds, step)

        self.later(self.chance.uniform(0, seconds), step)

    def _by_chance(self, rate: float, ends: float, work: Callable[[], object]) -> None:
        def step() -> None:
            if self.clock.mono < ends:
                work()
                self.later(self.chance.expovariate(rate), step)

        if rate:
            self.later(self.chance.expovariate(rate), step)

    def _sweep(self) -> None:
        for worker in self.workers:
            worker.sweep()

    def _tick(self) -> None:
        for worker in self.workers:
            worker.tick()

    # -- what happens ------------------------------------------------------------------------------------

    def _worker(self, control: Control) -> Worker:
        worker = Worker(self, control, f"{control.node}-{next(self._lives)}")
        if control.is_alive:
            control.join(worker)
        else:
            worker.admission.cut()
        return worker

    def _call(self) -> None:
        worker = self.chance.choices(self.workers, self._shares)[0]
        if worker.is_alive:
            most = self.chance.randint(1, self.plan.most)
            cost = self.chance.randint(int(most * self.plan.actual), most)
            worker.call(Caller(worker, self.principal, most, cost, self.chance.randint(1, self.plan.tokens)))

    def _crash_worker(self) -> None:
        place = self.chance.randrange(len(self.workers))
        if self.workers[place].is_alive:
            self._kill(place)
            self.later(self.chance.uniform(0.1, 2), self._replace, place)

    def _kill(self, place: int) -> None:
        worker = self.workers[place]
        worker.is_alive = False
        worker.running.clear()
        worker.journal.is_final = True
        worker.control.leave(worker)

    def _lose(self) -> None:
        """A machine is lost, in one way or another, and comes back; never all of them at once."""
        control = self.chance.choice(self.controls)
        others = [other for other in self.controls if other is not control]
        if control.is_away or all(other.is_away for other in others):
            return
        control.is_away = True
        way = self.chance.choice(WAYS_TO_BE_LOST)
        self.losses[way] += 1
        places = [place for place, worker in enumerate(self.workers) if worker.control is control]
        if way == "cut off":
            control.is_cut_off = True
        else:
            if way == "dead":
                for place in places:
                    self._kill(place)
            if control.is_alive:
                control.die()
        self.later(self.chance.uniform(*self.plan.away), self._find, control, places)

    def _find(self, control: Control, places: list[int]) -> None:
        """It is back, with the journals that it had."""
        control.is_away = control.is_cut_off = False
        if not control.is_alive:
            self._restart(control)
        for place in places:
            if not self.workers[place].is_alive:
                self._replace(place)

    def _replace(self, place: int) -> None:
        self.workers[place] = self._worker(self.workers[place].control)

    def _crash_control(self) -> None:
        control = self.chance.choice(self.controls)
        if control.is_alive:
            control.die()
            self.later(self.chance.uniform(0.1, 5), self._restart, control)

    def _restart(self, control: Control) -> None:
        control.start()
        for worker in self.workers:
            if worker.control is control and worker.is_alive:
                control.join(worker)

    def _outage(self) -> None:
        if self.chance.random() < 0.5:
            self.is_database_away = not self.is_database_away
        else:
            self.far.is_there = not self.far.is_there
        if not self.far.is_there or self.is_database_away:
            self.later(self.chance.uniform(0, 4), self._end_outage)

    def _end_outage(self) -> None:
        self.is_database_away, self.far.is_there = False, True
        for control in self.controls:
            if control.is_alive:
                now_or_never(control.rates.beat())

    def _step(self) -> None:
        # Over a day's end and back, as in a month's last night; or by some seconds.
        self.clock.step += self.chance.choice([-50_000.0, 50_000.0, -90.0, 90.0, -1.0, 1.0])

    def was_refused(self, problem: Problem) -> None:
        """A call was refused."""
        self.refused[problem.status] += 1
        if problem.status == PAYMENT_REQUIRED and self.idle_when_dry is None:
            self.idle_when_dry = defaultdict(int)
            for worker in self.workers:
                for limit, left in worker.admission.remaining.items():
                    self.idle_when_dry[limit] += left

    # -- what is true ------------------------------------------------------------------------------------

    def amount_of(self, limit: Limit, entry: Entry) -> int:
        """What a call counts for a limit."""
        return {Measure.USD: entry.charged, Measure.REQUESTS: 1}.get(limit.measure, entry.tokens)

    def book(self, connection: Any, entry: Entry, holder: str, node: str) -> None:
        """Takes an entry into the ledger."""
        drawn = {draw.limit: draw for draw in entry.draws}
        hard = [limit for limit in self.limits.values() if not limit.is_fleeting]
        for place, limit in enumerate(hard):
            amount = self.amount_of(limit, entry)
            draw = drawn[limit.id]
            assert draw.amount == amount
            assert draw.period == period_of(limit, entry.admitted).number
            self._booked[limit.id, draw.period] += amount
            settle(
                connection,
                limit,
                entry.admitted,
                entry.charged,
                holder=holder,
                period=draw.period,
                node=node,
                sums=place == 0,
                consumed=amount,
            )

    def check(self) -> None:
        """In every period of every limit: what is spent, and what may still be spent by somebody, is within it.

        In one statement for all of them: this is asked after each change of the books.
        """
        with self.database.read() as connection:
            held = {(row[0], row[1]): int(row[2]) for row in connection.execute(_HELD)}
        for limit, period in {*held, *self._booked}:
            taken = self._booked.get((limit, period), 0) + held.get((limit, period), 0)
            assert taken <= self.limits[limit].amount, (limit, period)

    def spent(self, limit: Limit) -> dict[int, int]:
        """What was spent of a limit in the end, by period."""
        return {period: amount for (name, period), amount in self._booked.items() if name == limit.id}
