"""Kept responses: what workers give to be kept, and what they ask about it.

A response is acknowledged when it is in the store, so that a worker can give it again to the next control process.
While the store cannot be written they wait here, in their order; a worker has a bound for what it gives.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from tokenway.control.workers import Worker, Workers
from tokenway.model.link import Keep, Kept, Question, Show, Stop
from tokenway.store.base import ResponseStore

PURGE_SECONDS: Final = 3600.0
"""How often responses are dropped whose time is over."""

InThread = Callable[..., Awaitable[Any]]
"""Runs a function with its arguments in the store's thread."""


class Responses:
    """The kept responses of all workers. `retention()` is how many seconds one is kept."""

    def __init__(self, in_thread: InThread, workers: Workers, retention: Callable[[], float]) -> None:
        self._in_thread = in_thread
        self._workers = workers
        self._retention = retention
        self._store: ResponseStore
        self._waiting: deque[tuple[Worker, Keep]] = deque()
        self._given = 0
        self._done = 0
        """How many were given, and how many of them are in the store."""
        self._came = asyncio.Event()
        self._stored = asyncio.Condition()
        self._gone: set[str] = set()
        """Lives that have ended: what comes of them after that is not finished by anybody."""

    def use(self, store: ResponseStore) -> None:
        """Keeps them in this store. Called in the store's thread, as the next two are."""
        self._store = store

    def fail_all_but(self, alive: set[str]) -> None:
        """What others than the workers of these lives left unfinished has failed."""
        self._store.abandon(but=alive)

    def worker_gone(self, holder: str) -> None:
        """What this worker has left unfinished has failed."""
        self._gone.add(holder)
        self._store.abandon(holder)

    def take(self, worker: Worker, keep: Keep) -> None:
        """A worker has a response that is to be kept."""
        self._waiting.append((worker, keep))
        self._given += 1
        self._came.set()

    async def step(self) -> float:
        """Stores the next one as soon as there is one; what raises is to be called again."""
        while not self._waiting:
            self._came.clear()
            await self._came.wait()
        worker, keep = self._waiting[0]
        await self._in_thread(self._put, worker.holder, keep)
        self._waiting.popleft()
        self._done += 1
        worker.send(Kept(keep.number))
        async with self._stored:
            self._stored.notify_all()
        return 0.0

    async def settled(self) -> None:
        """Until all that was given by now is in the store."""
        given = self._given
        async with self._stored:
            await self._stored.wait_for(lambda: self._done >= given)

    async def answer(self, question: Question) -> bytes | None:
        """A worker asks for kept responses, or what to do with one; it finds all that was given before."""
        await self.settled()
        kept, subject, project = self._store, question.subject, question.project
        if question.what == "show":
            self._workers.tell(Show(subject, project))
            return b""
        if question.what in {"stop", "forget"}:
            had = question.what == "stop" or await self._in_thread(kept.delete, subject, project)
            if had:
                self._workers.tell(Stop(subject, project))
            return b"" if had else None
        if question.what == "events":
            events: bytes | None = await self._in_thread(kept.events, subject, project)
            return events
        find = {"response": kept.get, "chain": kept.chain}.get(question.what)
        found = None if find is None else await self._in_thread(find, subject, project)
        return None if found is None else msgspec.msgpack.encode(found)

    async def purge(self) -> float:
        """Drops what has ended; returns how many seconds later it is to be called again."""
        await self._in_thread(self._store.purge)
        return PURGE_SECONDS

    def _put(self, holder: str, keep: Keep) -> None:
        self._store.put(keep.response, expires=time.time() + self._retention(), maker=holder)
        if holder in self._gone:
            self._store.abandon(holder)
