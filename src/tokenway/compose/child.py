"""One child process that is kept alive: started, heard when it is ready, started again when it ends, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from tokenway.aio.tasks import Tasks

log = logging.getLogger("tokenway.control")

RESTART_FIRST: Final = 0.2
RESTART_MAX: Final = 10.0
HEALTHY_SECONDS: Final = 30.0
"""A child that lived this long resets the pause before its next start."""


class Launch(NamedTuple):
    """How a child is started: its command, what it inherits, and what it is told first over its leash."""

    command: list[str]
    descriptors: tuple[int, ...] = ()
    words: bytes = b""


class Ended(NamedTuple):
    """How a child ended: in words, and its exit status if there ever was a process."""

    how: str
    status: int | None = None


def module_command(module: str, argument: str) -> list[str]:
    """The command line of a child: this interpreter, a module, and one argument without secrets."""
    return [sys.executable, "-m", module, argument]


class Child:
    """Keeps one process alive. `launch(leash, life)` says how its life of that number is started.

    `leash` is the descriptor of its end of a socket pair (`aio.leash`). A child that ends `tries` times before it ever
    was ready is hopeless: it is not started again, and `on_hopeless` is called with how it ended.
    """

    def __init__(
        self,
        name: str,
        launch: Callable[[int, int], Launch],
        tasks: Tasks,
        on_hopeless: Callable[[Ended], None],
        *,
        tries: int = 1,
    ) -> None:
        self.name = name
        self.process: asyncio.subprocess.Process | None = None
        """The process that runs now."""
        self._launch = launch
        self._tasks = tasks
        self._on_hopeless = on_hopeless
        self._tries = tries
        self._is_ready = False
        self._was_ready = False
        self._pending: signal.Signals | None = None
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the process that runs has said that it is ready."""
        return self._is_ready

    def start(self) -> None:
        """Begins to keep it alive; call it once, in the running loop."""
        self._keeper = self._tasks.start(self.name, self._keep())

    def pass_on(self, number: signal.Signals) -> None:
        """Sends a signal, as soon as the child is ready for it."""
        if self._is_ready:
            self._send(number)
        else:
            self._pending = number

    async def stop(self, patience: float) -> None:
        """Sends SIGTERM and waits for the end; kills it when it has not come after so many seconds."""
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
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def _keep(self) -> None:
        pause = RESTART_FIRST
        lives = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            lives += 1
            ended = await self._live_and_end(lives)
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

    async def _live_and_end(self, life: int) -> Ended:
        """One life; whatever fails, it returns."""
        try:
            status = await self._live(life)
        except Exception as error:
            log.exception("%s could not be looked after", self.name)
            return Ended(f"could not be started ({error})")
        finally:
            self.process = None
            self._is_ready = False
        return Ended(f"ended with status {status}", status)

    async def _live(self, life: int) -> int:
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as if_it_fails:
            if_it_fails.callback(ours.close)
            launch = self._launch(theirs.fileno(), life)
            process = await asyncio.create_subprocess_exec(
                *launch.command,
                pass_fds=(*launch.descriptors, theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor, which drains first
            )
            if_it_fails.pop_all()
        self.process = process
        if self._stopping.is_set():  # it was told to stop while it was being started
            self._send(signal.SIGTERM)
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            writer.write(launch.words)
            if await self._says_something(reader):
                self._now_ready()
            return await process.wait()
        finally:
            if writer is not None:
                writer.close()
            if process.returncode is None:
                process.kill()
                await process.wait()

    @staticmethod
    async def _says_something(reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.read(1)
        except ConnectionError:
            return b""  # it died with its words unread

    def _now_ready(self) -> None:
        self._is_ready = self._was_ready = True
        if self._pending is not None:
            self._send(self._pending)
            self._pending = None
