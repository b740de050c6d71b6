"""The `/metrics` page: the names and labels of the contract, in a form that Prometheus' own parser reads."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.records import line, settled
from tokenway.telemetry import names
from tokenway.telemetry.exposition import CONTENT_TYPE, expose
from tokenway.telemetry.gather import gather
from tokenway.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[3]


def samples(metrics: Metrics) -> list[Sample]:
    """The page as the official parser reads it."""
    page = expose(metrics).decode()
    return [sample for family in text_string_to_metric_families(page) for sample in family.samples]


def values(found: Iterable[Sample], name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The samples of one name by their labels, in the order of the alphabet."""
    return {tuple(sorted(sample.labels.items())): sample.value for sample in found if sample.name == name}


@pytest.fixture
def filled() -> Metrics:
    """Some exchanges and gauges."""
    metrics = Metrics()
    metrics.observe(*gather([settled(gaps=(0, 3), slow=True)]))
    metrics.observe(*gather([settled(lines=(line(usage=None, cost=None),))]))
    metrics.set_gauge(names.OPEN_STREAMS, 7, worker="0")
    metrics.set_gauge(names.LOOP_LAG, 0.002, worker="0")
    metrics.set_gauge(names.JOURNAL_BYTES, 4096)
    metrics.set_gauge(names.BREAKER_STATE, 2, endpoint="lab/mock")
    metrics.set_gauge(names.LEASE_REMAINING, 1.5, limit="lim_a", worker="0")
    return metrics


def test_the_page_has_the_names_of_the_contract(filled: Metrics) -> None:
    """Every metric is there under its exact name, counters with their suffix."""
    assert {sample.name for sample in samples(filled)} >= {
        "tokenway_requests_total",
        "tokenway_tokens_total",
        "tokenway_cost_usd_total",
        "tokenway_time_to_first_token_seconds_bucket",
        "tokenway_time_to_first_token_seconds_sum",
        "tokenway_output_tokens_per_second_count",
        "tokenway_inter_token_gap_seconds_bucket",
        "tokenway_overhead_seconds_bucket",
        "tokenway_attempts_total",
        "tokenway_slow_streams_total",
        "tokenway_open_streams",
        "tokenway_loop_lag_seconds",
        "tokenway_lease_remaining",
        "tokenway_journal_bytes",
        "tokenway_breaker_state",
        "tokenway_unmetered_total",
    }
    assert CONTENT_TYPE.startswith("text/plain")


def test_labels_and_values_are_those_of_the_sums(filled: Metrics) -> None:
    """Dollars, tokens by bucket, statuses as text."""
    found = samples(filled)
    where = (("endpoint", "lab/mock"), ("model", "mock"))

    assert values(found, "tokenway_requests_total") == {
        (("dialect", "openai_chat"), *where, ("outcome", "delivered"), ("status", "200")): 2.0
    }
    assert values(found, "tokenway_cost_usd_total") == {(*where, ("outcome", "delivered")): 1_234e-9}
    assert values(found, "tokenway_tokens_total")[("bucket", "output_text"), *where] == 51.0
    assert values(found, "tokenway_unmetered_total") == {(("endpoint", "lab/mock"),): 1.0}
    assert values(found, "tokenway_slow_streams_total") == {where: 1.0}
    assert values(found, "tokenway_attempts_total") == {(("endpoint", "lab/mock"), ("outcome", "delivered")): 2.0}
    assert values(found, "tokenway_open_streams") == {(("worker", "0"),): 7.0}
    assert values(found, "tokenway_journal_bytes") == {(): 4096.0}
    assert values(found, "tokenway_breaker_state") == {(("endpoint", "lab/mock"),): 2.0}


def test_histograms_are_cumulative(filled: Metrics) -> None:
    """Buckets rise to the count, and the edge at the reader's floor is there."""
    found = samples(filled)
    buckets = {
        sample.labels["le"]: sample.value
        for sample in found
        if sample.name == "tokenway_output_tokens_per_second_bucket"
    }

    assert list(buckets.values()) == sorted(buckets.values())
    assert buckets["20.0"] == 0.0
    assert buckets["60.0"] == buckets["+Inf"] == 1.0


def test_an_empty_page_is_a_page() -> None:
    """Before the first exchange the names are there already, without samples of models."""
    page = expose(Metrics()).decode()

    assert "# TYPE tokenway_requests_total counter" in page
    assert values(samples(Metrics()), "tokenway_requests_total") == {}


def test_hostile_names_are_escaped() -> None:
    """A quote or a line break in a model's name stays inside its label."""
    metrics = Metrics()
    metrics.observe(*gather([settled(model='a"b\nc\\d')]))

    assert [dict(labels)["model"] for labels in values(samples(metrics), "tokenway_requests_total")] == ['a"b\nc\\d']


def test_every_metric_is_documented_with_its_labels(filled: Metrics) -> None:
    """The table in the documentation names what the page has, and nothing else."""
    rows = re.findall(r"^\| `(tokenway_\w+)` \| ([^|]*)\|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    documented = {name: {label.split()[0] for label in labels.split(", ") if label.strip()} for name, labels in rows}
    shown: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(expose(filled).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        shown[name] = {label for sample in family.samples for label in sample.labels} - {"le"}

    assert documented == shown
