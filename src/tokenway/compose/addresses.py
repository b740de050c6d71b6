"""Where a gateway is reached from its own machine."""

from __future__ import annotations

from typing import Final

from tokenway.model.settings import ServerSettings

_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound
"""Where a listener on every address is reached from this machine."""


def public_url(server: ServerSettings) -> str:
    """How the public listener is reached from this machine."""
    scheme = "http" if server.tls is None else "https"
    return f"{scheme}://{_reachable(server.host)}:{server.port}"


def control_url(server: ServerSettings) -> str:
    """How the control listener is reached from this machine."""
    return f"http://{_reachable(server.host)}:{server.control_port}"


def _reachable(host: str) -> str:
    address = _ANY_ADDRESS.get(host, host)
    return f"[{address}]" if ":" in address else address
