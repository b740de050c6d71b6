"""What was seen of an endpoint lately: true sliding windows of half an hour and of a day, in bounded memory.

A window is a row of slots. Times and speeds are counted by bins whose bounds grow by a fixed factor, so that any
quantile is known to a few per cent whatever its size (the idea of DDSketch: Masson, Rim and Lee, 2019), and counts of
several workers simply add up.

Who chooses by a window asks for it with each call, so that what the slots of so many minutes hold together is kept: it
grows with each attempt, and is summed up anew when a minute is over. It says what the slots themselves would say.

A quantile `p90` is the value that nine of ten requests reach or better, as OpenRouter has it: for a time nine tenths
were shorter, for a speed nine tenths were faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log
from typing import Final

from tokenway.model.sample import Outcome, Sample

SLOT_SECONDS: Final = 60.0
SLOTS: Final = 30
"""Slots of a minute: half an hour."""
LONG_SLOT_SECONDS: Final = 900.0
LONG_SLOTS: Final = 96
"""Slots of a quarter of an hour: a day."""
BINS: Final = 1.0 / log(1.06)
"""Bins for each factor e: neighbours differ by 6 %, so that a quantile is right to 3 %."""
LEAST: Final = 1e-6
MOST: Final = 1e9
"""Bounds of what is told apart: microseconds and decades, and speeds that nobody reaches."""
QUANTILES: Final = (50, 75, 90, 99)

Counts = dict[int, float]


def bin_of(value: float) -> int:
    """The bin that a positive value falls into; what is beyond all reason falls into the last ones."""
    return round(log(min(max(value, LEAST), MOST)) * BINS)


def quantile(counts: Mapping[int, float], share: float) -> float | None:
    """The value below which a share of the counted values lie, to 3 %; None when nothing was counted."""
    total = sum(counts.values())
    if not total:
        return None
    left = share * total
    last = 0
    for place in sorted(counts):
        last = place
        left -= counts[place]
        if left <= 0.0:
            break
    return exp(last / BINS)


class Slot:
    """What was seen in a stretch of time."""

    __slots__ = ("answered", "failed", "gaps", "limited", "number", "probes", "speed", "ttft")

    def __init__(self, number: int) -> None:
        self.number = number
        self.answered = 0.0
        self.failed = 0.0
        self.limited = 0.0
        self.probes = 0.0
        """How many of these the gateway made of its own accord."""
        self.ttft: Counts = {}
        self.speed: Counts = {}
        self.gaps: Counts = {}
        """By powers of two milliseconds."""

    def count(self, outcome: Outcome, weight: float) -> None:
        """Counts how attempts ended."""
        if outcome is Outcome.ANSWERED:
            self.answered += weight
        elif outcome is Outcome.FAILED:
            self.failed += weight
        elif outcome is Outcome.LIMITED:
            self.limited += weight

    def take(self, sample: Sample, ttft: int | None, speed: int | None) -> None:
        """Counts an attempt, and its times by their bins."""
        weight = sample.weight
        self.count(sample.outcome, weight)
        if sample.is_probe and sample.outcome is not Outcome.LEFT:
            self.probes += weight
        if ttft is not None:
            self.ttft[ttft] = self.ttft.get(ttft, 0.0) + weight
        if speed is not None:
            self.speed[speed] = self.speed.get(speed, 0.0) + weight
        for place, count in enumerate(sample.gaps):
            if count:
                self.gaps[place] = self.gaps.get(place, 0.0) + count * weight

    def add(self, other: Slot) -> None:
        """Counts what another one has."""
        self.answered += other.answered
        self.failed += other.failed
        self.limited += other.limited
        self.probes += other.probes
        for mine, theirs in ((self.ttft, other.ttft), (self.speed, other.speed), (self.gaps, other.gaps)):
            for place, count in theirs.items():
                mine[place] = mine.get(place, 0.0) + count


class Window:
    """The last half hour of one endpoint, and how often it failed during the last day. Times are Unix seconds."""

    __slots__ = ("_days", "_slots", "_sums")

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self._days: dict[int, Slot] = {}
        self._sums: dict[int, Slot] = {}
        """What the slots of the last minutes hold together, by how many these are: as many as anyone asks for.

        The number of a sum is that of the last slot before it."""

    def take(self, sample: Sample) -> None:
        """Counts an attempt."""
        slot = self._slots.get(int(sample.at // SLOT_SECONDS))
        if slot is None:
            slot = self._slot(self._slots, sample.at, SLOT_SECONDS, SLOTS)
            self._sums.clear()  # one of them may have held what is forgotten now
        ttft = bin_of(sample.ttft) if sample.ttft > 0.0 else None
        speed = bin_of(sample.speed) if sample.speed > 0.0 else None
        slot.take(sample, ttft, speed)
        for total in self._sums.values():
            if slot.number > total.number:
                total.take(sample, ttft, speed)
        self._slot(self._days, sample.at, LONG_SLOT_SECONDS, LONG_SLOTS).count(sample.outcome, sample.weight)

    def ttft(self, now: float, minutes: int, share: float) -> float | None:
        """Seconds in which a share of the streams of the last minutes had their first token."""
        return quantile(self._sum(now, minutes).ttft, share)

    def speed(self, now: float, minutes: int, share: float) -> float | None:
        """Tokens per second that a share of the streams of the last minutes reached."""
        return quantile(self._sum(now, minutes).speed, 1.0 - share)

    def gap(self, now: float, minutes: int, share: float) -> float | None:
        """Seconds: the bound, a power of two milliseconds, below which a share of the pauses between deltas were."""
        counts = self._sum(now, minutes).gaps
        left = share * sum(counts.values())
        for place in sorted(counts):
            left -= counts[place]
            if left <= 0.0:
                return 2.0**place / 1000.0
        return None

    def uptime(self, now: float, minutes: int) -> float | None:
        """The percentage of attempts that were answered; those turned away for too much (429) count as neither."""
        slots = self._recent(now, minutes) if minutes <= SLOTS else self._days.values()
        answered = failed = 0.0
        for slot in slots:
            if minutes <= SLOTS or now - slot.number * LONG_SLOT_SECONDS <= minutes * 60.0 + LONG_SLOT_SECONDS:
                answered += slot.answered
                failed += slot.failed
        return 100.0 * answered / (answered + failed) if answered + failed else None

    def limited(self, now: float, minutes: int) -> float | None:
        """The share of attempts of the last minutes that were turned away with 429."""
        answered, failed, limited = self.ended(now, minutes)
        total = answered + failed + limited
        return limited / total if total else None

    def ended(self, now: float, minutes: int) -> tuple[float, float, float]:
        """How many attempts of the last minutes were answered, failed, and were turned away with 429."""
        total = self._sum(now, minutes)
        return total.answered, total.failed, total.limited

    def probes(self, now: float, minutes: int) -> float:
        """How many of these attempts were nobody's but the gateway's own."""
        return self._sum(now, minutes).probes

    def _sum(self, now: float, minutes: int) -> Slot:
        first = int(now // SLOT_SECONDS) - minutes
        total = self._sums.get(minutes)
        if total is None or total.number != first:
            total = self._sums[minutes] = Slot(first)
            for slot in self._recent(now, minutes):
                total.add(slot)
        return total

    def _recent(self, now: float, minutes: int) -> list[Slot]:
        first = int(now // SLOT_SECONDS) - minutes
        return [slot for slot in self._slots.values() if slot.number > first]

    @staticmethod
    def _slot(slots: dict[int, Slot], at: float, seconds: float, many: int) -> Slot:
        number = int(at // seconds)
        slot = slots.get(number)
        if slot is None:
            slot = slots[number] = Slot(number)
            for old in [each for each in slots if each <= number - many]:
                del slots[old]
        return slot
