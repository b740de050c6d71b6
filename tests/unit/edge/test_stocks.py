"""A worker's leases by limit: how each is known, wanted, and given back. How calls wait for them: `test_admission`."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tests.unit.edge.calls import UNIX, Clock, clock, limit
from tokenway.edge.stocks import ANSWER_SECONDS, BLIND_SECONDS, Stock, Stocks
from tokenway.metering.lease import IDLE_SECONDS
from tokenway.metering.terms import run_limit
from tokenway.model.limits import Measure, Term
from tokenway.model.link import Granted, Return, Want

__all__ = ["clock"]
pytestmark = pytest.mark.usefixtures("clock")


class Said(list[Want | Return]):
    """What was said to the control process."""


def stocks() -> tuple[Stocks, Said]:
    """No leases yet."""
    said = Said()
    return Stocks(said.append), said


def wanted(made: Stocks, stock: Stock, least: int = 5) -> int:
    """Asks for it; the question's number."""
    stock.want = made.next_number()
    made.want(stock, least)
    return stock.want


def test_a_limit_has_one_lease() -> None:
    """It is made when it is first asked for, and is the same one after that."""
    made, _ = stocks()
    bound = limit()
    assert made.of(bound) is made.of(bound)
    assert made.remaining == {"usd": 0}


def test_each_run_of_each_key_has_its_own() -> None:
    """A run's id means something only together with its key; the control process knows it by both."""
    made, said = stocks()
    bound = limit(per_run=True)
    found = {made.of_run(bound, key, run).id for key in ("k", "j") for run in ("a", "b")}
    assert len(found) == 4
    digest = sha256(b"k\0a").hexdigest()[:16]
    assert run_limit("usd", "k", "a") == f"usd@{digest}"
    number = wanted(made, made.of_run(bound, "k", "a"))
    assert said == [Want(number, f"usd@{digest}", 5, "k", "a")]
    assert made.remaining == {}


def test_agents_and_requests_are_apart_within_one_instance() -> None:
    """They share the instance's id, and nothing of theirs goes back."""
    made, said = stocks()
    loops = limit(Measure.LOOPS, per_run=True)
    one, other = (made.of_run(loops, "k", "a", (digest,)) for digest in ("x", "y"))
    assert one is not other
    assert one.id == other.id == run_limit("loops", "k", "a")
    number = wanted(made, one, 1)
    assert made.answered(Granted(number, one.id, 0, 1)) is one
    made.give_back(one)
    assert said == [Want(number, one.id, 1, "k", "a", ("x",))]


def test_an_answer_is_taken_in_once(clock: Clock) -> None:
    """What it says of the rest is remembered, and when asking again may help."""
    made, said = stocks()
    stock = made.of(limit())
    number = wanted(made, stock)
    answer = Granted(number, "usd", 0, 5, remains=7, wait=2.0)
    assert made.answered(answer) is stock
    assert (stock.left, stock.remains, stock.due_at, stock.want) == (5, 7, clock.mono + 2.0, 0)
    assert made.answered(answer) is None
    assert said[1:] == [Return("usd", 0, 5)]


def test_who_does_not_answer_is_away_for_a_second(clock: Clock) -> None:
    """And what comes too late goes back."""
    made, said = stocks()
    stock = made.of(limit())
    number = wanted(made, stock)
    assert not made.is_overdue(stock, clock.mono + ANSWER_SECONDS)
    assert not made.is_blind(clock.mono)
    late = clock.mono + ANSWER_SECONDS + 0.1
    assert made.is_overdue(stock, late)
    assert (stock.want, made.is_blind(late), made.is_blind(late + BLIND_SECONDS)) == (0, True, False)
    made.answered(Granted(number, "usd", 0, 5))
    assert said[1:] == [Return("usd", 0, 5)]


def test_nothing_is_said_to_nobody() -> None:
    """What is left stays until somebody is there again."""
    made, said = stocks()
    stock = made.of(limit())
    made.answered(Granted(wanted(made, stock), "usd", 0, 5))
    number = wanted(made, stock)
    assert made.cut() == [stock]
    made.answered(Granted(number, "usd", 0, 0))
    made.give_back(stock)
    assert said == [Want(1, "usd", 5), Want(2, "usd", 5)]
    made.mended()
    assert not made.is_cut


def test_what_is_left_of_a_minute_that_is_over_is_of_no_use() -> None:
    """Only of the one that runs it goes back."""
    made, said = stocks()
    stock = made.of(limit(Measure.REQUESTS, 9, Term.MINUTE))
    made.answered(Granted(wanted(made, stock), "requests", 1, 5, begins=UNIX - 60, ends=UNIX))
    stretch = stock.stretch
    stock.draw(1, 0.0)
    made.answered(Granted(wanted(made, stock), "requests", 2, 5, begins=UNIX, ends=UNIX + 60))
    made.close(stock, 1, stretch, 0)
    made.give_back(stock)
    assert [each for each in said if isinstance(each, Return)] == [Return("requests", 2, 5)]


def test_an_empty_lease_is_forgotten(clock: Clock) -> None:
    """Not while a call holds something of it: runs come and go, and take no memory along."""
    made, said = stocks()
    stock = made.of_run(limit(per_run=True), "k", "a")
    made.answered(Granted(wanted(made, stock), stock.id, 0, 5))
    stock.draw(5, clock.mono)
    clock.mono += IDLE_SECONDS
    made.tick(clock.mono)
    assert made.all == [stock]
    made.close(stock, 5, stock.stretch, 3)
    made.tick(clock.mono)
    assert (made.all, said[1:]) == ([], [Return(stock.id, 0, 2)])


def test_a_recall_names_limits_or_runs() -> None:
    """Of a limit that holds for each run it means all of them."""
    made, said = stocks()
    bound = limit(per_run=True)
    for run in ("a", "b"):
        stock = made.of_run(bound, "k", run)
        made.answered(Granted(wanted(made, stock), stock.id, 0, 5))
    made.recall([run_limit("usd", "k", "a")])
    assert len(said) == 3
    made.recall(["usd"])
    assert len(said) == 4
