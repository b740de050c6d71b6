"""Who acts in simulated time: callers, workers with their own admission, links, control processes with their desks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tokenway.control.desk import Batch, Desk, Send, Wanted
from tokenway.edge.admission import Admission
from tokenway.edge.claims import Claim
from tokenway.metering.ledger import Draw, Line, Settlement, Trace
from tokenway.model.errors import Problem
from tokenway.model.link import Granted, Recall, Return, Want
from tokenway.model.snapshot import Principal
from tokenway.model.usage import Usage
from tokenway.store.granting import Ask, Given, Lent, Unavailable
from tokenway.store.leases import SqlLeases
from tokenway.store.nodes import SqlNodes
from tokenway.store.rates import MemoryRates, SharedRates

if TYPE_CHECKING:
    from tests.limits.world import World

START: Final = 1_772_366_400.0
"""Sunday, the 1st of March 2026, 12:00 UTC."""
Result = TypeVar("Result")


def now_or_never(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of what never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    raise AssertionError("it waits")


class Clock:
    """Time that passes when it is told to; the wall's clock can be wrong by `step`."""

    def __init__(self) -> None:
        self.mono = 1000.0
        self.step = 0.0

    def steady(self) -> float:
        """The time that is right."""
        return START + self.mono - 1000.0

    def wall(self) -> float:
        """What the wall's clock shows."""
        return self.steady() + self.step

    @contextmanager
    def instead_of_the_systems(self) -> Iterator[None]:
        """The worker's modules look at this clock."""
        shim = SimpleNamespace(time=self.wall, monotonic=lambda: self.mono)
        changed: list[tuple[Any, str, Any]] = []
        for name in ("admission", "claims", "stocks", "refusals"):
            module = sys.modules.get(f"tokenway.edge.{name}")
            for attribute, real, ours in (("monotonic", time.monotonic, shim.monotonic), ("time", time, shim)):
                if getattr(module, attribute, None) is real:
                    changed.append((module, attribute, real))
                    setattr(module, attribute, ours)
        try:
            yield
        finally:
            for module, attribute, real in changed:
                setattr(module, attribute, real)


@dataclass(frozen=True)
class Entry:
    """What a journal says of a call that is over."""

    admitted: float
    charged: int
    tokens: int
    draws: tuple[Draw, ...]


@dataclass
class Journal:
    """What a worker has written, and how far it was read."""

    holder: str
    entries: list[Entry] = field(default_factory=list)
    read: int = 0
    is_final: bool = False


class Caller:
    """One call, as admission sees it."""

    def __init__(self, worker: Worker, principal: Principal, most: int, cost: int, tokens: int) -> None:
        self.worker = worker
        self.principal = principal
        self.counted = "m"
        self.run = ""
        self.trace: Trace | None = None
        self.content = b""
        self.asked_at = worker.world.clock.mono
        self.claim: Claim | None = None
        self.most = most
        self.cost = cost
        self.tokens = tokens
        self.at = 0.0

    def tokens_most(self) -> tuple[int, int]:
        """What goes in at most; nothing comes out."""
        return self.tokens, 0

    def admitted(self, at: float) -> None:
        """It goes on, and is over after a while."""
        world = self.worker.world
        self.at = at
        world.admitted.append((world.clock.steady(), self.tokens))
        self.worker.running.add(self)
        world.most_at_once = max(world.most_at_once, sum(len(each.running) for each in world.workers))
        world.later(world.chance.uniform(0, world.plan.duration), self.worker.end, self)

    def refused(self, problem: Problem) -> None:
        """It does not."""
        self.worker.world.was_refused(problem)

    def broke(self, error: Exception) -> None:
        """Nothing here may."""
        raise error


