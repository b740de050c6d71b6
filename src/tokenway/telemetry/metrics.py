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
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from msgspec.structs import astuple

from tokenway.metering.ledger import Line, Settled, Settlement
from tokenway.metering.stamps import output_speed, ttft
from tokenway.model.snapshot import Snapshot
from tokenway.model.usage import BUCKETS
from tokenway.telemetry.names import OVERHEAD_BUCKETS, SECONDS_BUCKETS, SPEED_BUCKETS

OTHER: Final = "other"
LEARNED_MAX: Final = 200
Key = TypeVar("Key")

_BILLED: Final = (Settlement.DELIVERED, Settlement.UPSTREAM_BILLED)

GAP_BOUNDS: Final = tuple(2**power / 1000 for power in range(15))
"""Seconds: the powers of two milliseconds by which `Settled.gaps` counts, up to 16 s."""


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

    def add(self, counts: Iterable[int], total: float) -> None:
        """Adds values that were counted elsewhere by the same bounds; counts beyond the last fall into it."""
        last = len(self.bounds)
        for place, count in enumerate(counts):
            if count:
                self.counts[min(last, place)] += count
        self.total += total

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
        self.gap = Histogram(GAP_BOUNDS)
        self.slow = 0


class _Group:
    """The sums of exchanges whose labels are the same, so that one look-up finds what most exchanges need.

    `attempts`, `cost` and `unmetered` are of exchanges with one attempt that ended as the exchange did.
    """

    __slots__ = ("attempts", "cost", "requests", "series", "tokens", "unmetered")

    def __init__(self, tokens: list[int], series: ModelSeries) -> None:
        self.requests = 0
        self.attempts = 0
        self.cost = 0
        self.unmetered = 0
        self.tokens = tokens
        self.series = series


Labels = tuple[str, str, str, int, str]
"""Model, endpoint, dialect, status, settlement."""


