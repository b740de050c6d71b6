"""From headers and a body to an order: what a caller may say, and what it is refused for."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from tests.unit.edge.bench import Books, no_answer, snapshot
from tokenway.aio.tasks import Tasks
from tokenway.dialects.registry import FORMATS
from tokenway.edge.doors import CHAT, Door
from tokenway.edge.intake import AMOUNT_MAX, Intake, draining, no_journal, read_request, take_in
from tokenway.edge.state import EdgeState
from tokenway.metering.ledger import Trace
from tokenway.model.catalog import Dialect, Endpoint, Model, Operation, Picture, Price, Provider, Timeouts
from tokenway.model.errors import Problem, Refusal
from tokenway.model.money import NanoUsd, Rate
from tokenway.model.snapshot import Principal
from tokenway.upstream.pool import Pools

IMAGES = Door(Dialect.OPENAI_CHAT, Operation.IMAGE)
PRICE = Price(Rate(1_000_000_000), Rate(3_000_000_000))
"""1000 nano-dollars a token in, 3000 a token out."""
CALLER = Principal("key_1", "ci", "default")
ENDPOINTS = (Endpoint("a", "x", PRICE), Endpoint("b", "y"), Endpoint("c", "z"))


def taken_in(state: EdgeState, headers: Mapping[bytes, bytes], body: bytes) -> Intake:
    """A chat request, read and planned."""
    request = read_request(state, CHAT, FORMATS[Dialect.OPENAI_CHAT], headers, body)
    return take_in(state, CHAT, request, headers, CALLER)


def state(**more: Any) -> EdgeState:
    """A worker that knows a model of three endpoints and another of one."""
    loop = asyncio.new_event_loop()
    loop.close()
    made = EdgeState(loop, Pools(loop, Tasks(lambda *_: None)), Books(), no_answer)
    providers = {name: Provider(name, f"http://{name}") for name in "abc"}
    models = {"m": Model("m", ENDPOINTS), "other": Model("other", (Endpoint("c", "spare"),))}
    made.adopt(snapshot(providers=providers, models=models, **more))
    return made


def taken(headers: dict[bytes, bytes] | None = None, **fields: Any) -> Intake:
    """What becomes of a chat request with these headers and fields."""
    body = json.dumps({"model": "m", "messages": [], **fields}).encode()
    return taken_in(state(), headers or {}, body)


def refused(headers: dict[bytes, bytes] | None = None, **fields: Any) -> Problem:
    """Why it is refused."""
    with pytest.raises(Refusal) as refusal:
        taken(headers, **fields)
    return refusal.value.problem


def names(intake: Intake) -> list[str]:
    """The providers in the order in which they will be tried."""
    return [endpoint.id for endpoint in intake.order.endpoints]


def test_an_order_holds_what_the_snapshot_says() -> None:
    """Endpoints in their order, the snapshot's deadlines and retries, and the worst case in money."""
    body = b'{"model":"m","messages":[],"max_tokens":7}'
    intake = taken_in(state(max_retries=4), {}, body)
    assert names(intake) == ["a/x", "b/y", "c/z"]
    assert (intake.order.max_retries, intake.order.timeouts, intake.order.stream) == (4, Timeouts(), False)
    assert intake.order.amount == len(body) * 1000 + 7 * 3000
    assert intake.run == ""


def test_images_are_ordered_at_the_price_of_what_is_asked_for() -> None:
    """Reserved at the dearest, for as many as there will be; an endpoint with one price for all keeps it."""
    price = Price(Rate(0), Rate(0), image=NanoUsd(40), images=(Picture(quality="hd", image=NanoUsd(80)),))
    endpoints = (Endpoint("a", "x", price), Endpoint("b", "y", PRICE), Endpoint("c", "z"))
    made = state()
    made.adopt(msgspec.structs.replace(made.snapshot, models={"m": Model("m", endpoints)}))
    for quality, nano in (("hd", 80), ("standard", 40)):
        body = json.dumps({"model": "m", "prompt": "x", "n": 3, "quality": quality}).encode()
        request = read_request(made, IMAGES, FORMATS[Dialect.OPENAI_CHAT], {}, body)
        order = take_in(made, IMAGES, request, {}, CALLER).order
        first, *others = order.endpoints
        assert first.price == Price(Rate(0), Rate(0), image=NanoUsd(nano))
        assert tuple(others) == endpoints[1:]
        assert order.amount >= 3 * 80


