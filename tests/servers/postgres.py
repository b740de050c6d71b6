"""A PostgreSQL server with a data directory of its own; the system's clusters are never touched."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg

from tests.servers.server import HOST, Server

DEBIAN: Final = Path("/usr/lib/postgresql")
USER: Final = "tokenway"
PASSWORD: Final = "only-in-tests"
ACCOUNT: Final = "postgres"
"""As whom it runs where the tests run as root, which PostgreSQL refuses."""
QUICK: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""For all tests but those in which the server is killed."""


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`: what the PATH has, else Debian's newest."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = (path for path in DEBIAN.glob("*/bin/initdb") if path.parent.parent.name.isdecimal())
    newest = max(versions, key=lambda path: int(path.parent.parent.name), default=None)
    return None if newest is None else newest.parent


def why_not() -> str | None:
    """Why no server can be started here; None when one can."""
    if binaries() is None:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(ACCOUNT)
        except KeyError:
            return f"the tests run as root and there is no account {ACCOUNT!r} for PostgreSQL"
        if shutil.which("setpriv") is None:
            return "the tests run as root and there is no `setpriv`"
    return None


class PostgresServer(Server):
    """One cluster. `lasting` writes like a server in production, so that a kill shows what that keeps."""

    def __init__(self, *, lasting: bool = False) -> None:
        super().__init__("postgres")
        self._lasting = lasting
        folder = binaries()
        assert folder is not None
        self._folder = folder
        self._data = self.directory / "data"
        self._make()

    def command(self) -> Sequence[str]:
        """In the foreground, on the loopback and a socket of its own."""
        options = [
            f"listen_addresses={HOST}",
            f"unix_socket_directories={self.directory}",
            "max_connections=200",
            "shared_buffers=128MB",
            "max_wal_size=4GB",
            *(() if self._lasting else QUICK),
        ]
        flags = [word for option in options for word in ("-c", option)]
        return [
            *self._as_account(),
            str(self._folder / "postgres"),
            "-D",
            str(self._data),
            "-p",
            str(self.port),
            *flags,
        ]

    def answers(self) -> bool:
        """Whether it takes connections by now."""
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str) -> str:
        """How our own settings name a database of it."""
        return f"postgresql://{USER}:{PASSWORD}@{HOST}:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection that commits each statement."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=5)

    def create(self, *, template: str = "template0") -> str:
        """A database that nobody else has, made like `template`; returns its name."""
        name = f"t_{secrets.token_hex(6)}"
        with contextlib.closing(self.connect()) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        return name

    def drop(self, name: str) -> None:
        """Deletes a database, whoever is connected to it."""
        with contextlib.closing(self.connect()) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def _make(self) -> None:
        password = self.directory / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            account = pwd.getpwnam(ACCOUNT)
            for path in (self.directory, password):
                os.chown(path, account.pw_uid, account.pw_gid)
        command = [*self._as_account(), str(self._folder / "initdb"), "-D", str(self._data), "-U", USER, "-N"]
        # Not the C locale, as few servers have it: the order of texts must not depend on it.
        command += ["-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.directory, env=self.setting())

    @staticmethod
    def _as_account() -> list[str]:
        if os.geteuid() != 0:
            return []
        return ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups", "--"]
