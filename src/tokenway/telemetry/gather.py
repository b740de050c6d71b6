"""Settled exchanges by what they have in common, so that figures are added once for many of them.

Exchanges come from the journals by the hundred, and nearly all of a batch have the same few labels. What is
looked up by labels is looked up once for each `Gathered`, and what is measured is measured once for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenway.metering.ledger import Line, Settled, Settlement
from tokenway.metering.stamps import output_speed, ttft

Stream = tuple[float, float | None]
"""TTFT in seconds, output tokens per second."""


Labels = tuple[str, str, str, int, Settlement]
"""Model, endpoint, dialect, status, settlement."""


class Gathered:
    """Exchanges with the same labels, column by column."""

    def __init__(self, labels: Labels, records: Sequence[Settled]) -> None:
        self.labels = labels
        self.model, self.endpoint, self.dialect, self.status, self.settlement = labels
        self.requests = len(records)
        self.slow = sum([record.slow for record in records])
        self.overheads = [overhead for record in records if (overhead := record.overhead)]
        """Seconds, of exchanges that came to an attempt."""
        self.lines: list[Line] = []
        """The attempts of exchanges with one attempt that ended as the exchange did."""
        self.apart: list[Line] = []
        """All other attempts."""
        self.streams: list[Stream] = []
        self.gaps: list[tuple[int, ...]] = []
        """`Settled.gaps` of each stream that has them."""
        self.gap_seconds = 0.0
        """How long these streams were in all."""
        self._add(records)

    def _add(self, records: Sequence[Settled]) -> None:
        """The columns that take a look at attempts and stamps. For most exchanges, all that telemetry costs is here."""
        endpoint, settlement = self.endpoint, self.settlement
        lines, streams = self.lines, self.streams
        for record in records:
            attempts, stamps = record.lines, record.stamps
            if len(attempts) == 1 and (line := attempts[0]).settlement is settlement and line.endpoint == endpoint:
                lines.append(line)
                usage = line.usage
                tokens = usage.output_tokens if usage is not None and not line.absurd else 0
            else:
                self.apart += attempts
                tokens = _answer_tokens(record)
            first = ttft(stamps)
            if first is not None:
                streams.append((first, output_speed(stamps, tokens)))
                if record.gaps:
                    self.gaps.append(record.gaps)
                    self.gap_seconds += stamps.last_delta - stamps.first_delta


def gather(records: Iterable[Settled]) -> list[Gathered]:
    """The exchanges by their labels."""
    groups: dict[Labels, list[Settled]] = {}
    for record in records:
        labels = (record.model, record.endpoint, record.dialect, record.status, record.settlement)
        group = groups.get(labels)
        if group is None:
            groups[labels] = [record]
        else:
            group.append(record)
    return [Gathered(labels, group) for labels, group in groups.items()]


def _answer_tokens(record: Settled) -> int:
    """Output tokens of the last attempt that ended as the exchange did; 0 when not known or not believed."""
    for line in reversed(record.lines):
        if line.endpoint == record.endpoint and line.settlement is record.settlement:
            return line.usage.output_tokens if line.usage is not None and not line.absurd else 0
    return 0
