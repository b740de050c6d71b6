"""What the exchange machine is told. Every event carries its time in monotonic seconds.

Attempts are numbered from 1. An event about an attempt that is over is dropped by the machine, because a
cancelled connection and an answer can cross.
"""

from __future__ import annotations

import msgspec

from tokenway.model.catalog import Endpoint, Timeouts
from tokenway.model.errors import Problem
from tokenway.model.faults import Fault
from tokenway.model.usage import Usage


class Order(msgspec.Struct, frozen=True, gc=False):
    """What is asked of an exchange: endpoints in order of preference, and its bounds.

    `amount` is the reservation in nano-dollars.
    """

    endpoints: tuple[Endpoint, ...]
    stream: bool
    amount: int
    timeouts: Timeouts
    max_retries: int


class ClientRequest(msgspec.Struct, frozen=True, gc=False):
    """A caller's request was read, understood and planned."""

    at: float
    order: Order


class ClientGone(msgspec.Struct, frozen=True, gc=False):
    """The caller closed its connection before the answer was complete.

    `usage` is what the live attempt's provider has counted so far, None when it has not; `absurd` as below. `waits` is
    whether it did not: its answer is given up because another one, without which it is of no use, has failed.
    """

    at: float
    usage: Usage | None = None
    absurd: bool = False
    waits: bool = False


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """The reservation was made."""

    at: float


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The reservation was not made; nothing is owed."""

    at: float
    problem: Problem


class UpstreamOpen(msgspec.Struct, frozen=True, gc=False):
    """An attempt's request was handed to a connection: from here on the provider may bill."""

    at: float
    attempt: int


class UpstreamHead(msgspec.Struct, frozen=True, gc=False):
    """An attempt's answer begins with a status and a type that fit; others come as `UpstreamFailed`."""

    at: float
    attempt: int
    status: int


class UpstreamBytes(msgspec.Struct, frozen=True, gc=False):
    """Whole events of an answer that streams, and no error among them: the first ones of an attempt."""

    at: float
    attempt: int
    data: bytes


class UpstreamEnd(msgspec.Struct, frozen=True, gc=False):
    """An attempt's answer is complete and well-formed. `usage` is None when the provider gave none.

    `absurd` is whether it gave a count that cannot be believed.

    For an answer that does not stream `data` is all of it; for a stream, what was not yet forwarded.
    """

    at: float
    attempt: int
    data: bytes
    usage: Usage | None
    absurd: bool = False


class UpstreamFailed(msgspec.Struct, frozen=True, gc=False):
    """An attempt broke. `dice` is a random number in [0, 1) for the pause before a retry.

    `body` is an upstream's own error answer, passed to the caller unchanged when nothing else helps.
    `usage` is what the provider said it counted before it broke.
    """

    at: float
    attempt: int
    fault: Fault
    detail: str = ""
    status: int = 0
    code: str = ""
    retry_after: float | None = None
    should_retry: bool | None = None
    body: bytes = b""
    usage: Usage | None = None
    dice: float = 0.0
    absurd: bool = False


class DeadlinePassed(msgspec.Struct, frozen=True, gc=False):
    """The machine's `wake_at` has come.

    `last_activity` is when the caller's stream last moved, `has_text` whether any text has come yet. A
    relay that waits for a slow reader reports its waiting as activity: that silence is not the upstream's.
    `usage` is what the live attempt's provider has counted so far.
    """

    at: float
    last_activity: float = 0.0
    has_text: bool = False
    dice: float = 0.0
    usage: Usage | None = None
    absurd: bool = False


Event = (
    ClientRequest
    | ClientGone
    | Admitted
    | Refused
    | UpstreamOpen
    | UpstreamHead
    | UpstreamBytes
    | UpstreamEnd
    | UpstreamFailed
    | DeadlinePassed
)
