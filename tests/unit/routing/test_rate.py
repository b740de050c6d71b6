"""What a credential may still send to an endpoint: configured, told and learnt limits, and how a refusal ends."""

from __future__ import annotations

from math import inf
from typing import Final

import pytest

from tokenway.model.catalog import EndpointLimits
from tokenway.routing.hints import Hints, Limit, Quota
from tokenway.routing.rate import FORGET, PAUSE_MAX, UNKNOWN_END, Allowance, Call, Minute

NOW: Final = 1000.0


def told(limit: Limit, remaining: float, most: float | None = None, reset: float | None = None) -> Hints:
    """Hints of one limit."""
    return Hints(quotas=(Quota(limit, remaining, most, reset),))


def admitted(allowance: Allowance, now: float, tokens: int = 1, most: int = 1000) -> list[Call]:
    """Sends as many calls at once as it allows."""
    calls: list[Call] = []
    while len(calls) < most and allowance.may_send(now, tokens) is None:
        calls.append(allowance.sent(now, tokens))
    return calls


def hear(allowance: Allowance, hints: Hints, now: float = NOW) -> None:
    """One call whose answer has these hints."""
    call = allowance.sent(now, 1)
    allowance.answered(call, now, hints)
    allowance.ended(call)


def refuse(allowance: Allowance, now: float, retry_after: float | None = None) -> None:
    """One call that is refused."""
    call = allowance.sent(now, 1)
    allowance.refused(call, now, 0.0, retry_after)
    allowance.ended(call)


def test_without_any_limit_everything_passes() -> None:
    """Nothing is configured, told or learnt."""
    allowance = Allowance()
    assert len(admitted(allowance, NOW, 10**9)) == 1000
    assert allowance.learnt(NOW) == (inf, inf)


def test_a_minute_counts_sixty_seconds_in_full() -> None:
    """What was added counts for sixty seconds at least and sixty-five at most, also after a long silence."""
    minute = Minute()
    minute.add(NOW + 4.9, 3)
    minute.add(NOW + 5.0, 4)
    for after, total in ((0, 7), (59.9, 7), (60.0, 4), (64.9, 4), (65.0, 0), (1e6, 0)):
        minute.turn(NOW + 5.0 + after)
        assert minute.total == total, after
    minute.add(NOW, 1)
    assert minute.total == 1


def test_configured_requests() -> None:
    """Ten a minute are ten at once, and then none until the first of them are a minute old."""
    allowance = Allowance(EndpointLimits(rpm=10))
    assert len(admitted(allowance, NOW)) == 10
    again = allowance.may_send(NOW, 1)
    assert again is not None
    assert NOW + 60 <= again <= NOW + 65
    assert allowance.may_send(again - 0.01, 1) is not None
    assert len(admitted(allowance, again)) == 10


def test_configured_tokens() -> None:
    """As many calls as fit; a call above the limit passes when nothing else was sent."""
    allowance = Allowance(EndpointLimits(tpm=1000))
    assert len(admitted(allowance, NOW, 300)) == 3
    assert allowance.may_send(NOW, 100) is None
    assert allowance.may_send(NOW, 5000) == NOW + 65
    assert allowance.may_send(NOW + 65, 5000) is None


def test_configured_concurrency() -> None:
    """Nobody can say when a call under way ends; once one has, the next may begin."""
    allowance = Allowance(EndpointLimits(concurrency=2))
    calls = admitted(allowance, NOW)
    assert len(calls) == 2
    assert allowance.may_send(NOW, 1) == inf
    allowance.answered(calls[0], NOW)
    assert allowance.may_send(NOW, 1) == inf
    allowance.ended(calls[0])
    assert allowance.may_send(NOW, 1) is None


@pytest.mark.parametrize(("rpm", "workers", "each"), [(10, 2, 5), (10, 3, 3), (2, 4, 1), (10, 0, 10)])
def test_each_worker_has_its_share(rpm: int, workers: int, each: int) -> None:
    """Together they send no more than is allowed, unless there are more workers than calls."""
    assert len(admitted(Allowance(EndpointLimits(rpm=rpm), workers), NOW)) == each


