"""The endpoints as one worker sees them."""

from __future__ import annotations

from math import inf
from random import Random

import msgspec
import pytest

from tokenway.edge.fleet import (
    BELIEVED_FROM,
    PROBE_EVERY,
    QUEUE,
    SAMPLES_MOST,
    SEATS_MAX,
    STANDINGS_MAX,
    Fleet,
)
from tokenway.edge.line import Place
from tokenway.edge.standing import CALM_AFTER
from tokenway.exchange.events import UpstreamFailed
from tokenway.model.catalog import Endpoint, EndpointLimits, Model, Provider
from tokenway.model.faults import Fault
from tokenway.model.sample import Outcome, Sample
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Snapshot
from tokenway.routing.choose import Asked, Ranked, Taste
from tokenway.routing.hints import NONE
from tokenway.upstream.base import Headers

A, B = Endpoint("a", "m"), Endpoint("b", "m")
ASKED = Asked("m", 400)
TOLD = {
    b"x-ratelimit-limit-requests": b"10",
    b"x-ratelimit-remaining-requests": b"7",
    b"x-ratelimit-reset-requests": b"1s",
}


def fleet(*keys: str, workers: int = 1, **more: tuple[str, ...]) -> Fleet:
    """A worker's view of providers `a` (with these keys) and `b`."""
    made = Fleet(0.0)
    made.adopt(snapshot(*keys, workers=workers, **more))
    return made


def snapshot(*keys: str, workers: int = 1, **more: tuple[str, ...]) -> Snapshot:
    """Providers with keys."""
    named = {"a": keys, "b": ("b1",), **more}
    providers = {
        name: Provider(name, f"http://{name}", api_keys=tuple(map(Secret, each))) for name, each in named.items()
    }
    return Snapshot(1, providers, {}, {}, {}, workers=workers)


def rows(made: Fleet, *endpoints: Endpoint) -> list[Ranked]:
    """Their order, as nothing is known."""
    return made.rank(endpoints or (A, B), ASKED, Taste(), 1e9, Random(1).random)


def seats(made: Fleet, now: float, *endpoints: Endpoint) -> list[tuple[str, int]]:
    """Who is asked, with which key."""
    arranged = made.seat(rows(made, *endpoints), 100, now)
    return [(each.provider, number) for each, number in zip(arranged.endpoints, arranged.credentials, strict=True)]


def insistent() -> Place:
    """The place of a call that has waited its turn."""
    place = Place("caller", 100.0, lambda _: None)
    place.insists = True
    return place


def fail(
    made: Fleet, endpoint: Endpoint, now: float, *, key: int = 0, fault: Fault = Fault.RESET, **more: object
) -> None:
    """An attempt there fails."""
    failure = UpstreamFailed(now, 1, fault, **more)  # type: ignore[arg-type]
    made.begin(endpoint, key, 100, now).failed(failure, NONE)


def limit(made: Fleet, endpoint: Endpoint, now: float, *, key: int = 0, pause: float | None = 60.0) -> None:
    """An attempt there is turned away with 429."""
    fail(made, endpoint, now, key=key, fault=Fault.STATUS, status=429, retry_after=pause)


def test_one_endpoint_with_one_key_is_nothing_to_choose() -> None:
    """Unless it takes no call."""
    made = fleet("a1")
    assert made.is_plain((A,), 1.0, 100)
    assert not made.is_plain((A, B), 1.0, 100)
    assert not fleet("a1", "a2").is_plain((A,), 1.0, 100)
    limit(made, A, 1.0)
    assert not made.is_plain((A,), 1.0, 100)


def test_keys_take_turns() -> None:
    """Each call has another one in front; the others stand behind it, for when it is refused."""
    made = fleet("a1", "a2", "a3")
    first = [seats(made, 1.0, A)[0][1] for _ in range(6)]
    assert sorted(first[:3]) == [0, 1, 2]
    assert first[:3] == first[3:]
    assert len(seats(made, 1.0, A)) == 3
    assert len(seats(fleet(*map(str, range(20))), 1.0, A)) == SEATS_MAX


def test_a_key_at_its_limit_makes_room_for_another() -> None:
    """Keys are quotas of their own; when all are at their limits, another endpoint is."""
    made = fleet("a1", "a2")
    limit(made, A, 1.0, key=0)
    assert seats(made, 1.0)[0] == ("a", 1)
    limit(made, A, 1.0, key=1)
    assert seats(made, 1.0)[0] == ("b", 0)
    assert set(seats(made, 1.0)[1:]) == {("a", 0), ("a", 1)}
    assert seats(made, 70.0)[0][0] == "a"