class Metrics:
    """Sums since the start of the process. `observe` belongs to one thread; reading is safe from another."""

    def __init__(self) -> None:
        self.tokens: dict[tuple[str, str], list[int]] = {}
        """By model and endpoint: one count for each of BUCKETS."""
        self.series: dict[tuple[str, str], ModelSeries] = {}
        """By model and endpoint."""
        self.overhead = Histogram(OVERHEAD_BUCKETS)
        self.gauges: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        """By name and labels."""
        self._groups: dict[Labels, _Group] = {}
        self._cache: dict[Labels, _Group] = {}
        # Attempts of exchanges that had several, or ended otherwise than their attempt: model, endpoint, settlement.
        self._apart: dict[tuple[str, str, str], _Group] = {}
        self._models: set[str] = set()
        self._endpoints: set[str] = {""}
        self._learned = 0

    def use(self, snapshot: Snapshot) -> None:
        """Shows the models, aliases and endpoints of this snapshot by their names from now on."""
        self._models.update(snapshot.models, snapshot.aliases)
        for model in snapshot.models.values():
            self._endpoints.update(endpoint.id for endpoint in model.endpoints)

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
        settlement = record.settlement
        group = self._cache.get((record.model, record.endpoint, record.dialect, record.status, settlement))
        if group is None:
            group = self._group(record)
        group.requests += 1
        if record.overhead:
            self.overhead.observe(record.overhead)
        lines = record.lines
        tokens = 0
        if len(lines) == 1 and lines[0].endpoint == record.endpoint and lines[0].settlement is settlement:
            tokens = _add_line(group, lines[0])
        else:
            for line in lines:
                counted = _add_line(self._apart_group(record, line), line)
                tokens = counted if line.endpoint == record.endpoint and line.settlement is settlement else tokens
        series = group.series
        first = ttft(record.stamps)
        if first is not None:
            series.ttft.observe(first)
            speed = output_speed(record.stamps, tokens)
            if speed is not None:
                series.speed.observe(speed)
            if record.gaps:
                series.gap.add(record.gaps, record.stamps.last_delta - record.stamps.first_delta)
        if record.slow:
            series.slow += 1

    def requests(self) -> dict[Labels, int]:
        """Exchanges by model, endpoint, dialect, status and settlement."""
        return {labels: group.requests for labels, group in list(self._groups.items())}

    def attempts(self) -> dict[tuple[str, str], int]:
        """Attempts by endpoint and settlement."""
        return self._sum(lambda labels: labels[1:], "attempts")

    def cost(self) -> dict[tuple[str, str, str], int]:
        """What providers charge, in nano-dollars, by model, endpoint and settlement."""
        return self._sum(lambda labels: labels, "cost")

    def unmetered(self) -> dict[str, int]:
        """Attempts that somebody is billed for without usage that can be believed, by endpoint."""
        return self._sum(lambda labels: labels[1], "unmetered")

    def _sum(self, label: Callable[[tuple[str, str, str]], Key], field: str) -> dict[Key, int]:
        """One field of all groups, added up by the labels that are asked for; zeros are left out."""
        sums: dict[Key, int] = {}
        for (model, endpoint, _, _, settlement), group in list(self._groups.items()):
            key = label((model, endpoint, settlement))
            sums[key] = sums.get(key, 0) + getattr(group, field)
        for (model, endpoint, settlement), group in list(self._apart.items()):
            key = label((model, endpoint, settlement))
            sums[key] = sums.get(key, 0) + getattr(group, field)
        return {key: count for key, count in sums.items() if count}

    def _group(self, record: Settled) -> _Group:
        """The group of an exchange whose own labels are not in the cache."""
        is_answered = record.settlement is Settlement.DELIVERED
        model = self._shown(self._models, record.model, is_answered=is_answered)
        endpoint = self._shown(self._endpoints, record.endpoint, is_answered=is_answered)
        settlement = record.settlement.value
        labels = (model, endpoint, record.dialect, record.status, settlement)
        group = self._groups.get(labels)
        if group is None:
            group = self._groups[labels] = self._new_group(model, endpoint)
        if model == record.model and endpoint == record.endpoint:
            # Only names that are shown are remembered, so a caller cannot fill the cache.
            self._cache[labels] = group
        return group

    def _apart_group(self, record: Settled, line: Line) -> _Group:
        model = self._shown(self._models, record.model, is_answered=False)
        endpoint = self._shown(self._endpoints, line.endpoint, is_answered=False)
        labels = (model, endpoint, line.settlement.value)
        group = self._apart.get(labels)
        if group is None:
            group = self._apart[labels] = self._new_group(model, endpoint)
        return group

    def _new_group(self, model: str, endpoint: str) -> _Group:
        key = (model, endpoint)
        tokens = self.tokens.setdefault(key, [0] * len(BUCKETS))
        return _Group(tokens, self.series.setdefault(key, ModelSeries()))

    def _shown(self, names: set[str], name: str, *, is_answered: bool) -> str:
        """The name itself when it is known, or answered and there is room; else OTHER."""
        if name in names:
            return name
        if not is_answered or self._learned >= LEARNED_MAX:
            return OTHER
        self._learned += 1
        names.add(name)
        return name


def _add_line(group: _Group, line: Line) -> int:
    """Adds one attempt; returns its output tokens, 0 when they are not known or not believed."""
    group.attempts += 1
    usage = line.usage
    if usage is None or line.absurd:
        if line.settlement in _BILLED:
            group.unmetered += 1
        return 0
    tokens = group.tokens
    for place, count in enumerate(astuple(usage)):
        if count:
            tokens[place] += count
    if line.cost:
        group.cost += line.cost
    return usage.output_tokens


def bucket_counts(counts: Iterable[int]) -> list[tuple[str, int]]:
    """(bucket, count) for the buckets that were used."""
    return [(name, count) for name, count in zip(BUCKETS, counts, strict=True) if count]