class Worker:
    """One life of a worker."""

    def __init__(self, world: World, control: Control, holder: str) -> None:
        self.world = world
        self.control = control
        self.journal = Journal(holder)
        self.running: set[Caller] = set()
        self.is_alive = True
        self.link: Link | None = None
        self.admission = Admission(self._say, lambda work: world.later(0.0, self._turn, work))
        self.admission.adopt(world.snapshot)
        control.journals.append(self.journal)

    def call(self, caller: Caller) -> None:
        """Somebody calls."""
        self.admission.reserve(caller, caller.most)

    def end(self, caller: Caller) -> None:
        """A call is over, and is journaled with all that it came to."""
        if not self.is_alive:
            return
        self.running.remove(caller)
        draws: tuple[Draw, ...] = ()
        if caller.claim is not None:
            line = Line(1, "e", Settlement.DELIVERED, Usage(caller.tokens), caller.cost)
            draws = self.admission.close(caller.claim, caller.cost, [line], caller.counted)
        self.journal.entries.append(Entry(caller.at, caller.cost, caller.tokens, draws))

    def hear(self, link: Link, message: Granted | Recall) -> None:
        """A message of the control process has come."""
        if self.is_alive and link is self.link:
            if isinstance(message, Granted):
                self.admission.granted(message)
            else:
                self.admission.recall(message.limits)

    def sweep(self) -> None:
        """What a worker does now and then."""
        if self.is_alive:
            self.admission.sweep(self.world.clock.mono)

    def tick(self) -> None:
        """What a worker does each second."""
        if self.is_alive:
            self.admission.tick(self.world.clock.mono)

    def _turn(self, work: Callable[[], None]) -> None:
        if self.is_alive:
            work()

    def _say(self, message: Want | Return) -> None:
        if self.link is not None:
            self.link.up(message)


class Link:
    """What a worker and a control process say to each other: in order, late, and nothing once it is broken."""

    def __init__(self, world: World, worker: Worker) -> None:
        self.world = world
        self.worker = worker
        self.is_whole = True
        self.send: Send = self._down
        self._arrives = [0.0, 0.0]

    def up(self, message: Want | Return) -> None:
        """To the control process."""
        self._carry(0, lambda: self.worker.control.hear(self, message))

    def _down(self, message: Granted | Recall) -> None:
        self._carry(1, lambda: self.worker.hear(self, message))

    def _carry(self, way: int, arrive: Callable[[], None]) -> None:
        if self.is_whole:
            at = self.world.clock.mono + self.world.lateness()
            at = self._arrives[way] = max(at, self._arrives[way])
            self.world.at(at, lambda: arrive() if self.is_whole else None)


