"""Velocity: what is known of each endpoint, and what that predicts."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.probe import asked_as
from tokenway.model.sample import Outcome, Sample
from tokenway.routing.velocity import (
    BYTES_PER_TOKEN,
    ENDPOINTS_MAX,
    FAILURES_HALF_LIFE,
    USUAL_OUTPUT,
    Board,
    Estimate,
    Mean,
    thinned,
)

AT = 1_800_000_000.0


def stream(
    at: float, speed: float, *, ttft: float = 0.3, prompt: int = 1000, tokens: int = 101, **more: object
) -> Sample:
    """A whole stream of so many tokens a second."""
    span = (tokens - 1) / speed
    fields = {"prompt": prompt, "tokens": tokens, **more}
    return Sample("p/m", "m", at, Outcome.ANSWERED, ttft + span, ttft, span, **fields)  # type: ignore[arg-type]


def test_streams_teach_both_times() -> None:
    """After some streams the prediction is what they were."""
    estimate = Estimate()
    for number in range(20):
        estimate.take(stream(AT + number, 60.0))
    expected = estimate.predict(1000, 300, 0, AT + 20)
    assert expected.speed == pytest.approx(60.0, rel=0.05)
    assert expected.ttft == pytest.approx(0.3, rel=0.15)
    assert expected.finish == pytest.approx(0.3 + 300 / 60, rel=0.05)
    assert expected.is_known


def test_whole_answers_teach_the_sum() -> None:
    """An answer that does not stream tells one time; answers of all lengths tell both in the end."""
    estimate = Estimate()
    for number in range(400):
        tokens = 10 + 97 * (number % 7)
        took = 0.5 + tokens / 25
        estimate.take(Sample("p/m", "m", AT + number, Outcome.ANSWERED, took, prompt=100, tokens=tokens))
    assert estimate.predict(100, 500, 0, AT + 400).finish == pytest.approx(20.5, rel=0.1)
    assert estimate.predict(100, 20, 0, AT + 400).finish == pytest.approx(1.3, rel=0.35)


def test_what_nobody_counted_tells_its_speed_by_its_bytes() -> None:
    """Of a provider without usage, or of an answer that was left for being slow: as many as its tokens had before."""
    estimate = Estimate()
    for number in range(10):
        estimate.take(stream(AT + number, 60.0, sent=101 * 100))
    for number in range(10, 20):
        left = stream(AT + number, 8.0, tokens=101, sent=101 * 100)
        estimate.take(msgspec.structs.replace(left, tokens=0, outcome=Outcome.LEFT))
    assert estimate.predict(1000, 300, 0, AT + 20).speed == pytest.approx(8.0, rel=0.1)
    assert estimate.sent_per_token.value == pytest.approx(100.0)
    assert estimate.window.speed(AT + 20, 5, 0.9) == pytest.approx(8.0, rel=0.1)


@pytest.mark.parametrize("at_a_time", [1, 4])
def test_a_stream_that_was_left_tells_its_speed_by_its_pauses(at_a_time: int) -> None:
    """Where its bytes were not counted; chunks are not tokens, but have as many as those of whole answers had."""
    estimate = Estimate()
    for number in range(10):
        estimate.take(stream(AT + number, 60.0, gaps=(0, 100 // at_a_time)))
    for number in range(10, 20):
        left = stream(AT + number, 8.0, tokens=81, gaps=(80 // at_a_time,))
        estimate.take(msgspec.structs.replace(left, tokens=0, outcome=Outcome.LEFT))
    assert estimate.predict(1000, 300, 0, AT + 20).speed == pytest.approx(8.0, rel=0.1)
    assert estimate.sent_per_token.seen == 0.0


@pytest.mark.parametrize("sent", [0, 250, 4000])
def test_a_stream_that_is_left_at_once_tells_no_speed(sent: int) -> None:
    """Nobody can make an endpoint look faster or slower by hanging up."""
    estimate = Estimate()
    for number in range(10):
        estimate.take(stream(AT + number, 50.0, sent=22_000, gaps=(0, 100)))
    before = estimate.predict(1000, 300, 0, AT + 20).speed
    for number in range(10, 13):
        estimate.take(Sample("p/m", "m", AT + number, Outcome.LEFT, 0.6, 0.3, 0.3, sent=sent, gaps=(15,)))
    assert estimate.predict(1000, 300, 0, AT + 20).speed == pytest.approx(before, rel=0.01)
    assert estimate.sent_per_token.value == pytest.approx(22_000 / 101)


def test_pauses_tell_nothing_before_a_stream_was_counted() -> None:
    """Nobody knows how many tokens then come at a time."""
    estimate = Estimate()
    estimate.take(Sample("p/m", "m", AT, Outcome.LEFT, 9.0, 1.0, 8.0, gaps=(15,)))
    assert estimate.pace.seen == 0.0


def test_a_provider_that_never_counts_is_known_by_what_comes() -> None:
    """Its whole answers tell how fast it is, as if each piece were a token; else chance would choose for ever."""
    slow, fast = Estimate(), Estimate()
    for number in range(20):
        slow.take(Sample("p/m", "m", AT + number, Outcome.ANSWERED, 8.2, 0.2, 8.0, gaps=(64,)))
        fast.take(Sample("q/m", "m", AT + number, Outcome.ANSWERED, 1.1, 0.2, 0.9, gaps=(64,)))
    assert slow.window.speed(AT + 20, 5, 0.5) == pytest.approx(8.0, rel=0.06)
    assert fast.window.speed(AT + 20, 5, 0.5) == pytest.approx(71.0, rel=0.06)
    assert fast.predict(10, 64, 0, AT + 20).ttft < slow.predict(10, 64, 0, AT + 20).ttft + 0.1


def test_a_whole_answer_without_a_count_teaches_no_time() -> None:
    """It may have been long or short; that somebody answered is known."""
    estimate = Estimate()
    estimate.take(Sample("p/m", "m", AT, Outcome.ANSWERED, 30.0))
    assert [estimate.predict(100, 100, 0, AT + later).is_tried for later in (1.0, 700.0)] == [True, False]
    assert not estimate.is_known


def test_a_long_prompt_takes_longer_where_that_was_seen() -> None:
    """The time to the first token depends on the tokens that no cache held."""
    estimate = Estimate()
    for number in range(200):
        prompt = 500 * (1 + number % 20)
        estimate.take(stream(AT + number, 50.0, ttft=0.2 + prompt / 10_000, prompt=prompt))
    assert estimate.predict(10_000, 1, 0, AT + 200).ttft == pytest.approx(1.2, rel=0.15)
    assert estimate.predict(500, 1, 0, AT + 200).ttft == pytest.approx(0.25, rel=0.3)


def test_load_slows_down_where_that_was_seen() -> None:
    """A server of our own is slower with more attempts in flight."""
    estimate = Estimate()
    for number in range(300):
        load = number % 32
        estimate.take(stream(AT + number, 60.0 / (1 + load / 16), load=load))
    idle, busy = (estimate.predict(1000, 100, load, AT + 300).speed for load in (0, 31))
    assert idle > 1.6 * busy


def test_failures_cost_their_time_and_are_forgotten() -> None:
    """Half of the attempts failed after ten seconds each: that is ten more to be expected, and half of it later."""
    estimate = Estimate()
    for number in range(20):
        estimate.take(stream(AT + number, 50.0))
        estimate.take(Sample("p/m", "m", AT + number, Outcome.FAILED, 10.0))
    now = estimate.predict(1000, 50, 0, AT + 19)
    assert now.failing == pytest.approx(0.5, abs=0.05)
    assert now.expected == pytest.approx(now.finish + 10, rel=0.2)
    assert estimate.failing(AT + 19 + 10 * FAILURES_HALF_LIFE) < 0.1
    assert Estimate().failing(AT) < 0.1


@pytest.mark.parametrize("outcome", [Outcome.LIMITED, Outcome.LEFT])
def test_what_is_no_fault_of_its_own_is_no_failure(outcome: Outcome) -> None:
    """Neither a limit nor a caller that left says that it fails."""
    estimate = Estimate()
    for number in range(50):
        estimate.take(Sample("p/m", "m", AT + number, outcome, 1.0))
    assert estimate.failing(AT + 50) < 0.1
    assert not estimate.is_known


def test_habits_are_learnt_by_model() -> None:
    """How long answers are, and how many bytes a token of the request has."""
    board = Board()
    assert board.habits("m").output.value == USUAL_OUTPUT
    assert board.habits("m").prompt(400) == pytest.approx(400 / BYTES_PER_TOKEN)
    board.take(stream(AT + n, 50.0, prompt=600, cached=400, tokens=80, size=3000) for n in range(30))
    assert board.habits("m").output.value == pytest.approx(80)
    assert board.habits("m").prompt(3000) == pytest.approx(1000)
    assert board.habits("other").output.value == USUAL_OUTPUT


def test_the_cache_is_believed_as_far_as_it_was_told() -> None:
    """An endpoint that reads nine tenths of what it has seen from its cache is expected to do so again."""
    board, keys = Board(), (1 << 32, 2 << 32)
    size = 16_384
    for number in range(30):
        board.take([stream(AT + number, 50.0, prompt=2200, cached=1800, size=size, keys=keys)])
    assert board.cached_share(keys, "p/m", AT + 30, size) == pytest.approx(0.5 * 0.9, rel=0.05)
    assert board.cached_share(keys, "other/m", AT + 30, size) == 0.0
    assert board.cached_share((), "p/m", AT + 30, size) == 0.0


def test_guesses_are_never_written_to() -> None:
    """Who asks for an endpoint that nobody has heard of gets guesses, and leaves them as they are."""
    board = Board()
    before = board.of("nobody/m").predict(1000, 100, 0, AT)
    board.take([stream(AT, 5.0)])
    assert board.of("nobody/m").predict(1000, 100, 0, AT) == before
    assert [board.of(each).heard_at for each in ("nobody/m", "p/m")] == [0.0, AT]


def test_memory_is_bounded() -> None:
    """Callers can invent models; what was heard of longest ago is forgotten."""
    board = Board()
    board.take(Sample(f"p/{n}", f"m{n}", AT, Outcome.ANSWERED, 1.0, tokens=5) for n in range(ENDPOINTS_MAX + 5))
    assert [board.of(f"p/{each}").heard_at for each in (0, ENDPOINTS_MAX + 4)] == [0.0, AT]


def test_workers_that_hear_the_same_know_the_same() -> None:
    """A board is a function of the samples it was given."""
    samples = [stream(AT + n, 30.0 + n % 5) for n in range(40)]
    one, other = Board(), Board()
    one.take(samples)
    for sample in samples:
        other.take([sample])
    assert one.of("p/m").predict(500, 200, 3, AT + 50) == other.of("p/m").predict(500, 200, 3, AT + 50)


def test_a_mean_follows() -> None:
    """The first value replaces the guess; after many, the latest twenty or so count."""
    mean = Mean(300.0)
    mean.take(10.0)
    assert mean.value == 10.0
    for _ in range(100):
        mean.take(20.0)
    for _ in range(60):
        mean.take(40.0)
    assert mean.value == pytest.approx(40.0, rel=0.05)


@pytest.mark.parametrize("outcome", [Outcome.ANSWERED, Outcome.FAILED])
def test_a_time_that_is_not_known_teaches_nothing(outcome: Outcome) -> None:
    """Zero is what is not known: neither a fast answer nor a failure that costs nothing."""
    estimate = Estimate()
    before = estimate.predict(1000, 100, 0, AT)
    estimate.take(Sample("p/m", "m", AT, outcome, tokens=50))
    after = estimate.predict(1000, 100, 0, AT)
    assert (after.finish, after.loss) == (before.finish, before.loss)
    assert estimate.window.ended(AT, 5) == ((1, 0, 0) if outcome is Outcome.ANSWERED else (0, 1, 0))


_told = st.builds(
    Sample,
    st.sampled_from(["a/m", "b/m"]),
    st.just("m"),
    st.floats(1e9, 1e9 + 10),
    st.sampled_from(Outcome),
    weight=st.integers(1, 1000).map(float),
)


@given(st.lists(_told, max_size=120), st.integers(1, 16))
def test_few_samples_stand_for_many(samples: list[Sample], most: int) -> None:
    """A bounded number for each endpoint and outcome, whose weights are those of all of them, in the order of time."""
    kept = thinned(samples, most)
    assert [each.at for each in kept] == sorted(each.at for each in kept)
    for endpoint in ("a/m", "b/m"):
        for outcome in Outcome:
            all_of_it, some = (
                [each for each in group if (each.endpoint, each.outcome) == (endpoint, outcome)]
                for group in (samples, kept)
            )
            assert len(some) == min(most, len(all_of_it))
            assert sum(each.weight for each in some) == sum(each.weight for each in all_of_it)
    assert all(any(each.at == one.at and each.endpoint == one.endpoint for one in samples) for each in kept)
    assert sum(each.weight for each in thinned(kept, 1)) == sum(each.weight for each in samples)


def test_samples_are_chosen_evenly() -> None:
    """Each stands for as many as the next, and the newest is one of them."""
    kept = thinned((stream(AT + number, 50.0) for number in range(64)), 4)
    assert [(each.at - AT, each.weight) for each in kept] == [(15, 16), (31, 16), (47, 16), (63, 16)]


def test_a_probe_stands_for_probes_only() -> None:
    """Callers' attempts are not counted as the gateway's own, nor the other way round."""
    samples = [stream(AT + number, 50.0) for number in range(8)]
    samples.insert(4, msgspec.structs.replace(samples[4], model=asked_as("m"), at=AT + 3.5))
    kept = thinned(samples, 1)
    assert [(each.is_probe, each.weight) for each in kept] == [(True, 1.0), (False, 8.0)]


def test_few_samples_teach_what_many_would() -> None:
    """Quantiles and predictions are nearly the same."""
    many = [stream(AT + number / 100, 30.0 + number % 40, ttft=0.2 + number % 7 / 10) for number in range(400)]
    one, other = Board(), Board()
    one.take(many)
    other.take(thinned(many, 16))
    for share in (0.5, 0.9):
        theirs, ours = (board.of("p/m").window.speed(AT, 5, share) for board in (one, other))
        assert ours == pytest.approx(theirs, rel=0.2)
    theirs, ours = (board.of("p/m").predict(1000, 200, 0, AT + 4).finish for board in (one, other))
    assert ours == pytest.approx(theirs, rel=0.2)


_times = st.floats(0.0, 1e5, allow_nan=False)


@given(
    st.lists(
        st.builds(
            Sample,
            st.just("p/m"),
            st.just("m"),
            st.floats(1e9, 1e9 + 1e6),
            st.sampled_from(Outcome),
            _times,
            _times,
            _times,
            st.integers(0, 10**7),
            st.integers(0, 10**7),
            st.integers(0, 10**7),
            st.integers(0, 10**8),
            st.integers(0, 10**8),
            st.integers(0, 10**4),
        ),
        max_size=30,
    )
)
def test_predictions_are_positive_and_finite(samples: list[Sample]) -> None:
    """Whatever was seen."""
    board = Board()
    board.take(samples)
    expected = board.of("p/m").predict(1e5, 1e4, 50, 1e9 + 1e6)
    assert 0.0 < expected.ttft < 1e15
    assert 0.0 < expected.pace < 1e15
    assert 0.0 <= expected.variance < 1e40
    assert 0.0 < expected.failing < 1.0
    assert expected.expected < 1e18
