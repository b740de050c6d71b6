"""Work that blocks, in a thread of its own: in order, one piece at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

NICENESS: Final = 5
"""Steps below the others: a third of their weight, enough to keep up with some that saturate the core."""
NICENESS_MAX: Final = 19


class Thread:
    """One thread, which begins with its first work; with `gives_way` it yields to others on the same core."""

    def __init__(self, name: str, *, gives_way: bool = False) -> None:
        self._pool = ThreadPoolExecutor(1, name, initializer=give_way if gives_way else None)

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Does it behind all that was given before; returns or raises what it does."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def close(self) -> None:
        """Waits for the end of what it was given."""
        self._pool.shutdown()


def give_way() -> None:
    """The calling thread yields to others on the same core."""
    if sys.platform != "linux":
        return  # elsewhere a thread has no niceness of its own
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):  # one that may not lower itself runs as it is
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(NICENESS_MAX, niceness))
