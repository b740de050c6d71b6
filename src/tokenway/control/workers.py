"""What speaks with the edge workers: who is there, what each is told, and who takes in what they say.

Workers are started by the supervisor. They find this process on a Unix socket, say who they are, and are sent their
snapshot. A link that closes is no end of a worker: it serves on, and comes back. That it has ended for good is known
from its journal (`control.ingest`).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from tokenway.aio.tasks import Tasks
from tokenway.model.errors import WireError
from tokenway.model.link import Gauges, Heard, Hello, Publish, Serving, ToControl, ToWorker, pack, unpack_for_control
from tokenway.model.sample import Sample
from tokenway.model.snapshot import Snapshot
from tokenway.wire.frames import FrameSplitter, frame
from tokenway.wire.limits import MIB

log = logging.getLogger("tokenway.control")

BEHIND_BYTES: Final = MIB
"""What waits to be sent to a worker that does not read; beyond it, it is not told what others have seen."""
BACKLOG: Final = 1024

Message = TypeVar("Message", bound=msgspec.Struct)


class Worker:
    """One worker, for as long as its link holds."""

    def __init__(self, hello: Hello, writer: asyncio.StreamWriter) -> None:
        self.number = hello.number
        self.holder = hello.holder
        """The life of its journal's writer: what tells it from the one before it and the one after it."""
        self.version = hello.version
        """The snapshot that was in force when it said hello."""
        self.gauges: Gauges | None = None
        self.is_serving = False
        self.is_due = True
        """Whether it waits for a snapshot."""
        self.is_told = False
        """Whether it was told what is known, and hears from now on what is new."""
        self._writer = writer

    @property
    def is_behind(self) -> bool:
        """Whether it does not read what it is sent."""
        return self._writer.transport.get_write_buffer_size() > BEHIND_BYTES

    def send(self, message: ToWorker) -> None:
        """Sends one message; to a worker that is gone it goes nowhere."""
        if not self._writer.is_closing():
            self._writer.write(frame(pack(message)))

    def close(self) -> None:
        """Closes the link."""
        self._writer.close()


class Workers:
    """All workers that are connected. `count` is how many serve when all do."""

    def __init__(
        self, count: int, tasks: Tasks, on_hello: Callable[[Worker], None], on_gone: Callable[[Worker], None]
    ) -> None:
        """`on_hello` is called for each new link (its snapshot is sent by the next `publish`), `on_gone` at its end."""
        self._count = count
        self._tasks = tasks
        self._on_hello = on_hello
        self._on_gone = on_gone
        self._alive: dict[str, Worker] = {}
        self._serving = asyncio.Event()
        self._links: set[asyncio.Task[None]] = set()
        self._server: asyncio.AbstractServer | None = None
        self._handlers: dict[type, Callable[[Worker, Any], None]] = {}
        self.on(Gauges, _take_gauges)
        self.on(Serving, self._take_serving)

    @property
    def alive(self) -> list[Worker]:
        """The workers with a link."""
        return list(self._alive.values())

    def find(self, holder: str) -> Worker | None:
        """The worker of this life, if it has a link."""
        return self._alive.get(holder)

    def breakers(self) -> dict[str, int]:
        """The state of the breakers that are not closed, by endpoint: the worst of all workers'."""
        worst: dict[str, int] = {}
        for worker in self.alive:
            for endpoint, state in worker.gauges.breakers.items() if worker.gauges is not None else ():
                worst[endpoint] = max(state, worst.get(endpoint, 0))
        return worst

    def on(self, kind: type[Message], handle: Callable[[Worker, Message], None]) -> None:
        """From now on `handle` takes in the messages of this kind. It must not block; what it raises is logged."""
        self._handlers[kind] = handle

    async def accept(self, listener: socket.socket) -> None:
        """Begins to accept links; those that have come before wait in the listener's queue."""
        self._server = await asyncio.start_unix_server(self._begin, sock=listener, backlog=BACKLOG, limit=MIB)

    async def wait_serving(self) -> None:
        """Until every worker accepts requests."""
        await self._serving.wait()

    def tell(self, message: ToWorker) -> None:
        """Sends a message to all of them."""
        for worker in self.alive:
            worker.send(message)

    def pass_on(self, speaker: Worker, samples: list[Sample]) -> None:
        """Tells what one of them has seen to all others that keep up."""
        for other in self.alive:
            if other is not speaker and other.is_told and not other.is_behind:
                other.send(Heard(samples))

    def all_are_due(self) -> None:
        """The snapshots that they have are not what holds any more."""
        for worker in self.alive:
            worker.is_due = True

    async def publish(
        self, snapshot_for: Callable[[Worker], Awaitable[Snapshot]], known: Callable[[], list[Sample]]
    ) -> None:
        """Sends a snapshot to those that wait for one, with what is `known` behind the first.

        When that fails for one of them, it waits on, and so do those behind it.
        """
        for worker in self.alive:
            if not worker.is_due:
                continue
            worker.is_due = False  # what changes while this one is made wants another one
            try:
                worker.send(Publish(await snapshot_for(worker)))
            except BaseException:
                worker.is_due = True
                raise
            if not worker.is_told:
                worker.is_told = True
                if samples := known():
                    worker.send(Heard(samples))

    async def finish(self, seconds: float) -> None:
        """Listens to what the workers have left in their links before they ended, but not for longer than this."""
        if self._links:
            await asyncio.wait(set(self._links), timeout=seconds)

    async def close(self) -> None:
        """Accepts nobody any more, and closes all links."""
        if self._server is not None:
            self._server.close()
        for worker in self.alive:
            worker.close()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = self._tasks.start("link", self._listen(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One link, from the worker's hello to its end."""
        splitter = FrameSplitter()
        worker: Worker | None = None
        try:
            while data := await reader.read(MIB):
                for payload in splitter.feed(data):
                    message = unpack_for_control(payload)
                    if worker is None:
                        worker = self._greet(message, writer)
                    else:
                        self._take(worker, message)
        except ConnectionError:
            pass  # it died with a message unread: the same as an end
        except (WireError, msgspec.DecodeError) as error:
            log.warning("a worker's link broke: %s", error)
        finally:
            writer.close()
            if worker is not None:
                if self._alive.get(worker.holder) is worker:
                    del self._alive[worker.holder]
                self._on_gone(worker)

    def _greet(self, message: ToControl, writer: asyncio.StreamWriter) -> Worker:
        if not isinstance(message, Hello):
            raise WireError(f"it began with {type(message).__name__} and not with a hello")
        worker = Worker(message, writer)
        before = self._alive.pop(worker.holder, None)
        if before is not None:
            before.close()
        self._alive[worker.holder] = worker
        self._on_hello(worker)
        return worker

    def _take(self, worker: Worker, message: ToControl) -> None:
        """A mistake in what one message is about leaves the link alone."""
        handle = self._handlers.get(type(message))
        if handle is None:
            return
        try:
            handle(worker, message)
        except Exception:
            log.exception("worker %d: a message was not taken in", worker.number)

    def _take_serving(self, worker: Worker, _message: Serving) -> None:
        worker.is_serving = True
        if len({each.number for each in self.alive if each.is_serving}) >= self._count:
            self._serving.set()


def _take_gauges(worker: Worker, message: Gauges) -> None:
    worker.gauges = message
