"""What all workers know: its figures, and what a new worker is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokenway.control.velocity import ENDPOINTS_MAX, JUDGED_FROM, KEPT, Velocity
from tokenway.model.probe import asked_as
from tokenway.model.sample import Outcome, Sample
from tokenway.routing.window import QUANTILES

AT = 1_800_000_000.0


def stream(at: float = AT, *, ttft: float = 0.5, speed: float = 50.0, endpoint: str = "p/m", **more: Any) -> Sample:
    """A stream of a hundred and one tokens."""
    span = 100 / speed
    return Sample(endpoint, "m", at, Outcome.ANSWERED, ttft + span, ttft, span, 1000, tokens=101, **more)


def ended(outcome: Outcome, count: float, at: float = AT, endpoint: str = "p/m") -> Sample:
    """One that stands for so many attempts that ended in this way."""
    return Sample(endpoint, "m", at, outcome, 1.0, weight=count)


def figures(velocity: Velocity, now: float = AT, breakers: dict[str, int] | None = None) -> Any:
    """Of the endpoint `p/m`."""
    return velocity.figures(["p/m"], breakers or {}, now)["p/m"]


def test_quantiles_are_of_what_was_measured() -> None:
    """TTFT in milliseconds and speed in tokens per second; nine of ten streams are at least as good as `p90`."""
    velocity = Velocity()
    velocity.take(stream(ttft=number / 100, speed=float(number)) for number in range(1, 101))
    latency, throughput = (figures(velocity)[name] for name in ("latency_last_30m", "throughput_last_30m"))
    assert list(latency) == list(throughput) == [f"p{share}" for share in QUANTILES]
    assert list(latency.values()) == pytest.approx([500, 750, 900, 990], rel=0.05)
    assert list(throughput.values()) == pytest.approx([50, 25, 10, 2], rel=0.05)


def test_what_is_too_old_is_forgotten() -> None:
    """Half an hour later nothing is known of its speed; that it answered is remembered for a day."""
    velocity = Velocity()
    velocity.take([stream()])
    assert figures(velocity, AT + 29 * 60)["latency_last_30m"] is not None
    later = figures(velocity, AT + 31 * 60)
    assert (later["latency_last_30m"], later["throughput_last_30m"], later["uptime_last_30m"]) == (None, None, None)
    assert later["uptime_last_1d"] == 100.0
    assert later["tokenway"]["requests_last_30m"] == 0


def test_nothing_is_invented() -> None:
    """Of an endpoint that nobody heard of, nor of a failed or a whole answer a speed, nor one without a count."""
    velocity = Velocity()
    unknown = velocity.figures(["p/other"], {}, AT)["p/other"]
    assert {name for name, value in unknown.items() if value is None} == {
        *("latency_last_30m", "throughput_last_30m", "uptime_last_5m", "uptime_last_30m", "uptime_last_1d")
    }
    assert unknown["status"] == 0
    ours: Any = unknown["tokenway"]
    assert (ours["predicted"], ours["gap_last_30m"], ours["limited_last_30m"]) == (None, None, None)
    velocity.take([ended(Outcome.FAILED, 1.0), ended(Outcome.ANSWERED, 1.0)])
    assert figures(velocity)["latency_last_30m"] is None
    velocity.take([Sample("p/m", "m", AT, Outcome.ANSWERED, 2.0, 0.25, 1.0)])
    found = figures(velocity)
    assert found["latency_last_30m"]["p50"] == pytest.approx(250, rel=0.05)
    assert found["throughput_last_30m"] is None


@pytest.mark.parametrize(
    ("answered", "failed", "limited", "uptime", "status"),
    [
        (JUDGED_FROM, 0, 0, 100.0, 0),
        (95, 5, 0, 95.0, 0),
        (94, 6, 0, 94.0, -1),
        (80, 20, 500, 80.0, -1),
        (79, 21, 0, 79.0, -2),
        (10, 89, 0, 10.101, 0),
    ],
)
def test_the_status_follows_the_uptime(
    answered: float, failed: float, limited: float, uptime: float, status: int
) -> None:
    """Degraded below 95 %, worse below 80 %, and not judged by fewer than a hundred; a 429 is no failure."""
    velocity = Velocity()
    velocity.take(
        ended(outcome, count)
        for outcome, count in zip(Outcome, (answered, limited, failed, 1000.0), strict=True)
        if count
    )
    found = figures(velocity)
    assert (found["uptime_last_30m"], found["status"]) == (uptime, status)
    assert found["tokenway"]["requests_last_30m"] == answered + failed + limited
    assert found["tokenway"]["limited_last_30m"] == round(limited / (answered + failed + limited), 3)


def test_probes_are_measured_and_are_no_requests() -> None:
    """What they took is shown, how many callers' requests there were is not what they change."""
    velocity = Velocity()
    velocity.take([stream(), msgspec.structs.replace(stream(AT + 1, ttft=0.25), model=asked_as("m"))])
    found = figures(velocity)
    assert (found["tokenway"]["requests_last_30m"], found["tokenway"]["probes_last_30m"]) == (1, 1)
    assert found["latency_last_30m"]["p50"] == pytest.approx(250, rel=0.05)
    assert found["uptime_last_30m"] == 100.0


