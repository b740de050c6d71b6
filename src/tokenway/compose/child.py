"""One child process that is kept alive: heard when it is ready, started again when it ends, stopped."""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from tokenway.compose.spawn import Born

log = logging.getLogger("tokenway.control")

RESTART_FIRST: Final = 0.2
RESTART_MAX: Final = 10.0
HEALTHY_SECONDS: Final = 30.0
"""A child that lived this long resets the pause before its next start."""
_WORDS: Final = 16


class Ended(NamedTuple):
    """How a child ended: in words, and its exit status if there ever was a process."""

    how: str
    status: int | None = None


class Child:
    """Keeps one process alive, for an owner that calls `step` whenever something may have happened.

    `begin(life)` starts its life of that number; may raise OSError. A child that ends `tries` times before it ever was
    ready is `hopeless`: it is not started again.
    """

    def __init__(self, name: str, begin: Callable[[int], Born], *, tries: int = 1) -> None:
        self.name = name
        self.is_ready = False
        """Whether the process that runs has said that it is ready."""
        self.was_ready = False
        """Whether any of them ever has."""
        self.hopeless: Ended | None = None
        """How the last try ended, when there is no other."""
        self.due = 0.0
        """When there is something to do, if nothing happens before."""
        self._begin = begin
        self._tries = tries
        self._born: Born | None = None
        self._is_held = False
        """Whether the process has not let go of its leash."""
        self._pending: signal.Signals | None = None
        self._is_stopping = False
        self._lives = 0
        self._began = 0.0
        self._pause = RESTART_FIRST

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return None if self._born is None else self._born.process.pid

    @property
    def leash(self) -> socket.socket | None:
        """What it may be heard on."""
        return self._born.end if self._born is not None and self._is_held else None

    @property
    def is_over(self) -> bool:
        """Whether no process runs, and none will be started."""
        return self._born is None and (self._is_stopping or self.hopeless is not None)

    def step(self, now: float) -> None:
        """Does what is due: takes note of what the process said and of its end, starts the next one."""
        if self._born is not None:
            self._hear(self._born)
            status = self._born.process.poll()
            if status is not None:
                self._born.end.close()
                self._born = None
                self._ended(Ended(f"ended with status {status}", status), now)
            elif now >= self.due:
                log.warning("%s does not end, and is killed", self.name)
                self._send(signal.SIGKILL)
                self.due = math.inf
        elif not self.is_over and now >= self.due:
            self._start(now)

    def pass_on(self, number: signal.Signals) -> None:
        """Sends a signal, as soon as the child is ready for it."""
        if self.is_ready:
            self._send(number)
        else:
            self._pending = number

    def stop(self, now: float, patience: float) -> None:
        """Sends SIGTERM, and has it killed when it has not ended after so many seconds; it is not started again."""
        self._is_stopping = True
        self.due = now + patience if self._born is not None else math.inf
        self._send(signal.SIGTERM)

    def _start(self, now: float) -> None:
        self._lives += 1
        self._began = now
        try:
            self._born = self._begin(self._lives)
        except OSError as error:
            self._ended(Ended(f"could not be started ({error})"), now)
        else:
            self._born.end.setblocking(False)
            self._is_held = True
            self.due = math.inf

    def _hear(self, born: Born) -> None:
        if not self._is_held:
            return
        try:
            self._is_held = bool(born.end.recv(_WORDS))
        except BlockingIOError:
            return
        except OSError:
            self._is_held = False  # it died with something unread: the same as an end
        if self._is_held:
            self.is_ready = self.was_ready = True
            if self._pending is not None:
                self._send(self._pending)
                self._pending = None

    def _ended(self, ended: Ended, now: float) -> None:
        self.is_ready = False
        self.due = math.inf
        if self._is_stopping:
            return
        if not self.was_ready and self._lives >= self._tries:
            self.hopeless = ended
            return
        lived = now - self._began
        log.error("%s %s after %.1f s; it is started again", self.name, ended.how, lived)
        self._pause = RESTART_FIRST if lived > HEALTHY_SECONDS else min(RESTART_MAX, self._pause * 2)
        self.due = now + self._pause

    def _send(self, number: signal.Signals) -> None:
        if self._born is not None:
            with contextlib.suppress(ProcessLookupError):
                self._born.process.send_signal(number)
