"""One gateway for each data directory: two would read the same journals into the same ledger.

The lock is the kernel's, on an open file, so it ends with the process however that ends. The supervisor takes it and
its control process inherits it: a supervisor that was killed leaves a control process that needs a moment to see that,
and there must not be two of those. The file stays and holds the process id of the last supervisor, for the sentence
that the next one is told.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tokenway.model.errors import ConfigError

LOCK: Final = "gateway.lock"
PRIVATE: Final = 0o600
LOCK_SECONDS: Final = 15.0
"""How long the lock of a supervisor that is gone is waited for. Its control process may have to wait for a database."""
LOOK_SECONDS: Final = 0.02


@contextlib.contextmanager
def data_directory_held(directory: Path) -> Iterator[int]:
    """Makes the data directory when it is absent, and keeps other gateways out of it.

    Gives the descriptor of the lock: as long as a process has it, nobody else gets the directory. Raises ConfigError
    when it cannot be made or written, or when another gateway has it.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not inherited by workers, who may drain for long after the others are gone.
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise _unusable(directory, error) from None
    with os.fdopen(descriptor, "r+") as file:
        if not _taken(descriptor, time.monotonic() + LOCK_SECONDS):
            holder = _holder(descriptor)
            who = f" (process {holder})" if holder else ""
            raise ConfigError(
                f"another gateway{who} uses the data directory {directory}; "
                "stop it, or give this one its own with --data-dir"
            )
        try:
            file.truncate()
            file.write(f"{os.getpid()}\n")
            file.flush()
        except OSError as error:
            raise _unusable(directory, error) from None
        yield descriptor


def _taken(descriptor: int, deadline: float) -> bool:
    """Takes the lock; waits for it only where the supervisor that had it is not there any more."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _runs(_holder(descriptor)) or time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)
        else:
            return True


def _holder(descriptor: int) -> str:
    """The process id in the file; empty when its holder is just writing it."""
    return os.pread(descriptor, 32, 0).decode(errors="replace").strip()


def _runs(holder: str) -> bool:
    try:
        os.kill(int(holder), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True  # another user's
    return True


def _unusable(directory: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the data directory {directory} cannot be written ({error.strerror}); choose another with --data-dir"
    )
