"""Metrics: every exchange counted once, by labels that a caller cannot multiply."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records import USAGE, line, settled
from tokenway.metering.ledger import Settled, Settlement
from tokenway.model.catalog import Endpoint, Model, Probing, Routing
from tokenway.model.money import NanoUsd
from tokenway.model.probe import asked_as
from tokenway.model.snapshot import Snapshot
from tokenway.model.usage import BUCKETS, Usage
from tokenway.telemetry.gather import gather
from tokenway.telemetry.metrics import LEARNED_MAX, OTHER, Histogram, Metrics, bucket_counts


def observe(metrics: Metrics, *records: Settled) -> None:
    """Adds a batch of these records."""
    for gathered in gather(records):
        metrics.observe(gathered)


def test_a_histogram_counts_up_to_and_including_each_bound() -> None:
    """A value on a bound is not above it, and what is above all bounds is in the last bucket."""
    histogram = Histogram((1.0, 2.0))
    histogram.observe((0.5, 1.0, 1.5))
    histogram.observe((2.0, 9.0))
    histogram.observe(())

    assert histogram.cumulative() == [("1.0", 2.0), ("2.0", 4.0), ("+Inf", 5.0)]
    assert histogram.total == 14.0


@given(st.lists(st.sampled_from((-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 4.0, 9.0, float("inf")))))
def test_many_values_count_as_one_after_the_other(values: list[float]) -> None:
    """It does not matter in what order values come, nor how many at once."""
    together, apart = Histogram((1.0, 2.0, 4.0)), Histogram((1.0, 2.0, 4.0))
    together.observe(values)
    for value in values:
        apart.observe((value,))

    expected = [sum(low < value <= high for value in values) for low, high in pairwise((-9.0, 1.0, 2.0, 4.0))]
    assert together.counts == apart.counts == [*expected, sum(value > 4.0 for value in values)]
    assert together.total == apart.total


def test_counts_made_elsewhere_are_added_by_bucket() -> None:
    """Counts beyond the last bound go to the last bucket."""
    histogram = Histogram((1.0, 2.0))
    histogram.add((1, 0, 2, 3), 7.0)

    assert histogram.counts == [1, 0, 5]
    assert histogram.total == 7.0


def test_an_exchange_is_counted_in_every_figure() -> None:
    """Requests, tokens by bucket, money, attempts, first token, speed, gaps and overhead, by the batch."""
    metrics = Metrics()
    observe(metrics, settled(gaps=(0, 0, 4)), settled(gaps=(0, 0, 4)))
    observe(metrics, settled(gaps=(0, 0, 4)))

    assert metrics.requests() == {("mock", "lab/mock", "openai_chat", 200, "delivered"): 3}
    assert dict(bucket_counts(metrics.tokens["mock", "lab/mock"])) == {
        "input_uncached": 300,
        "cache_read": 60,
        "output_text": 153,
        "reasoning": 30,
        "requests": 3,
    }
    assert metrics.cost() == {("mock", "lab/mock", "delivered"): 3 * 1_234}
    assert metrics.attempts() == {("lab/mock", "delivered"): 3}
    assert metrics.unmetered() == {}
    series = metrics.series["mock", "lab/mock"]
    assert sum(series.ttft.counts) == 3
    assert series.ttft.total == pytest.approx(0.75)
    assert sum(series.speed.counts) == 3
    assert series.speed.total == pytest.approx(180.0)
    assert sum(series.gap.counts) == 12
    assert series.gap.total == pytest.approx(3.0)
    assert series.gap.counts[2] == 12
    assert sum(metrics.overhead.counts) == 3
    assert series.slow == 0


def test_a_failed_attempt_is_its_own_endpoints() -> None:
    """The tokens and the cost of an attempt that did not answer stand with its endpoint."""
    metrics = Metrics()
    observe(metrics, settled())
    failed = line(attempt=1, endpoint="lab/mock", settlement=Settlement.ABSORBED, cost=70, usage=Usage(5))
    observe(metrics, settled(lines=(failed, line(attempt=2, cost=30)), slow=True))

    assert metrics.attempts() == {("lab/mock", "delivered"): 2, ("lab/mock", "absorbed"): 1}
    assert metrics.cost() == {("mock", "lab/mock", "delivered"): 1_264, ("mock", "lab/mock", "absorbed"): 70}
    assert metrics.tokens["mock", "lab/mock"][0] == 2 * USAGE.input_uncached + 5
    assert sum(metrics.series["mock", "lab/mock"].speed.counts) == 2
    assert metrics.series["mock", "lab/mock"].slow == 1


def test_missing_and_absurd_usage_is_not_counted_as_tokens() -> None:
    """What was delivered, or left by its caller, without usage that can be believed is unmetered, and in no sum."""
    metrics = Metrics()
    observe(metrics, settled(lines=(line(usage=None, cost=None),)))
    observe(metrics, settled(lines=(line(absurd=True, usage=Usage(10**12), cost=None),)))
    observe(metrics, settled(lines=(line(usage=None, cost=None, settlement=Settlement.ABSORBED),)))
    left = Settlement.UPSTREAM_BILLED
    observe(metrics, settled(settlement=left, lines=(line(usage=None, cost=None, settlement=left),)))

    assert metrics.unmetered() == {"lab/mock": 3}
    assert metrics.tokens["mock", "lab/mock"] == [0] * len(BUCKETS)
    assert metrics.cost() == {}


def test_names_that_nobody_answered_are_other() -> None:
    """A caller who invents models makes one series, not one for each."""
    metrics = Metrics()
    for number in range(50):
        observe(
            metrics,
            settled(model=f"x{number}", endpoint="", status=404, settlement=Settlement.RELEASED, lines=(), charged=0),
        )

    assert metrics.requests() == {(OTHER, "", "openai_chat", 404, "released"): 50}
    assert len(metrics._cache) == 0


def test_names_that_were_answered_are_learned_up_to_a_bound() -> None:
    """Behind a provider that takes any name the number of series stays bounded."""
    metrics = Metrics()
    for number in range(3 * LEARNED_MAX):
        observe(
            metrics, settled(model=f"m{number}", endpoint=f"lab/m{number}", lines=(line(endpoint=f"lab/m{number}"),))
        )

    assert len(metrics.requests()) <= LEARNED_MAX + 1
    assert sum(metrics.requests().values()) == 3 * LEARNED_MAX
    assert metrics.requests()[OTHER, OTHER, "openai_chat", 200, "delivered"] > LEARNED_MAX


def test_names_in_the_snapshot_are_always_shown() -> None:
    """Configured models, aliases and endpoints keep their names when nothing more is learned, failed or not."""
    metrics = Metrics()
    metrics._learned = LEARNED_MAX
    model = Model("mine", (Endpoint("lab", "mock"),))
    metrics.use(Snapshot(1, {}, {"mine": model}, {"alias": "mine"}, {}))
    assert metrics.endpoints == {endpoint.id for endpoint in model.endpoints}
    for name in ("mine", "alias", "stranger"):
        observe(metrics, settled(model=name, settlement=Settlement.ABSORBED, status=502))

    assert [labels[:2] for labels in metrics.requests()] == [
        ("mine", "lab/mock"),
        ("alias", "lab/mock"),
        (OTHER, "lab/mock"),
    ]


def test_probes_have_their_own_models_name() -> None:
    """So their number and cost are seen apart from callers'; whether anything else is learned or not."""
    metrics = Metrics()
    metrics._learned = LEARNED_MAX
    model = Model("mine", (Endpoint("lab", "mock"),), routing=Routing(probe=Probing(60.0, NanoUsd(1))))
    metrics.use(Snapshot(1, {}, {"mine": model, "other": Model("other", ())}, {}, {}))
    for name in ("mine", asked_as("mine"), asked_as("other")):
        observe(metrics, settled(model=name))
    assert [labels[:2] for labels in metrics.requests()] == [
        ("mine", "lab/mock"),
        ("tokenway-probe/mine", "lab/mock"),
        (OTHER, "lab/mock"),
    ]
    assert metrics.cost()["tokenway-probe/mine", "lab/mock", "delivered"] == 1_234


