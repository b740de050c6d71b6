"""What the supervisor and a control process say to each other over the leash before there is work.

    supervisor ── Asked ──▶ the first control process, which reads the configuration
    supervisor ◀── Plan ─── and says what of it is the supervisor's part
    supervisor ── Begin ──▶ each control process, with the sockets

So the configuration is read where its rules are in memory anyway, and the supervisor needs to know none of them. A
plan carries secrets, which is why nothing of it is on a command line.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Asked(msgspec.Struct, frozen=True, tag=True):
    """What `tokenway serve` was asked for: a configuration and a data directory, where one was named, and flags."""

    config: str | None
    overrides: dict[str, str]
    data_dir: str | None


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The ports that were bound. With it come the workers' socket, the control listener and the lock.

    `options` are those of the plan; the process that made them is not told them again.
    """

    port: int
    control_port: int
    options: bytes = b""


class Plan(msgspec.Struct, frozen=True):
    """The supervisor's part of the settings that the gateway was started with; `drain` in seconds."""

    data_dir: str
    journals: str
    host: str
    port: int
    control_port: int
    workers: int
    drain: float
    tls_cert: str | None
    tls_key: str | None
    options: bytes
    """What each later control process has to know; the supervisor only keeps it."""


encode: Final = msgspec.msgpack.encode
_request: Final[msgspec.msgpack.Decoder[Asked | Begin]] = msgspec.msgpack.Decoder(Asked | Begin)
_plan: Final = msgspec.msgpack.Decoder(Plan)


def decode_request(payload: bytes) -> Asked | Begin:
    """What the supervisor said."""
    return _request.decode(payload)


def decode_plan(payload: bytes) -> Plan:
    """What the first control process answered."""
    return _plan.decode(payload)
