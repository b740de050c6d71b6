"""The only `create_task`: named, referenced until done, its failure reported, cancelled and awaited at the end.

A bare task can be collected while it runs, and its exception is seen by nobody; that is why ruff bans
`asyncio.create_task` everywhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """The tasks of one owner."""

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        """`on_error(name, exception)` is called for a task that ends with an exception."""
        self._running: set[asyncio.Task[Any]] = set()
        self._on_error = on_error

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Starts `work` in the running loop and keeps it until it is done."""
        return self._keep(name, work)

    def _keep(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Like `start`, for work that only `close` will ever end early."""
        _ = self._keep(name, work)

    def __len__(self) -> int:
        return len(self._running)

    async def close(self) -> None:
        """Cancels what still runs and waits until all of it has ended."""
        pending = list(self._running)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._on_error(task.get_name(), error)
