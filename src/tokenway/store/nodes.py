"""The machines that share a database: each says every few seconds that it lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from tokenway.store.accounts.changes import Changes
from tokenway.store.accounts.records import Actor
from tokenway.store.base import Conflict, NotFound
from tokenway.store.database import Database
from tokenway.store.schema import leases, nodes, reservations

BEAT_SECONDS: Final = 10.0
"""How often a machine says that it lives."""
LOOK_SECONDS: Final = 3 * BEAT_SECONDS
"""How long it is at most between two looks at the others, as far as their silence is counted."""
LOST_SECONDS: Final = 600.0
"""Who has said nothing for so long will not come back soon: what it left open may be closed by the others."""
GIVEN_UP_SECONDS: Final = 7 * 86_400.0
"""Who has said nothing for so long will not come back at all: what it held of budgets may be spent by the others.

Until then nobody but its own journals can say what of that it has spent, be it before it was lost or since; or somebody
who knows that it does not run any more declares it gone.
"""


class Node(msgspec.Struct, frozen=True):
    """A machine: its id, its name for people, since when it runs, and when it was last heard of (Unix seconds).

    `configuration` is the published one that is in force there, `fault` why the newest one is not, and `retired` when
    it was declared gone.
    """

    id: str
    name: str
    started: float
    seen: float
    workers: int
    release: str
    configuration: int = 0
    fault: str = ""
    retired: float | None = None

    def state(self, now: float) -> str:
        """`live`, `silent`, or `retired`, as far as one look can tell."""
        return "retired" if self.retired is not None else "live" if now - self.seen < LOOK_SECONDS else "silent"


class SqlNodes:
    """The table `nodes`. `node` is this machine."""

    def __init__(self, database: Database, clock: Callable[[], float], node: str) -> None:
        self._database = database
        self._clock = clock
        self._changes = Changes(database, clock)
        self.node = node
        self._started: float | None = None
        """Since when it has said that it lives; None before it has."""
        self._looked = 0.0
        self._silent: dict[str, _Silence] = {}
        """What is known of each of the others."""

    def beat(self, *, name: str, started: float, workers: int, release: str) -> bool:
        """This machine lives. Whether it is alone with its id: a data directory that was copied has it twice."""
        row = {"name": name, "started": started, "seen": self._clock(), "workers": workers, "release": release}
        row["retired"] = None
        mine = sa.select(nodes.c.started).where(nodes.c.id == self.node)
        with self._database.add() as connection:
            # Nobody else writes this row.
            found = connection.execute(mine).scalar()
            if not connection.execute(nodes.update().where(nodes.c.id == self.node).values(row)).rowcount:
                connection.execute(nodes.insert().values(id=self.node, **row))
        before, self._started = self._started, started
        return before is None or found in {None, started}

    def configured(self, configuration: int, fault: str) -> bool:
        """Which configuration is in force on this machine; whether it is known here yet."""
        values = {"configuration": configuration, "fault": fault}
        with self._database.add() as connection:
            return bool(connection.execute(nodes.update().where(nodes.c.id == self.node).values(values)).rowcount)

    def leave(self) -> None:
        """This machine has been stopped in good order, and has left nothing open."""
        with self._database.add() as connection:
            connection.execute(nodes.delete().where(nodes.c.id == self.node))

    def all(self) -> list[Node]:
        """The machines, by their ids."""
        columns = [nodes.c[name] for name in Node.__struct_fields__]
        with self._database.read() as connection:
            return [Node(*row) for row in connection.execute(sa.select(*columns).order_by(nodes.c.id))]

    def live(self, within: float = 3 * BEAT_SECONDS) -> tuple[int, int]:
        """How many machines were heard of within so many seconds, this one always included; the others' workers."""
        since = self._clock() - within
        sums = sa.func.count(), sa.func.coalesce(sa.func.sum(nodes.c.workers), 0)
        others = sa.select(*sums).where(nodes.c.seen >= since, nodes.c.id != self.node)
        with self._database.read() as connection:
            machines, workers = connection.execute(others).one()
        return 1 + int(machines), int(workers)

    def lost(self) -> list[str]:
        """The other machines that have said nothing for LOST_SECONDS.

        Their own clocks are believed only of those that have said nothing while this one looked twice: a
        clock that is wrong, or steps, here or there, makes nobody lost who speaks.
        """
        now = self._clock()
        passed, self._looked = min(max(0.0, now - self._looked), LOOK_SECONDS), now
        others = sa.select(nodes.c.id, nodes.c.seen, nodes.c.retired).where(nodes.c.id != self.node)
        with self._database.read() as connection:
            rows = connection.execute(others.order_by(nodes.c.id)).all()
        before, self._silent = self._silent, {}
        for identity, seen, retired in rows:
            known = before.get(identity)
            silence = known.seconds + passed if known is not None and known.seen == seen else 0.0
            self._silent[identity] = _Silence(seen, silence, retired is not None)
        return [identity for identity, silence in self._silent.items() if silence.is_lost(now)]

    def given_up(self) -> list[str]:
        """Those that were lost at the last look, and are declared gone or have said nothing for GIVEN_UP_SECONDS."""
        now = self._clock()
        lost = [(identity, silence) for identity, silence in self._silent.items() if silence.is_lost(now)]
        return [identity for identity, each in lost if each.is_retired or each.seen < now - GIVEN_UP_SECONDS]

    def retire(self, identity: str, *, by: Actor) -> Node:
        """Declares a machine gone: what it left open and holds is free as soon as the others have seen it silent.

        A machine that lives takes that back when it says so, before anything came of it. Raises NotFound, and Conflict
        for one that was heard of within LOOK_SECONDS.
        """
        with self._changes.begin(by) as change:
            query = sa.select(*(nodes.c[name] for name in Node.__struct_fields__)).where(nodes.c.id == identity)
            row = change.connection.execute(query).first()
            if row is None:
                raise NotFound(f"there is no machine {identity}")
            found = Node(*row)
            ago = change.now - found.seen
            if ago < LOOK_SECONDS:
                raise Conflict(
                    f"{identity} ({found.name}) was heard of {max(0.0, ago):.0f} s ago: it lives, stop it first"
                )
            if found.retired is None:
                found = replace(found, retired=change.now)
                change.connection.execute(nodes.update().where(nodes.c.id == identity).values(retired=change.now))
                change.record("retire", "node", identity, detail={"name": found.name, "seen": found.seen})
        return found

    def forget_retired(self) -> int:
        """Drops the rows of machines that are gone, as they were declared, and have nothing left; how many."""
        is_lent = sa.exists().where(leases.c.node == nodes.c.id)
        is_open = sa.exists().where(reservations.c.node == nodes.c.id, reservations.c.expired.is_(None))
        gone = nodes.delete().where(nodes.c.retired.is_not(None), nodes.c.id.in_(self.given_up()), ~is_lent, ~is_open)
        with self._database.add() as connection:
            return int(connection.execute(gone).rowcount)


class _Silence(msgspec.Struct, frozen=True):
    """When a machine was seen, as it says, for how long it has said nothing new, and whether it was declared gone."""

    seen: float
    seconds: float
    is_retired: bool

    def is_lost(self, now: float) -> bool:
        is_believed = self.is_retired or self.seen < now - LOST_SECONDS
        return self.seconds > LOST_SECONDS or (self.seconds > LOOK_SECONDS and is_believed)
