"""From a request to an order: who is asked first, and what happens when it is slow."""

from __future__ import annotations

import asyncio
import json
import time
from math import inf
from typing import Any

import msgspec
import pytest

from tests.unit.edge.bench import Books, no_answer, snapshot
from tokenway.aio.tasks import Tasks
from tokenway.dialects.registry import FORMATS
from tokenway.edge.arrange import USUAL_SHARE, limited
from tokenway.edge.doors import CHAT
from tokenway.edge.intake import Intake, read_request, take_in
from tokenway.edge.state import SWEEP_SECONDS, EdgeState
from tokenway.model.catalog import Capabilities, Dialect, Endpoint, Model, Provider, Routing, Timeouts
from tokenway.model.errors import Refusal
from tokenway.model.preferences import Rescue, SortOrder
from tokenway.model.sample import Outcome, Sample
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Principal
from tokenway.upstream.pool import Pools

CALLER = Principal("key_1", "ci", "default")
A, B, SPARE = Endpoint("a", "x"), Endpoint("b", "y"), Endpoint("c", "z")


def state(routing: Routing = Routing(), *, min_tps: float = 20.0, **more: Any) -> EdgeState:  # noqa: B008 - frozen
    """A worker that knows a model of two endpoints, which falls back on another."""
    loop = asyncio.new_event_loop()
    loop.close()
    made = EdgeState(loop, Pools(loop, Tasks(lambda *_: None)), Books(), no_answer)
    providers = {
        "a": Provider("a", "http://a", api_keys=(Secret("1"), Secret("2"))),
        "b": Provider("b", "http://b"),
        "c": Provider("c", "http://c"),
    }
    models = {
        "m": Model("m", (A, B), fallbacks=("spare",), min_tps=min_tps, routing=routing),
        "spare": Model("spare", (SPARE,)),
        "one": Model("one", (SPARE,), routing=routing),
    }
    made.adopt(snapshot(providers=providers, models=models, **more))
    return made


def taken(made: EdgeState, **fields: Any) -> Intake:
    """What becomes of a request."""
    return taken_with(made, {}, **fields)


def taken_with(made: EdgeState, headers: dict[bytes, bytes], **fields: Any) -> Intake:
    """What becomes of a request with these headers."""
    body = json.dumps({"model": "m", "messages": [], "stream": True, **fields}).encode()
    request = read_request(made, CHAT, FORMATS[Dialect.OPENAI_CHAT], headers, body)
    return take_in(made, CHAT, request, headers, CALLER)


def seen(made: EdgeState, endpoint: Endpoint, speed: float, count: int = 20, ttft: float = 0.2) -> None:
    """Streams of a hundred tokens there."""
    span = 99 / speed
    sample = Sample(
        endpoint.id, "m", time.time(), Outcome.ANSWERED, ttft + span, ttft, span, 20, tokens=100, size=80, sent=9900
    )
    made.fleet.learn([sample] * count)


def names(intake: Intake) -> list[str]:
    """The providers in the order in which they are tried, each once."""
    return list(dict.fromkeys(each.provider for each in intake.order.endpoints))


def test_the_fastest_goes_first_and_a_fallback_last() -> None:
    """However fast it is: a fallback is another model."""
    made = state()
    for endpoint, speed in ((A, 20.0), (B, 60.0), (SPARE, 500.0)):
        seen(made, endpoint, speed)
    assert names(taken(made)) == ["b", "a", "c"]