def test_an_amount_that_the_books_cannot_hold_is_cut() -> None:
    """A caller can name any number of tokens; the reservation stays within 64 bits."""
    assert taken(max_tokens=10**16, n=1000).order.amount == AMOUNT_MAX


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"order": ["c", "b/y"]}, ["c/z", "b/y", "a/x"]),
        ({"only": ["b"]}, ["b/y"]),
        ({"ignore": ["a/x"]}, ["b/y", "c/z"]),
        ({"order": ["b"], "allow_fallbacks": False}, ["b/y"]),
        ({"allow_fallbacks": None}, ["a/x", "b/y", "c/z"]),
        ({}, ["a/x", "b/y", "c/z"]),
    ],
)
def test_wishes_choose_among_the_endpoints(wishes: dict[str, Any], expected: list[str]) -> None:
    """By provider or by endpoint; null is no wish."""
    assert names(taken(provider=wishes)) == expected


def test_models_are_fallbacks_behind_the_models_own() -> None:
    """In the order in which the caller names them, and none of them unless fallbacks are allowed."""
    assert names(taken(models=["other"])) == ["a/x", "b/y", "c/z", "c/spare"]
    assert names(taken(models=["other"], provider={"allow_fallbacks": False})) == ["a/x"]


def test_max_cost_bounds_the_worst_case() -> None:
    """Exactly the worst case passes, a nano-dollar less does not; a number is an amount too."""
    amount = taken(max_tokens=7, provider={"max_cost": "0.123456789"}).order.amount
    limit = f"0.{amount:09d}"
    assert len(limit) == len("0.123456789")
    assert taken(max_tokens=7, provider={"max_cost": limit}).order.amount == amount
    problem = refused(max_tokens=7, provider={"max_cost": f"0.{amount - 1:09d}"})
    assert (problem.status, problem.code, problem.param) == (402, "max_cost_exceeded", "provider.max_cost")
    assert refused(max_tokens=7, provider={"max_cost": 1e-9}).message.endswith("of 0.000000001 USD.")


@pytest.mark.parametrize("amount", ["", "a lot", "nan", "Infinity", "1e9999999", "1e999000", "-1e5000", -1, True])
def test_a_max_cost_that_is_no_amount_is_refused(amount: object) -> None:
    """400 that names the field, also for numbers that nobody has the memory for."""
    problem = refused(provider={"max_cost": amount})
    assert (problem.status, problem.param) == (400, "provider.max_cost")


@pytest.mark.parametrize(("value", "total"), [(b"2.5", 2.5), (b" 1e1 ", 10.0), (b"900", 900.0), (b"901", 900.0)])
def test_a_caller_can_shorten_the_total_and_nothing_else(value: bytes, total: float) -> None:
    """A longer time than the configured one is cut to it; the other deadlines stay."""
    assert taken({b"x-tokenway-timeout": value}).order.timeouts == Timeouts(total=total)


@pytest.mark.parametrize("value", [b"", b"0", b"-1", b"nan", b"inf", b"1e999", b"soon", b"\xff"])
def test_a_timeout_that_is_no_time_is_refused(value: bytes) -> None:
    """400 that names the header."""
    problem = refused({b"x-tokenway-timeout": value})
    assert (problem.status, problem.param) == (400, "x-tokenway-timeout")


def test_a_caller_can_shorten_each_deadline() -> None:
    """By preference too; of two totals the shorter one holds."""
    wished = {"connect": 1, "first_token": 2.5, "between_tokens": 99, "total": 7}
    assert taken(provider={"timeouts": wished}).order.timeouts == Timeouts(1.0, 2.5, 30.0, 7.0)
    both = taken({b"x-tokenway-timeout": b"8"}, provider={"timeouts": wished}).order.timeouts
    assert both.total == 7.0
    assert taken({b"x-tokenway-timeout": b"6"}, provider={"timeouts": wished}).order.timeouts.total == 6.0


