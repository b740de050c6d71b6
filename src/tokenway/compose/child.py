"""One child process that is kept alive: heard when it is ready, started again when it ends, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from tokenway.aio.tasks import Tasks
from tokenway.compose.spawn import Born

log = logging.getLogger("tokenway.control")

RESTART_FIRST: Final = 0.2
RESTART_MAX: Final = 10.0
HEALTHY_SECONDS: Final = 30.0
"""A child that lived this long resets the pause before its next start."""
LOOK_SECONDS: Final = 0.01
"""How often a process is looked at that has let go of its leash and is about to end."""


class Ended(NamedTuple):
    """How a child ended: in words, and its exit status if there ever was a process."""

    how: str
    status: int | None = None


class Child:
    """Keeps one process alive. `begin(life)` starts its life of that number; may raise OSError.

    A child that ends `tries` times before it ever was ready is hopeless: it is not started again, and `on_hopeless` is
    called with how it ended.
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[int], Born],
        tasks: Tasks,
        on_hopeless: Callable[[Ended], None],
        *,
        tries: int = 1,
    ) -> None:
        self.name = name
        self._begin = begin
        self._tasks = tasks
        self._on_hopeless = on_hopeless
        self._tries = tries
        self._born: Born | None = None
        self._ready = asyncio.Event()
        self._was_ready = False
        self._pending: signal.Signals | None = None
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return None if self._born is None else self._born.process.pid

    @property
    def is_ready(self) -> bool:
        """Whether the process that runs has said that it is ready."""
        return self._ready.is_set()

    def start(self) -> None:
        """Begins to keep it alive; call it once, in the running loop."""
        self._keeper = self._tasks.start(self.name, self._keep())

    def pass_on(self, number: signal.Signals) -> None:
        """Sends a signal, as soon as the child is ready for it."""
        if self.is_ready:
            self._send(number)
        else:
            self._pending = number

    async def stop(self, patience: float, *, ready_within: float = 0.0) -> None:
        """Sends SIGTERM and waits for the end; kills it when it has not come after so many seconds.

        One that is being started again has something to end properly: `ready_within` is how long it is waited for.
        """
        if self._was_ready and ready_within:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ready_within):
                    await self._ready.wait()
        self._stopping.set()
        self._send(signal.SIGTERM)
        if self._keeper is None:
            return
        await asyncio.wait({self._keeper}, timeout=patience)
        if not self._keeper.done():
            log.warning("%s does not end, and is killed", self.name)
            self._send(signal.SIGKILL)
            await asyncio.wait({self._keeper})

    def _send(self, number: signal.Signals) -> None:
        if self._born is not None:
            self._born.process.send_signal(number)

    async def _keep(self) -> None:
        pause = RESTART_FIRST
        lives = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            lives += 1
            ended = await self._live(lives)
            if self._stopping.is_set():
                return
            if not self._was_ready and lives >= self._tries:
                self._on_hopeless(ended)
                return
            lived = time.monotonic() - began
            log.error("%s %s after %.1f s; it is started again", self.name, ended.how, lived)
            pause = RESTART_FIRST if lived > HEALTHY_SECONDS else min(RESTART_MAX, pause * 2)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _live(self, life: int) -> Ended:
        """One life and its end."""
        try:
            born = self._born = self._begin(life)
        except OSError as error:
            return Ended(f"could not be started ({error})")
        try:
            await self._hear(born)
            while (status := born.process.poll()) is None:  # noqa: ASYNC110 - its end sets no event, and is near
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._born = None
            self._ready.clear()
            if born.process.poll() is None:
                born.process.kill()
                born.process.wait()
        return Ended(f"ended with status {status}", status)

    async def _hear(self, born: Born) -> None:
        """Listens to what comes over the leash, until its other end is closed."""
        reader, writer = await asyncio.open_unix_connection(sock=born.end)
        try:
            while await reader.read(1):
                self._was_ready = True
                self._ready.set()
                if self._pending is not None:
                    self._send(self._pending)
                    self._pending = None
        except ConnectionError:
            pass  # it died with something unread: the same as an end
        finally:
            writer.close()
