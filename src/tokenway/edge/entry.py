"""What an exchange costs, in the books: set aside before anything is sent, entered once when it is over.

The entry goes before all else that its end brings with it. What the exchange was like is of use to the next ones, and a
mistake in noting it must neither lose the entry nor keep the caller waiting for its end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

import msgspec

from tokenway.edge.attempt import OK
from tokenway.edge.intake import no_journal
from tokenway.edge.mistakes import MISTAKES, log_mistake
from tokenway.edge.receipt import Take, make_receipt, nothing
from tokenway.edge.stand_in import claims_of, close_all
from tokenway.exchange.commands import Settle
from tokenway.metering.estimate import asks_more, bounds_of, worst_case
from tokenway.metering.ledger import Reserved, Settlement
from tokenway.model.errors import ErrorType, Refusal, TokenwayError
from tokenway.model.faults import Fault

if TYPE_CHECKING:
    from tokenway.edge.attempt import AttemptReader
    from tokenway.edge.relay import Relay
    from tokenway.edge.state import EdgeState
    from tokenway.edge.watch import Watch

log = logging.getLogger("tokenway.edge")

UPSTREAM_BILLED: Final = Settlement.UPSTREAM_BILLED


MARGIN: Final = 256
"""Tokens that may be on their way when a caller leaves a stream."""


def enter(state: EdgeState, relay: Relay, at: float) -> None:
    """Enters the worst case of an exchange, which was admitted at Unix time `at`.

    Raises Refusal where nobody keeps the books; then, or whatever else is raised, its leases have back what it drew.
    """
    principal = relay.principal
    try:
        state.journal.append(Reserved(relay.id, at, principal.key_id, principal.project, relay.reserved))
    except Exception as error:
        if relay.claim is not None:
            state.admission.undo(relay.claim)
        if not isinstance(error, TokenwayError):
            raise
        log.exception("the journal cannot be written")
        raise Refusal(no_journal()) from None
    relay.admitted_at = at


def settle(state: EdgeState, relay: Relay, command: Settle, readers: Sequence[AttemptReader], watch: Watch) -> bool:
    """Enters what an exchange took, and notes what it was like; whether the journal has it."""
    _stamp(relay, command, readers)
    if command.error_type and command.status != OK and not command.passes:
        status = relay.form.statuses.get(ErrorType(command.error_type), command.status)
        command = msgspec.structs.replace(command, status=status)
    if len(command.shares) > 1:
        command = counted(command, readers)
    untold = _untold(relay, command, readers) if command.settlement is UPSTREAM_BILLED else 0
    claim, now = relay.claim, time.time()
    if relay.stand_ins:
        take: Take = partial(close_all, state.admission, tuple(claims_of(relay)))
    else:
        take = nothing if claim is None else partial(state.admission.close, claim)
    receipt = relay.receipt = make_receipt(command, relay, now, untold, take)
    is_entered = True
    try:
        state.journal.append(receipt.record)
    except TokenwayError:
        is_entered = False
        log.exception("an exchange could not be settled", extra={"exchange": relay.id})
    try:
        watch.settled(command, receipt, readers)
    except MISTAKES as error:
        log_mistake("an exchange could not be noted", relay.id, error)
    return is_entered


def _untold(relay: Relay, command: Settle, readers: Sequence[AttemptReader]) -> int:
    """Nano-dollars that a provider may bill for what its caller has left, beyond what it has told by then.

    A whole answer may have been made to its end, and cost all that was set aside. Of a stream no more was made than the
    bytes that were seen, and what was on its way. Its prompt counts where the provider has told nothing at all.
    """
    untold = 0
    for share in command.shares:
        reader, price = readers[share.attempt - 1], share.endpoint.price
        if share.settlement is not UPSTREAM_BILLED or price is None:
            continue
        stream = reader.stream
        if stream is None:
            untold += relay.reserved if share.usage is None else 0
        elif share.usage is None or not stream.is_whole:
            request = relay.request
            bounds = bounds_of((share.endpoint,), request.operation, any_service=asks_more(request.body))
            prompt = request.size if share.usage is None else 0
            untold += worst_case(bounds, prompt, reader.seen + MARGIN, 1)
    return untold


def _stamp(relay: Relay, command: Settle, readers: Sequence[AttemptReader]) -> None:
    """The times of an exchange are those of the attempt that has answered, or of the last one."""
    times = relay.times
    if readers:
        told = readers[command.winner - 1]
        times.sent, times.head, times.first_byte = told.sent_at, told.head_at, told.first_byte_at
    if command.winner:
        winner = readers[command.winner - 1]
        stream = winner.stream
        if stream is not None:
            times.first_delta = stream.first_delta
            times.first_answer = stream.first_answer
            times.last_delta = stream.last_delta
            relay.finish_reason = stream.finish_reason
            relay.gaps = stream.gap_counts
            if winner.sent is not None:
                times.resumed = stream.first_delta
                times.first_delta = _first_delta(readers)
        elif winner.answer is not None:
            relay.finish_reason = winner.answer.finish_reason
    times.end = monotonic()


def _first_delta(readers: Sequence[AttemptReader]) -> float:
    """When the caller of a rescued answer had its first text; 0.0 where there was none."""
    firsts = [reader.stream.first_delta for reader in readers if reader.stream is not None]
    return min([each for each in firsts if each], default=0.0)


def counted(command: Settle, readers: Sequence[AttemptReader]) -> Settle:
    """The settlement with what was counted of attempts that another one has outrun: the machine is not told of that."""
    shares = [
        msgspec.structs.replace(part, usage=reader.metered.usage, absurd=reader.metered.is_absurd)
        if part.fault == Fault.OUTRUN
        else part
        for part, reader in zip(command.shares, readers, strict=True)
    ]
    return msgspec.structs.replace(command, shares=tuple(shares))