def test_a_key_that_is_refused_is_left_alone() -> None:
    """Two refusals are no accident; its endpoint works with the other one."""
    made = fleet("a1", "a2")
    for now in (1.0, 1.1):
        fail(made, A, now, key=0, fault=Fault.STATUS, status=401)
    assert seats(made, 1.2, A)[0] == ("a", 1)
    assert made.breakers["a/m"] == 0


def test_what_fails_is_left_alone_and_tried_by_one() -> None:
    """Five failures in a row; when the pause is over, one call is its probe, and the others go elsewhere."""
    made = fleet("a1")
    for number in range(5):
        assert seats(made, 1.0 + number / 10)[0] == ("a", 0)
        fail(made, A, 1.0 + number / 10)
    assert seats(made, 1.5) == [("b", 0), ("a", 0)]
    assert made.breakers["a/m"] == 2
    later = 100.0
    assert seats(made, later)[0] == ("a", 0)
    probe = made.begin(A, 0, 100, later)
    assert seats(made, later)[0] == ("b", 0)
    probe.succeeded(later + 1)
    assert made.breakers["a/m"] == 0
    assert seats(made, later + 1)[0] == ("a", 0)


@pytest.mark.parametrize(
    ("fault", "status"), [(Fault.STATUS, 400), (Fault.STATUS, 404), (Fault.STATUS, 429), (Fault.STATUS, 401)]
)
def test_what_is_not_its_fault_opens_no_breaker(fault: Fault, status: int) -> None:
    """A caller's mistake, a limit, a key."""
    made = fleet("a1")
    for number in range(20):
        fail(made, A, 1.0 + number / 100, fault=fault, status=status)
    assert made.breakers["a/m"] == 0


def test_with_nothing_else_a_no_is_not_believed_at_once() -> None:
    """Whoever has no choice asks all the same; after some of them one call a second is sent, and few wait for that."""
    made = fleet("a1")
    for _ in range(BELIEVED_FROM):
        assert made.seat(rows(made, A), 100, 1.0).wait == 0.0
        limit(made, A, 1.0)
    arranged = [made.seat(rows(made, A), 100, 1.0) for _ in range(6)]
    assert [each.wait for each in arranged[:4]] == [0.0, PROBE_EVERY, 2 * PROBE_EVERY, QUEUE]
    assert [each.is_refused for each in arranged] == [False] * 4 + [True] * 2
    assert made.seat(rows(made, A), 100, 1.0, place=insistent()).wait == 0.0
    trip = made.begin(A, 0, 100, 2.0)
    trip.answered(2.1, Headers({}), 1e9)
    assert made.seat(rows(made, A), 100, 2.2).wait == 0.0


def test_a_short_limit_is_waited_for() -> None:
    """The provider said when it takes a call again, and that is soon."""
    made = fleet("a1")
    limit(made, A, 1.0, pause=1.5)
    arranged = made.seat(rows(made, A), 100, 1.0)
    assert arranged.wait == pytest.approx(1.5, abs=0.01)
    assert not arranged.is_refused


def test_the_configured_limits_hold_for_everybody() -> None:
    """Two workers have half each; nobody passes over what the configuration says, and long waits are refused."""
    limited = Endpoint("a", "m", limits=EndpointLimits(rpm=4))
    made = fleet("a1", workers=2)
    for _ in range(2):
        assert made.is_plain((limited,), 1.0, 100)
        made.begin(limited, 0, 100, 1.0).over()
    arranged = made.seat(rows(made, limited), 100, 1.0)
    assert arranged.wait > 30
    assert arranged.is_refused
    assert made.seat(rows(made, limited), 100, 1.0, place=insistent()).wait > 30
    assert made.seat(rows(made, limited), 100, 40.0).wait == pytest.approx(25, abs=6)
    assert made.is_plain((limited,), 70.0, 100)


def test_a_configured_limit_holds_though_another_endpoint_has_said_no() -> None:
    """Whom it holds back comes last, also behind one that has told of a longer pause."""
    limited = Endpoint("a", "m", limits=EndpointLimits(rpm=1))
    made = fleet("a1")
    made.begin(limited, 0, 100, 1.0).over()
    limit(made, B, 1.0, pause=120.0)
    arranged = made.seat(rows(made, limited, B), 100, 1.0)
    assert [each.provider for each in arranged.endpoints] == ["b", "a"]
    assert (arranged.wait, arranged.is_refused, arranged.is_held, arranged.takers) == (0.0, False, False, 0)


