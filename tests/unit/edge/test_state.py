"""What a worker's exchanges share: ids, deadlines, and the change from one snapshot to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

import pytest

from tests.unit.edge.bench import Books, no_answer, snapshot
from tokenway.aio.tasks import Tasks
from tokenway.edge.state import SWEEP_SECONDS, EdgeState
from tokenway.model.catalog import Timeouts
from tokenway.upstream.pool import Pools


class Later:
    """An event loop that only keeps what it is to call."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Keeps it."""
        self.calls.append((delay, callback))


class Timed:
    """An exchange with a deadline."""

    def __init__(self, wake_at: float, error: Exception | None = None) -> None:
        self.wake_at = wake_at
        self.woken: list[float] = []
        self.checked: list[float] = []
        self.errors: list[Exception] = []
        self.error = error

    def wake(self, now: float) -> None:
        """Keeps the time."""
        self.woken.append(now)
        if self.error is not None:
            raise self.error

    def broke(self, error: Exception) -> None:
        """Keeps it."""
        self.errors.append(error)

    def check(self, now: float) -> None:
        """Keeps the time; connections are looked at too."""
        self.checked.append(now)
        if self.error is not None:
            raise self.error


def state(loop: Later | None = None) -> EdgeState:
    """A worker over a loop that does nothing by itself."""
    real = cast("asyncio.AbstractEventLoop", loop or Later())
    return EdgeState(real, Pools(real, Tasks(lambda *_: None)), Books(), no_answer)


def test_ids_are_unique_and_sort_by_time() -> None:
    """A thousand of one worker are in order; those of two workers have nothing in common."""
    one, two = state(), state()
    ids = [one.new_id() for _ in range(1000)]
    assert sorted(set(ids)) == ids
    others = [two.new_id() for _ in range(1000)]
    assert not set(ids) & set(others)
    assert all(each.startswith("gen-") and each.isascii() and len(each) < 64 for each in ids + others)


def test_ids_still_sort_when_the_count_gets_long() -> None:
    """The count has leading zeros for the first trillion of them."""
    made = state()
    made._id_count = 2**32 - 2
    ids = [made.new_id() for _ in range(4)]
    assert sorted(ids) == ids


def test_the_sweep_wakes_what_is_due_and_nothing_else() -> None:
    """The past is due, the future is not; and the next sweep is on its way."""
    loop = Later()
    made = state(loop)
    due, later = Timed(monotonic() - 1.0), Timed(monotonic() + 1000.0)
    made.open |= {due, later}
    made._sweep()
    assert (len(due.woken), len(later.woken)) == (1, 0)
    assert loop.calls == [(SWEEP_SECONDS, made._sweep)]


def test_an_exchange_that_ends_while_it_is_woken_may_leave() -> None:
    """The set changes under the sweep, which is what ending means."""
    made = state()

    class Ending(Timed):
        def wake(self, now: float) -> None:
            super().wake(now)
            made.open.discard(self)

    exchanges = [Ending(0.0) for _ in range(3)]
    made.open |= set(exchanges)
    made._sweep()
    assert [len(each.woken) for each in exchanges] == [1, 1, 1]
    assert made.open == set()


def test_one_broken_exchange_does_not_end_all_deadlines() -> None:
    """It hears of its mistake, once it has made it; all others are woken, and the next sweep comes all the same."""
    loop = Later()
    made = state(loop)
    error = RuntimeError("a bug")
    exchanges = [Timed(0.0, error), Timed(0.0), Timed(0.0, error), Timed(0.0)]
    made.open |= set(exchanges)
    made._sweep()
    assert [(len(each.woken), each.errors) for each in exchanges] == [(1, [error]), (1, []), (1, [error]), (1, [])]
    assert loop.calls == [(SWEEP_SECONDS, made._sweep)]


def test_one_broken_connection_does_not_end_all_ticks() -> None:
    """An error in a tick is for the loop's handler; the next one comes all the same."""
    loop = Later()
    made = state(loop)
    made.connections.add(Timed(0.0, RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        made._tick()
    assert loop.calls == [(1.0, made._tick)]


def test_sweeping_begins_with_a_date_and_looks_at_connections() -> None:
    """The header lines of every answer are ready before the first one."""
    loop = Later()
    made = state(loop)
    connection = Timed(0.0)
    made.connections.add(connection)
    made.start_sweeping()
    assert made.date.startswith(b"date: ")
    assert made.date.endswith(b" GMT\r\nserver: tokenway\r\n")
    assert len(connection.checked) == 1
    assert [delay for delay, _ in loop.calls] == [1.0, SWEEP_SECONDS]


def test_lag_is_how_late_a_sweep_comes() -> None:
    """Late by a second shows; early never does."""
    made = state()
    made._sweep_due = monotonic() - 1.0
    made._sweep()
    assert 1.0 <= made.loop_lag < 60.0
    made._sweep()
    assert made.loop_lag == 0.0


def test_a_new_snapshot_is_in_force_and_leases_stay() -> None:
    """Keys, routes and the time to connect are the new ones; money that is set aside stays set aside."""
    made = state()
    was_ready = made.is_ready
    first = snapshot(budget=1000)
    made.adopt(first)
    assert (was_ready, made.is_ready) == (False, True)
    gate, routes = made.gate, made.routes
    stock = made.admission._stocks.of(first.limits["budget"])
    stock.take(0, 0.0, 0.0, 1000)
    stock.draw(400, 0.0)
    made.adopt(snapshot(budget=1000, version=2, timeouts=Timeouts(connect=1.5)))
    assert made.snapshot.version == 2
    assert made.gate is not gate
    assert made.routes is not routes
    assert made.pools.connect_timeout == 1.5
    assert made.admission.remaining == {"budget": 600}


def test_dice_stay_below_one() -> None:
    """They are for pauses: a fraction, and not always the same."""
    thrown: list[Any] = [EdgeState.dice() for _ in range(100)]
    assert all(0.0 <= each < 1.0 for each in thrown)
    assert len(set(thrown)) > 50
