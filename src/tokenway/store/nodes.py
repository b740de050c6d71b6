"""The machines that share a database: each says every few seconds that it lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import sqlalchemy as sa

from tokenway.store.database import Database
from tokenway.store.schema import nodes

BEAT_SECONDS: Final = 10.0
"""How often a machine says that it lives."""
LOOK_SECONDS: Final = 3 * BEAT_SECONDS
"""How long it is at most between two looks at the others, as far as their silence is counted."""
LOST_SECONDS: Final = 600.0
"""Who has said nothing for so long will not come back soon: what it left open may be closed by the others."""
GIVEN_UP_SECONDS: Final = 7 * 86_400.0
"""Who has said nothing for so long will not come back at all: what it held of budgets may be spent by the others.

Until then nobody but its own journals can say what of that it has spent, be it before it was lost or since.
"""


class Node(msgspec.Struct, frozen=True):
    """A machine: its id, its name for people, since when it runs, and when it was last heard of (Unix seconds).

    `configuration` is the published one that is in force there, and `fault` why the newest one is not.
    """

    id: str
    name: str
    started: float
    seen: float
    workers: int
    release: str
    configuration: int = 0
    fault: str = ""


class SqlNodes:
    """The table `nodes`. `node` is this machine."""

    def __init__(self, database: Database, clock: Callable[[], float], node: str) -> None:
        self._database = database
        self._clock = clock
        self.node = node
        self._looked = 0.0
        self._silent: dict[str, tuple[float, float]] = {}
        """When each of the others was seen, as it says, and for how long it has said nothing new."""

    def beat(self, *, name: str, started: float, workers: int, release: str) -> None:
        """This machine lives."""
        row = {"name": name, "started": started, "seen": self._clock(), "workers": workers, "release": release}
        with self._database.add() as connection:
            # Nobody else writes this row.
            if not connection.execute(nodes.update().where(nodes.c.id == self.node).values(row)).rowcount:
                connection.execute(nodes.insert().values(id=self.node, **row))

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
        others = sa.select(nodes.c.id, nodes.c.seen).where(nodes.c.id != self.node)
        with self._database.read() as connection:
            rows = connection.execute(others.order_by(nodes.c.id)).all()
        before, self._silent = self._silent, {}
        for identity, seen in rows:
            known, silence = before.get(identity, (None, 0.0))
            self._silent[identity] = (seen, silence + passed if seen == known else 0.0)
        return [identity for identity, silence in self._silent.items() if _is_lost(*silence, now)]

    def given_up(self) -> list[str]:
        """Those that were lost at the last look, and have said nothing for GIVEN_UP_SECONDS."""
        now = self._clock()
        lost = [(identity, seen) for identity, (seen, silence) in self._silent.items() if _is_lost(seen, silence, now)]
        return [identity for identity, seen in lost if seen < now - GIVEN_UP_SECONDS]


def _is_lost(seen: float, silence: float, now: float) -> bool:
    return silence > LOST_SECONDS or (silence > LOOK_SECONDS and seen < now - LOST_SECONDS)
