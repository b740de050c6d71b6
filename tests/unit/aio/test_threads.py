"""A thread of its own does one thing after the other, and gives way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from tokenway.aio.threads import NICENESS, NICENESS_MAX, Thread


async def test_it_does_one_thing_after_the_other() -> None:
    """In the order in which they were given, in one thread that is not the loop's."""
    thread = Thread("books")
    done: list[tuple[int, int]] = []
    await asyncio.gather(*(thread.run(lambda n: done.append((n, threading.get_ident())), n) for n in range(5)))
    thread.close()
    assert [number for number, _ in done] == [0, 1, 2, 3, 4]
    (where,) = {where for _, where in done}
    assert where != threading.get_ident()


async def test_what_the_work_raises_is_raised() -> None:
    """And the next is done all the same."""
    thread = Thread("books")
    with pytest.raises(ZeroDivisionError):
        await thread.run(divmod, 1, 0)
    assert await thread.run(divmod, 7, 2) == (3, 1)
    thread.close()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux only")
@pytest.mark.parametrize("steps", [0, 10, 18])
def test_it_gives_way_from_wherever_the_process_is(steps: int) -> None:
    """A process that was started nice must not have to ask for more than it has: only root could."""
    program = (
        "import asyncio, os, sys, threading; from tokenway.aio.threads import Thread; os.nice(int(sys.argv[1])); "
        "nice = lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()); "
        "print(*(asyncio.run(Thread('t', gives_way=gives).run(nice)) for gives in (True, False)), nice())"
    )
    told = subprocess.run([sys.executable, "-c", program, str(steps)], capture_output=True, text=True, check=True)
    polite, other, process = map(int, told.stdout.split())
    assert polite == min(NICENESS_MAX, process + NICENESS)
    assert other == process


async def test_one_that_may_not_lower_itself_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a sandbox that allows no such call."""

    def refused(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr("os.setpriority", refused)
    thread = Thread("books", gives_way=True)
    assert await thread.run(lambda: 7) == 7
    thread.close()
