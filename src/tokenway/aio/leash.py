"""A child's end of the socket pair to the process that started it.

Its end tells the child that nobody looks after it any more, however that process ended. In the other direction the
child says once that it is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

READY: Final = b"r"


class Leash:
    """Held by the process that started this one, which lets go by ending."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        end.set_inheritable(False)  # its end is this process's end, whatever it has started

    def ready(self) -> None:
        """Says that this process does what it was started for."""
        with contextlib.suppress(OSError):  # nobody is there to hear it, which `on_let_go` tells
            self.end.send(READY)

    def on_let_go(self, call: Callable[[], None]) -> None:
        """Calls `call` once, in the running loop, when the other process is gone."""
        loop = asyncio.get_running_loop()
        self.end.setblocking(False)

        def look() -> None:
            try:
                if self.end.recv(1):
                    return
            except BlockingIOError:
                return
            except OSError:
                pass  # it died with something unread: the same as an end
            loop.remove_reader(self.end)
            call()

        loop.add_reader(self.end, look)
