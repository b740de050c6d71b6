"""The edge workers: started, told the snapshot, listened to, and started again when they die.

Each worker is a child process with one end of a socket pair. It inherits the public listener, so the port is
bound once and a dead worker's successor takes over its connections to come.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec

from tokenway.aio.tasks import Tasks
from tokenway.model.errors import TokenwayError, WireError
from tokenway.model.link import (
    Answer,
    Gauges,
    Heard,
    Keep,
    Probed,
    Publish,
    Question,
    Seen,
    Serving,
    ToControl,
    ToWorker,
    pack,
    unpack_for_control,
)
from tokenway.model.sample import Sample
from tokenway.model.snapshot import Snapshot
from tokenway.model.stored import StoredResponse
from tokenway.wire.frames import FrameSplitter, frame
from tokenway.wire.limits import MIB

log = logging.getLogger("tokenway.control")

RESTART_FIRST: Final = 0.2
RESTART_MAX: Final = 10.0
HEALTHY_SECONDS: Final = 30.0
"""A worker that lived this long resets the pause before its next start."""
STOP_MARGIN: Final = 3.0
"""Seconds beyond the drain time after which a worker that did not stop is killed."""
LAST_WORDS_SECONDS: Final = 2.0
"""How long what the workers said before they ended is listened to and kept."""
LIVES_BEFORE_SERVING: Final = 3
"""How often a worker may end before it has served at all; more often and it never will."""
BEHIND_BYTES: Final = MIB
"""What waits to be sent to a worker that does not read; beyond it, it is not told what others have seen."""


class WorkerHooks(msgspec.Struct, frozen=True):
    """What the pool asks of its owner.

    `command(number, listener fd, link fd)` gives the child's command line, `snapshot_for(number)` its
    snapshot, `answer(question)` the JSON text for a question, `ended(number)` is awaited before a successor starts,
    `keep(number, response)` keeps a response. `seen(samples)` takes in what a worker's attempts were like, and
    `known()` gives what a new worker is told of all that came before it. `probed(it)` is called when a probe is over.
    """

    command: Callable[[int, int, int], list[str]]
    snapshot_for: Callable[[int], Awaitable[Snapshot]]
    answer: Callable[[Question], Awaitable[bytes | None]]
    ended: Callable[[int], Awaitable[None]]
    keep: Callable[[int, StoredResponse], Coroutine[Any, Any, None]]
    seen: Callable[[list[Sample]], None]
    known: Callable[[], list[Sample]]
    probed: Callable[[Probed], None]


class Worker:
    """One worker's process and link, for as long as it lives."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.process = process
        self.gauges: Gauges | None = None
        self.is_serving = False
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
    """All workers of a gateway."""

    def __init__(self, count: int, listener: socket.socket, hooks: WorkerHooks, tasks: Tasks, drain: float) -> None:
        self._count = count
        self._listener = listener
        self._hooks = hooks
        self._tasks = tasks
        self._drain = drain
        self._workers: dict[int, Worker] = {}
        self._serving = asyncio.Event()
        self._hopeless = ""
        self._stopping = asyncio.Event()
        self._supervisors: list[asyncio.Task[None]] = []

    @property
    def alive(self) -> list[Worker]:
        """The workers with a running process."""
        return list(self._workers.values())

    def breakers(self) -> dict[str, int]:
        """The state of the breakers that are not closed, by endpoint: the worst of all workers'."""
        worst: dict[str, int] = {}
        for worker in self.alive:
            for endpoint, state in worker.gauges.breakers.items() if worker.gauges is not None else ():
                worst[endpoint] = max(state, worst.get(endpoint, 0))
        return worst

    def start(self) -> None:
        """Begins to supervise; call it once, in the running loop."""
        for number in range(1, self._count + 1):
            self._supervisors.append(self._tasks.start(f"worker {number}", self._supervise(number)))

    async def wait_serving(self) -> None:
        """Until every worker accepts requests; raises TokenwayError when one cannot be brought to it."""
        await self._serving.wait()
        if self._hopeless:
            raise TokenwayError(self._hopeless)

    async def publish(self) -> None:
        """Sends every worker its snapshot."""
        for worker in self.alive:
            worker.send(Publish(await self._hooks.snapshot_for(worker.number)))

    async def stop(self) -> None:
        """Asks all to drain and waits for them; kills what outlives the drain time."""
        self._stopping.set()
        alive = self.alive
        for worker in alive:
            _signal(worker, signal.SIGTERM)
        try:
            async with asyncio.timeout(self._drain + STOP_MARGIN):
                for worker in alive:
                    await worker.process.wait()
        except TimeoutError:
            for worker in alive:
                _signal(worker, signal.SIGKILL)
        # Their last messages may still be in the links.
        if self._supervisors:
            await asyncio.wait(self._supervisors, timeout=LAST_WORDS_SECONDS)

    async def _supervise(self, number: int) -> None:
        pause = RESTART_FIRST
        lives = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            lives += 1
            how = await self._live_and_end(number)
            if self._stopping.is_set():
                return
            lived = time.monotonic() - began
            log.error("worker %d %s after %.1f s; it is started again", number, how, lived)
            if lives == LIVES_BEFORE_SERVING and not self._serving.is_set():
                self._hopeless = f"worker {number} {how} {lives} times before it served; its reason stands above"
                self._serving.set()
            pause = RESTART_FIRST if lived > HEALTHY_SECONDS else min(RESTART_MAX, pause * 2)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _live_and_end(self, number: int) -> str:
        """One life of a worker and what follows from its end; says how it ended. Whatever fails, it returns."""
        try:
            how = f"ended with status {await self._live(number)}"
        except Exception as error:
            log.exception("worker %d could not be looked after", number)
            how = f"could not be started ({error})"
        try:
            await self._hooks.ended(number)
        except Exception:
            log.exception("what worker %d left could not be taken in", number)
        return how

    async def _live(self, number: int) -> int:
        """One life of a worker; returns its exit status."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as if_it_fails:
            if_it_fails.callback(ours.close)
            fds = (self._listener.fileno(), theirs.fileno())
            process = await asyncio.create_subprocess_exec(
                *self._hooks.command(number, *fds), pass_fds=fds, stdin=asyncio.subprocess.DEVNULL
            )
            if_it_fails.pop_all()
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=MIB)
            worker = self._workers[number] = Worker(number, process, writer)
            worker.send(Publish(await self._hooks.snapshot_for(number)))
            if known := self._hooks.known():
                worker.send(Heard(known))
            worker.is_told = True
            await self._listen(worker, reader)
            # Without a link a worker drains and ends; it may have been this end that gave the link up.
            worker.close()
            async with asyncio.timeout(self._drain + STOP_MARGIN):
                return await process.wait()
        except TimeoutError:
            log.warning("worker %d does not end, and is killed", number)
            process.kill()
            return await process.wait()
        finally:
            gone = self._workers.pop(number, None)
            if gone is not None:
                gone.close()
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _listen(self, worker: Worker, reader: asyncio.StreamReader) -> None:
        splitter = FrameSplitter()
        try:
            while data := await reader.read(MIB):
                for payload in splitter.feed(data):
                    self._take_safely(worker, unpack_for_control(payload))
        except ConnectionError:
            pass  # it died with a message unread: the same as an end, which its exit status explains
        except (WireError, msgspec.DecodeError) as error:
            log.warning("worker %d: its link broke: %s", worker.number, error)

    def _take_safely(self, worker: Worker, message: ToControl) -> None:
        """A mistake in what one message is about leaves the worker alone."""
        try:
            self._take(worker, message)
        except Exception:
            log.exception("worker %d: a message was not taken in", worker.number)

    def _take(self, worker: Worker, message: ToControl) -> None:
        if isinstance(message, Gauges):
            worker.gauges = message
        elif isinstance(message, Serving):
            worker.is_serving = True
            if sum(each.is_serving for each in self.alive) == self._count:
                self._serving.set()
        elif isinstance(message, Probed):
            self._hooks.probed(message)
        elif isinstance(message, Keep):
            self._tasks.spawn("response", self._hooks.keep(worker.number, message.response))
        elif isinstance(message, Seen):
            self._hooks.seen(message.samples)
            for other in self.alive:
                if other is not worker and other.is_told and not other.is_behind:
                    other.send(Heard(message.samples))
        elif isinstance(message, Question):
            self._tasks.spawn("question", self._answer(worker, message))

    async def _answer(self, worker: Worker, question: Question) -> None:
        worker.send(Answer(question.number, await self._hooks.answer(question)))


def _signal(worker: Worker, number: signal.Signals) -> None:
    if worker.process.returncode is None:
        worker.process.send_signal(number)


def worker_command(module: str, options: bytes) -> list[str]:
    """The command line of a worker: this interpreter, the module that runs it, its options as JSON."""
    return [sys.executable, "-m", module, os.fsdecode(options)]
