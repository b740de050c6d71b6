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

from tokenway.compose.control import agreed, make_gateway, plan_of
from tokenway.compose.handover import hand_over, receive
from tokenway.compose.listeners import workers_listener
from tokenway.compose.paths import CREDENTIALS
from tokenway.compose.plan import Asked, Begin, Plan, decode_plan
from tokenway.compose.plan import encode as packed
from tokenway.compose.spawn import BIRTH, CONTROL, WORKER, spawn
from tokenway.compose.told import ControlOptions
from tokenway.control.config import load
from tokenway.model.settings import ServerSettings, TlsSettings
from tokenway.model.worker import WorkerOptions
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
        self.plan: Plan | None = None

    def options(self, *, is_first: bool = True) -> ControlOptions:
        """What it is told."""
        ports = (self.public.getsockname()[1], self.control.getsockname()[1])
        return ControlOptions(
            load(self.file, {}).demand(), str(self.file), {}, str(self.data), *ports, is_first=is_first
        )

    def spawn(self) -> None:
        """Starts it, with its output in pipes."""
        self.end, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", BIRTH, CONTROL, str(theirs.fileno())]
            self.process = subprocess.Popen(
                command, pass_fds=(theirs.fileno(),), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )

    def start(self, *, is_first: bool = True) -> None:
        """Starts it and has it begin."""
        self.spawn()
        if is_first:
            self.plan = self.asks({})
        assert self.plan is not None
        options = b"" if is_first else self.plan.options
        begin = Begin(self.public.getsockname()[1], self.control.getsockname()[1], options)
        with (self.data / "lock").open("w") as lock:
            descriptors = (self.workers.fileno(), self.control.fileno(), lock.fileno())
            hand_over(self.end, packed(begin), descriptors)

    def asks(self, overrides: dict[str, str]) -> Plan | None:
        """What the process makes of the configuration; None when it ends instead."""
        hand_over(self.end, packed(Asked(str(self.file), overrides, str(self.data))))
        told = receive(self.end)
        return None if told is None else decode_plan(told[0])

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


@pytest.mark.parametrize(
    ("text", "overrides", "status", "complaint"),
    [
        ("models: 5", {}, 1, "tokenway.yaml:1: error: models"),
        (CONFIG, {"server.port": "x"}, 2, "--port: error: server.port"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_told(
    supervisor: Supervisor, text: str, overrides: dict[str, str], status: int, complaint: str
) -> None:
    """By the process that reads it; its status says whether a flag is to blame."""
    supervisor.file.write_text(text)
    supervisor.spawn()
    assert supervisor.asks(overrides) is None
    ended, out, err = supervisor.ended()
    assert (ended, out) == (status, "")
    assert complaint in err
    assert err.endswith("tokenway: the configuration cannot be used, so nothing was started\n")


def test_a_plan_has_what_the_supervisor_needs(supervisor: Supervisor) -> None:
    """Where to listen, how many workers there are and what they have to know."""
    options = supervisor.options()
    tls = TlsSettings("c.pem", "k.pem")
    server = ServerSettings(host="::", port=1, control_port=2, workers=3, drain=4.0, tls=tls)
    settings = msgspec.structs.replace(options.settings, server=server)
    plan = plan_of(msgspec.structs.replace(options, settings=settings))
    assert (plan.host, plan.port, plan.control_port, plan.workers, plan.drain) == ("::", 1, 2, 3, 4.0)
    assert (plan.data_dir, plan.journals) == (str(supervisor.data), str(supervisor.data / "journal"))
    assert (plan.tls_cert, plan.tls_key) == ("c.pem", "k.pem")


def test_a_later_one_is_told_what_the_first_had_read(supervisor: Supervisor) -> None:
    """With the ports that were bound; the first is not told again what it knows."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        options = supervisor.options()
        hand_over(ours, packed(Begin(7, 8, plan_of(options).options)))
        assert agreed(theirs) == (msgspec.structs.replace(options, port=7, control_port=8, is_first=False), [])
        ours.close()
        assert agreed(theirs) is None