def test_a_short_wait_for_a_configured_limit_is_waited_though_others_are_refused() -> None:
    """The provider that said no has its probes, and no more wait for these: then the line is where to stand."""
    one_a_minute = Endpoint("a", "m", limits=EndpointLimits(rpm=1))
    made = fleet("a1")
    made.begin(one_a_minute, 0, 100, 1.0).over()
    for _ in range(BELIEVED_FROM):
        limit(made, B, 40.0, pause=600.0)
    arranged = [made.seat(rows(made, one_a_minute, B), 100, 40.0) for _ in range(5)]
    assert [each.wait for each in arranged[:4]] == [0.0, PROBE_EVERY, 2 * PROBE_EVERY, QUEUE]
    assert [(each.is_held, each.is_refused) for each in arranged] == [(False, False)] * 4 + [(True, False)]
    assert arranged[4].wait == pytest.approx(25, abs=6)
    place = Place("caller", 100.0, lambda _: None)
    assert [made.is_held(each, 100, 40.0, place) for each in (one_a_minute, B)] == [True, False]
    early = [made.seat(rows(made, one_a_minute, B), 100, 2.0) for _ in range(5)][-1]
    assert not early.is_held  # for longer than anybody waits


def test_a_spent_account_is_no_rate() -> None:
    """Also where it is told with 429, as OpenAI does: its key is left alone, and nothing is learnt of rates."""
    made = fleet("a1", "a2")
    for now in (1.0, 1.1):
        fail(made, A, now, key=0, fault=Fault.STATUS, status=429, code="insufficient_quota")
    assert [each.is_closed for each in made.standing(A).keys] == [False, True]
    assert not made.standing(A).allowances[0].is_limited
    assert seats(made, 1.2, A)[0] == ("a", 1)


def test_late_failures_do_not_open_a_breaker_again() -> None:
    """Attempts that began before anything had failed are old news, and none of them passes for the probe."""
    made = fleet("a1")
    late = [made.begin(A, 0, 100, 0.0) for _ in range(12)]
    for trip in late[:5]:
        trip.failed(UpstreamFailed(1.0, 1, Fault.RESET), NONE)
    opened = made.standing(A).breaker.open_until
    for number, trip in enumerate(late[5:]):
        trip.failed(UpstreamFailed(opened + number, 1, Fault.RESET), NONE)
    assert made.standing(A).breaker.open_until == opened
    assert made.standing(A).breaker.may_try(opened)
    assert made.standing(A).in_flight == 0


def test_a_late_answer_is_not_taken_for_the_probe() -> None:
    """It speaks of limits, and so is kept count of; the breaker waits for a call of its own."""
    made = fleet("a1")
    late = made.begin(A, 0, 100, 0.0)
    for _ in range(5):
        fail(made, A, 1.0)
    late.answered(50.0, Headers(TOLD), 1e9)
    late.succeeded(50.0)
    assert made.breakers["a/m"] == 2


def test_a_key_that_is_gone_is_replaced_by_the_first() -> None:
    """A call that was planned before a reload is asked with one that is left."""
    made = fleet("a1", "a2")
    made.adopt(snapshot("a1"))
    trip = made.begin(A, 1, 100, 1.0)
    trip.failed(UpstreamFailed(1.0, 1, Fault.RESET), NONE)
    assert made.standing(A).in_flight == 0


def test_a_renewed_token_does_not_renew_the_quota() -> None:
    """What was sent in the last minute and what is under way count against the configured limits as before."""
    limited = Endpoint("a", "m", limits=EndpointLimits(rpm=3, concurrency=1))
    made = fleet("token-1")
    under_way = made.begin(limited, 0, 100, 1.0)
    made.adopt(snapshot("token-2"))
    assert made.room_at(limited, 100, 1.0) == inf
    under_way.over()
    for _ in range(2):
        assert made.room_at(limited, 100, 1.0) <= 1.0
        made.begin(limited, 0, 100, 1.0).over()
    assert 1.0 < made.room_at(limited, 100, 1.0) < inf


def test_what_takes_a_call_now_is_ready() -> None:
    """With a key whose turn it is and that may send; not at a limit, and not with anything that is not closed."""
    made = fleet("a1", "a2")
    assert [made.ready(A, 100, 1.0) for _ in range(3)] == [1, 0, 1]
    fail(made, A, 1.0, key=1, fault=Fault.STATUS, status=401)
    fail(made, A, 1.0, key=1, fault=Fault.STATUS, status=401)
    assert [made.ready(A, 100, 1.0) for _ in range(2)] == [0, 0]
    assert made.ready(A, 100, 1000.0) == 0  # the other key's pause is over, and a caller's call may try it
    limited = Endpoint("b", "m", limits=EndpointLimits(rpm=1))
    made.begin(limited, 0, 100, 1.0).over()
    assert made.ready(limited, 100, 1.0) is None
    assert made.ready(limited, 100, 70.0) == 0


