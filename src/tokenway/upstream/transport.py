"""Origins and dialing: from a base URL to a connected transport, each foreign error mapped in one place."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from tokenway.model.errors import ConfigError, TokenwayError
from tokenway.model.faults import Fault

_PORTS = {"http": 80, "https": 443}


class Origin(msgspec.Struct, frozen=True):
    """Where connections lead: `http` or `https` with host and port, or `unix` with the path of a socket."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def authority(self) -> str:
        """What the `Host` header says: the port only where it is not the scheme's own, IPv6 in brackets."""
        if self.scheme == "unix":
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """For sentences that callers read: a socket by its name, because its folder is this host's own affair."""
        return f"unix:{PurePath(self.path).name}" if self.scheme == "unix" else f"{self.scheme}://{self.authority}"


class DialFailure(TokenwayError):
    """No connection came about. `fault` is CONNECT or TLS; the text is a sentence that is safe to show."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail


class Dial(Protocol):
    """Connects a protocol to an origin: the real one is `dial`, the scripted one is in `mock.py`."""

    async def __call__(
        self,
        origin: Origin,
        protocol: Callable[[], asyncio.Protocol],
        /,
        *,
        timeout: float,
        context: ssl.SSLContext | None,
    ) -> None:
        """Returns when `connection_made` was called. Raises DialFailure."""


def parse_base_url(url: str) -> tuple[Origin, str]:
    """Splits a base URL into its origin and the path prefix, without the slash at the prefix's end.

    Forms: `http://host[:port][/prefix]`, `https://…`, `unix:/path/of.sock[:/prefix]`.

    Raises ConfigError, whose text names what is wrong and shows no password.
    """
    if url.startswith("unix:"):
        path, _, prefix = url.removeprefix("unix:").partition(":")
        if not path.startswith("/"):
            raise ConfigError("a unix: base URL needs the absolute path of a socket, such as unix:/run/model.sock:/v1")
        return Origin("unix", path=path), prefix.rstrip("/")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"the base URL cannot be read: {error}") from None
    if parts.scheme not in _PORTS or not host:
        raise ConfigError("a base URL starts with http://host, https://host or unix:/path")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(f"the base URL of {host} may hold no user, query or fragment")
    return Origin(parts.scheme, host, port or _PORTS[parts.scheme]), parts.path.rstrip("/")


def system_trust() -> ssl.SSLContext:
    """A client context that verifies against the system's trust store: TLS 1.2 or newer, HTTP/1.1 only."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(
    origin: Origin,
    protocol: Callable[[], asyncio.Protocol],
    /,
    *,
    timeout: float,
    context: ssl.SSLContext | None,
) -> None:
    """Connects over TCP, TLS or a Unix socket within `timeout` seconds, name look-up and handshake included.

    `context` is required for `https` and unused otherwise. The event loops set TCP_NODELAY themselves.

    Raises DialFailure; any other exception is a bug.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            if origin.scheme == "unix":
                await loop.create_unix_connection(protocol, origin.path)
                return
            tls = context if origin.scheme == "https" else None
            transport, _ = await loop.create_connection(protocol, origin.host, origin.port, ssl=tls)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise _explain(origin, error, timeout) from error
    peer = transport.get_extra_info("socket")
    if peer is not None and not transport.is_closing():
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


async def dial_public(
    origin: Origin,
    protocol: Callable[[], asyncio.Protocol],
    /,
    *,
    timeout: float,
    context: ssl.SSLContext | None,
) -> None:
    """As `dial`, to public addresses only: for a URL that a caller chose.

    The name is looked up once, every address it has must be public, and these are what is connected to, one after the
    other until one answers, so that the name cannot point elsewhere a moment later.
    """
    name = origin.host if origin.scheme == "https" else None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            if origin.scheme == "unix":
                raise DialFailure(Fault.CONNECT, "A socket of this machine is not public.")
            found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            *others, last = public_addresses(origin, [str(entry[4][0]) for entry in found])
            used = context if name is not None else None
            for address in others:
                with suppress(OSError):  # what the last one says is told
                    await loop.create_connection(protocol, address, origin.port, ssl=used, server_hostname=name)
                    return
            await loop.create_connection(protocol, last, origin.port, ssl=used, server_hostname=name)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise _explain(origin, error, timeout) from error


def public_addresses(origin: Origin, addresses: Sequence[str]) -> list[str]:
    """The addresses to connect to, each once; raises DialFailure unless all that the origin has are public."""
    if not addresses or not all(is_public(address) for address in addresses):
        raise DialFailure(Fault.CONNECT, f"{origin} is not a public address.")
    return list(dict.fromkeys(addresses))


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, also behind an embedding of IPv4 in IPv6."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            parsed = inner
        elif parsed not in _GIVEN_OUT:
            return False
    return parsed.is_global and not parsed.is_multicast and not any(parsed in each for each in _SPECIAL)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Addresses that a translator makes IPv4 ones of (RFC 6052)."""
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")
"""What IANA gives out as global unicast addresses: all else, such as the old site-local ones, is nobody's."""
_SPECIAL = tuple(
    ipaddress.ip_network(each)
    for each in (
        "192.0.0.0/24",  # IETF protocol assignments: answered by the nearest router, or by a cloud's metadata service
        "192.88.99.0/24",  # relays of 6to4, deprecated (RFC 7526)
        "168.63.129.16/32",  # the host of a virtual machine in Azure
        "2001::/23",  # IETF protocol assignments, Teredo and identifiers that are no places
        "3fff::/20",  # documentation (RFC 9637)
    )
)
"""Addresses that are not of the open internet, but count as global in some version of Python's own table."""


def _explain(origin: Origin, error: Exception, timeout: float) -> DialFailure:
    """Maps what the operating system and OpenSSL raise; the order matters, since SSLError is an OSError."""
    match error:
        case ssl.SSLCertVerificationError():
            reason = (error.verify_message or "verification failed").rstrip(".")
            return DialFailure(Fault.TLS, f"The certificate of {origin} is not trusted: {reason}.")
        case ssl.SSLError():
            # OpenSSL's own errors carry a reason, those that the loops raise do not.
            reason = (getattr(error, "reason", None) or "protocol error").replace("_", " ").lower()
            return DialFailure(Fault.TLS, f"The TLS handshake with {origin} failed: {reason}.")
        case TimeoutError():
            return DialFailure(Fault.CONNECT_DEADLINE, f"No connection to {origin} within {timeout:g} s.")
        case socket.gaierror():
            return DialFailure(Fault.CONNECT, f"The name of {origin} does not resolve.")
        case ConnectionResetError() | ConnectionAbortedError() if origin.scheme == "https":
            return DialFailure(Fault.TLS, f"{origin} closed the connection during the TLS handshake.")
        case OSError() if error.errno:
            # The loops' own texts hold addresses; the operating system's is the same everywhere.
            return DialFailure(Fault.CONNECT, f"No connection to {origin}: {os.strerror(error.errno).lower()}.")
        case _:
            return DialFailure(Fault.CONNECT, f"No connection to {origin}.")
