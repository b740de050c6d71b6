"""Carries out what the exchange machine orders, each command by one function of the relay that it is for.

What a command does beyond that, to ledger, fleet and endpoints, is in `edge.entry`, `edge.opening` and `edge.watch`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from tokenway.edge import reply
from tokenway.edge.attempt import JSON, AttemptReader
from tokenway.edge.deliver import begin_stream, end_stream, forward, header_lines
from tokenway.edge.entry import settle
from tokenway.edge.history import is_kept, keep
from tokenway.edge.opening import make_reader, maker_of, send
from tokenway.edge.receipt import tokenway_member, usage_members
from tokenway.edge.stand_in import stands_in
from tokenway.exchange import commands as c
from tokenway.wire.limits import WRITE_HIGH

if TYPE_CHECKING:
    from tokenway.edge.relay import Relay

log = logging.getLogger("tokenway.edge")

# -- before an attempt ---------------------------------------------------------------------------------------


def reserve(relay: Relay, command: c.Reserve) -> None:
    """Asks whether its limits hold what it can cost; the relay hears that now or later."""
    relay.reserved = command.amount
    relay.state.admission.reserve(relay, command.amount)


# -- attempts ------------------------------------------------------------------------------------------------


def begin_attempt(relay: Relay, command: c.Open) -> None:
    """Begins an attempt at an endpoint, once the limits of the model that it is of hold it."""
    intake, state, watch = relay.intake, relay.state, relay.watch
    if command.hedge:
        watch.hedges.race()
    elif command.attempt == 1:
        state.fleet.retries.deposit()
    kept = watch.kept
    sent = kept.sent(relay.form) if command.resumes and kept is not None else None
    reader = make_reader(relay, intake, command, sent)
    reader.begun_at = monotonic()
    relay.attempts.append(reader)
    if not (intake.route.bounded and stands_in(state, relay, intake, reader)):
        send(state, relay, intake, reader)


def cancel(relay: Relay, command: c.Cancel) -> None:
    """Gives an attempt up."""
    reader = relay.attempts[command.attempt - 1]
    if reader.call is not None:
        reader.call.cancel()
    reader.ended_at = monotonic()
    if command.for_good and reader.trip is not None:
        reader.trip.over()


def freeze(relay: Relay, command: c.Freeze) -> None:
    """Forwards nothing more of an attempt for now: another one may go on with its answer."""
    relay.state.fleet.retries.withdraw()
    relay.attempts[command.attempt - 1].freeze()


def thaw(relay: Relay, command: c.Thaw) -> None:
    """Nobody else could: it goes on itself."""
    relay.attempts[command.attempt - 1].thaw()


def resume(relay: Relay, command: c.Resume) -> None:
    """An attempt goes on with the answer of another one."""
    _won(relay, command.attempt)


def note(relay: Relay, command: c.Note) -> None:
    """An attempt has failed."""
    fleet = relay.state.fleet
    reader, failure = relay.attempts[command.attempt - 1], command.failure
    reader.ended_at = failure.at
    if command.retry_in is not None:  # paid for now: others decide while this one pauses
        fleet.retries.withdraw()
    if reader.trip is not None:
        reader.trip.failed(failure, reader.hints)
    log.info(
        "attempt failed",
        extra={
            "exchange": relay.id,
            "endpoint": command.endpoint.id,
            "attempt": command.attempt,
            "fault": command.failure.fault.value,
            "detail": command.failure.detail,
            "retry_in": command.retry_in,
        },
    )


def _won(relay: Relay, attempt: int) -> AttemptReader:
    """The answer is this attempt's, and so its endpoint works."""
    winner = relay.winner = relay.attempts[attempt - 1]
    if winner.trip is not None:
        winner.trip.succeeded(monotonic())
    return winner


# -- the answer ----------------------------------------------------------------------------------------------


def send_head(relay: Relay, command: c.SendHead) -> None:
    """Begins the answer; the head of a whole one goes out with its body."""
    winner = _won(relay, command.attempt)
    if not winner.is_whole:
        content_type = relay.intake.request.stream_type or winner.content_type
        begin_stream(relay, header_lines(relay), content_type)


def send_bytes(relay: Relay, command: c.SendBytes) -> None:
    """The next piece of a stream."""
    kept = relay.watch.kept
    if kept is not None:
        kept.add(command.data)
    forward(relay, command.data)


def splice(relay: Relay, command: c.Splice) -> None:
    """From here on the attempt's bytes go to the caller without the machine."""
    reader = relay.attempts[command.attempt - 1]
    client, kept = relay.client, relay.watch.kept
    write = client.transport.write
    writer = reply.chunk_writer(write) if relay.is_chunked else write
    reader.splice(writer if kept is None else kept.keeping(writer, reader))
    if client.is_write_paused and reader.call is not None:
        reader.call.pause()


def enter(relay: Relay, command: c.Settle) -> None:
    """Enters what it took, before the caller sees the end of its answer."""
    if not settle(relay.state, relay, command, relay.attempts, relay.watch):
        # The caller must not see the end of an answer that the ledger does not know.
        relay.client.transport.abort()


def send_end(relay: Relay, _command: c.SendEnd) -> None:
    """The end of the answer, which may be all of it."""
    winner, receipt = relay.winner, relay.receipt
    if winner is None or receipt is None:
        raise RuntimeError("an answer ends without a winner or a receipt")
    members = usage_members(receipt)
    keeps = relay.keeps = relay.keeps and is_kept(relay.intake.request)
    if winner.stream is None or winner.is_whole:
        body = winner.body
        if members and winner.answer is not None:
            body = relay.form.priced(body, members, winner.answer.usage)
        if keeps:
            keep(relay.state, relay, winner.endpoint, body)
        kind = winner.content_type or JSON
        lines = reply.answer_head(header_lines(relay), receipt.cost, receipt.delivered_tps, kind, len(body))
        if len(body) > WRITE_HIGH:
            relay.client.transport.writelines([lines, body])
        else:
            relay.client.transport.write(lines + body)
        relay.finish()
    else:
        extra = tokenway_member(receipt) if relay.intake.request.asks_usage else b""
        tail = winner.stream.tail(members, extra)
        if keeps:
            keep(relay.state, relay, winner.endpoint, tail)
        end_stream(relay, tail)


def send_error(relay: Relay, command: c.SendError) -> None:
    """An error in the place of the answer, or of its rest."""
    problem = command.problem
    if not command.in_band:
        relay.refuse(problem, command.body)
    elif not relay.intake.request.stream_type:
        # Sound has no place for a message: a body that breaks off is the only way to say it.
        relay.client.transport.abort()
        relay.finish()
    else:
        stream = relay.winner.stream if relay.winner is not None else None
        end_stream(relay, command.body or relay.form.error_event(problem, maker_of(relay, relay.intake, stream)))


STEPS: Final[dict[type[c.Command], Callable[[Relay, Any], None]]] = {
    c.Reserve: reserve,
    c.Open: begin_attempt,
    c.Cancel: cancel,
    c.Freeze: freeze,
    c.Thaw: thaw,
    c.Resume: resume,
    c.Note: note,
    c.SendHead: send_head,
    c.SendBytes: send_bytes,
    c.Splice: splice,
    c.Settle: enter,
    c.SendEnd: send_end,
    c.SendError: send_error,
}
