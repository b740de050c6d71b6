"""What an attempt was like, as a sample."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import HEAD, STREAMED, TAIL, bench, chunk, event, request
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
        "counted": 900,
        "code": "",
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


@pytest.mark.parametrize(
    ("code", "outcome"), [("credit_balance_too_low", Outcome.FAILED), ("unsupported_value", Outcome.LEFT)]
)
def test_the_code_of_an_error_counts(code: str, outcome: Outcome) -> None:
    """Anthropic tells a spent account with status 400."""
    share = Share(1, ENDPOINT, Settlement.RELEASED, status=400, fault=Fault.STATUS)
    assert sampled(share, code=code).outcome is outcome


def test_what_had_been_counted_of_an_answer_that_was_left_is_no_count() -> None:
    """Anthropic's begins with a few tokens of output, and the rest comes at the end."""
    usage = Usage(input_uncached=60, output_text=8)
    sample = sampled(Share(1, ENDPOINT, Settlement.UPSTREAM_BILLED, usage, status=200), STREAM)
    assert (sample.prompt, sample.tokens, sample.outcome) == (60, 0, Outcome.LEFT)


def test_who_lost_a_race_would_have_taken_longer() -> None:
    """Without a first token by then, that is known."""
    assert sampled(Share(1, ENDPOINT, Settlement.ABSORBED, fault=Fault.OUTRUN)).ttft == 3.0


def test_a_count_that_cannot_be_believed_is_none() -> None:
    """It is not learnt from."""
    share = Share(1, ENDPOINT, Settlement.DELIVERED, Usage(output_text=10**9), absurd=True, status=200)
    assert sampled(share, STREAM).tokens == 0


async def test_a_stream_that_its_caller_leaves_says_how_often_something_came() -> None:
    """A part of its bytes is not told as all of them, and what is known of a token's bytes stays."""
    script = [HEAD, *(chunk(event(text)) for text in ("one", "two", "three"))]
    async with bench([[*script, TAIL], script]) as made:
        for last in (b"[DONE]", b"three"):
            client = made.connect()
            client.send(request(STREAMED))
            await until(lambda last=last, client=client: last in client.written)  # type: ignore[misc]
            client.lose()
        whole, left = made.state.fleet.take_outbox(0.0)
        assert (whole.outcome, whole.tokens, whole.sent) == (Outcome.ANSWERED, 5, 0)
        assert (left.outcome, left.tokens, left.sent, sum(left.gaps)) == (Outcome.LEFT, 0, 0, 2)
        assert made.state.fleet.board.of("p/up").sent_per_token.seen == 0.0


def test_what_was_never_sent_took_its_time_too() -> None:
    """A connection that never came is a loss of time."""
    share = Share(1, ENDPOINT, Settlement.RELEASED, fault=Fault.CONNECT_DEADLINE)
    sample = sampled(share, sent_at=0.0)
    assert sample.outcome is Outcome.FAILED
    assert sample.took == pytest.approx(3.1)