def test_gauges_are_set_and_dropped_by_label() -> None:
    """The gauges of a worker that is gone go with it, and no others."""
    metrics = Metrics()
    metrics.set_gauge("a", 1.0, worker="0")
    metrics.set_gauge("a", 2.0, worker="1")
    metrics.set_gauge("a", 3.0, worker="0")
    metrics.set_gauge("b", 4.0)
    metrics.drop_gauges(worker="0")

    assert metrics.gauges == {("a", (("worker", "1"),)): 2.0, ("b", ()): 4.0}


def test_gauges_are_dropped_by_name() -> None:
    """All of that name, or those of them with a label."""
    metrics = Metrics()
    for name in ("a", "b"):
        for worker in ("0", "1"):
            metrics.set_gauge(name, 1.0, worker=worker)
    metrics.drop_gauges("a", worker="0")
    assert len(metrics.gauges) == 3
    metrics.drop_gauges("b")
    assert metrics.gauges == {("a", (("worker", "1"),)): 1.0}


def test_only_the_endpoints_in_force_have_gauges() -> None:
    """Those of an earlier snapshot keep their names in the sums, and are not shown as if they were called."""
    metrics = Metrics()
    for provider in ("old", "new"):
        metrics.use(Snapshot(1, {}, {"m": Model("m", (Endpoint(provider, "up"),))}, {}, {}))
    assert metrics.endpoints == {"new/up"}
    observe(metrics, settled(model="m", endpoint="old/up", settlement=Settlement.ABSORBED, status=502))
    assert [labels[1] for labels in metrics.requests()] == ["old/up"]
