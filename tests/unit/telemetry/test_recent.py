"""Recent velocity: what counts, what is forgotten, what is not invented."""

from __future__ import annotations

import msgspec

from tokenway.metering.ledger import Line, Settled, Settlement
from tokenway.metering.stamps import Stamps
from tokenway.model.usage import Usage
from tokenway.telemetry.gather import gather
from tokenway.telemetry.recent import SAMPLES_MAX, WINDOW_SECONDS, Recent, quantiles


def stream(at: float, first: float, tokens: int = 11, seconds: float = 1.0) -> Settled:
    """A delivered stream whose first text came `first` seconds after the request."""
    times = Stamps(received=1.0, first_delta=1.0 + first, last_delta=1.0 + first + seconds, end=3.0 + first)
    line = Line(1, "a/m", Settlement.DELIVERED, Usage(output_text=tokens))
    return Settled(
        f"gen-{at}", at, "k", "p", "m", "a/m", "chat", "openai_chat", True, Settlement.DELIVERED, 0, 200, (line,), times
    )


def observe(recent: Recent, *records: Settled) -> None:
    """Adds a batch of these records."""
    for gathered in gather(records):
        recent.observe(gathered)


def test_quantiles_are_of_what_was_measured() -> None:
    """TTFT in milliseconds and speed in tokens per second, by nearest rank."""
    recent = Recent()
    for n in range(1, 101):
        observe(recent, stream(1000.0 + n, n / 100))
    figures = recent.figures("a/m", 1100.0)
    assert figures["latency_last_30m"] == {"p50": 510.0, "p75": 760.0, "p90": 910.0, "p99": 1000.0}
    assert figures["throughput_last_30m"] == {"p50": 10.0, "p75": 10.0, "p90": 10.0, "p99": 10.0}


def test_what_is_too_old_is_forgotten() -> None:
    """Half an hour later nothing is known."""
    recent = Recent()
    observe(recent, stream(1000.0, 0.1))
    assert recent.figures("a/m", 1000.0 + WINDOW_SECONDS)["latency_last_30m"] is not None
    assert recent.figures("a/m", 1001.0 + WINDOW_SECONDS) == {"latency_last_30m": None, "throughput_last_30m": None}


def test_nothing_is_told_of_an_endpoint_that_did_not_stream() -> None:
    """An unknown endpoint, a failed stream and a whole answer give no figures."""
    recent = Recent()
    observe(recent, msgspec.structs.replace(stream(1000.0, 0.1), settlement=Settlement.ABSORBED))
    observe(recent, msgspec.structs.replace(stream(1000.0, 0.1), stamps=Stamps(received=1.0, end=2.0)))
    assert recent.figures("a/m", 1000.0) == {"latency_last_30m": None, "throughput_last_30m": None}


def test_a_stream_without_usage_has_a_first_text_but_no_speed() -> None:
    """Chunks are not tokens: without a count there is no speed."""
    recent = Recent()
    record = stream(1000.0, 0.1)
    observe(recent, msgspec.structs.replace(record, lines=(Line(1, "a/m", Settlement.DELIVERED),)))
    figures = recent.figures("a/m", 1000.0)
    assert figures["latency_last_30m"] is not None
    assert figures["throughput_last_30m"] is None


def test_memory_is_bounded() -> None:
    """The oldest samples of a busy endpoint make room."""
    recent = Recent()
    observe(recent, *(stream(1000.0, 1.0) for _ in range(10)))
    observe(recent, *(stream(1000.0, 0.1) for _ in range(SAMPLES_MAX)))
    latency = recent.figures("a/m", 1000.0)["latency_last_30m"]
    assert latency is not None
    assert latency["p99"] == 100.0


def test_no_values_no_quantiles() -> None:
    """An empty list has no median."""
    assert quantiles([]) is None
