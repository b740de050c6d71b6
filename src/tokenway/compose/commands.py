"""What the command line needs from the layers below, as plain functions.

Heavy packages (the database above all) are imported inside the function that needs them, so that a
command pays only for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tokenway.control.config import find_config, find_data, load
from tokenway.model.errors import ConfigError
from tokenway.model.settings import ServerSettings

_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound
"""Where a listener on every address is reached from this machine."""


def data_directory(flag: Path | None, environment: Mapping[str, str]) -> Path:
    """The data directory: `flag`, TOKENWAY_DATA_DIR, or the user's; it need not exist."""
    return find_data(flag, environment)


def server_settings(config: Path | None, environment: Mapping[str, str]) -> ServerSettings:
    """The listeners that the configuration asks for; raises ConfigError when it cannot be used."""
    loaded = load(find_config(config, environment), environment)
    if loaded.settings is None:
        raise ConfigError("The configuration has errors (`tokenway check` lists them); mend it or give --base-url.")
    return loaded.settings.server


def public_url(server: ServerSettings) -> str:
    """How the public listener is reached from this machine."""
    scheme = "http" if server.tls is None else "https"
    return f"{scheme}://{_reachable(server.host)}:{server.port}"


def control_url(server: ServerSettings) -> str:
    """How the control listener is reached from this machine."""
    return f"http://{_reachable(server.host)}:{server.control_port}"


def configured_base_url(environment: Mapping[str, str]) -> str:
    """The public listener's address by configuration or default; raises ConfigError."""
    return public_url(server_settings(None, environment))


def _reachable(host: str) -> str:
    address = _ANY_ADDRESS.get(host, host)
    return f"[{address}]" if ":" in address else address