def test_a_told_level_falls_with_what_is_sent_and_rises_as_it_fills() -> None:
    """Three of ten are left and seven come back in seven seconds: three at once, then one a second."""
    allowance = Allowance()
    hear(allowance, told(Limit.REQUESTS, 3, 10, 7.0))
    assert len(admitted(allowance, NOW)) == 3
    assert allowance.may_send(NOW, 1) == pytest.approx(NOW + 1)
    assert len(admitted(allowance, NOW + 2.0)) == 2
    assert len(admitted(allowance, NOW + 1e6)) == 10


def test_a_told_window_opens_at_once() -> None:
    """Nothing comes back before its reset, and everything then; it goes on like that without being told again."""
    allowance = Allowance()
    hear(allowance, told(Limit.WINDOW, 1, 10, 30.0))
    assert len(admitted(allowance, NOW)) == 1
    assert allowance.may_send(NOW + 29.9, 1) == NOW + 30
    assert len(admitted(allowance, NOW + 30)) == 10
    assert allowance.may_send(NOW + 31, 1) == NOW + 60


def test_a_window_of_unknown_size_binds_until_its_reset() -> None:
    """Without the limit itself nothing is known of the next window."""
    allowance = Allowance()
    hear(allowance, told(Limit.WINDOW, 0, None, 30.0))
    assert allowance.may_send(NOW, 1) == NOW + 30
    assert len(admitted(allowance, NOW + 30)) == 1000


def test_told_tokens_count_what_a_call_takes() -> None:
    """A small call passes where a large one does not; one above the limit passes when the level is whole."""
    allowance = Allowance()
    hear(allowance, told(Limit.TOKENS, 400, 1000, 60.0))
    assert allowance.may_send(NOW, 400) is None
    assert allowance.may_send(NOW, 500) == pytest.approx(NOW + 10)
    assert allowance.may_send(NOW, 9999) == pytest.approx(NOW + 60)
    assert allowance.may_send(NOW + 60, 9999) is None


def test_told_output_needs_some_left() -> None:
    """How much a call will put out is not known: a large prompt does not count against it, an empty level does."""
    allowance = Allowance()
    hear(allowance, told(Limit.OUTPUT, 100, 8000, 60.0))
    assert allowance.may_send(NOW, 50_000) is None
    hear(allowance, told(Limit.OUTPUT, 0, 8000, 60.0))
    assert allowance.may_send(NOW, 1) == pytest.approx(NOW + 60 / 8000)


def test_the_tightest_of_several_limits_holds() -> None:
    """Requests are plenty, tokens are not."""
    allowance = Allowance(EndpointLimits(rpm=100))
    quotas = (Quota(Limit.REQUESTS, 50, 60, 10.0), Quota(Limit.TOKENS, 0, 1000, 20.0), Quota(Limit.INPUT, 0, 100, 5.0))
    hear(allowance, Hints(quotas=quotas))
    assert allowance.may_send(NOW, 100) == pytest.approx(NOW + 5)
    assert allowance.may_send(NOW, 500) == pytest.approx(NOW + 10)


def test_calls_without_an_answer_are_subtracted_from_what_is_told() -> None:
    """The provider may not have counted them when it answered another one."""
    allowance = Allowance()
    calls = admitted(allowance, NOW, 10, most=4)
    allowance.answered(calls[0], NOW, told(Limit.REQUESTS, 5, 10, 50.0))
    assert len(admitted(allowance, NOW)) == 2


def test_an_older_answer_is_not_heard() -> None:
    """Answers that come out of order tell old news: the newest call's stands."""
    allowance = Allowance()
    calls = admitted(allowance, NOW, most=2)
    allowance.answered(calls[1], NOW, told(Limit.REQUESTS, 1, 10, 90.0))
    allowance.answered(calls[0], NOW, told(Limit.REQUESTS, 9, 10, 10.0))
    assert allowance.may_send(NOW, 1) == pytest.approx(NOW + 10)


def test_a_window_that_is_over_is_not_heard() -> None:
    """An answer that took longer than the window it tells of says nothing of the next one."""
    allowance = Allowance()
    (call,) = admitted(allowance, NOW, most=1)
    allowance.answered(call, NOW + 5.1, told(Limit.WINDOW, 0, 10, 5.0))
    assert allowance.may_send(NOW + 5.1, 1) is None


