"""A child's end of its leash, with the test as the process that holds the other one."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tokenway.aio.leash import READY, Leash


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Leash]]:
    """Ours, and the child's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, Leash(theirs)


def test_it_says_that_it_is_ready(ends: tuple[socket.socket, Leash]) -> None:
    """One word; nobody there to hear it is no failure."""
    ours, leash = ends
    leash.ready()
    assert ours.recv(16) == READY
    ours.close()
    leash.ready()


async def test_the_end_of_the_other_process_is_told_once(ends: tuple[socket.socket, Leash]) -> None:
    """Whatever it said before; and also when it died with something unread."""
    ours, leash = ends
    calls = 0
    gone = asyncio.Event()

    def call() -> None:
        nonlocal calls
        calls += 1
        gone.set()

    leash.on_let_go(call)
    ours.send(b"something")
    leash.ready()
    await asyncio.sleep(0.01)
    assert calls == 0
    ours.close()
    await gone.wait()
    await asyncio.sleep(0.01)
    assert calls == 1


def test_what_the_child_starts_does_not_hold_it() -> None:
    """Its own end is the end of the leash, also where something that it has started lives on."""
    ours, theirs = socket.socketpair()
    program = (
        "import os, socket, subprocess, sys; from tokenway.aio.leash import Leash; "
        "leash = Leash(socket.socket(fileno=int(sys.argv[1]))); "
        "subprocess.Popen(['sleep', '30'], close_fds=False, stdout=subprocess.DEVNULL); os._exit(0)"
    )
    with ours, theirs:
        theirs.set_inheritable(True)
        with subprocess.Popen(
            [sys.executable, "-c", program, str(theirs.fileno())], pass_fds=(theirs.fileno(),), start_new_session=True
        ) as child:
            theirs.close()
            ours.settimeout(20)
            assert ours.recv(1) == b""
            child.wait()
            os.killpg(child.pid, 9)
