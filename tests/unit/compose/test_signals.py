"""Signals that wait to be taken."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import time

from tokenway.compose.signals import HEEDED, heeded


def test_they_do_nothing_but_wait() -> None:
    """Several at once; each is taken once."""
    with heeded() as signals:
        assert signals.take() == set()
        for number in HEEDED:
            signal.raise_signal(number)
        assert select.select([signals], [], [], 0)[0] == [signals]
        assert signals.take() == set(HEEDED)
        assert select.select([signals], [], [], 0)[0] == []


def test_the_end_of_a_child_ends_a_wait() -> None:
    """Without looking again and again."""
    with heeded() as signals:
        began = time.monotonic()
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            select.select([signals], [], [], 60)
            assert process.wait() == 0
        assert time.monotonic() - began < 30
        assert signal.SIGCHLD in signals.take()


def test_afterwards_all_is_as_it_was() -> None:
    """Handlers, and where their numbers are written."""
    before = [signal.getsignal(number) for number in HEEDED]
    with heeded():
        assert before != [signal.getsignal(number) for number in HEEDED]
    assert before == [signal.getsignal(number) for number in HEEDED]
    assert signal.set_wakeup_fd(-1) == -1
