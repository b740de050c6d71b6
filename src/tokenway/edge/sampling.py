"""What an attempt was like, for those who choose the next ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokenway.metering.ledger import Settlement
from tokenway.model.faults import Fault
from tokenway.model.sample import Outcome, Sample
from tokenway.routing.retry import Scope, Verdict, scope, verdict

if TYPE_CHECKING:
    from tokenway.edge.attempt import AttemptReader
    from tokenway.edge.intake import Intake
    from tokenway.exchange.commands import Share

_TOO_MANY: Final = 429


def sample_of(
    reader: AttemptReader, share: Share, intake: Intake, at: float, ended_at: float, weight: float = 1.0
) -> Sample:
    """The sample of an attempt that is over; `at` is Unix time, `ended_at` monotonic seconds."""
    stream, usage, trip = reader.stream, share.usage, reader.trip
    took = ended_at - (reader.sent_at or reader.begun_at)
    ttft = span = 0.0
    gaps: tuple[int, ...] = ()
    if stream is not None and stream.first_delta:
        ttft = stream.first_delta - reader.sent_at
        span = stream.last_delta - stream.first_delta
        gaps = stream.gap_counts
    elif share.fault == Fault.OUTRUN:
        ttft = took  # it would have taken longer
    prompt = cached = tokens = 0
    if usage is not None and not share.absurd:
        cached = usage.cache_read
        prompt = usage.input_tokens - cached
        tokens = usage.output_tokens
    return Sample(
        share.endpoint.id,
        intake.request.model,
        at,
        _outcome(share),
        max(0.0, took),
        max(0.0, ttft),
        span,
        prompt,
        cached,
        tokens,
        intake.request.size,
        reader.passed,
        0 if trip is None else trip.load,
        gaps,
        intake.keys,
        weight,
    )


def _outcome(share: Share) -> Outcome:
    if share.settlement is Settlement.DELIVERED:
        return Outcome.ANSWERED
    if share.status == _TOO_MANY:
        return Outcome.LIMITED
    fault = share.fault
    if not fault or fault in {Fault.OUTRUN, Fault.SLOW}:
        return Outcome.LEFT
    is_its_own = scope(Fault(fault), share.status) is Scope.ENDPOINT
    # Who does not have the model, or does not take the key, is no endpoint to be asked first.
    return Outcome.FAILED if is_its_own or verdict(Fault(fault), share.status) is Verdict.ELSEWHERE else Outcome.LEFT