def test_it_knows_when_an_endpoint_was_last_heard_of() -> None:
    """Whoever asked, and however it ended; of one that nobody asked it knows nothing."""
    velocity = Velocity()
    velocity.take([stream(), ended(Outcome.FAILED, 1.0, AT + 5)])
    assert velocity.heard_of("p/m") == AT + 5
    assert velocity.heard_of("p/other") is None


def test_uptimes_are_of_their_windows() -> None:
    """Five minutes, half an hour, a day."""
    velocity = Velocity()
    velocity.take([ended(Outcome.FAILED, 1, AT - 3600), ended(Outcome.FAILED, 1, AT - 600), ended(Outcome.ANSWERED, 1)])
    found = figures(velocity)
    uptimes = [found[f"uptime_last_{window}"] for window in ("5m", "30m", "1d")]
    assert uptimes == [100.0, 50.0, pytest.approx(33.333)]


@pytest.mark.parametrize(("state", "word"), [(0, "closed"), (1, "probing"), (2, "open")])
def test_a_breaker_is_told_in_a_word(state: int, word: str) -> None:
    """The endpoint's own; one of which no worker says anything is closed."""
    velocity = Velocity()
    breakers = {"p/m": state, "p/other": 2} if state else {"p/other": 2}
    assert figures(velocity, breakers=breakers)["tokenway"]["breaker"] == word


def test_what_is_expected_is_told_with_how_sure_it_is() -> None:
    """The more was seen, and the more lately, the surer."""
    velocity = Velocity()
    velocity.take([stream(gaps=(0, 0, 0, 99, 0, 0, 1))])
    few = figures(velocity)["tokenway"]
    velocity.take(stream(AT + number / 10) for number in range(50))
    many = figures(velocity, AT + 5)["tokenway"]["predicted"]
    stale = figures(velocity, AT + 1000)["tokenway"]["predicted"]
    assert (many["ttft_ms"], many["tps"]) == (pytest.approx(500, rel=0.1), pytest.approx(50, rel=0.1))
    for name in ("ttft_ms_deviation", "tps_deviation"):
        assert many[name] < few["predicted"][name]
        assert many[name] < stale[name]
    assert few["gap_last_30m"] == {"p50": 8.0, "p75": 8.0, "p90": 8.0, "p99": 8.0}
    assert few["failing"] < 0.05


def test_a_new_worker_is_told_the_latest_of_each_endpoint() -> None:
    """In the order of their time, and bounded in both ways; those heard of last are remembered."""
    velocity = Velocity()
    velocity.take(stream(AT + number) for number in range(KEPT + 10))
    velocity.take([stream(AT - 1, endpoint="q/m")])
    known = velocity.known()
    assert [each.at for each in known] == [AT - 1, *(AT + number for number in range(10, KEPT + 10))]
    velocity.take(ended(Outcome.FAILED, 1, endpoint=f"p/{number}") for number in range(ENDPOINTS_MAX - 1))
    assert {each.endpoint for each in velocity.known()} == {"q/m", *(f"p/{n}" for n in range(ENDPOINTS_MAX - 1))}


def test_a_board_that_hears_what_is_known_predicts_the_same() -> None:
    """As long as an endpoint has no more samples than are kept."""
    one, other = Velocity(), Velocity()
    one.take(stream(AT + number, speed=40.0 + number % 9) for number in range(KEPT))
    other.take(one.known())
    assert figures(other, AT + 100) == figures(one, AT + 100)
