"""The control process as a process, with the test as its supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tokenway.compose.control import make_gateway
from tokenway.compose.handover import hand_over
from tokenway.compose.listeners import workers_listener
from tokenway.compose.paths import CREDENTIALS
from tokenway.compose.spawn import CONTROL, WORKER, spawn
from tokenway.compose.told import ControlOptions, encode
from tokenway.control.config import load
from tokenway.model.link import WorkerOptions
from tokenway.store.sqlite import open_sqlite

CONFIG = "providers: {local: {enabled: false}, lab: {base_url: 'http://127.0.0.1:9/v1'}}\n"


class Supervisor:
    """What a control process needs: sockets, a directory, a leash."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "tokenway.yaml"
        self.file.write_text(CONFIG)
        self.data = folder / "data"
        self.data.mkdir()
        self.stack = contextlib.ExitStack()
        self.workers, self.path = self.stack.enter_context(workers_listener(self.data))
        self.control = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.public = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.end: socket.socket
        self.process: subprocess.Popen[str]

    def options(self, *, is_first: bool = True) -> ControlOptions:
        """What it is told."""
        ports = (self.public.getsockname()[1], self.control.getsockname()[1])
        return ControlOptions(
            load(self.file, {}).demand(), str(self.file), {}, str(self.data), *ports, is_first=is_first
        )

    def start(self, *, is_first: bool = True) -> None:
        """Starts it, with its output in pipes."""
        self.end, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", CONTROL, str(theirs.fileno())]
            self.process = subprocess.Popen(
                command, pass_fds=(theirs.fileno(),), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        with (self.data / "lock").open("w") as lock:
            descriptors = (self.workers.fileno(), self.control.fileno(), lock.fileno())
            hand_over(self.end, encode(self.options(is_first=is_first)), descriptors)

    def is_ready(self) -> bool:
        """Waits until it says so, or has ended."""
        self.end.settimeout(60)
        with contextlib.suppress(ConnectionResetError):
            return self.end.recv(1) == b"r"
        return False

    def ended(self) -> tuple[int, str, str]:
        """Its exit status and what it wrote."""
        out, err = self.process.communicate(timeout=60)
        self.end.close()
        return self.process.returncode, out, err


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """One that has started nothing yet."""
    made = Supervisor(tmp_path)
    yield made
    made.stack.close()


def test_it_says_how_to_use_it_when_workers_serve(supervisor: Supervisor) -> None:
    """Not when it is ready itself; SIGTERM ends it well."""
    supervisor.start()
    assert supervisor.is_ready()
    worker = spawn(WORKER)
    options = WorkerOptions(1, str(supervisor.data / "journal"), str(supervisor.path), drain=5.0)
    hand_over(worker.end, msgspec.json.encode(options), (supervisor.public.fileno(),))
    assert supervisor.process.stdout is not None
    lines: list[str] = []
    while not (lines and lines[-1].lstrip().startswith("-d ")):
        lines.append(supervisor.process.stdout.readline())
        assert lines[-1], supervisor.ended()
    assert lines[0] == f"Tokenway listens at   http://127.0.0.1:{supervisor.public.getsockname()[1]}/v1\n"
    key = json.loads((supervisor.data / CREDENTIALS).read_text())["api_key"]
    assert lines[1] == f"Your key, shown once  {key}\n"
    worker.kill()
    supervisor.process.terminate()
    assert supervisor.ended() == (0, "", "")


def test_a_later_one_has_nothing_to_say(supervisor: Supervisor) -> None:
    """It takes up the work; the key stays where it is, and SIGHUP has the configuration read again."""
    for is_first in (True, False):
        supervisor.start(is_first=is_first)
        assert supervisor.is_ready()
        if not is_first:
            supervisor.process.send_signal(signal.SIGHUP)
            assert supervisor.process.stderr is not None
            assert "was read again" in supervisor.process.stderr.readline()
        supervisor.process.terminate()
        assert supervisor.ended() == (0, "", "")
    assert (supervisor.data / CREDENTIALS).exists()


def test_it_ends_when_its_supervisor_is_gone(supervisor: Supervisor) -> None:
    """Without a word; Ctrl-C is not for it."""
    supervisor.start()
    assert supervisor.is_ready()
    supervisor.process.send_signal(signal.SIGINT)
    os.kill(supervisor.process.pid, 0)
    supervisor.end.close()
    assert supervisor.ended() == (0, "", "")


def test_why_it_cannot_start_is_a_sentence(supervisor: Supervisor) -> None:
    """Status 1; it never was ready."""
    open_sqlite(supervisor.data / "tokenway.db").close()
    with sqlite3.connect(supervisor.data / "tokenway.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    supervisor.start()
    assert not supervisor.is_ready()
    status, out, err = supervisor.ended()
    assert (status, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("tokenway: the database ")
    assert "newer than this version of Tokenway knows" in line


async def test_a_later_one_begins_with_what_the_file_says_now(
    supervisor: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    """But for what is read at the start only; a file that cannot be used is told of, and the start's is in force."""
    told = supervisor.options()
    later = supervisor.options(is_first=False)

    def in_force(options: ControlOptions) -> tuple[dict[str, str], int]:
        gateway = make_gateway(options, supervisor.workers.dup())
        aliases = gateway._reloader.settings.aliases
        gateway._listener.close()
        gateway._books._thread.close()
        return dict(aliases), gateway.settings.server.workers

    supervisor.file.write_text(CONFIG + "server: {workers: 7}\naliases: {a: lab/m}\n")
    assert in_force(told) == ({}, 1)
    assert in_force(later) == ({"a": "lab/m"}, 1)
    assert capsys.readouterr().err == ""
    supervisor.file.write_text("aliases: 5")
    assert in_force(later) == ({}, 1)
    first, last = capsys.readouterr().err.splitlines()
    assert "tokenway.yaml:1: error: aliases" in first
    assert last == ("tokenway: the configuration cannot be used; the one that the gateway was started with is in force")
