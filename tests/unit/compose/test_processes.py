"""The supervisor's processes: really started, brought to an end in every way there is."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from tokenway.aio.tasks import Tasks
from tokenway.compose.listeners import bind, workers_listener
from tokenway.compose.processes import Held, Supervisor, Untold
from tokenway.compose.spawn import begun
from tokenway.compose.told import ControlOptions
from tokenway.control.config import load
from tokenway.model.errors import TokenwayError
from tokenway.store.sqlite import open_sqlite

CONFIG = (
    "{server: {workers: 2, drain: 5s}, providers: {local: {enabled: false}, lab: {base_url: 'http://127.0.0.1:9/v1'}}}"
)


class Running:
    """A supervisor in this process, and the way to stop it."""

    def __init__(self, supervisor: Supervisor, tasks: Tasks, data: Path, port: int) -> None:
        self.supervisor = supervisor
        self.data = data
        self.port = port
        self.stop = asyncio.Event()
        self._tasks = tasks
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to supervise."""
        self._work = self._tasks.start("supervisor", self.supervisor.run(self.stop))

    async def ended(self) -> None:
        """Waits until it has ended; raises what it ended with."""
        assert self._work is not None
        await self._work

    async def ready(self) -> None:
        """Until all are ready."""
        await becomes(lambda: self.supervisor.control.is_ready)
        await becomes(lambda: all(worker.is_ready for worker in self.supervisor.workers))

    def pids(self) -> list[int]:
        """The processes that run."""
        children = (self.supervisor.control, *self.supervisor.workers)
        return [child.pid for child in children if child.pid is not None]


async def becomes(condition: Callable[[], bool]) -> None:
    """Gives way to the loop until it is so."""
    while not condition():  # noqa: ASYNC110 - what another process does sets no event here
        await asyncio.sleep(0.01)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A supervisor with two workers, which has not been started."""
    (tmp_path / "tokenway.yaml").write_text(CONFIG)
    settings = load(tmp_path / "tokenway.yaml", {}).demand()
    tasks = Tasks(lambda _name, _error: None)
    data = tmp_path / "data"
    data.mkdir()
    with (
        begun() as both,
        await bind("127.0.0.1", 0, "--port") as public,
        await bind("127.0.0.1", 0, "--control-port") as control,
        workers_listener(data) as (workers, path),
        (data / "lock").open("w") as lock,
    ):
        ports = (public.getsockname()[1], control.getsockname()[1])
        told = ControlOptions(settings, str(tmp_path / "tokenway.yaml"), {}, str(data), *ports)
        held = Held(public, control, workers, path, lock.fileno())
        made = Running(Supervisor(held, told, both, tasks), tasks, data, ports[0])
        yield made
        made.stop.set()
        await tasks.close()
        assert made.pids() == []


async def test_all_are_started_and_stopped(running: Running) -> None:
    """The first two are those that had begun; nobody listens while they stop, and none of them is left."""
    running.start()
    await running.ready()
    pids = running.pids()
    assert pids[:2] == [born.process.pid for born in running.supervisor._begun]
    assert len(set(pids)) == 3
    running.stop.set()
    await running.ended()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", running.port)


async def test_what_dies_is_started_again(running: Running) -> None:
    """Each of them, with the same number, while the others go on."""
    running.start()
    await running.ready()
    control, *workers = running.pids()
    os.kill(control, signal.SIGKILL)
    await becomes(lambda: running.supervisor.control.pid not in (None, control))
    await running.ready()
    os.kill(workers[0], signal.SIGKILL)
    await becomes(lambda: running.supervisor.workers[0].pid not in (None, workers[0]))
    await running.ready()
    assert running.supervisor.workers[1].pid == workers[1]
    running.stop.set()
    await running.ended()


async def test_a_control_process_that_has_said_why_ends_it_all(running: Running) -> None:
    """There is nothing to add."""
    open_sqlite(running.data / "tokenway.db").close()
    with sqlite3.connect(running.data / "tokenway.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    running.start()
    with pytest.raises(Untold):
        await running.ended()


async def test_a_control_process_that_is_killed_before_it_was_ready_is_told_of(running: Running) -> None:
    """It could not say anything."""
    running.start()
    await becomes(lambda: running.supervisor.control.pid is not None)
    os.kill(running.pids()[0], signal.SIGKILL)
    with pytest.raises(TokenwayError, match=r"^the control process ended with status -9 before it was ready$"):
        await running.ended()


async def test_a_worker_that_never_serves_ends_it_all(running: Running) -> None:
    """After three tries; why, it has said itself."""
    (running.data / "journal").write_text("")
    running.start()
    with pytest.raises(TokenwayError, match=r"^worker \d ended with status 1 3 times before it served; its reason"):
        await running.ended()


async def test_a_reload_waits_for_a_control_process(capfd: pytest.CaptureFixture[str], running: Running) -> None:
    """Which one that is just starting would not survive."""
    running.supervisor.reload()
    running.start()
    await running.ready()
    said = ""
    while "was read again" not in said:
        await asyncio.sleep(0.01)
        said += capfd.readouterr().err
    running.stop.set()
    await running.ended()


async def test_a_control_process_that_has_just_died_is_waited_for(running: Running) -> None:
    """Its successor brings what the workers wrote into the ledger."""
    running.start()
    await running.ready()
    control = running.pids()[0]
    os.kill(control, signal.SIGKILL)
    running.stop.set()
    await running.ended()
    assert list((running.data / "journal").glob("*.journal")) == []