class Control:
    """The control process of one machine, through all its lives."""

    def __init__(self, world: World, node: str) -> None:
        self.world = world
        self.node = node
        self.life = 0
        self.is_alive = False
        self.journals: list[Journal] = []
        self.links: dict[str, Link] = {}
        self.leases = SqlLeases(world.database, node, world.clock.wall)
        self.nodes = SqlNodes(world.database, world.clock.wall, node)
        self.is_cut_off = False
        """Whether this machine, and no other, does not reach the database."""
        self.is_away = False
        """Whether it is lost, in whatever way, and not found yet."""
        self.start()

    def start(self) -> None:
        """A life begins: with nothing in memory."""
        self.life += 1
        self.is_alive = True
        self.links.clear()
        self.books = Desk(self._is_here, self._recall)
        self.minutes = Desk(self._is_here, self._recall)
        near = MemoryRates(self.world.clock.steady, self.world.clock.wall)
        self.rates = SharedRates(self.world.far, near, lambda: self.world.plan.machines)
        self._busy: set[int] = set()

    def die(self) -> None:
        """It ends, and its links with it; what it had done in the database is done."""
        self.is_alive = False
        for link in self.links.values():
            link.is_whole = False
            link.worker.link = None
            if link.worker.is_alive:
                link.worker.admission.cut()
        self.links.clear()

    def join(self, worker: Worker) -> None:
        """A worker says hello."""
        worker.link = self.links[worker.journal.holder] = Link(self.world, worker)
        worker.admission.mended()

    def leave(self, worker: Worker) -> None:
        """A worker's link has ended."""
        link = self.links.pop(worker.journal.holder, None)
        if link is not None:
            link.is_whole = False
            now_or_never(self.rates.drop(worker.journal.holder))

    def hear(self, link: Link, message: Want | Return) -> None:
        """A worker has said something: what `Broker.take` does with it."""
        if not self.is_alive or self.links.get(link.worker.journal.holder) is not link:
            return
        limit = self.world.limits[message.limit]
        desk = self.minutes if limit.is_fleeting else self.books
        holder = link.worker.journal.holder
        if isinstance(message, Return):
            desk.give(Given(message.limit, message.period, holder, message.amount))
        else:
            ask = Ask(message.limit, limit, holder, message.least, self.world.plan.machines * self.world.plan.workers)
            desk.want(Wanted(message, ask, link.send))
        self.work()

    def work(self) -> None:
        """Lets both desks go on, where they are not at it."""
        if self.is_alive:
            self._turn(self.books)
            self._turn(self.minutes)

    def ingest(self) -> None:
        """Reads the journals: what is spent, consumed, and free because its holder is gone."""
        if not self.reaches_books:
            return
        has_changed = False
        for journal in list(self.journals):
            if journal.read == len(journal.entries) and not journal.is_final:
                continue
            has_changed = True
            some = journal.entries[journal.read : journal.read + self.world.chance.randint(1, 50)]
            with self.world.database.add() as connection:
                for entry in some:
                    self.world.book(connection, entry, journal.holder, self.node)
            journal.read += len(some)
            if journal.is_final and journal.read == len(journal.entries):
                self.leases.release(journal.holder)
                self.journals.remove(journal)
        if has_changed:
            self.world.check()

    def look_after(self) -> None:
        """What `Upkeep` does for leases: says that this machine lives, and frees what those have that do not."""
        if self.reaches_books:
            self.nodes.beat(name=self.node, started=0.0, workers=self.world.plan.workers, release="1")
            self.nodes.lost()
            self.leases.release_lost(self.nodes.given_up())
            self.world.check()

    @property
    def reaches_books(self) -> bool:
        """Whether there is a control process that reaches the database."""
        return self.is_alive and not self.is_cut_off and not self.world.is_database_away

    def _turn(self, desk: Desk) -> None:
        due = desk.due
        now = self.world.clock.mono
        if id(desk) in self._busy or not (desk.is_busy or (due is not None and due <= now)):
            if due is not None and due > now:
                self.world.at(due, self.work)
            return
        self._busy.add(id(desk))
        batch, life = desk.begin(now), self.life
        try:
            lent = self._ask(desk, batch)
        except Unavailable:
            self.world.later(self.world.lateness(), self._end, life, desk, batch, None)
        else:
            self.world.later(self.world.lateness(), self._end, life, desk, batch, lent)

    def _ask(self, desk: Desk, batch: Batch) -> list[Lent]:
        lent: list[Lent] = []
        if desk is self.minutes:
            now_or_never(self.rates.take_back(batch.given))
            return now_or_never(self.rates.lend(batch.asks))
        if not self.reaches_books:
            raise Unavailable("the database is away")
        if batch.given:
            self.leases.take_back(batch.given)
            batch.given = []
        if batch.wanted:
            lent = self.leases.lend(batch.asks)
            self.world.check()
        return lent

    def _end(self, life: int, desk: Desk, batch: Batch, lent: list[Lent] | None) -> None:
        if life != self.life or not self.is_alive:
            return
        self._busy.discard(id(desk))
        if lent is None:
            desk.failed(batch)
            self.world.later(0.1, self.work)
        else:
            desk.done(batch, lent, self.world.clock.mono)
            self.work()

    def _is_here(self, holder: str, send: Send) -> bool:
        link = self.links.get(holder)
        return link is not None and link.send is send

    def _recall(self, limit: str, asker: Send) -> bool:
        others = [link.send for link in self.links.values() if link.send is not asker]
        for send in others:
            send(Recall((limit,)))
        return bool(others)


class Far:
    """The store of rates that all machines share, in the world's own time."""

    def __init__(self, world: World) -> None:
        self.rates = MemoryRates(world.clock.steady, world.clock.wall)
        self.world = world
        self.is_there = True

    async def lend(self, asks: Sequence[Ask]) -> list[Lent]:
        """As in memory."""
        self._demand()
        return await self.rates.lend(asks)

    async def take_back(self, given: Iterable[Given]) -> None:
        """As in memory."""
        self._demand()
        await self.rates.take_back(given)

    async def beat(self, slots: Mapping[str, int], owed: Mapping[str, tuple[int, int]]) -> None:
        """Says nothing that it did not know."""
        self._demand()

    async def close(self) -> None:
        """Goes away."""
        self.is_there = False

    def _demand(self) -> None:
        if not self.is_there:
            raise Unavailable("it is away")
