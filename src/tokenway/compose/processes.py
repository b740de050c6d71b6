"""The supervisor: one control process and the edge workers, as children that are kept alive.

It holds what must not be away for a moment: the listeners, the socket on which workers find the control process, the
lock of the data directory. It opens no database and is not in the way of any request. Its children notice its end by
their leashes.
"""

from __future__ import annotations

import contextlib
import math
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tokenway.compose.child import Child
from tokenway.compose.handover import hand_over
from tokenway.compose.plan import Begin, Plan, encode
from tokenway.compose.signals import Signals
from tokenway.compose.spawn import CONTROL, WORKER, Born, spawn
from tokenway.model.errors import TokenwayError
from tokenway.model.worker import WorkerOptions

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
    """The gateway cannot run, and the reason has been told already; `status` is what `serve` ends with."""

    def __init__(self, status: int = HAS_SAID_WHY) -> None:
        super().__init__()
        self.status = status


class Supervisor:
    """The processes of one gateway, the first two of which have begun: a control process and a worker."""

    def __init__(self, held: Held, plan: Plan, begun: tuple[Born, Born], signals: Signals) -> None:
        """`signals` are those of this process."""
        self._held = held
        self._begun = begun
        self._plan = plan
        self._signals = signals
        self._ports = (held.public.getsockname()[1], held.control.getsockname()[1])
        self._is_told_to_stop = False
        self.control = Child("the control process", self._begin_control)
        self.workers = [self._worker(number) for number in range(1, plan.workers + 1)]

    def run(self) -> None:
        """Keeps all of them alive until SIGTERM or SIGINT; raises TokenwayError when one cannot be brought to serve."""
        try:
            self._until(lambda: self._is_told_to_stop or self._why_not() is not None)
            if not self._is_told_to_stop and (why := self._why_not()) is not None:
                raise why
        finally:
            # Who connects from now on is refused by the system, and does not wait for somebody to accept it.
            self._held.public.close()
            self._stop()

    def _stop(self) -> None:
        """First the workers, which finish what is open, then the control process, which takes in what they wrote."""
        for worker in self.workers:
            worker.stop(time.monotonic(), self._plan.drain + STOP_MARGIN)
        self._until(lambda: all(worker.is_over for worker in self.workers))
        if self.control.was_ready:
            self._until(lambda: self.control.is_ready, READY_SECONDS)
        self.control.stop(time.monotonic(), CONTROL_SECONDS)
        self._until(lambda: self.control.is_over)

    def _until(self, condition: Callable[[], bool], seconds: float = math.inf) -> None:
        """Does what there is to do for the children until it is so, or so much time is over."""
        children = (self.control, *self.workers)
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            for child in children:
                child.step(now)
            if condition() or now >= end:
                return
            pause = min(end, *(child.due for child in children)) - now
            heard: list[Signals | socket.socket] = [self._signals]
            heard += (child.leash for child in children if child.leash is not None)
            select.select(heard, [], [], None if pause == math.inf else max(0.0, pause))
            for number in self._signals.take():
                if number in {signal.SIGTERM, signal.SIGINT}:
                    self._is_told_to_stop = True
                elif number == signal.SIGHUP:
                    self.control.pass_on(signal.SIGHUP)

    def _begin_control(self, life: int) -> Born:
        held = self._held
        is_first = life == 1
        born = self._begun[0] if is_first else spawn(CONTROL)
        begin = Begin(*self._ports, options=b"" if is_first else self._plan.options)
        return _told(born, encode(begin), held.workers.fileno(), held.control.fileno(), held.lock)

    def _worker(self, number: int) -> Child:
        plan = self._plan
        listener = self._held.public.fileno()
        options = WorkerOptions(
            number=number,
            journal_dir=plan.journals,
            control=str(self._held.path),
            drain=plan.drain,
            tls_cert=plan.tls_cert,
            tls_key=plan.tls_key,
        )

        def begin(life: int) -> Born:
            born = self._begun[1] if (number, life) == (1, 1) else spawn(WORKER)
            return _told(born, msgspec.json.encode(options), listener)

        return Child(f"worker {number}", begin, tries=LIVES_BEFORE_SERVING)

    def _why_not(self) -> TokenwayError | None:
        """Why this gateway will never serve, if one of its processes is hopeless."""
        if (ended := self.control.hopeless) is not None:
            if ended.status == HAS_SAID_WHY:
                return Untold()
            return TokenwayError(f"the control process {ended.how} before it was ready")
        for worker in self.workers:
            if (ended := worker.hopeless) is not None:
                times = f"{ended.how} {LIVES_BEFORE_SERVING} times"
                return TokenwayError(f"{worker.name} {times} before it served; its reason stands above")
        return None


def _told(born: Born, payload: bytes, *descriptors: int) -> Born:
    """A child that knows what it is for; one that has ended by then is found to have."""
    with contextlib.suppress(OSError):
        hand_over(born.end, payload, descriptors)
    return born