def test_a_wish_for_a_floor_goes_before_the_models() -> None:
    """Zero is a floor as well."""
    assert [taken(provider=each).min_tps for each in ({"min_tps": 33}, {"min_tps": 0}, {})] == [33.0, 0.0, 20.0]


@pytest.mark.parametrize(
    ("wishes", "status", "param"),
    [
        ({"only": ["nobody"]}, 400, "provider.only[0]"),
        ({"only": ["a"], "ignore": ["a"]}, 400, "provider.ignore"),
        ({"sort": "exacto"}, 400, "provider.sort"),
        ({"quantizations": ["fp8"]}, 503, "provider"),
        ({"max_price": {"prompt": "0.5"}}, 503, "provider"),
        ({"zdr": True}, 503, "provider"),
        ({"enforce_distillable_text": True}, 503, "provider"),
    ],
)
def test_wishes_that_cannot_be_kept_are_refused(wishes: dict[str, Any], status: int, param: str) -> None:
    """What is wrong with 400 at its place, what nobody here fits with 503."""
    problem = refused(provider=wishes)
    assert (problem.status, problem.param) == (status, param)


def test_a_suffix_of_the_name_is_a_wish() -> None:
    """Also where nothing else is wished for; the endpoint gets its own name of the model."""
    assert names(taken(model="m:nitro")) == ["a/x", "b/y", "c/z"]
    problem = refused(model="m:free")
    assert (problem.status, problem.code) == (503, "no_endpoints")


def test_where_in_a_run_a_call_belongs() -> None:
    """What clients say of it, which `dialects.runs` reads; without a run there is nothing to say."""
    assert (taken().run, taken().trace) == ("", None)
    headers = {b"x-tokenway-run": b"nightly-7"}
    assert (taken(headers).run, taken(headers).trace) == ("nightly-7", None)
    headers |= {b"x-tokenway-agent": b"writer", b"x-tokenway-parent": b"planner", b"x-dynamo-session-final": b"true"}
    assert taken(headers).trace == Trace("writer", "planner", request_class="subagent", final=True)
    assert taken(session_id="body's").run == "body's"
    assert taken({b"x-tokenway-agent": b"writer"}).trace is None


def test_runs_are_guessed_where_the_configuration_says_so() -> None:
    """From how the conversation begins."""
    body = b'{"model":"m","messages":[{"role":"user","content":"Hello"}]}'
    assert taken_in(state(), {}, body).run == ""
    assert taken_in(state(guesses_runs=True), {}, body).run.startswith("~")


def test_a_compressed_body_is_read_within_the_bound_of_the_snapshot() -> None:
    """The bound is on what comes out, and the worst case counts those bytes too."""
    body = b'{"model":"m","messages":[],"max_tokens":7}' + b" " * 1000
    headers = {b"content-encoding": b"gzip"}
    intake = taken_in(state(), headers, gzip.compress(body))
    assert intake.order.amount == len(body) * 1000 + 7 * 3000
    with pytest.raises(Refusal) as refusal:
        taken_in(state(max_body=1000), headers, gzip.compress(body))
    assert refusal.value.problem.status == 413


def test_an_unknown_model_is_refused_and_so_is_an_unknown_fallback() -> None:
    """404 for either: a fallback that is not there must not be found out when it is needed."""
    assert refused(model="nobody").status == 404
    assert refused(models=["nobody"]).status == 404


def test_what_ends_soon_can_be_tried_again() -> None:
    """A worker that stops or cannot keep books says so, and when to come back."""
    for problem, code in ((draining(), "draining"), (no_journal(), "journal_unavailable")):
        assert (problem.status, problem.code, problem.should_retry) == (503, code, True)
        assert problem.retry_after is not None
