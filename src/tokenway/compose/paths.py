"""What lies where in the data directory, and the file with the first key."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from tokenway.model.errors import ConfigError

CREDENTIALS: Final = "credentials.json"
JOURNALS: Final = "journal"
"""The directory of the workers' journals inside the data directory."""


class Credentials(msgspec.Struct, frozen=True):
    """What `tokenway serve` leaves for the person at this machine; the file is readable by its owner only.

    `base_url` is where the gateway listened when it last started; empty when it has not said. `admin` signs in with
    `password`, and `token` speaks to the control API in his name, as the first start made them; empty in older files.
    """

    api_key: str
    base_url: str = ""
    project: str = "default"
    admin: str = ""
    password: str = ""
    token: str = ""


def read_credentials(data_dir: Path) -> Credentials | None:
    """The credentials of the first start, or None when there are none.

    Raises ConfigError when the file is there but cannot be used.
    """
    path = data_dir / CREDENTIALS
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); run as the user who owns it.") from None
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f"{path} is damaged ({error}); delete it and make a key with `tokenway keys create`."
        ) from None


def write_credentials(data_dir: Path, credentials: Credentials) -> Path:
    """Writes the file whole or not at all, with mode 0600; returns its path."""
    path = data_dir / CREDENTIALS
    # mkstemp makes the file 0600 before a byte of the key is in it.
    descriptor, name = tempfile.mkstemp(dir=data_dir, prefix=f".{CREDENTIALS}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(credentials), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
    return path
