"""One blocking generation of the runtime in a thread, read as an asynchronous sequence of chunks.

The runtime calls back with each chunk and stops when the callback returns true; it swallows exceptions of the
callback, so the callback here raises none on purpose. The thread holds its slot until the runtime has really
stopped, not just until the reader has lost interest.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Any

Chunk = dict[str, Any]
OnChunk = Callable[[Chunk], bool]
Run = Callable[[OnChunk], None]


class Refused(Exception):
    """The runtime did not take the request, or failed over it; the text is its reason, `status` HTTP's."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class Generation:
    """Starts at once; iterate it once, and call `cancel` when nobody reads on."""

    def __init__(self, run: Run, pool: Executor, on_end: Callable[[], None]) -> None:
        """`run(on_chunk)` blocks until the answer is complete; `on_end` is called in the loop after it."""
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Chunk | Exception | None] = asyncio.Queue()  # bounded by the answer's length
        self._stop = threading.Event()
        self._ended = self._loop.run_in_executor(pool, self._work, run)
        self._ended.add_done_callback(lambda _: on_end())

    def cancel(self) -> None:
        """Asks the runtime to stop at its next token, or at its next piece of the prompt."""
        self._stop.set()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """The chunks in order. Raises `Refused` in place of the first when the request is not acceptable."""
        try:
            while True:
                item = await self._queue.get()
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise Refused(str(item)) from item
                yield item
        finally:
            self.cancel()

    async def ended(self) -> None:
        """Returns when the runtime has stopped."""
        await asyncio.shield(self._ended)

    def _work(self, run: Run) -> None:
        end: Exception | None = None
        try:
            if not self._stop.is_set():
                run(self._on_chunk)
        except (ValueError, RuntimeError, TypeError) as error:  # what the runtime raises for a bad request
            end = error
        if end is not None:
            self._put(end)
        self._put(None)

    def _on_chunk(self, chunk: Chunk) -> bool:
        self._put(chunk)
        return self._stop.is_set()

    def _put(self, item: Chunk | Exception | None) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