def test_a_window_is_as_long_as_the_longest_reset() -> None:
    """A reset is told from within a window: the next one does not end as soon."""
    allowance = Allowance()
    hear(allowance, told(Limit.WINDOW, 9, 10, 60.0))
    hear(allowance, told(Limit.WINDOW, 1, 10, 5.0), NOW + 55)
    assert len(admitted(allowance, NOW + 60)) == 10
    assert allowance.may_send(NOW + 60, 1) == NOW + 120


def test_a_bucket_that_is_full_says_nothing_of_its_rate() -> None:
    """What was known of it stays; before anything was, it is taken for a day's."""
    allowance = Allowance()
    hear(allowance, told(Limit.REQUESTS, 2, 2, 0.0))
    admitted(allowance, NOW)
    assert allowance.may_send(NOW, 1) == pytest.approx(NOW + PAUSE_MAX / 2)
    hear(allowance, told(Limit.REQUESTS, 1, 2, 3.0))
    hear(allowance, told(Limit.REQUESTS, 2, 2, 0.0))
    admitted(allowance, NOW)
    assert allowance.may_send(NOW, 1) == pytest.approx(NOW + 3)


def test_a_level_without_a_reset_is_taken_for_a_minutes() -> None:
    """Mistral and Fireworks tell none."""
    allowance = Allowance()
    hear(allowance, told(Limit.REQUESTS_MINUTE, 0, 60, None))
    assert allowance.may_send(NOW, 1) == pytest.approx(NOW + 1)


def test_answers_are_read_now_and_then_while_there_is_plenty() -> None:
    """Reading costs more than it tells; when it gets scarce each is worth it."""
    allowance = Allowance()
    assert allowance.wants_hints(NOW)
    hear(allowance, told(Limit.REQUESTS, 50, 100, 30.0))
    assert not allowance.wants_hints(NOW)
    assert allowance.wants_hints(NOW + 0.1)
    hear(allowance, told(Limit.REQUESTS, 5, 100, 30.0))
    assert allowance.wants_hints(NOW)
    hear(allowance, told(Limit.WINDOW, 5, None, 30.0))
    assert allowance.wants_hints(NOW)


@pytest.mark.parametrize(("named", "pause"), [(7.5, 7.5), (1e9, PAUSE_MAX)])
def test_a_named_pause_is_kept(named: float, pause: float) -> None:
    """Nothing is sent until then, everything afterwards; a shorter one that comes later does not cut it."""
    allowance = Allowance()
    refuse(allowance, NOW, named)
    refuse(allowance, NOW, 1.0)
    assert allowance.may_send(NOW, 1) == NOW + pause
    assert len(admitted(allowance, NOW + pause)) == 1000
    assert allowance.learnt(NOW) == (inf, inf)


def test_a_refusal_with_an_empty_level_waits_for_that() -> None:
    """The fields say when: no probe, nothing learnt."""
    allowance = Allowance()
    call = allowance.sent(NOW, 1)
    allowance.refused(call, NOW, 0.0, None, told(Limit.REQUESTS, 0, 10, 20.0))
    allowance.ended(call)
    assert allowance.may_send(NOW, 1) == pytest.approx(NOW + 2)
    assert allowance.learnt(NOW) == (inf, inf)


def test_a_refusal_that_tells_nothing_is_ended_by_one_probe() -> None:
    """Half a second to a second of silence, then one call; its answer lets the others pass."""
    allowance = Allowance()
    refuse(allowance, NOW)
    again = allowance.may_send(NOW, 1)
    assert again == NOW + 0.5
    (probe,) = admitted(allowance, again)
    assert allowance.may_send(again, 1) == inf
    allowance.answered(probe, again)
    assert allowance.may_send(again + 65, 1) is None


def test_a_probe_that_is_refused_doubles_the_pause() -> None:
    """Up to a minute; a probe without an answer lets the next one try."""
    allowance = Allowance()
    refuse(allowance, NOW)
    now, pauses = NOW, []
    for _ in range(8):
        at = allowance.may_send(now, 1)
        assert at is not None
        pauses.append(at - now)
        now = at
        refuse(allowance, now)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    at = allowance.may_send(now, 1)
    assert at is not None
    lost = allowance.sent(at, 1)
    assert allowance.may_send(at, 1) == inf
    allowance.ended(lost)
    assert allowance.may_send(at, 1) is None


