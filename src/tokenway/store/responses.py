"""Kept responses in a database; each belongs to a project and ends after the retention time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from tokenway.model.stored import StoredResponse
from tokenway.store.database import Database
from tokenway.store.schema import responses

CHAIN_MAX: Final = 1000
"""Responses that may follow each other: more turns than any model's context takes."""
UNFINISHED: Final = ("queued", "in_progress")
"""The statuses of a response that is still being made."""


class SqlResponses:
    """Reads and writes the table `responses`."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def put(self, response: StoredResponse, *, expires: float, maker: str) -> None:
        """Keeps a response until `expires`, in place of an earlier state of it in the same project.

        `maker` says who is at work on it while it is unfinished. An id that another project has is left as it is.
        """
        row = {name: getattr(response, name) for name in response.__struct_fields__}
        row |= {"native": int(response.native), "expires": expires, "maker": maker}
        ours = (responses.c.id == response.id) & (responses.c.project == response.project)
        with self._database.write() as connection:
            if connection.execute(responses.update().where(ours).values(row)).rowcount == 0:
                taken = sa.select(responses.c.id).where(responses.c.id == response.id)
                if connection.execute(taken).first() is None:
                    connection.execute(responses.insert().values(row))

    def get(self, identity: str, project: str) -> StoredResponse | None:
        """A response of a project; None when it has none by this id, or it has ended."""
        wanted = sa.select(responses).where(
            responses.c.id == identity, responses.c.project == project, responses.c.expires > self._clock()
        )
        with self._database.read() as connection:
            row = connection.execute(wanted).mappings().first()
        if row is None:
            return None
        fields = {name: row[name] for name in StoredResponse.__struct_fields__}
        return StoredResponse(**(fields | {"native": bool(row["native"])}))

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
        with self._database.write() as connection:
            return connection.execute(gone).rowcount > 0

    def abandon(self, maker: str | None = None) -> int:
        """Marks what `maker`, or anybody, left unfinished as failed; how many there were."""
        left = responses.update().where(responses.c.status.in_(UNFINISHED))
        if maker is not None:
            left = left.where(responses.c.maker == maker)
        with self._database.write() as connection:
            return connection.execute(left.values(status="failed")).rowcount

    def purge(self) -> int:
        """Drops what has ended; how many there were."""
        with self._database.write() as connection:
            return connection.execute(responses.delete().where(responses.c.expires <= self._clock())).rowcount
