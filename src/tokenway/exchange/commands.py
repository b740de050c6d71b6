"""What the exchange machine orders. Commands are carried out in the order in which they come.

`Settle` always comes before the command that lets the caller see the end: a caller never knows of an
answer that the ledger does not.
"""

from __future__ import annotations

import msgspec

from tokenway.exchange.events import UpstreamFailed
from tokenway.metering.ledger import Settlement
from tokenway.model.catalog import Endpoint
from tokenway.model.errors import Problem
from tokenway.model.usage import Usage


class Reserve(msgspec.Struct, frozen=True, gc=False):
    """Set `amount` nano-dollars aside; answer with `Admitted` or `Refused`."""

    amount: int


class Open(msgspec.Struct, frozen=True, gc=False):
    """Start an attempt at an endpoint, with one of its provider's keys.

    `hedge` is whether it races another one that goes on; `resumes` whether it continues the answer that the caller has
    the beginning of.
    """

    attempt: int
    endpoint: Endpoint
    credential: int = 0
    hedge: bool = False
    resumes: bool = False


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """Give an attempt up: close its connection, report nothing more of it.

    `for_good` is whether that is its end before its exchange's, because another attempt has won: what it takes up is
    free for others. Else a `Note` or the settlement follows, and says why.
    """

    attempt: int
    for_good: bool = False


class Freeze(msgspec.Struct, frozen=True, gc=False):
    """Forward nothing more of an attempt for now: another one is about to continue from here."""

    attempt: int


class Thaw(msgspec.Struct, frozen=True, gc=False):
    """Go on with a frozen attempt, with all that came meanwhile."""

    attempt: int


class Resume(msgspec.Struct, frozen=True, gc=False):
    """The caller's stream goes on with this attempt."""

    attempt: int


class SendHead(msgspec.Struct, frozen=True, gc=False):
    """Begin the caller's answer with status 200."""

    attempt: int


class SendBytes(msgspec.Struct, frozen=True, gc=False):
    """Payload for the caller."""

    data: bytes


class SendEnd(msgspec.Struct, frozen=True, gc=False):
    """Complete the caller's answer; for a stream with its last events."""

    attempt: int


class SendError(msgspec.Struct, frozen=True, gc=False):
    """Tell the caller what went wrong: as an answer, or in the stream when `in_band`.

    `body` is an upstream's own error in the caller's dialect, sent unchanged with the problem's status.
    """

    problem: Problem
    in_band: bool
    body: bytes = b""


class Splice(msgspec.Struct, frozen=True, gc=False):
    """From here on an attempt's whole events go to the caller without the machine.

    It is called again at the end, at a fault, or when a deadline has passed.
    """

    attempt: int


class Share(msgspec.Struct, frozen=True, gc=False):
    """One attempt's part of a settlement; `usage` None is unmetered."""

    attempt: int
    endpoint: Endpoint
    settlement: Settlement
    usage: Usage | None = None
    absurd: bool = False
    status: int = 0
    fault: str = ""


class Settle(msgspec.Struct, frozen=True, gc=False):
    """Close the reservation. `winner` is the attempt that answered, 0 when none did.

    `status` is what the caller sees: the HTTP status, or 499 when it left first. `passes` is whether that is the
    upstream's own error, passed on unchanged.
    """

    settlement: Settlement
    shares: tuple[Share, ...]
    winner: int
    status: int
    error_type: str = ""
    passes: bool = False


class Note(msgspec.Struct, frozen=True, gc=False):
    """An attempt failed, and what follows: another one in `retry_in` seconds, or none (None)."""

    attempt: int
    endpoint: Endpoint
    failure: UpstreamFailed
    retry_in: float | None


Command = (
    Reserve
    | Open
    | Cancel
    | Freeze
    | Thaw
    | Resume
    | SendHead
    | SendBytes
    | SendEnd
    | SendError
    | Splice
    | Settle
    | Note
)
