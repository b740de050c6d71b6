"""Limits that each run of agents has by itself."""

from __future__ import annotations

import pytest

from tests.unit.edge.calls import Clock, Worker, clock, limit
from tokenway.edge.stocks import MEND_SECONDS
from tokenway.metering.ledger import Trace
from tokenway.metering.terms import run_limit
from tokenway.model.limits import Measure, Term
from tokenway.model.usage import Usage

__all__ = ["clock"]
pytestmark = pytest.mark.usefixtures("clock")

REQUESTS = limit(Measure.REQUESTS, 2, Term.MINUTE)


def test_each_run_has_its_own() -> None:
    """By its key and its own id; a call without a run counts for none."""
    worker = Worker(limit(Measure.REQUESTS, 1, per_run=True))
    assert [worker.call(run=run).status for run in ("a", "a", "b", "")] == [200, 429, 200, 200]
    [first, *_] = worker.broker.wants
    assert (first.limit, first.key_id, first.run) == (run_limit("requests", "k", "a"), "k", "a")
    assert worker.admission.remaining == {}


def test_a_run_that_has_reached_a_limit_is_told_which() -> None:
    """402 for money and 429 for all else; a retry does not help."""
    worker = Worker(limit(amount=15, per_run=True), limit(Measure.TOKENS, 60, per_run=True))
    worker.call(run="a").end(10, Usage(input_uncached=5))
    problem = worker.call(run="a").problem
    assert problem is not None
    assert (problem.status, problem.code, problem.should_retry) == (402, "run_limit_exceeded", False)
    assert (problem.details["run"], problem.details["reached"]) == ("a", "usd")
    other = Worker(limit(Measure.TOKENS, 60, per_run=True))
    other.call(run="a").end(0, Usage(input_uncached=25))
    problem = other.call(run="a").problem
    assert problem is not None
    assert (problem.status, problem.code, problem.details["reached"]) == (429, "run_limit_exceeded", "tokens")


def test_the_same_request_is_counted_by_what_it_says() -> None:
    """In whatever order, and whatever its metadata; each is asked for, and goes nowhere when it is over."""
    worker = Worker(limit(Measure.LOOPS, 2, per_run=True))
    bodies = [b'{"a":1,"b":2}', b'{"b": 2, "a": 1, "metadata": {"x": 1}}', b'{"a":1,"b":2}', b'{"a":2}']
    found = [worker.call(run="r", content=body) for body in bodies]
    assert [each.status for each in found] == [200, 200, 429, 200]
    assert len({want.detail for want in worker.broker.wants}) == 2
    assert [want.least for want in worker.broker.wants] == [1, 1, 1, 1]
    for each in found:
        assert each.end() == ()
    worker.admission.stop()
    assert worker.broker.returns == []


def test_agents_are_asked_about_by_name() -> None:
    """The run's own is at the top; another one is asked about once, with whom it works for."""
    worker = Worker(limit(Measure.DEPTH, 2, per_run=True))
    agents = [None, Trace("", ""), Trace("sub", "main"), Trace("sub", "main"), Trace("deeper", "sub")]
    calls = [worker.call(run="r", trace=trace) for trace in agents]
    assert [each.status for each in calls] == [200] * 5
    assert [want.detail for want in worker.broker.wants] == [("sub", "main"), ("deeper", "sub")]
    for each in calls[2:]:
        assert each.end() == ()


def test_an_agent_that_is_too_deep_is_refused() -> None:
    """429, and the whole run is told so."""
    worker = Worker(limit(Measure.DEPTH, 1, per_run=True))
    worker.broker.held[run_limit("depth", "k", "r") + "#deep", 0] = 1
    problem = worker.call(run="r", trace=Trace("deep", "sub")).problem
    assert problem is not None
    assert (problem.status, problem.details["reached"], problem.should_retry) == (429, "depth", False)


def test_depth_and_loops_are_let_go_while_nobody_can_be_asked(clock: Clock) -> None:
    """Nobody knows how deep or how often; the other limits hold all the same."""
    worker = Worker(limit(Measure.LOOPS, 1, per_run=True), limit(Measure.DEPTH, 1, per_run=True), limit(amount=100))
    worker.broker.extra = 10
    worker.call(10, run="")
    worker.admission.cut()
    clock.mono += MEND_SECONDS
    assert [worker.call(10, run="r", trace=Trace("sub", "main")).status for _ in range(2)] == [200, 503]
