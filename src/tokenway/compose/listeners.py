"""The sockets that the supervisor binds and its children inherit, so that none of them is ever away."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tokenway.model.errors import ConfigError

BIND_SECONDS: Final = 3.0
"""How long a port that is still taken is waited for: a killed predecessor's workers need a moment to go."""
LOOK_SECONDS: Final = 0.1
BACKLOG: Final = 2048
WORKERS_SOCKET: Final = "control.sock"
PATH_MAX: Final = 100
"""The kernel takes 107 bytes for a Unix socket's address on Linux and 103 on macOS."""
_OWNER_ONLY: Final = 0o177


def bind(host: str, port: int, flag: str) -> socket.socket:
    """A listening socket; raises ConfigError with what to do when the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + BIND_SECONDS
    while True:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise ConfigError(
                    f"cannot listen on {host}:{port} ({error.strerror}); choose another port with {flag}"
                ) from None
            time.sleep(LOOK_SECONDS)
        else:
            listener.setblocking(False)
            return listener


@contextmanager
def workers_listener(data_dir: Path) -> Iterator[tuple[socket.socket, Path]]:
    """A listening Unix socket, which only this user can connect to, and its path; the file is gone at the end.

    It lies in the data directory, or in a private folder where that lies too deep for a socket's address. Whoever
    calls this has the lock of the data directory, so a file that is there was left behind.
    """
    path, folder = data_dir.absolute() / WORKERS_SOCKET, ""
    if len(os.fsencode(path)) > PATH_MAX:
        import tempfile  # noqa: PLC0415 - hardly anybody's lies so deep

        folder = tempfile.mkdtemp(prefix="tokenway-")
        path = Path(folder) / WORKERS_SOCKET
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path.unlink(missing_ok=True)
        before = os.umask(_OWNER_ONLY)
        try:
            listener.bind(os.fspath(path))
        finally:
            os.umask(before)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        try:
            yield listener, path
        finally:
            path.unlink(missing_ok=True)
            if folder:
                with suppress(OSError):
                    Path(folder).rmdir()
