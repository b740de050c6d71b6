"""What a caller is told of a limit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.edge.calls import UNIX, limit
from tokenway.edge.claims import Claim, rules_of
from tokenway.edge.refusals import away, crowded, rate_lines, used_up
from tokenway.edge.stocks import Stock
from tokenway.model.limits import Limit, Measure, Scope, Term


class Caller:
    """A call of a run."""

    run = "nightly"


CALLER: Any = Caller()


def stock(bound: Limit, left: int = 0, remains: int = 0, ends: float = 0.0) -> Stock:
    """A lease of it with so much left."""
    made = Stock(bound.id, bound)
    made.take(1 if ends else 0, ends - 60.0 if ends else 0.0, ends, left)
    made.remains = remains
    return made


@pytest.mark.parametrize(
    ("scope", "term", "words"),
    [
        (Scope.KEY, Term.TOTAL, "The budget of this key does not hold this call: 0.00000003 USD are left"),
        (Scope.PROJECT, Term.DAY, "The daily budget of the project 'p' does not hold this call"),
        (Scope.USER, Term.MONTH, "The monthly budget of this key's user does not hold this call"),
        (Scope.MODEL, Term.WEEK, "The weekly budget of the model 'p' does not hold this call"),
    ],
)
def test_money_says_whose_it_is_and_what_is_left(scope: Scope, term: Term, words: str) -> None:
    """Of the lease, and of what nobody held; with what the call can cost, and what would lower that."""
    problem = used_up(stock(Limit("b", scope, "p", Measure.USD, 100, term), 10, 20), 41, CALLER, UNIX)
    assert problem.message.startswith(words)
    assert "up to 0.000000041 USD. A smaller 'max_tokens' lowers that bound." in problem.message
    told = {"scope": scope.value, "subject": "p", "measure": "usd", "amount": "0.0000001", "term": term.value}
    assert problem.details == {"limit_remaining": "0.00000003", "worst_case": "0.000000041", "limit": told}


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        (Limit("credits:p", Scope.PROJECT, "p", Measure.USD, 9), "or a code redeemed for it."),
        (Limit("b", Scope.PROJECT, "p", Measure.USD, 9), "Somebody has to raise it."),
        (Limit("b", Scope.KEY, "k", Measure.USD, 9, Term.MONTH), "It starts anew with the next month, in UTC."),
        (Limit("b", Scope.KEY, "k", Measure.USD, 9, Term.DAY, rolling=True), "It frees itself as time goes by."),
    ],
)
def test_where_nothing_is_left_it_says_what_would_help(bound: Limit, words: str) -> None:
    """A smaller answer would not; credits are called by their name."""
    message = used_up(stock(bound), 1, CALLER, UNIX).message
    assert message.endswith(words)
    assert "max_tokens" not in message
    assert message.startswith("The credits of the project 'p' do not hold") is bound.is_credits
    assert used_up(stock(bound, 1), 2, CALLER, UNIX).message.endswith("A smaller 'max_tokens' lowers that bound.")


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        (limit(Measure.REQUESTS, 9, Term.MINUTE), "9 requests a minute; 3 are left and this call can take 5."),
        (limit(Measure.TOKENS, 9, Term.DAY), "9 tokens a day; 3 are left and this call can take 5."),
        (limit(Measure.CONCURRENCY, 9), "9 calls at once; 3 are left and this call can take 5."),
    ],
)
def test_a_rate_says_what_it_is(bound: Limit, message: str) -> None:
    """429; one that comes again soon may be tried again."""
    problem = used_up(stock(bound, 3), 5, CALLER, UNIX)
    assert problem.message == f"The limit of this key is reached: {message}"
    assert (problem.status, problem.should_retry) == (429, bound.is_fleeting)


def test_when_to_come_back_is_what_was_told_or_the_windows_end() -> None:
    """Or a second, where nobody knows."""
    bound = limit(Measure.REQUESTS, 9, Term.MINUTE)
    made = stock(bound, ends=UNIX + 12.0)
    assert used_up(made, 1, CALLER, UNIX).retry_after == 12.0
    made.wait = 3.0
    assert used_up(made, 1, CALLER, UNIX).retry_after == 3.0
    assert used_up(stock(limit(Measure.CONCURRENCY, 1)), 1, CALLER, UNIX).retry_after == 1.0


@pytest.mark.parametrize(
    ("measure", "status", "reached", "words"),
    [
        (Measure.USD, 402, "usd", "it may cost 0.0000001 USD, of which 0.00000003 are left, and this call up to"),
        (Measure.REQUESTS, 429, "calls", "it may have 100 calls, of which 30 are left"),
        (Measure.TOKENS, 429, "tokens", "it may have 100 tokens, of which 30 are left, and this call can take 41"),
        (Measure.DEPTH, 429, "depth", "it may have 100 levels of agents"),
        (Measure.LOOPS, 429, "loops", "it may have 100 equal requests"),
    ],
)
def test_a_run_is_told_what_it_has_reached(measure: Measure, status: int, reached: str, words: str) -> None:
    """And that a retry does not help: an agent that goes on would only be refused again."""
    problem = used_up(stock(limit(measure, per_run=True), 10, 20), 41, CALLER, UNIX)
    assert (problem.status, problem.code, problem.should_retry) == (status, "run_limit_exceeded", False)
    assert (problem.details["run"], problem.details["reached"]) == ("nightly", reached)
    assert "The run 'nightly' has reached a limit of this key: " in problem.message
    assert words in problem.message


def test_one_of_a_kind_is_told_in_the_singular() -> None:
    """As a run is that may have no other agent than its own."""
    alone = Limit("lim", Scope.KEY, "k1", Measure.DEPTH, 1, Term.TOTAL, per_run=True)
    assert used_up(stock(alone, 1), 2, CALLER, UNIX).message.endswith("it may have 1 level of agents.")


def test_what_nobody_can_decide_may_be_tried_again() -> None:
    """503 is not 402: nobody said that there is no money."""
    assert (away().status, away().should_retry, away().retry_after) == (503, True, 1.0)
    assert (crowded().status, crowded().should_retry) == (429, True)


def claim(*needs: Stock) -> Claim:
    """A call that needs these."""
    return Claim(1, [(each, 1) for each in needs], rules_of([each.limit for each in needs]))


def test_the_tightest_rate_is_told_in_headers() -> None:
    """One of requests and one of tokens, with what is left of it and when it is whole again."""
    found = claim(
        stock(limit(Measure.REQUESTS, 60, Term.MINUTE), 5, 20, UNIX + 40.0),
        stock(limit(Measure.REQUESTS, 10, Term.MINUTE, "project"), 2, 7, UNIX + 40.0),
        stock(limit(Measure.TOKENS, 10**6, Term.MINUTE), -7, 0, UNIX + 0.25),
        stock(limit(Measure.OUTPUT_TOKENS, 500, Term.MINUTE), 400, 0, UNIX + 90.5),
        stock(limit(), 3),
        stock(limit(Measure.CONCURRENCY, 3), 3),
        stock(limit(Measure.REQUESTS, 3, Term.DAY, "day"), 1),
    )
    assert rate_lines(found, UNIX) == (
        b"x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 9\r\nx-ratelimit-reset-requests: 40s\r\n"
        b"x-ratelimit-limit-tokens: 1000000\r\nx-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 250ms\r\n"
    )


def test_a_reset_is_spelled_as_openai_does() -> None:
    """Minutes and seconds; without a lease it is the end of the minute that runs."""
    assert b"reset-tokens: 1m30.5s\r\n" in rate_lines(
        claim(stock(limit(Measure.TOKENS, 9, Term.MINUTE), 1, 0, UNIX + 90.5)), UNIX
    )
    assert b"reset-requests: 40s\r\n" in rate_lines(claim(Stock("r", limit(Measure.REQUESTS, 9, Term.MINUTE))), UNIX)
