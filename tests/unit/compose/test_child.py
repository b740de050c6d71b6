"""One child that is kept alive: real processes that do one thing each."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from tokenway.aio.tasks import Tasks
from tokenway.compose import child as module
from tokenway.compose.child import Child, Ended
from tokenway.compose.spawn import Born

PROGRAM = """
import os, signal, socket, sys, time
what, leash = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
if what == "end at once":
    sys.exit(3)
if what == "ignore SIGTERM":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if what == "tell of SIGHUP":
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(7))
    time.sleep(0.2)
if what != "never ready":
    leash.send(b"r")
while True:
    if what == "let go and stay":
        leash.close()
        time.sleep(0.2)
        sys.exit(5)
    signal.pause()
"""


class Owner:
    """Starts the program above, and notes what became of it."""

    def __init__(self, tasks: Tasks, what: str, tries: int = 1) -> None:
        self.what = what
        self.lives: list[int] = []
        self.hopeless: list[Ended] = []
        self.child = Child("the child", self._begin, tasks, self.hopeless.append, tries=tries)

    def _begin(self, life: int) -> Born:
        self.lives.append(life)
        if self.what == "cannot begin":
            raise FileNotFoundError(2, "No such file or directory")
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, self.what, str(theirs.fileno())], pass_fds=(theirs.fileno(),)
            )
        return Born(process, ours)

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self.child.pid is not None
        return self.child.pid


Start = Callable[..., Owner]


@pytest.fixture
async def start(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Starts children; all have ended after the test."""
    monkeypatch.setattr(module, "RESTART_FIRST", 0.01)
    failures: list[BaseException] = []
    tasks = Tasks(lambda _name, error: failures.append(error))

    def begin(what: str, tries: int = 1) -> Owner:
        owner = Owner(tasks, what, tries)
        owner.child.start()
        return owner

    yield begin
    await tasks.close()
    assert failures == []


async def becomes(condition: Callable[[], bool]) -> None:
    """Gives way to the loop until it is so."""
    while not condition():  # noqa: ASYNC110 - what another process does sets no event here
        await asyncio.sleep(0.01)


async def test_a_child_that_ends_is_started_again(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """It is not ready before it says so; its end is told with how it came."""
    owner = start("serve")
    assert not owner.child.is_ready
    await becomes(lambda: owner.child.is_ready)
    first = owner.pid
    os.kill(first, signal.SIGKILL)
    await becomes(lambda: owner.child.is_ready and owner.pid != first)
    assert owner.lives == [1, 2]
    assert "the child ended with status -9 after" in caplog.text
    assert owner.hopeless == []


async def test_one_that_was_ready_once_is_never_hopeless(start: Start) -> None:
    """However often it ends at once after that, with pauses that grow."""
    owner = start("serve")
    await becomes(lambda: owner.child.is_ready)
    owner.what = "end at once"
    os.kill(owner.pid, signal.SIGKILL)
    await becomes(lambda: len(owner.lives) == 5)
    assert owner.hopeless == []


@pytest.mark.parametrize(("what", "how"), [("end at once", "ended with status 3"), ("cannot begin", "could not be")])
async def test_one_that_never_is_ready_is_hopeless(start: Start, what: str, how: str) -> None:
    """After as many tries as it has; then it is left alone."""
    owner = start(what, tries=3)
    await becomes(lambda: bool(owner.hopeless))
    assert owner.lives == [1, 2, 3]
    assert owner.hopeless[0].how.startswith(how)
    assert owner.hopeless[0].status == (3 if what == "end at once" else None)
    await owner.child.stop(1.0)


async def test_stop_ends_it_for_good(start: Start) -> None:
    """SIGTERM is enough for one that heeds it."""
    owner = start("serve")
    await becomes(lambda: owner.child.is_ready)
    await owner.child.stop(30.0)
    assert owner.child.pid is None
    assert owner.lives == [1]


async def test_stop_kills_what_outlives_its_patience(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """And says so."""
    owner = start("ignore SIGTERM")
    await becomes(lambda: owner.child.is_ready)
    await owner.child.stop(0.1)
    assert owner.child.pid is None
    assert "the child does not end, and is killed" in caplog.text


async def test_stop_ends_the_pause_before_a_start(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a child that would only be ended."""
    owner = start("serve")
    await becomes(lambda: owner.child.is_ready)
    monkeypatch.setattr(module, "RESTART_FIRST", 1000.0)
    monkeypatch.setattr(module, "RESTART_MAX", 1000.0)
    os.kill(owner.pid, signal.SIGKILL)
    await becomes(lambda: owner.child.pid is None)
    await owner.child.stop(30.0)
    assert owner.lives == [1]


async def test_a_signal_waits_until_the_child_is_ready_for_it(start: Start) -> None:
    """Before, it would end a process that has not said what it does with it."""
    owner = start("tell of SIGHUP", tries=2)
    owner.child.pass_on(signal.SIGHUP)
    await becomes(lambda: owner.lives == [1, 2])
    await becomes(lambda: owner.child.is_ready)
    owner.child.pass_on(signal.SIGHUP)
    await becomes(lambda: len(owner.lives) == 3)
    assert owner.hopeless == []


async def test_a_child_that_lets_go_has_not_ended_yet(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Its end is waited for all the same."""
    owner = start("let go and stay")
    await becomes(lambda: len(owner.lives) == 2)
    assert "ended with status 5" in caplog.text


async def test_whoever_gives_up_leaves_no_process(start: Start) -> None:
    """When its task is cancelled the child is killed."""
    owner = start("never ready")
    await becomes(lambda: owner.child.pid is not None)
    pid = owner.pid
    await owner.child._tasks.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
