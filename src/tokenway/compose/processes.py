"""The supervisor: one control process and the edge workers, as children that are kept alive.

It holds what must not be away for a moment: the listeners, the socket on which workers find the control process, the
lock of the data directory. It opens no database and is not in the way of any request. Its children notice its end by
their leashes.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tokenway.aio.tasks import Tasks
from tokenway.compose.child import Child, Ended
from tokenway.compose.handover import hand_over
from tokenway.compose.paths import JOURNALS
from tokenway.compose.spawn import CONTROL, WORKER, Born, spawn
from tokenway.compose.told import ControlOptions, encode
from tokenway.model.errors import TokenwayError
from tokenway.model.link import WorkerOptions

LIVES_BEFORE_SERVING: Final = 3
"""How often a worker may end before it has served at all; more often and it never will."""
STOP_MARGIN: Final = 3.0
"""Seconds beyond the drain time after which a worker that did not stop is killed."""
CONTROL_SECONDS: Final = 30.0
"""How long the control process may take to bring what the workers wrote into the ledger."""
READY_SECONDS: Final = 5.0
"""How long one is waited for that has just died, so that its successor can do that."""
HAS_SAID_WHY: Final = 1
"""The exit status of a control process that has told the reason itself."""


class Held(NamedTuple):
    """What the supervisor holds and its children inherit; `path` is where workers find the control process."""

    public: socket.socket
    control: socket.socket
    workers: socket.socket
    path: Path
    lock: int


class Untold(TokenwayError):
    """The gateway cannot run, and the reason has been told already."""


class Supervisor:
    """The processes of one gateway, the first two of which have begun: a control process and a worker."""

    def __init__(self, held: Held, told: ControlOptions, begun: tuple[Born, Born], tasks: Tasks) -> None:
        """`told` is what each control process is told."""
        self._held = held
        self._begun = begun
        self._told = told
        self._tasks = tasks
        self._hopeless: asyncio.Future[TokenwayError] = asyncio.get_running_loop().create_future()
        self.control = Child("the control process", self._begin_control, tasks, self._control_is_hopeless)
        self.workers = [self._worker(number) for number in range(1, told.settings.server.workers + 1)]

    async def run(self, stop: asyncio.Event) -> None:
        """Keeps all of them alive until `stop`; raises TokenwayError when one cannot be brought to serve."""
        self.control.start()
        for worker in self.workers:
            worker.start()
        stopped = self._tasks.start("stop", stop.wait())
        try:
            await asyncio.wait({stopped, self._hopeless}, return_when=asyncio.FIRST_COMPLETED)
            if self._hopeless.done():
                raise self._hopeless.result()
        finally:
            stopped.cancel()
            # Who connects from now on is refused by the system, and does not wait for somebody to accept it.
            self._held.public.close()
            await self._stop()

    def reload(self) -> None:
        """Has the control process read the configuration again."""
        self.control.pass_on(signal.SIGHUP)

    async def _stop(self) -> None:
        """First the workers, which finish what is open, then the control process, which takes in what they wrote."""
        drain = self._told.settings.server.drain + STOP_MARGIN
        await asyncio.gather(*(worker.stop(drain) for worker in self.workers))
        await self.control.stop(CONTROL_SECONDS, ready_within=READY_SECONDS)

    def _begin_control(self, life: int) -> Born:
        held = self._held
        born = self._begun[0] if life == 1 else spawn(CONTROL)
        told = msgspec.structs.replace(self._told, is_first=life == 1)
        return _told(born, encode(told), held.workers.fileno(), held.control.fileno(), held.lock)

    def _worker(self, number: int) -> Child:
        server = self._told.settings.server
        listener = self._held.public.fileno()
        options = WorkerOptions(
            number=number,
            journal_dir=str(self._told.data / JOURNALS),
            control=str(self._held.path),
            drain=server.drain,
            tls_cert=server.tls.cert if server.tls is not None else None,
            tls_key=server.tls.key if server.tls is not None else None,
        )

        def begin(life: int) -> Born:
            born = self._begun[1] if (number, life) == (1, 1) else spawn(WORKER)
            return _told(born, msgspec.json.encode(options), listener)

        def hopeless(ended: Ended) -> None:
            times = f"{ended.how} {LIVES_BEFORE_SERVING} times"
            self._end(TokenwayError(f"worker {number} {times} before it served; its reason stands above"))

        return Child(f"worker {number}", begin, self._tasks, hopeless, tries=LIVES_BEFORE_SERVING)

    def _control_is_hopeless(self, ended: Ended) -> None:
        if ended.status == HAS_SAID_WHY:
            self._end(Untold())
        else:
            self._end(TokenwayError(f"the control process {ended.how} before it was ready"))

    def _end(self, why: TokenwayError) -> None:
        if not self._hopeless.done():
            self._hopeless.set_result(why)


def _told(born: Born, payload: bytes, *descriptors: int) -> Born:
    """A child that knows what it is for; one that has ended by then is found to have."""
    with contextlib.suppress(OSError):
        hand_over(born.end, payload, descriptors)
    return born
