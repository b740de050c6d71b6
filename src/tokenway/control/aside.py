"""Long reading beside the store's thread: with a connection and a thread of its own, one piece of work at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tokenway.aio.threads import Thread
from tokenway.store.base import StoreError

if TYPE_CHECKING:
    from tokenway.store.database import Database

STOP_SECONDS: Final = 0.02
"""How often work that is to stop is told so: between two queries nothing hears it."""


class Aside:
    """What reads long. It connects with its first work, and gives way to what callers wait for.

    `connect` gives a database whose tables are there.
    """

    def __init__(self, name: str, connect: Callable[[], Database]) -> None:
        self.alone = asyncio.Lock()
        """For whom it is not enough that others wait for him: they are to be refused."""
        self._connect = connect
        self._thread = Thread(name, gives_way=True)
        self._database: Database | None = None
        self._stops = self._has_stopped = False

    async def run(self, work: Callable[[Database], Any]) -> Any:
        """Calls it in the thread, behind what others have asked for before."""
        return await self._thread.run(self._with_database, work)

    async def close(self) -> None:
        """Ends what is under way, with an error, and closes the connection."""
        self._stops = True
        await asyncio.gather(self._thread.run(self._disconnect), self._hurry())
        self._thread.close()

    async def _hurry(self) -> None:
        while not self._has_stopped:
            if self._database is not None:
                self._database.interrupt()
            await asyncio.sleep(STOP_SECONDS)

    def _with_database(self, work: Callable[[Database], Any]) -> Any:
        if self._stops:
            raise StoreError("the gateway stops")
        if self._database is None:
            self._database = self._connect()
        return work(self._database)

    def _disconnect(self) -> None:
        try:
            if self._database is not None:
                self._database.close()
        finally:
            self._has_stopped = True


class Asides:
    """Who reads long for the API: each waits for its own kind alone."""

    def __init__(self, connect: Callable[[], Database]) -> None:
        self.proofs = Aside("proofs", connect)
        self.exports = Aside("exports", connect)

    async def close(self) -> None:
        """Closes both."""
        await asyncio.gather(self.proofs.close(), self.exports.close())
