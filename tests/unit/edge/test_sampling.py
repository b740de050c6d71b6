"""What an attempt was like, as a sample."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tokenway.edge.sampling import sample_of
from tokenway.exchange.commands import Share
from tokenway.metering.ledger import Settlement
from tokenway.model.catalog import Endpoint
from tokenway.model.faults import Fault
from tokenway.model.sample import Outcome, Sample
from tokenway.model.usage import Usage

ENDPOINT = Endpoint("p", "m")
INTAKE = cast("Any", SimpleNamespace(request=SimpleNamespace(model="asked", size=400), keys=(1, 2)))
STREAM = SimpleNamespace(first_delta=10.5, last_delta=12.5, gap_counts=(0, 3))


def sampled(share: Share, stream: object = None, **reader: object) -> Sample:
    """The sample of an attempt that was begun at 9.9, sent at 10 and over at 13."""
    fields = {
        "stream": stream,
        "sent_at": 10.0,
        "begun_at": 9.9,
        "passed": 900,
        "trip": SimpleNamespace(load=3),
    } | reader
    return sample_of(cast("Any", SimpleNamespace(**fields)), share, INTAKE, 1e9, 13.0)


def test_a_stream_tells_its_pace() -> None:
    """Tokens by the provider's count; what was cached apart from what was not."""
    usage = Usage(input_uncached=60, cache_read=40, output_text=21)
    share = Share(1, ENDPOINT, Settlement.DELIVERED, usage, status=200)
    assert sampled(share, STREAM) == Sample(
        "p/m", "asked", 1e9, Outcome.ANSWERED, 3.0, 0.5, 2.0, 60, 40, 21, 400, 900, 3, (0, 3), (1, 2)
    )


def test_a_whole_answer_tells_how_long_it_took() -> None:
    """And no first token."""
    usage = Usage(input_uncached=60, output_text=21)
    sample = sampled(Share(1, ENDPOINT, Settlement.DELIVERED, usage, status=200))
    assert (sample.took, sample.ttft, sample.span, sample.tokens) == (3.0, 0.0, 0.0, 21)


@pytest.mark.parametrize(
    ("fault", "status", "settlement", "outcome"),
    [
        (Fault.RESET, 0, Settlement.ABSORBED, Outcome.FAILED),
        (Fault.STATUS, 503, Settlement.RELEASED, Outcome.FAILED),
        (Fault.STATUS, 429, Settlement.RELEASED, Outcome.LIMITED),
        (Fault.STATUS, 400, Settlement.RELEASED, Outcome.LEFT),
        (Fault.STATUS, 401, Settlement.RELEASED, Outcome.FAILED),
        (Fault.STATUS, 404, Settlement.RELEASED, Outcome.FAILED),
        (Fault.TOTAL_DEADLINE, 0, Settlement.ABSORBED, Outcome.LEFT),
        (Fault.OUTRUN, 0, Settlement.ABSORBED, Outcome.LEFT),
        (Fault.SLOW, 200, Settlement.ABSORBED, Outcome.LEFT),
        ("", 0, Settlement.UPSTREAM_BILLED, Outcome.LEFT),
    ],
)
def test_outcomes(fault: str, status: int, settlement: Settlement, outcome: Outcome) -> None:
    """What no other endpoint would have said counts as a failure; what a caller did does not."""
    assert sampled(Share(1, ENDPOINT, settlement, status=status, fault=fault)).outcome is outcome


def test_who_lost_a_race_would_have_taken_longer() -> None:
    """Without a first token by then, that is known."""
    assert sampled(Share(1, ENDPOINT, Settlement.ABSORBED, fault=Fault.OUTRUN)).ttft == 3.0


def test_a_count_that_cannot_be_believed_is_none() -> None:
    """It is not learnt from."""
    share = Share(1, ENDPOINT, Settlement.DELIVERED, Usage(output_text=10**9), absurd=True, status=200)
    assert sampled(share, STREAM).tokens == 0


def test_what_was_never_sent_took_its_time_too() -> None:
    """A connection that never came is a loss of time."""
    share = Share(1, ENDPOINT, Settlement.RELEASED, fault=Fault.CONNECT_DEADLINE)
    sample = sampled(share, sent_at=0.0)
    assert sample.outcome is Outcome.FAILED
    assert sample.took == pytest.approx(3.1)
