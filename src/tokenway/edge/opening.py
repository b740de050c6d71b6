"""One attempt, from the machine's order to the bytes that go to an endpoint.

Where the endpoint speaks the caller's dialect, the caller's own bytes go there and the answer passes; elsewhere both
are converted.
"""

from __future__ import annotations

import time
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from tokenway.dialects.base import AnswerStream, Maker
from tokenway.dialects.continuation import Continuation
from tokenway.dialects.gather import Gathering
from tokenway.dialects.resume import Sent
from tokenway.dialects.seal import MARKS
from tokenway.dialects.translate import Translation
from tokenway.edge import reply
from tokenway.edge.attempt import AttemptReader
from tokenway.edge.crossing import Crossings, spelled
from tokenway.edge.routes import JSON_TYPE, Target, asked_for
from tokenway.exchange.events import UpstreamFailed
from tokenway.model.catalog import Dialect
from tokenway.model.errors import Refusal
from tokenway.model.faults import Fault
from tokenway.model.preferences import Rescue

if TYPE_CHECKING:
    from tokenway.edge.intake import Intake
    from tokenway.edge.relay import Relay
    from tokenway.edge.state import EdgeState
    from tokenway.exchange.commands import Open
    from tokenway.model.errors import Problem

BETA: Final = "?beta=true"
"""What Anthropic's clients add to the path where they use what is not settled yet; it goes on to Anthropic."""
_ANTHROPIC: Final = Dialect.ANTHROPIC
_ON: Final = Rescue.ON

Payload = list[bytes | memoryview]


def is_beta(query: bytes) -> bool:
    """Whether a caller of Anthropic's has said so."""
    return b"beta=true" in query.split(b"&")


def make_reader(relay: Relay, intake: Intake, command: Open, sent: Sent | None = None) -> AttemptReader:
    """Who reads the attempt's answer; `sent` is what the caller has of an answer that it is to go on with."""
    endpoint, request = command.endpoint, intake.asked
    form = intake.route.format_of(endpoint)
    maker = None
    stream: AnswerStream | None = None
    if sent is not None or intake.gathers or intake.route.is_crossing(endpoint):
        maker = maker_of(relay, intake)
        if sent is not None:
            stream = Continuation(form, relay.form, maker, sent)
        elif intake.gathers:
            stream = Gathering(form, relay.form, maker)
        elif request.stream:
            stream = Translation(form, relay.form, maker)
    elif request.stream:
        stream = form.passing(request)
    reader = AttemptReader(relay, command.attempt, form, stream, maker)
    reader.endpoint = endpoint
    if command.credential:
        reader.credential = command.credential
    if sent is not None:
        reader.sent = sent
    reader.is_watched = intake.order.rescue is _ON
    reader.waits_for_text = intake.order.hedge_after < inf
    reader.is_crossing = maker is not None and (sent is not None or intake.route.is_crossing(endpoint))
    return reader


def maker_of(relay: Relay, intake: Intake, stream: AnswerStream | None = None) -> Maker:
    """What a writer of the caller's dialect is told of the exchange, and of the stream whose end it is to write."""
    if stream is None:
        return Maker(relay.id, relay.model, int(time.time()), intake.request)
    return Maker(
        relay.id, relay.model, int(time.time()), intake.request, answer=stream.answer_id, sequence=stream.sequence
    )


def prepare(state: EdgeState, relay: Relay, intake: Intake, reader: AttemptReader) -> tuple[Target, Payload]:
    """Where the attempt goes and what is sent; raises Refusal where it cannot be made."""
    endpoint, request, form = reader.endpoint, intake.asked, reader.form
    is_crossing = reader.is_crossing
    operation = asked_for(relay.door.operation) if is_crossing else relay.door.operation
    query = BETA if not is_crossing and relay.query and form.dialect is _ANTHROPIC and is_beta(relay.query) else ""
    target = state.routes.target(endpoint, operation, form, stream=request.stream, query=query)
    reader.lines = target.label
    if reader.sent is not None:
        crossings = intake.crossings or Crossings(request, intake.route)
        body: bytes | list[bytes | memoryview] = crossings.written_to_resume(endpoint, reader.sent.text).body
    elif is_crossing:
        body = _written(relay, intake.crossings, reader)
    elif form.dialect in _SEALING and any(mark in request.body for mark in MARKS):
        # Turns of this conversation were another vendor's: its seals are not shown to this one.
        body = _written(relay, Crossings(request, intake.route), reader)
    else:
        body = request.upstream_body(endpoint.upstream_model)
    if target.shape is not None:
        body = target.shape(body if isinstance(body, bytes) else b"".join(body))
    lines = target.more_lines(relay.headers) if reader.sent is None else _more_lines(relay, reader, target)
    if lines is None:
        lines = target.keep_lines(relay.headers, _more_lines(relay, reader, target))
    if target.is_signed:
        return target, target.signed(body, lines, time.time())
    return target, target.request(body, lines, reader.credential)


def send(state: EdgeState, relay: Relay, intake: Intake, reader: AttemptReader) -> None:
    """Sends the request of an attempt."""
    now = monotonic()
    reader.trip = state.fleet.begin(reader.endpoint, reader.credential, intake.request.size // 4, now)
    try:
        target, payload = prepare(state, relay, intake, reader)
    except Refusal as refusal:
        relay.tell(unmade(relay, reader.number, refusal.problem))
        return
    if not relay.overhead:
        relay.overhead = monotonic() - relay.times.received
    reader.call = target.pool.open(payload, reader)


def unmade(relay: Relay, attempt: int, problem: Problem) -> UpstreamFailed:
    """An attempt that could not be made, told like an upstream's refusal."""
    now = monotonic()
    return UpstreamFailed(
        now,
        attempt,
        Fault.STATUS,
        problem.message,
        problem.status,
        problem.code or "",
        body=relay.form.error_body(problem, relay.id),
        dice=relay.dice(),
        may_retry=relay.may_retry(now),
    )


_SEALING: Final = frozenset({Dialect.ANTHROPIC, Dialect.GEMINI, Dialect.BEDROCK})
"""Dialects whose opaque fields can hold another vendor's seal. The Responses API's own reader leaves those out."""


def _written(relay: Relay, crossings: Crossings | None, reader: AttemptReader) -> bytes:
    """The request written anew; what its dialect cannot say is told in a header."""
    if crossings is None:
        raise RuntimeError("an endpoint of another dialect without a crossing")
    written = crossings.written(reader.endpoint)
    if written.dropped:
        names = spelled(written.dropped, relay.form)
        reader.lines += b"x-tokenway-dropped: %b\r\n" % reply.header_value(names)
    return written.body


def _more_lines(relay: Relay, reader: AttemptReader, target: Target) -> bytes:
    """Header lines that depend on the caller: its own, for its own dialect, and the dialect's where it has none."""
    lines = {b"content-type": JSON_TYPE, **target.defaults}
    if relay.door.is_form:
        lines[b"content-type"] = b"content-type: %b\r\n" % relay.headers.get(b"content-type", b"")
    forwarded = reader.form.forwarded
    if forwarded and not reader.is_crossing:
        for name, value in relay.headers.items():
            if name.startswith(forwarded):
                lines[name] = b"%b: %b\r\n" % (name, value)
    return b"".join(lines.values())
