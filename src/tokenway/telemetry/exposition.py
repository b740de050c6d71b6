"""The metrics in Prometheus' text format; the library adds `_total` to the names of counters.

Apart from `telemetry.metrics`, so that only who answers `/metrics` waits for the library's import.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from tokenway.model.money import NANO_PER_USD
from tokenway.telemetry import names
from tokenway.telemetry.metrics import Histogram, Metrics, bucket_counts

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_GAUGE_HELP: Final = {
    names.OPEN_STREAMS: "Answers that are being relayed now",
    names.LOOP_LAG: "How late the event loop of a worker runs, in seconds",
    names.JOURNAL_BYTES: "Bytes in the journals that are not in the ledger yet",
    names.LEASE_REMAINING: "What a worker may still spend of a limit without asking",
    names.BREAKER_STATE: "Whether an endpoint is called: 0 yes (closed), 1 for a probe (half-open), 2 no (open)",
}


def expose(metrics: Metrics) -> bytes:
    """The whole `/metrics` page; serve it as CONTENT_TYPE."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(metrics))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        # The sums grow in another thread; list() and copy() take each dictionary as it is, in one step.
        metrics = self._metrics
        yield _counter(
            names.REQUESTS,
            "Exchanges by what the client saw and how they were settled",
            ("model", "endpoint", "dialect", "status", "outcome"),
            (((m, e, d, str(s), o), count) for (m, e, d, s, o), count in metrics.requests().items()),
        )
        yield _counter(
            names.TOKENS,
            "Tokens and other units that providers reported, by disjoint bucket",
            ("model", "endpoint", "bucket"),
            (
                ((*key, bucket), count)
                for key, counts in list(metrics.tokens.items())
                for bucket, count in bucket_counts(counts)
            ),
        )
        yield _counter(
            names.COST,
            "What providers charge, in US dollars",
            ("model", "endpoint", "outcome"),
            ((key, nano / NANO_PER_USD) for key, nano in metrics.cost().items()),
        )
        yield _counter(
            names.ATTEMPTS,
            "Attempts, those whose connection was refused too, by how they were settled",
            ("endpoint", "outcome"),
            metrics.attempts().items(),
        )
        yield _counter(
            names.UNMETERED,
            "Delivered attempts whose provider gave no usage, or none to be believed",
            ("endpoint",),
            (((endpoint,), count) for endpoint, count in metrics.unmetered().items()),
        )
        yield from self._series()
        overhead = HistogramMetricFamily(names.OVERHEAD, "Seconds from the request to the first attempt", labels=())
        _add(overhead, (), metrics.overhead)
        yield overhead
        yield from self._gauges()

    def _series(self) -> Iterator[Metric]:
        series = list(self._metrics.series.items())
        labels = ("model", "endpoint")
        first = HistogramMetricFamily(names.TTFT, "Seconds from the request to the first text", labels=labels)
        speed = HistogramMetricFamily(names.OUTPUT_SPEED, "Output tokens per second while generating", labels=labels)
        gap = HistogramMetricFamily(names.GAP, "Seconds between two pieces of text in a stream", labels=labels)
        for key, one in series:
            _add(first, key, one.ttft)
            _add(speed, key, one.speed)
            _add(gap, key, one.gap)
        yield from (first, speed, gap)
        yield _counter(
            names.SLOW_STREAMS, "Streams under the reader's floor", labels, ((key, one.slow) for key, one in series)
        )

    def _gauges(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for (name, labels), value in sorted(self._metrics.gauges.copy().items()):
            family = families.get(name)
            if family is None:
                family = GaugeMetricFamily(name, _GAUGE_HELP.get(name, name), labels=[label for label, _ in labels])
                families[name] = family
            family.add_metric([text for _, text in labels], value)
        yield from families.values()


def _counter(
    name: str, text: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], float]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in samples:
        family.add_metric(values, count)
    return family


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    family.add_metric(labels, buckets=histogram.cumulative(), sum_value=histogram.total)
