"""One gateway for each data directory: two would read the same journals into the same ledger.

The lock is the kernel's, on an open file, so it ends with the process however that ends. The file stays and
holds the process id of the last who had it, for the sentence that the next one is told.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tokenway.model.errors import ConfigError

LOCK: Final = "gateway.lock"
PRIVATE: Final = 0o600


@contextlib.contextmanager
def data_directory_held(directory: Path) -> Iterator[None]:
    """Makes the data directory when it is absent, and keeps other gateways out of it.

    Raises ConfigError when it cannot be made or written, or when another gateway has it.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not inherited by workers: with this process the lock is gone.
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise _unusable(directory, error) from None
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip()
            who = f" (process {holder})" if holder else ""
            raise ConfigError(
                f"another gateway{who} uses the data directory {directory}; "
                "stop it, or give this one its own with --data-dir"
            ) from None
        try:
            file.truncate()
            file.write(f"{os.getpid()}\n")
            file.flush()
        except OSError as error:
            raise _unusable(directory, error) from None
        yield


def _unusable(directory: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the data directory {directory} cannot be written ({error.strerror}); choose another with --data-dir"
    )
