"""A Valkey server, or Redis where that is installed; what it holds is in memory, and lost with it."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Sequence
from typing import Final

from tests.servers.server import HOST, Server

PROGRAMS: Final = ("valkey-server", "redis-server")


def program() -> str | None:
    """The server that is installed."""
    return next((found for name in PROGRAMS if (found := shutil.which(name)) is not None), None)


def why_not() -> str | None:
    """Why no server can be started here; None when one can."""
    return None if program() is not None else "neither Valkey nor Redis is installed (apt-get install redis-server)"


class ValkeyServer(Server):
    """One server. After a kill it starts empty, as one does that keeps nothing on disk."""

    def __init__(self) -> None:
        super().__init__("valkey")

    def command(self) -> Sequence[str]:
        """In the foreground, on the loopback, writing nothing to disk."""
        found = program()
        assert found is not None
        options = {"port": str(self.port), "bind": HOST, "save": "", "appendonly": "no", "dir": str(self.directory)}
        return [found, *(word for name, value in options.items() for word in (f"--{name}", value))]

    def answers(self) -> bool:
        """Whether it takes connections by now."""
        try:
            return self.say(b"PING") == b"+PONG\r\n"
        except OSError:
            return False

    def url(self, database: int = 0) -> str:
        """How our own settings name it."""
        return f"valkey://{HOST}:{self.port}/{database}"

    def clear(self) -> None:
        """Forgets everything, so that the next test begins with nothing."""
        assert self.say(b"FLUSHALL") == b"+OK\r\n"

    def say(self, command: bytes) -> bytes:
        """A command without arguments, and what is answered to it."""
        with contextlib.closing(socket.create_connection((HOST, self.port), timeout=5)) as connection:
            connection.sendall(command + b"\r\n")
            return connection.recv(4096)