def test_a_fallback_serves_what_no_endpoint_of_the_model_can() -> None:
    """Its two endpoints are ranked; the model's own one is not there any more."""
    plain = Endpoint("a", "x", capabilities=Capabilities(tools=False))
    models = {"m": Model("m", (plain,), fallbacks=("spare",)), "spare": Model("spare", (B, SPARE))}
    made = state()
    made.adopt(msgspec.structs.replace(made.snapshot, models=models))
    asked = {
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    assert names(taken(made, **asked, provider={"require_parameters": True})) == ["b", "c"]
    assert names(taken(made, **asked)) == ["a", "b", "c"]


def test_every_key_of_a_provider_is_a_place_in_the_order() -> None:
    """They are tried one after the other."""
    order = taken(state()).order
    assert [each.provider for each in order.endpoints] == ["a", "a", "b", "c"]
    assert sorted(order.credentials[:2]) == [0, 1]


def test_one_endpoint_is_not_chosen() -> None:
    """There is nothing to look at, and no key to name."""
    intake = taken(state(), model="one")
    assert (intake.order.credentials, intake.keys, intake.order.slow) == ((), (), frozenset())


@pytest.mark.parametrize(
    ("sort", "expected"), [(SortOrder.LATENCY, "a"), (SortOrder.THROUGHPUT, "b"), (SortOrder.FINISH, "b")]
)
def test_a_model_and_a_caller_may_sort_by_something_else(sort: SortOrder, expected: str) -> None:
    """The caller's word goes before the model's."""
    cases: list[tuple[EdgeState, dict[str, Any]]] = [
        (state(Routing(sort=sort)), {}),
        (state(Routing(sort=SortOrder.PRICE)), {"provider": {"sort": sort.value}}),
    ]
    for made, fields in cases:
        seen(made, A, 20.0, ttft=0.05)
        seen(made, B, 90.0, ttft=0.5)
        assert names(taken(made, **fields))[0] == expected


def test_an_order_is_an_order() -> None:
    """Whoever is fastest; names that it does not have come behind."""
    made = state()
    seen(made, B, 90.0)
    assert names(taken(made, provider={"order": ["a"]})) == ["a", "b", "c"]


def test_without_fallbacks_only_the_best_is_asked() -> None:
    """Not the first of the list."""
    made = state()
    seen(made, A, 20.0)
    seen(made, B, 90.0)
    assert names(taken(made, provider={"allow_fallbacks": False})) == ["b"]


def test_a_floor_is_soft_unless_nobody_else_is_wanted() -> None:
    """What misses it comes last; with no fallbacks and everybody under it, that is told."""
    made = state()
    seen(made, A, 25.0)
    seen(made, B, 40.0)
    assert names(taken(made, provider={"min_tps": 30})) == ["b", "c", "a"]
    assert names(taken(made, provider={"min_tps": 1000})) == ["c", "b", "a"]
    with pytest.raises(Refusal) as refused:
        taken(made, provider={"min_tps": 1000, "allow_fallbacks": False})
    problem = refused.value.problem
    assert (problem.status, problem.param) == (503, "provider.min_tps")
    assert problem.details["availability"] == {
        "code": "constraint_filtered",
        "excluded_by": {"b/y": "min_tps", "a/x": "min_tps"},
    }


def test_a_hard_floor_leaves_out_whoever_misses_it() -> None:
    """Wherever it stands in an order, and also where there is nobody to choose from."""
    made = state()
    seen(made, A, 25.0)
    seen(made, B, 40.0)
    hard = {"min_tps": 30, "allow_fallbacks": False}
    assert names(taken(made, provider={"order": ["a", "b"], **hard})) == ["b"]
    assert names(taken(made, model="one", provider=hard)) == ["c"]
    seen(made, SPARE, 20.0)
    with pytest.raises(Refusal):
        taken(made, model="one", provider=hard)
    assert names(taken(made, model="one", provider={"min_tps": 30})) == ["c"]


def test_who_is_known_to_be_slow_rescues_nobody() -> None:
    """By place in the order."""
    made = state(Routing(rescue=Rescue.ON))
    seen(made, A, 5.0)
    seen(made, B, 60.0)
    order = taken(made).order
    assert {order.endpoints[place].provider for place in order.slow} == {"a"}
    assert (order.rescue, order.min_tps, order.grace) == (Rescue.ON, 20.0, 4.0)


def test_rescue_is_the_models_or_the_callers() -> None:
    """And there is none for an answer that does not stream."""
    made = state(Routing(rescue=Rescue.ON))
    assert taken(made, provider={"rescue": "off"}).order.rescue is Rescue.OFF
    assert taken(state(), provider={"rescue": "on"}).order.rescue is Rescue.ON
    assert taken(made, stream=False).order.rescue is Rescue.OFF


def test_a_race_starts_when_the_first_token_is_late() -> None:
    """At the endpoint's own quantile; never where nobody asked for it, or nobody else is there."""
    made = state(Routing(hedge_share=0.1))
    seen(made, A, 60.0, ttft=0.3)
    seen(made, B, 10.0)
    assert taken(made).order.hedge_after == pytest.approx(0.3, rel=0.25)
    assert taken(made, provider={"hedge": False}).order.hedge_after == inf
    assert taken(made, stream=False).order.hedge_after == inf
    assert taken(made, model="one").order.hedge_after == inf
    assert taken(made, provider={"only": ["a"]}).order.hedge_after == inf
    assert taken(state()).order.hedge_after == inf
    assert taken(state(), provider={"hedge": True}).order.hedge_after >= SWEEP_SECONDS


def test_the_share_that_may_be_raced_goes_with_the_order() -> None:
    """The model's, else the usual one, of calls that can be raced: for being late, or slow and given whole."""
    made = state(Routing(hedge_share=0.1))
    wish: dict[str, Any] = {"provider": {"hedge": True}}
    assert taken(made).order.hedge_share == taken(made, **wish).order.hedge_share == 0.1
    assert taken(state(), **wish).order.hedge_share == USUAL_SHARE
    for fields in ({"provider": {"hedge": False}}, {"stream": False}, {"provider": {"only": ["a"]}}):
        assert taken(made, **fields).order.hedge_share == 0.0
    slow: dict[str, Any] = {"stream": False, "provider": {"stream": True, "rescue": "on"}}
    whole = taken(state(), **slow).order
    assert (whole.hedge_share, whole.hedge_after) == (USUAL_SHARE, inf)
    assert taken(made, **slow).order.hedge_share == 0.1
    none = state(Routing(hedge_share=0.0))
    for fields in (wish, slow):
        order = taken(none, **fields).order
        assert (order.hedge_share, order.hedge_after) == (0.0, inf)


def test_planning_pays_nothing_in_for_races() -> None:
    """A call that waits in line is planned many times, and is one call."""
    made = state(Routing(hedge_share=1.0))
    made.fleet.hedges("m").race()
    for _ in range(3):
        taken(made)
    assert not made.fleet.hedges("m").is_open


def test_an_answer_that_is_wanted_whole_may_be_asked_for_as_a_stream() -> None:
    """By the model or by the caller; then a stream's deadlines hold."""
    wish: dict[str, Any] = {"provider": {"stream": True}}
    for made, fields in ((state(Routing(streams=True)), {}), (state(), wish)):
        intake = taken(made, stream=False, **fields)
        assert intake.gathers
        assert intake.order.stream
        assert b'"stream":true' in intake.asked.body
        assert not intake.request.stream
    assert not taken(state(Routing(streams=True)), stream=False, provider={"stream": False}).gathers
    assert not taken(state(Routing(streams=True)), stream=False, n=2).gathers
    assert not taken(state(Routing(streams=True))).gathers


def test_deadlines_are_shortened_by_the_caller_alone() -> None:
    """For every endpoint, also one with its own."""
    own = msgspec.structs.replace(A, timeouts=Timeouts(1.0, 99.0, 99.0, 99.0))
    order = taken(state(), provider={"timeouts": {"first_token": 2}}).order
    assert order.timeouts.first_token == 2.0
    assert order.timeouts.total == Timeouts().total
    assert order.limits_of(own) == Timeouts(1.0, 2.0, 99.0, 99.0)
    assert taken(state()).order.limits_of(own) == own.timeouts


@pytest.mark.parametrize(("count", "retries"), [(b"0", 2), (b"1", 1), (b"2", 0), (b"9" * 50, 0), (b"-1", 2), (b"x", 2)])
def test_a_caller_that_retries_itself_gets_fewer_retries(count: bytes, retries: int) -> None:
    """Else both multiply."""
    assert taken_with(state(max_retries=2), {b"x-stainless-retry-count": count}).order.max_retries == retries


def test_a_conversation_is_recognised() -> None:
    """By its run, however that is told, and the agent in it, and by how its body begins."""
    made = state()
    assert len(taken(made, prompt_cache_key="s").keys) == 1
    assert taken_with(made, {b"x-session-id": b"s"}).keys == taken(made, session_id="s").keys
    agents = [taken_with(made, {b"x-session-id": b"s", b"x-tokenway-agent": name}).keys for name in (b"a", b"b", b"s")]
    assert len({*agents, taken(made, session_id="s").keys}) == 3
    assert taken(made).keys == ()
    long = [{"role": "user", "content": "x" * 5000}]
    keys = taken(made, messages=long).keys
    assert len(keys) == 2
    assert set(keys) <= set(taken(made, messages=[*long, {"role": "user", "content": "y" * 9000}]).keys)


def test_who_is_at_its_limit_is_named() -> None:
    """With when it helps to come again."""
    problem = limited((A, B, A), 12.4)
    assert (problem.status, problem.retry_after, problem.should_retry) == (429, 12.4, True)
    assert "a/x, b/y" in problem.message
