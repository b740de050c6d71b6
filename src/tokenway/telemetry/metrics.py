"""Metrics of all workers, added up from the records of settled exchanges.

The workers only write records; nothing is counted twice and nothing on the hot path. `Metrics.observe` is
called for exchanges that `telemetry.gather` put together: labels are looked up once for all of them, and an
exchange costs its share of some sums and of a sorted list per histogram.
`telemetry.exposition` turns the sums into Prometheus' text.

Label values are bounded. Models and endpoints that the snapshot names are always shown; of other names, which
a caller may invent as long as a provider takes any model, the first LEARNED_MAX that were answered are shown,
and the rest is `other`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Final, TypeVar

from msgspec.structs import astuple

from tokenway.metering.ledger import Line, Settlement
from tokenway.model.probe import asked_as
from tokenway.model.snapshot import Snapshot
from tokenway.model.usage import BUCKETS
from tokenway.telemetry.gather import Gathered
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

    def observe(self, values: Iterable[float]) -> None:
        """Counts values. In order, those of one bucket are counted by where they end, not one by one."""
        ordered = sorted(values)
        bounds, many, start = self.bounds, len(ordered), 0
        while start < many:
            place = bisect_left(bounds, ordered[start])
            end = bisect_right(ordered, bounds[place], start) if place < len(bounds) else many
            self.counts[place] += end - start
            start = end
        self.total += sum(ordered)

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
        self.endpoints: set[str] = set()
        """Those of the snapshot in force, by their ids."""
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
        self._models.update(asked_as(model.name) for model in snapshot.models.values() if model.routing.probe)
        self.endpoints = {endpoint.id for model in snapshot.models.values() for endpoint in model.endpoints}
        self._endpoints |= self.endpoints

    def set_gauge(self, name: str, value: float, **labels: str) -> None:
        """Sets a gauge that somebody else measures, such as open streams or the lag of an event loop."""
        self.gauges[name, tuple(sorted(labels.items()))] = value

    def drop_gauges(self, name: str = "", **labels: str) -> None:
        """Forgets the gauges of this name, if one is given, and with these labels, as of a worker that is gone."""
        gone = set(labels.items())
        for key in [key for key in self.gauges if gone <= set(key[1]) and name in {"", key[0]}]:
            del self.gauges[key]

    def observe(self, gathered: Gathered) -> None:
        """Adds exchanges."""
        group = self._cache.get(gathered.labels) or self._group(gathered)
        group.requests += gathered.requests
        self.overhead.observe(gathered.overheads)
        _add_lines(group, gathered.lines)
        for line in gathered.apart:
            _add_lines(self._apart_group(gathered.model, line), (line,))
        series = group.series
        series.ttft.observe([first for first, _ in gathered.streams])
        series.speed.observe([speed for _, speed in gathered.streams if speed is not None])
        series.gap.add(map(sum, zip_longest(*gathered.gaps, fillvalue=0)), gathered.gap_seconds)
        series.slow += gathered.slow

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

    def _group(self, gathered: Gathered) -> _Group:
        """The group of exchanges whose own labels are not in the cache."""
        is_answered = gathered.settlement is Settlement.DELIVERED
        model = self._shown(self._models, gathered.model, is_answered=is_answered)
        endpoint = self._shown(self._endpoints, gathered.endpoint, is_answered=is_answered)
        labels = (model, endpoint, gathered.dialect, gathered.status, gathered.settlement.value)
        group = self._groups.get(labels)
        if group is None:
            group = self._groups[labels] = self._new_group(model, endpoint)
        if model == gathered.model and endpoint == gathered.endpoint:
            # Only names that are shown are remembered, so a caller cannot fill the cache.
            self._cache[labels] = group
        return group

    def _apart_group(self, name: str, line: Line) -> _Group:
        model = self._shown(self._models, name, is_answered=False)
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


def _add_lines(group: _Group, lines: Sequence[Line]) -> None:
    """Adds attempts; those whose usage is not known or not believed count, but are in no sum."""
    group.attempts += len(lines)
    metered = [line for line in lines if line.usage is not None and not line.absurd]
    if len(metered) < len(lines):
        billed = [line for line in lines if line.settlement in _BILLED]
        group.unmetered += sum([line.usage is None or line.absurd for line in billed])
    group.cost += sum([line.cost or 0 for line in metered])
    for place, column in enumerate(zip(*[astuple(line.usage) for line in metered if line.usage], strict=True)):
        group.tokens[place] += sum(column)


def bucket_counts(counts: Iterable[int]) -> list[tuple[str, int]]:
    """(bucket, count) for the buckets that were used."""
    return [(name, count) for name, count in zip(BUCKETS, counts, strict=True) if count]
