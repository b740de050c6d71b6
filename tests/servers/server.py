"""A program that listens on a free port of the loopback, in a directory of its own; it can be killed and come back."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
LOG_LINES: Final = 20
"""How much of its last words is shown when it does not start."""


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Server(ABC):
    """A server process. What it has stored outlives `kill` and `stop`, and is deleted by `close`."""

    def __init__(self, name: str) -> None:
        self.port = free_port()
        # Not in pytest's own folders: those belong to root alone, where root runs the tests.
        self.directory = Path(tempfile.mkdtemp(prefix=f"tokenway-{name}-"))
        self._log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What starts it in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes connections by now."""

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it and waits until it answers; raises RuntimeError with its last words when it does not."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, env=self.setting()
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if not self.is_running or time.monotonic() > deadline:
                words = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
                raise RuntimeError("\n".join(("the server does not start:", *words)))
            time.sleep(0.02)

    def setting(self) -> dict[str, str]:
        """Its environment: of ours only what finds programs, so that nobody's settings change what is tested."""
        return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}

    def kill(self) -> None:
        """Ends it and every process of its own by SIGKILL."""
        if self._process is None:
            return
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            family = [parent, *parent.children(recursive=True)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        self._process.wait(STOP_SECONDS)
        psutil.wait_procs(family, STOP_SECONDS)
        self._process = None

    def stop(self, number: int = signal.SIGINT) -> None:
        """Ends it in good order: by SIGINT, which lets PostgreSQL and Valkey close their clients' connections."""
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(STOP_SECONDS)
        self._process = None

    def pause(self) -> None:
        """Stops it from answering, while its connections stay: what a machine does that hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Kills it and deletes what it has stored."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def cpu(self) -> float:
        """CPU seconds of the processes that it has now."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        return sum(each.user + each.system for each in (p.cpu_times() for p in (parent, *parent.children())))

    def _signal(self, number: int) -> None:
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        for member in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(number)
