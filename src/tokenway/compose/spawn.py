"""Starts a child process with a leash. Imports next to nothing: `tokenway serve` begins with it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

BIRTH: Final = "tokenway.compose.birth"
CONTROL: Final = "tokenway.compose.control"
WORKER: Final = "tokenway.compose.worker"


class Born(NamedTuple):
    """A process that was just started, and our end of its leash (`aio.leash`)."""

    process: subprocess.Popen[bytes]
    end: socket.socket

    def kill(self) -> None:
        """Ends it now, if it has not ended."""
        self.end.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def spawn(module: str) -> Born:
    """Starts this interpreter with a module, which waits to be told what it is for; raises OSError.

    Of what it is for, its command line says no more than that: anybody on this machine can read it.
    """
    ours, theirs = socket.socketpair()
    with theirs, contextlib.ExitStack() as if_it_fails:
        if_it_fails.callback(ours.close)
        process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
            [sys.executable, "-m", BIRTH, module, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor, which drains first
        )
        if_it_fails.pop_all()
    return Born(process, ours)


@contextlib.contextmanager
def begun() -> Iterator[tuple[Born, Born]]:
    """A control process and a worker that import what they need while this process finds out what they are for.

    At the end they are gone.
    """
    with contextlib.ExitStack() as both:
        control = spawn(CONTROL)
        both.callback(control.kill)
        worker = spawn(WORKER)
        both.callback(worker.kill)
        yield control, worker
