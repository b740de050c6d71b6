"""Kept responses in a database; each belongs to a project and ends after the retention time."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection
from typing import Any, Final

import sqlalchemy as sa

from tokenway.model.stored import StoredResponse
from tokenway.store.database import Database
from tokenway.store.schema import responses

CHAIN_MAX: Final = 1000
"""Responses that may follow each other: more turns than any model's context takes."""
UNFINISHED: Final = ("queued", "in_progress")
"""The statuses of a response that is still being made."""
_FIELDS: Final = tuple(name for name in StoredResponse.__struct_fields__ if name != "events")
"""What is read of a response but for its stream, which can be long."""


class SqlResponses:
    """Reads and writes the table `responses`."""

    def __init__(self, database: Database, clock: Callable[[], float], node: str) -> None:
        self._database = database
        self._clock = clock
        self._ours = f"{node}/"
        """What the names of this machine's makers begin with: others share the table."""

    def put(self, response: StoredResponse, *, expires: float, maker: str) -> None:
        """Keeps a response until `expires`, in place of an earlier state of it in the same project.

        `maker` says who is at work on it while it is unfinished. An id that another project has is left as it is, and
        a stream's end is not kept where its beginning was forgotten meanwhile.
        """
        row = {name: getattr(response, name) for name in _FIELDS}
        events = zlib.compress(response.events) if response.events else b""
        row |= {"native": int(response.native), "expires": expires, "maker": self._ours + maker, "events": events}
        ours = (responses.c.id == response.id) & (responses.c.project == response.project)
        new = sa.select(*(sa.literal(value, responses.c[name].type) for name, value in row.items()))
        taken = sa.select(responses.c.id).where(responses.c.id == response.id)
        # An id is made once, by one machine: nobody puts one in the place of what is looked for here.
        with self._database.add() as connection:
            if connection.execute(responses.update().where(ours).values(row)).rowcount == 0 and not events:
                connection.execute(responses.insert().from_select(list(row), new.where(~taken.exists())))

    def get(self, identity: str, project: str) -> StoredResponse | None:
        """A response of a project; None when it has none by this id, or it has ended."""
        columns = [responses.c[name] for name in _FIELDS]
        with self._database.read() as connection:
            row = connection.execute(self._wanted(identity, project, *columns)).mappings().first()
        return None if row is None else StoredResponse(**(dict(row) | {"native": bool(row["native"])}))

    def events(self, identity: str, project: str) -> bytes | None:
        """The stream of a response of a project; None where it has none, or there is no such response."""
        with self._database.read() as connection:
            found = connection.execute(self._wanted(identity, project, responses.c.events)).scalar()
        return zlib.decompress(found) if found else None

    def _wanted(self, identity: str, project: str, *columns: sa.Column[Any]) -> sa.Select[Any]:
        return sa.select(*columns).where(
            responses.c.id == identity, responses.c.project == project, responses.c.expires > self._clock()
        )

    def chain(self, identity: str, project: str) -> list[StoredResponse] | None:
        """A response with those that it went on from, the oldest first; None when one of them is not kept any more."""
        found: list[StoredResponse] = []
        while identity:
            kept = self.get(identity, project)
            if kept is None or len(found) >= CHAIN_MAX:
                return None
            found.append(kept)
            identity = kept.previous
        found.reverse()
        return found

    def delete(self, identity: str, project: str) -> bool:
        """Forgets a response; whether there was one."""
        gone = responses.delete().where(responses.c.id == identity, responses.c.project == project)
        with self._database.add() as connection:
            return connection.execute(gone).rowcount > 0

    def abandon(self, maker: str | None = None, *, node: str | None = None, but: Collection[str] = ()) -> int:
        """Marks what `maker` of this machine left unfinished as failed, or anybody of it, or of another one (`node`).

        `but` are makers of this machine who are still at work. Returns how many there were. Half a stream is not kept.
        """
        left = responses.update().where(responses.c.status.in_(UNFINISHED))
        if maker is not None:
            left = left.where(responses.c.maker == self._ours + maker)
        else:
            theirs = self._ours if node is None else f"{node}/"
            of_old = sa.false() if node is not None else ~responses.c.maker.contains("/")  # they had no machine's name
            left = left.where(responses.c.maker.startswith(theirs, autoescape=True) | of_old)
        if but:
            left = left.where(responses.c.maker.not_in([self._ours + each for each in but]))
        with self._database.add() as connection:
            return connection.execute(left.values(status="failed", events=b"")).rowcount

    def purge(self) -> int:
        """Drops what has ended; how many there were."""
        with self._database.add() as connection:
            return connection.execute(responses.delete().where(responses.c.expires <= self._clock())).rowcount
