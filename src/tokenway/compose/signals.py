"""Signals as something to wait for beside sockets."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from typing import Final

HEEDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_READ: Final = 4096


class Signals:
    """Those that came and were not taken yet; `select` finds it readable when there are any."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        """For `select`."""
        return self._end.fileno()

    def take(self) -> set[int]:
        """The numbers of those that came since the last time."""
        try:
            return set(self._end.recv(_READ))
        except BlockingIOError:
            return set()


@contextlib.contextmanager
def heeded() -> Iterator[Signals]:
    """From here on these signals do nothing but wait to be taken; only in the main thread."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, _noted) for number in HEEDED}
        try:
            yield Signals(ours)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)


def _noted(_number: int, _frame: object) -> None:
    """The interpreter has written the number into the socket already."""
