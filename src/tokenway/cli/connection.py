"""How a command finds the gateway that it talks to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from tokenway.cli.client import Gateway
from tokenway.cli.options import DataDir
from tokenway.compose.commands import configured_base_url, data_directory
from tokenway.compose.paths import read_credentials
from tokenway.model.secret import Secret


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Connection:
    """How a command reaches a running gateway; each option, then the environment, then what is on disk."""

    base_url: Annotated[
        str | None,
        Parameter(
            help="Address of the gateway [otherwise TOKENWAY_BASE_URL, where it last started, the configuration's]."
        ),
    ] = None
    key: Annotated[
        str | None,
        Parameter(
            help="Key to call with [otherwise TOKENWAY_API_KEY; on this machine the data directory's credentials.json]."
        ),
    ] = None
    data_dir: DataDir = None

    def open(self) -> Gateway:
        """The gateway that is meant; nothing is sent yet.

        Raises CommandError or ConfigError when the address, the configuration or the credentials cannot be used.
        """
        credentials = read_credentials(data_directory(self.data_dir, os.environ))
        address = self.base_url or os.environ.get("TOKENWAY_BASE_URL")
        if not address:
            address = (credentials.base_url if credentials else "") or configured_base_url(os.environ)
        secret = self.key or os.environ.get("TOKENWAY_API_KEY")
        gateway = Gateway(address, Secret(secret) if secret else None)
        # The first key is an administrator's: it is not shown to a host that only --base-url knows.
        if not secret and credentials and (address == credentials.base_url or gateway.is_on_this_machine):
            gateway = Gateway(address, Secret(credentials.api_key))
        return gateway


def connect(connection: Connection | None) -> Gateway:
    """`Connection.open`, with nothing given on the command line as the default."""
    return (connection or Connection()).open()
