"""What an attempt was like, for those who choose the next ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenway.metering.ledger import Settlement
from tokenway.model.faults import Fault
from tokenway.model.sample import Outcome, Sample
from tokenway.routing.retry import outcome

if TYPE_CHECKING:
    from tokenway.edge.attempt import AttemptReader
    from tokenway.edge.intake import Intake
    from tokenway.exchange.commands import Share


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
    is_answered = share.settlement is Settlement.DELIVERED
    prompt = cached = tokens = 0
    if usage is not None and not share.absurd:
        cached = usage.cache_read
        prompt = usage.input_tokens - cached
        # Of an answer that is not whole a count is none: Anthropic's begins with a few, whatever comes after them.
        tokens = usage.output_tokens if is_answered else 0
    return Sample(
        share.endpoint.id,
        intake.request.model,
        at,
        Outcome.ANSWERED if is_answered else outcome(share.fault, share.status, reader.code),
        max(0.0, took),
        max(0.0, ttft),
        span,
        prompt,
        cached,
        tokens,
        intake.request.size,
        reader.counted,
        0 if trip is None else trip.load,
        gaps,
        intake.keys,
        weight,
    )
