"""Metrics of all workers, added up from the records of settled exchanges.

The workers only write records; nothing is counted twice and nothing on the hot path. `Metrics.observe` is
called for each record and costs some microseconds: a few dictionary lookups and a bisection per histogram.
`telemetry.exposition` turns the sums into Prometheus' text.

Label values are bounded. Models and endpoints that the snapshot names are always shown; of other names, which
a caller may invent as long as a provider takes any model, the first LEARNED_MAX that were answered are shown,
and the rest is `other`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from tokenway.metering.ledger import Line, Settled, Settlement
from tokenway.metering.stamps import output_speed, ttft
from tokenway.model.snapshot import Snapshot
from tokenway.model.usage import BUCKETS
from tokenway.telemetry.names import OVERHEAD_BUCKETS, SECONDS_BUCKETS, SPEED_BUCKETS

OTHER: Final = "other"
LEARNED_MAX: Final = 200
_GAP_BUCKETS: Final = tuple(sorted(1 / speed for speed in SPEED_BUCKETS))


class Histogram:
    """Counts by bucket; `bounds` are inclusive upper bounds, the last count is for what is above all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus' form: (upper bound, how many were not above it)."""
        running, result = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            running += count
            result.append((bound, float(running)))
        return result


class ModelSeries:
    """The figures of one model at one endpoint."""

    __slots__ = ("gap", "slow", "speed", "ttft")

    def __init__(self) -> None:
        self.ttft = Histogram(SECONDS_BUCKETS)
        self.speed = Histogram(SPEED_BUCKETS)
        self.gap = Histogram(_GAP_BUCKETS)
        self.slow = 0


class Metrics:
    """Sums since the start of the process. `observe` belongs to one thread; reading is safe from another."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, str, int, str], int] = {}
        """By model, endpoint, dialect, status and settlement."""
        self.tokens: dict[tuple[str, str], list[int]] = {}
        """By model and endpoint: one count for each of BUCKETS."""
        self.cost: dict[tuple[str, str, str], int] = {}
        """Nano-dollars by model, endpoint and settlement."""
        self.attempts: dict[tuple[str, str], int] = {}
        """By endpoint and settlement."""
        self.unmetered: dict[str, int] = {}
        """By endpoint: attempts that delivered and gave no usage."""
        self.series: dict[tuple[str, str], ModelSeries] = {}
        """By model and endpoint."""
        self.overhead = Histogram(OVERHEAD_BUCKETS)
        self.gauges: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        """By name and labels."""
        self._models: dict[str, str] = {}
        self._endpoints: dict[str, str] = {"": ""}
        self._learned = 0

    def use(self, snapshot: Snapshot) -> None:
        """Shows the models, aliases and endpoints of this snapshot by their names from now on."""
        for name in (*snapshot.models, *snapshot.aliases):
            self._models[name] = name
        for model in snapshot.models.values():
            for endpoint in model.endpoints:
                self._endpoints[endpoint.id] = endpoint.id

    def set_gauge(self, name: str, value: float, **labels: str) -> None:
        """Sets a gauge that somebody else measures, such as open streams or the lag of an event loop."""
        self.gauges[name, tuple(sorted(labels.items()))] = value

    def drop_gauges(self, **labels: str) -> None:
        """Forgets the gauges with these labels, as of a worker that is gone."""
        gone = set(labels.items())
        for key in [key for key in self.gauges if gone <= set(key[1])]:
            del self.gauges[key]

    def observe(self, record: Settled) -> None:
        """Adds one exchange."""
        is_answered = record.settlement is Settlement.DELIVERED
        model = self._models.get(record.model) or self._learn(self._models, record.model, is_answered=is_answered)
        endpoint = self._endpoint(record.endpoint, is_answered=is_answered)
        key = (model, endpoint, record.dialect, record.status, str.__str__(record.settlement))
        self.requests[key] = self.requests.get(key, 0) + 1
        if record.overhead:
            self.overhead.observe(record.overhead)
        tokens = 0
        for line in record.lines:
            if line.endpoint == record.endpoint:
                self._add_line(model, endpoint, line)
                if line.usage is not None and not line.absurd and line.settlement is record.settlement:
                    tokens = line.usage.output_tokens
            else:
                self._add_line(model, self._endpoint(line.endpoint, is_answered=False), line)
        first = ttft(record.stamps)
        if first is None and not record.slow:
            return
        series = self.series.get((model, endpoint))
        if series is None:
            series = self.series[model, endpoint] = ModelSeries()
        if first is not None:
            series.ttft.observe(first)
        speed = output_speed(record.stamps, tokens)
        if speed is not None:
            series.speed.observe(speed)
            series.gap.observe(1 / speed)
        if record.slow:
            series.slow += 1

    def _add_line(self, model: str, endpoint: str, line: Line) -> None:
        settlement = str.__str__(line.settlement)
        attempt = (endpoint, settlement)
        self.attempts[attempt] = self.attempts.get(attempt, 0) + 1
        usage = line.usage
        if usage is None:
            if line.settlement is Settlement.DELIVERED:
                self.unmetered[endpoint] = self.unmetered.get(endpoint, 0) + 1
            return
        if line.absurd:
            return
        counts = self.tokens.get((model, endpoint))
        if counts is None:
            counts = self.tokens[model, endpoint] = [0] * len(BUCKETS)
        counts[0] += usage.input_uncached
        counts[1] += usage.cache_read
        counts[4] += usage.output_text
        if (
            usage.reasoning
            or usage.requests
            or usage.input_tokens + usage.output_tokens != (usage.input_uncached + usage.cache_read + usage.output_text)
        ):
            for place in _RARE_BUCKETS:
                counts[place] += getattr(usage, BUCKETS[place])
        if line.cost:
            cost = (model, endpoint, settlement)
            self.cost[cost] = self.cost.get(cost, 0) + line.cost

    def _endpoint(self, name: str, *, is_answered: bool) -> str:
        known = self._endpoints.get(name)
        return known if known is not None else self._learn(self._endpoints, name, is_answered=is_answered)

    def _learn(self, names: dict[str, str], name: str, *, is_answered: bool) -> str:
        """A name that is shown from now on when it was answered and there is room, else OTHER."""
        if not is_answered or self._learned >= LEARNED_MAX:
            return OTHER
        self._learned += 1
        names[name] = name
        return name


_RARE_BUCKETS: Final = tuple(place for place in range(len(BUCKETS)) if place not in {0, 1, 4})


def bucket_counts(counts: Iterable[int]) -> list[tuple[str, int]]:
    """(bucket, count) for the buckets that were used."""
    return [(name, count) for name, count in zip(BUCKETS, counts, strict=True) if count]
