"""The supervisor in this process: which ends when, and what becomes of the others."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tokenway.compose.handover import hand_over, receive
from tokenway.compose.listeners import bind, workers_listener
from tokenway.compose.plan import Asked, decode_plan, encode
from tokenway.compose.processes import Held, Supervisor, Untold
from tokenway.compose.signals import heeded
from tokenway.compose.spawn import begun
from tokenway.model.errors import TokenwayError
from tokenway.store.sqlite import open_sqlite

CONFIG = (
    "{server: {workers: 2, drain: 5s}, providers: {local: {enabled: false}, lab: {base_url: 'http://127.0.0.1:9/v1'}}}"
)


class Running:
    """A supervisor in this process, which gets its signals."""

    def __init__(self, supervisor: Supervisor, data: Path, port: int) -> None:
        self.supervisor = supervisor
        self.until = supervisor._until
        self.data = data
        self.port = port

    def ready(self) -> None:
        """Until all are ready."""
        children = (self.supervisor.control, *self.supervisor.workers)
        self.until(lambda: all(child.is_ready for child in children))

    def pids(self) -> list[int]:
        """The processes that run."""
        children = (self.supervisor.control, *self.supervisor.workers)
        return [child.pid for child in children if child.pid is not None]

    def stop(self) -> None:
        """Tells it to end, and waits."""
        signal.raise_signal(signal.SIGTERM)
        self.supervisor.run()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A supervisor with two workers, which has not begun."""
    (tmp_path / "tokenway.yaml").write_text(CONFIG)
    data = tmp_path / "data"
    data.mkdir()
    with (
        heeded() as signals,
        begun() as both,
        bind("127.0.0.1", 0, "--port") as public,
        bind("127.0.0.1", 0, "--control-port") as control,
        workers_listener(data) as (workers, path),
        (data / "lock").open("w") as lock,
    ):
        hand_over(both[0].end, encode(Asked(str(tmp_path / "tokenway.yaml"), {}, str(data))))
        told = receive(both[0].end)
        assert told is not None
        held = Held(public, control, workers, path, lock.fileno())
        made = Running(Supervisor(held, decode_plan(told[0]), both, signals), data, public.getsockname()[1])
        yield made
        with contextlib.suppress(TokenwayError):
            made.stop()
        assert made.pids() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_are_started_and_stopped(running: Running, number: signal.Signals) -> None:
    """The first two are those that had begun; nobody listens while they stop, and none of them is left."""
    running.ready()
    pids = running.pids()
    assert pids[:2] == [born.process.pid for born in running.supervisor._begun]
    assert len(set(pids)) == 3
    signal.raise_signal(number)
    running.supervisor.run()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port))


def test_what_dies_is_started_again(running: Running) -> None:
    """Each of them, with the same number, while the others go on."""
    running.ready()
    control, *workers = running.pids()
    os.kill(control, signal.SIGKILL)
    running.until(lambda: running.supervisor.control.pid not in (None, control))
    running.ready()
    os.kill(workers[0], signal.SIGKILL)
    running.until(lambda: running.supervisor.workers[0].pid not in (None, workers[0]))
    running.ready()
    assert running.supervisor.workers[1].pid == workers[1]


def test_a_control_process_that_has_said_why_ends_it_all(running: Running) -> None:
    """There is nothing to add."""
    open_sqlite(running.data / "tokenway.db").close()
    with sqlite3.connect(running.data / "tokenway.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(Untold):
        running.supervisor.run()


def test_a_control_process_that_is_killed_before_it_was_ready_is_told_of(running: Running) -> None:
    """It could not say anything."""
    running.until(lambda: running.supervisor.control.pid is not None)
    os.kill(running.pids()[0], signal.SIGKILL)
    with pytest.raises(TokenwayError, match=r"^the control process ended with status -9 before it was ready$"):
        running.supervisor.run()


def test_a_worker_that_never_serves_ends_it_all(running: Running) -> None:
    """After three tries; why, it has said itself."""
    (running.data / "journal").write_text("")
    with pytest.raises(TokenwayError, match=r"^worker \d ended with status 1 3 times before it served; its reason"):
        running.supervisor.run()


def test_a_reload_waits_for_a_control_process(running: Running) -> None:
    """Which one that is just starting would not survive; this one does, then and later."""
    signal.raise_signal(signal.SIGHUP)
    running.ready()
    signal.raise_signal(signal.SIGHUP)
    running.until(lambda: False, 0.5)
    assert running.supervisor.control.pid == running.supervisor._begun[0].process.pid
    running.stop()


def test_a_control_process_that_has_just_died_is_waited_for(running: Running) -> None:
    """Its successor brings what the workers wrote into the ledger."""
    running.ready()
    control = running.pids()[0]
    os.kill(control, signal.SIGKILL)
    running.stop()
    assert list((running.data / "journal").glob("*.journal")) == []
