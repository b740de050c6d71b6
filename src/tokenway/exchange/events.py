"""What the exchange machine is told. Every event carries its time in monotonic seconds.

Attempts are numbered from 1. An event about an attempt that is over is dropped by the machine, because a
cancelled connection and an answer can cross.
"""

from __future__ import annotations

from enum import IntEnum
from math import inf

import msgspec

from tokenway.model.catalog import Endpoint, Timeouts
from tokenway.model.errors import Problem
from tokenway.model.faults import Fault
from tokenway.model.preferences import Rescue
from tokenway.model.usage import Usage


class Shown(IntEnum):
    """What the caller has seen of an answer."""

    NOTHING = 0
    """At most that it begins."""
    TEXT = 1
    """Plain text, which can be continued."""
    OTHER = 2
    """Something that is never spliced: a call, reasoning, an end."""


class Order(msgspec.Struct, frozen=True, gc=False):
    """What is asked of an exchange: endpoints in order of preference, and its bounds.

    `stream` is whether upstreams are asked for streams, `amount` the reservation in nano-dollars. `credentials` says
    which of its provider's keys each of `endpoints` is asked with: an endpoint stands there once for each key that may
    be tried. `timeouts` hold where an endpoint has none of its own, and `caps` are the caller's, which only shorten.

    `hedge_after` is after how many seconds without a first token a second attempt starts, and `hedge_share` the share
    of such exchanges that may be raced, for that or for being slow; 0.0 for one that is not. `min_tps` is the floor in
    tokens per second, which a stream may miss for `grace` seconds; `slow` are the endpoints, by their place, that are
    known to miss it. `patience` is for how many seconds at most the first attempt at a whole answer is waited for,
    while another endpoint could be asked.

    `takers` is how many of `endpoints`, the first ones, take a call now: the others are asked when there is nobody
    else, and never beside one that lives.
    """

    endpoints: tuple[Endpoint, ...]
    stream: bool
    amount: int
    timeouts: Timeouts
    max_retries: int
    credentials: tuple[int, ...] = ()
    caps: Timeouts | None = None
    hedge_after: float = inf
    rescue: Rescue = Rescue.OFF
    min_tps: float = 0.0
    grace: float = 0.0
    slow: frozenset[int] = frozenset()
    patience: float = inf
    takers: int = 1 << 16
    hedge_share: float = 0.0

    def limits_of(self, endpoint: Endpoint) -> Timeouts:
        """The deadlines of an attempt at an endpoint."""
        own = endpoint.timeouts
        if own is None:
            return self.timeouts
        return own if self.caps is None else own.within(self.caps)

    def credential_of(self, slot: int) -> int:
        """Which of its provider's keys an endpoint of the order is asked with."""
        return self.credentials[slot] if self.credentials else 0


class Look(msgspec.Struct, frozen=True, gc=False):
    """How an attempt stands when a deadline may have passed, or its caller left.

    `has_text` is whether any text has come yet, or anything of a whole answer, `last_activity` when the answer last
    moved: a relay that waits for a slow reader reports its waiting as activity, because that silence is not the
    upstream's. `usage` is what the provider has counted so far, None when it has not, `absurd` whether that cannot be
    believed. `tps` is tokens per second lately, as far as it can be told, and `shown` what its caller has seen, asked
    for when it is slow.
    """

    has_text: bool = False
    last_activity: float = 0.0
    usage: Usage | None = None
    absurd: bool = False
    tps: float = inf
    shown: Shown = Shown.OTHER


UNSEEN = Look()


class ClientRequest(msgspec.Struct, frozen=True, gc=False):
    """A caller's request was read, understood and planned."""

    at: float
    order: Order


class ClientGone(msgspec.Struct, frozen=True, gc=False):
    """The caller closed its connection before the answer was complete.

    `looks` is how each attempt stands, by its number. `waits` is whether it did not close it: its answer is given up
    because another one, without which it is of no use, has failed.
    """

    at: float
    looks: tuple[Look, ...] = ()
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


class UpstreamText(msgspec.Struct, frozen=True, gc=False):
    """The first text of an answer that streams and is given to its caller whole: nothing of it is shown yet."""

    at: float
    attempt: int


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
    `usage` is what the provider said it counted before it broke. `shown` is what the caller has seen of it, and
    `may_retry` whether the gateway's budget for retries allows another attempt.
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
    shown: Shown = Shown.OTHER
    may_retry: bool = True


class DeadlinePassed(msgspec.Struct, frozen=True, gc=False):
    """The machine's `wake_at` has come.

    `looks` is how each attempt stands, by its number; `may_hedge` and `may_retry` whether the gateway's budgets allow
    another attempt of that kind.
    """

    at: float
    looks: tuple[Look, ...] = ()
    dice: float = 0.0
    may_hedge: bool = False
    may_retry: bool = True


class Broken(msgspec.Struct, frozen=True, gc=False):
    """The gateway has made a mistake with this exchange, and ends it. `looks` is how each attempt stands."""

    at: float
    problem: Problem
    looks: tuple[Look, ...] = ()


Event = (
    ClientRequest
    | ClientGone
    | Admitted
    | Refused
    | UpstreamOpen
    | UpstreamHead
    | UpstreamBytes
    | UpstreamText
    | UpstreamEnd
    | UpstreamFailed
    | DeadlinePassed
    | Broken
)
