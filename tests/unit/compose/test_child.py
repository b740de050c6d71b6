"""One child that is kept alive: real processes that do one thing each."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tokenway.compose import child as module
from tokenway.compose.child import Child
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
    """Starts the program above, and looks after it."""

    def __init__(self, what: str, tries: int = 1) -> None:
        self.what = what
        self.lives: list[int] = []
        self.child = Child("the child", self._begin, tries=tries)

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

    def becomes(self, condition: Callable[[], bool]) -> None:
        """Looks after it until that is so."""
        self.child.step(time.monotonic())
        while not condition():
            time.sleep(0.01)
            self.child.step(time.monotonic())

    def is_ready(self) -> None:
        """Looks after it until it serves."""
        self.becomes(lambda: self.child.is_ready)

    def stop(self, patience: float) -> None:
        """Stops it and waits for its end."""
        self.child.stop(time.monotonic(), patience)
        self.becomes(lambda: self.child.is_over)


Start = Callable[..., Owner]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts children; all have ended after the test."""
    monkeypatch.setattr(module, "RESTART_FIRST", 0.01)
    owners: list[Owner] = []

    def begin(what: str, tries: int = 1) -> Owner:
        owners.append(Owner(what, tries))
        owners[-1].child.step(time.monotonic())
        return owners[-1]

    yield begin
    for owner in owners:
        owner.stop(0.0)


def test_a_child_that_ends_is_started_again(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """It is not ready before it says so; its end is told with how it came."""
    owner = start("serve")
    assert not owner.child.is_ready
    assert not owner.child.was_ready
    owner.is_ready()
    first = owner.pid
    os.kill(first, signal.SIGKILL)
    owner.becomes(lambda: owner.child.pid is None)
    assert (owner.child.is_ready, owner.child.was_ready, owner.child.leash) == (False, True, None)
    owner.is_ready()
    assert owner.pid != first
    assert owner.lives == [1, 2]
    assert "the child ended with status -9 after" in caplog.text
    assert owner.child.hopeless is None


def test_one_that_was_ready_once_is_never_hopeless(start: Start) -> None:
    """However often it ends at once after that, with pauses that grow."""
    owner = start("serve")
    owner.is_ready()
    owner.what = "end at once"
    os.kill(owner.pid, signal.SIGKILL)
    pauses: list[float] = []
    while len(owner.lives) < 5:
        owner.becomes(lambda: owner.child.pid is None)
        pauses.append(owner.child.due - time.monotonic())
        owner.becomes(lambda: len(owner.lives) == len(pauses) + 1)
    assert pauses == sorted(pauses)
    assert not owner.child.is_over


def test_one_that_lived_long_is_started_again_soon(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever came before."""
    monkeypatch.setattr(module, "HEALTHY_SECONDS", 0.0)
    owner = start("serve")
    for _ in range(4):
        owner.is_ready()
        os.kill(owner.pid, signal.SIGKILL)
        owner.becomes(lambda: owner.child.pid is None)
        assert owner.child.due - time.monotonic() <= module.RESTART_FIRST


@pytest.mark.parametrize(("what", "how"), [("end at once", "ended with status 3"), ("cannot begin", "could not be")])
def test_one_that_never_is_ready_is_hopeless(start: Start, what: str, how: str) -> None:
    """After as many tries as it has; then it is left alone."""
    owner = start(what, tries=3)
    owner.becomes(lambda: owner.child.hopeless is not None)
    assert owner.lives == [1, 2, 3]
    assert owner.child.hopeless is not None
    assert owner.child.hopeless.how.startswith(how)
    assert owner.child.hopeless.status == (3 if what == "end at once" else None)
    assert owner.child.is_over


def test_stop_ends_it_for_good(start: Start) -> None:
    """SIGTERM is enough for one that heeds it."""
    owner = start("serve")
    owner.is_ready()
    owner.stop(30.0)
    owner.child.step(time.monotonic())
    assert owner.child.pid is None
    assert owner.lives == [1]


def test_stop_kills_what_outlives_its_patience(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """And says so, once."""
    owner = start("ignore SIGTERM")
    owner.is_ready()
    owner.stop(0.1)
    assert owner.child.pid is None
    assert caplog.text.count("the child does not end, and is killed") == 1


def test_stop_ends_the_pause_before_a_start(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a child that would only be ended."""
    owner = start("serve")
    owner.is_ready()
    monkeypatch.setattr(module, "RESTART_FIRST", 1000.0)
    monkeypatch.setattr(module, "RESTART_MAX", 1000.0)
    os.kill(owner.pid, signal.SIGKILL)
    owner.becomes(lambda: owner.child.pid is None)
    owner.stop(30.0)
    assert owner.lives == [1]


def test_a_signal_waits_until_the_child_is_ready_for_it(start: Start) -> None:
    """Before, it would end a process that has not said what it does with it."""
    owner = start("tell of SIGHUP", tries=2)
    owner.child.pass_on(signal.SIGHUP)
    owner.becomes(lambda: owner.lives == [1, 2])
    owner.is_ready()
    owner.child.pass_on(signal.SIGHUP)
    owner.becomes(lambda: len(owner.lives) == 3)
    assert owner.child.hopeless is None


def test_a_child_that_lets_go_has_not_ended_yet(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Its end is waited for all the same, and nobody listens any more to what it does not hold."""
    owner = start("let go and stay")
    owner.becomes(lambda: owner.child.leash is None)
    assert owner.child.pid is not None
    owner.becomes(lambda: len(owner.lives) == 2)
    assert "ended with status 5" in caplog.text