def test_what_fails_is_not_ready_until_a_call_has_tried_it() -> None:
    """Not even when its pause is over."""
    made = fleet("a1")
    for _ in range(20):
        fail(made, A, 1.0)
    assert made.ready(A, 100, 1.0) is None
    assert made.ready(A, 100, 100.0) is None
    trip = made.begin(A, 0, 100, 100.0)
    trip.answered(100.1, Headers({}), 1e9)
    trip.succeeded(100.1)
    assert made.ready(A, 100, 100.2) == 0


def test_what_is_under_way_is_counted_once() -> None:
    """An attempt ends once, however often that is said."""
    made = fleet("a1")
    trip, other = made.begin(A, 0, 100, 1.0), made.begin(A, 0, 100, 1.0)
    assert (trip.load, other.load) == (0, 1)
    trip.over()
    trip.over()
    assert made.standing(A).in_flight == 1
    assert trip.is_over


def test_samples_are_known_when_somebody_chooses() -> None:
    """And are told to the others once."""
    made = fleet("a1")
    slow = [Sample("a/m", "m", 1e9 + n, Outcome.ANSWERED, 10.0, 0.5, 9.5, 100, tokens=100, size=400) for n in range(5)]
    made.learn(slow)
    assert rows(made)[0].endpoint.provider == "b"
    assert sum(each.weight for each in made.take_outbox(1.0)) == 5
    assert made.take_outbox(1.0) == []
    assert made.board.of("a/m").ttft.seen == 5
    other = fleet("a1")
    other.hear(slow)
    assert rows(other)[0].endpoint.provider == "b"


def test_new_keys_and_limits_begin_anew() -> None:
    """What is known of the others stays."""
    made = fleet("a1")
    limit(made, A, 1.0)
    limit(made, B, 1.0)
    made.adopt(snapshot("other"))
    assert seats(made, 1.0)[0] == ("a", 0)
    assert not made.is_plain((B,), 1.0, 100)


def test_a_calm_endpoint_is_not_kept_count_of() -> None:
    """Until something goes wrong, or somebody speaks of limits; and again when it has been well for long."""
    made = fleet("a1")
    assert made.standing(A).is_calm
    trip = made.begin(A, 0, 100, 1.0)
    trip.answered(1.1, Headers({}), 1e9)
    trip.over()
    assert made.standing(A).is_calm
    fail(made, A, 2.0)
    made.take_outbox(3.0)
    assert not made.standing(A).is_calm
    made.take_outbox(2.0 + CALM_AFTER + 1)
    assert made.standing(A).is_calm
    made.begin(A, 0, 100, 200.0).answered(200.1, Headers(TOLD), 1e9)
    made.take_outbox(1000.0)
    assert not made.standing(A).is_calm
    assert not made.standing(Endpoint("a", "n", limits=EndpointLimits(rpm=4))).is_calm


def test_a_busy_endpoint_is_sampled() -> None:
    """The sum of weights is how many attempts there were."""
    made = fleet("a1")
    trips = [made.begin(A, 0, 100, 1.0) for _ in range(1000)]
    weights = [trip.weight() for trip in trips]
    made.take_outbox(2.0)
    weights.append(made.begin(A, 0, 100, 3.0).weight())
    assert sum(weights) == 1001
    assert sum(weight > 0 for weight in weights) == SAMPLES_MOST + 1


def test_invented_models_do_not_fill_the_memory() -> None:
    """What a caller has made up is forgotten again; what is under way, and a breaker that is open, are not."""
    made = fleet("k")
    trip = made.begin(A, 0, 100, 0.0)
    for _ in range(20):
        fail(made, B, 0.0)
    refused, limited = Endpoint("b", "refused"), Endpoint("b", "limited")
    for _ in range(2):
        fail(made, refused, 0.0, fault=Fault.STATUS, status=401)
    limit(made, limited, 0.0)
    for number in range(STANDINGS_MAX):
        made.begin(Endpoint("a", f"invented-{number}"), 0, 100, 0.0).over()
    assert made.take_outbox(1.0) == []
    assert made.standing(A).in_flight == 1
    assert made.breakers.keys() == {A.id, B.id, refused.id, limited.id}
    trip.over()
    assert made.standing(A).in_flight == 0


def test_each_model_has_its_own_budget_for_races() -> None:
    """It stays when the configuration changes; models that callers have made up have one together."""
    models = {name: Model(name, (A, B)) for name in ("m", "n")}
    made = Fleet(0.0)
    made.adopt(msgspec.structs.replace(snapshot(), models=models))
    made.hedges("m").race()
    made.hedges("invented-1").race()
    assert [made.hedges(each).is_open for each in ("m", "n", "invented-1", "invented-2")] == [False, True, False, False]
    made.adopt(msgspec.structs.replace(snapshot(), models={"m": models["m"]}))
    assert [made.hedges(each).is_open for each in ("m", "n")] == [False, False]