def burst(allowance: Allowance, now: float, count: int, tokens: int = 10) -> None:
    """Sends at once, and the last half is refused without a word."""
    calls = [allowance.sent(now, tokens) for _ in range(count)]
    for call in calls[count // 2 :]:
        allowance.refused(call, now, 0.0)
    for call in calls:
        allowance.ended(call)


def probe(allowance: Allowance, now: float) -> None:
    """One call that is answered."""
    hear(allowance, Hints(), now)


def test_a_refusal_teaches_the_rate_that_was_too_high() -> None:
    """A hundred in the minute before: eighty a minute from now on, evenly, ten seconds' worth at once at most."""
    allowance = Allowance()
    burst(allowance, NOW, 100)
    assert allowance.learnt(NOW) == pytest.approx((80.0, 800.0))
    assert allowance.may_send(NOW, 1) == pytest.approx(NOW + 0.75)
    probe(allowance, NOW + 0.75)
    assert allowance.may_send(NOW + 0.75, 1) == pytest.approx(NOW + 1.5)
    assert len(admitted(allowance, NOW + 30, 1)) == 13


def test_what_was_learnt_rises_and_is_forgotten() -> None:
    """By a tenth of what it began with in each minute with an answer; after ten minutes it holds no longer."""
    allowance = Allowance()
    burst(allowance, NOW, 100)
    seen = []
    for minute in range(1, 10):
        probe(allowance, NOW + 60 * minute)
        probe(allowance, NOW + 60 * minute + 1)
        seen.append(allowance.learnt(NOW + 60 * minute)[0])
    assert seen == pytest.approx([88, 96, 104, 112, 120, 128, 136, 144, 152])
    assert allowance.learnt(NOW + FORGET) == (inf, inf)
    assert len(admitted(allowance, NOW + FORGET, 10**9)) == 1000


def test_a_second_refusal_teaches_less_than_the_first() -> None:
    """The decrease is multiplicative, and one burst of refusals counts once."""
    allowance = Allowance()
    burst(allowance, NOW, 100)
    probe(allowance, NOW + 10)
    burst(allowance, NOW + 70, 100)
    assert allowance.learnt(NOW + 70) == pytest.approx((64.0, 640.0))


def test_a_call_above_a_learnt_rate_is_paid_for_by_those_after_it() -> None:
    """Of 800 tokens a minute 133 are kept: one of 500 passes when they are whole, then nothing for a while."""
    allowance = Allowance()
    burst(allowance, NOW, 100)
    probe(allowance, NOW + 1)
    assert allowance.may_send(NOW + 30, 500) is None
    allowance.sent(NOW + 30, 500)
    assert allowance.may_send(NOW + 30, 100) == pytest.approx(NOW + 65)


def test_few_calls_teach_nothing() -> None:
    """A refusal after nine calls in a minute is ended by a probe, and nothing is left of it."""
    allowance = Allowance()
    burst(allowance, NOW, 9)
    assert allowance.learnt(NOW) == (inf, inf)
    probe(allowance, NOW + 1)
    assert len(admitted(allowance, NOW + 1)) == 1000


def test_what_is_sent_all_the_same_is_counted() -> None:
    """Where nothing else is left to try, the shell may send without leave; it is no probe, and decides nothing."""
    allowance = Allowance(EndpointLimits(rpm=1))
    refuse(allowance, NOW)
    forced = allowance.sent(NOW, 1)
    allowance.answered(forced, NOW)
    allowance.ended(forced)
    assert allowance.may_send(NOW + 0.5, 1) == NOW + 65


def test_the_probes_pause_is_bounded() -> None:
    """What the docstring says of it: a second, doubling to a minute."""
    assert (UNKNOWN_END.pause_first, UNKNOWN_END.pause_max, UNKNOWN_END.in_a_row) == (1.0, 60.0, 1)


def test_a_call_larger_than_a_limit_goes_when_the_minute_before_it_is_empty() -> None:
    """And not later: when that will be is known from the start."""
    allowance = Allowance(EndpointLimits(tpm=100))
    allowance.ended(allowance.sent(1001.0, 50))
    at = allowance.may_send(1002.0, 400)
    assert at is not None
    assert allowance.may_send(at - 0.1, 400) == at
    assert allowance.may_send(at, 400) is None
