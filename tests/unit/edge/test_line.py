"""The line: who goes next, and what a place that becomes free costs."""

from __future__ import annotations

from math import inf

import pytest

from tests.unit.edge.turns import Turns
from tokenway.edge import line as line_module
from tokenway.edge.line import AGAIN, RENEWED, Line, Place
from tokenway.model.catalog import Endpoint

A, B = Endpoint("a", "m"), Endpoint("b", "m")
UNTIL = 30.0


class Bench:
    """A line before endpoints that take so many calls at once, or none before some time."""

    def __init__(self, **room: int) -> None:
        self.turns = Turns()
        self.room = {f"{name}/m": count for name, count in room.items()}
        self.opens_at: dict[str, float] = {}
        self.line = Line(self.room_at, self.turns.clock, self.turns.loop)
        self.began: list[str] = []
        self.refused: list[str] = []
        self.plans: list[str] = []

    def room_at(self, endpoint: Endpoint, _tokens: int, now: float) -> float:
        """When a call may begin there."""
        opens_at = self.opens_at.get(endpoint.id, 0.0)
        return opens_at if opens_at > now or self.room[endpoint.id] > 0 else inf

    def ask(self, name: str, *endpoints: Endpoint, until: float = UNTIL) -> Place:
        """A call comes, and goes or waits."""
        place = Place(name, self.turns.now + until, lambda place: self._plan(place, endpoints))
        self._plan(place, endpoints)
        return place

    def _plan(self, place: Place, endpoints: tuple[Endpoint, ...]) -> None:
        name, now = str(place.caller), self.turns.now
        self.plans.append(name)
        for each in endpoints:
            if self.room_at(each, 0, now) <= now and not self.line.is_behind(each, place):
                self.room[each.id] -= 1
                self.began.append(f"{name}:{each.provider}")
                return
        soonest = min(inf if self.line.is_behind(each, place) else self.room_at(each, 0, now) for each in endpoints)
        if now >= place.until or place.until < soonest < inf or not self.line.stand(place, endpoints, 0):
            self.refused.append(name)

    def end(self, endpoint: Endpoint) -> None:
        """A call there ends."""
        self.room[endpoint.id] += 1
        self.line.freed(endpoint.id)


def test_who_came_first_goes_first() -> None:
    """One for each place that becomes free, and nobody else is planned for it."""
    bench = Bench(a=1)
    for name in "vwxyz":
        bench.ask(name, A)
    assert (bench.began, len(bench.line)) == (["v:a"], 4)
    bench.end(A)
    assert bench.began == ["v:a"]  # in a turn of its own
    bench.turns.settle()
    assert bench.began == ["v:a", "w:a"]
    bench.plans.clear()
    for _ in range(3):
        bench.end(A)
        bench.turns.settle()
    assert bench.began == ["v:a", "w:a", "x:a", "y:a", "z:a"]
    assert bench.plans == ["x", "y", "z"]
    assert (len(bench.line), bench.turns.waiting) == (0, 0)


def test_several_places_at_once_are_for_as_many() -> None:
    """In their order."""
    bench = Bench(a=0)
    for name in "wxyz":
        bench.ask(name, A)
    for _ in range(3):
        bench.end(A)
    bench.turns.settle()
    assert bench.began == ["w:a", "x:a", "y:a"]


def test_a_newcomer_passes_nobody_by() -> None:
    """Not even in the moment between an end and the turn of who waits for it."""
    bench = Bench(a=0)
    bench.ask("x", A)
    bench.end(A)
    bench.ask("y", A)
    assert bench.began == []
    bench.turns.settle()
    assert (bench.began, len(bench.line)) == (["x:a"], 1)


def test_of_several_endpoints_the_first_place_is_for_the_first() -> None:
    """Who waits for one of them only is passed by where it does not stand."""
    bench = Bench(a=0, b=0)
    bench.ask("x", A, B)
    bench.ask("y", A)
    bench.ask("z", B)
    bench.end(B)
    bench.turns.settle()
    assert bench.began == ["x:b"]
    bench.end(B)
    bench.end(A)
    bench.turns.settle()
    assert sorted(bench.began[1:]) == ["y:a", "z:b"]


def test_who_leaves_is_forgotten_and_makes_room() -> None:
    """Whoever stands behind is next; to leave twice, or without having waited, is nothing."""
    bench = Bench(a=0)
    for name in "xyz":
        bench.ask(name, A)
    bench.opens_at["a/m"] = bench.turns.now + 5.0
    bench.room["a/m"] = 1
    for name in ("x", "x", "nobody"):
        bench.line.left(name)
    bench.turns.pass_time(4.9)
    assert bench.began == []
    bench.turns.pass_time(0.2)
    assert bench.began == ["y:a"]
    bench.line.left("z")
    assert (len(bench.line), bench.turns.waiting) == (0, 0)


def test_a_limit_of_a_minute_keeps_its_time() -> None:
    """The first wakes by itself, and the others with it."""
    bench = Bench(a=2)
    bench.opens_at["a/m"] = bench.turns.now + 7.0
    for name in "xyz":
        bench.ask(name, A)
    bench.turns.pass_time(6.9)
    assert bench.began == []
    bench.turns.pass_time(0.2)
    assert bench.began == ["x:a", "y:a"]
    assert bench.plans == ["x", "y", "z", "x", "y"]


def test_nobody_waits_beyond_the_time() -> None:
    """Each by its own, wherever it stands."""
    bench = Bench(a=0)
    bench.ask("x", A)
    bench.turns.pass_time(10.0)
    bench.ask("y", A)
    bench.turns.pass_time(UNTIL - 10.0)
    assert bench.refused == ["x"]
    bench.turns.pass_time(10.0)
    assert (bench.refused, len(bench.line), bench.turns.waiting) == (["x", "y"], 0, 0)


def test_who_is_known_to_be_too_late_hears_it_when_that_is_known() -> None:
    """The first in line whose minute has room too late; the one behind it may have more time."""
    bench = Bench(a=0)
    for name, until in (("x", 25.0), ("y", 26.0), ("z", 60.0)):
        bench.ask(name, A, until=until)
    bench.turns.pass_time(20.0)
    bench.opens_at["a/m"], bench.room["a/m"] = bench.turns.now + 20.0, 1
    bench.line.freed("a/m")
    bench.turns.settle()
    assert bench.refused == ["x", "y"]
    bench.turns.pass_time(20.0)
    assert bench.began == ["z:a"]


def test_a_snapshot_has_all_planned_anew_in_their_order() -> None:
    """Some at a time; who still waits stands where it stood."""
    bench = Bench(a=0, b=0)
    names = [f"n{number:03}" for number in range(RENEWED + 20)]
    for name in names:
        bench.ask(name, A)
    bench.plans.clear()
    bench.line.renew()
    bench.line.left(names[1])
    bench.turns.settle()
    assert bench.plans == [name for name in names if name != names[1]]
    bench.room["a/m"] = 3
    bench.line.renew()
    bench.turns.settle()
    assert bench.began == [f"{name}:a" for name in (names[0], names[2], names[3])]
    assert len(bench.line) == len(names) - 4


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it nobody waits."""
    monkeypatch.setattr(line_module, "LINE_MAX", 2)
    bench = Bench(a=0)
    for name in "xyz":
        bench.ask(name, A)
    assert (bench.refused, len(bench.line)) == (["z"], 2)


def test_nobody_fills_the_line_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key has a share of it, which is free again when one of its calls has left."""
    monkeypatch.setattr(line_module, "KEY_MAX", 2)
    line = Bench(a=0).line

    def stand(name: str, key: str, tokens: int = 0) -> bool:
        return line.stand(Place(name, UNTIL, lambda _: None, key), (A,), tokens)

    assert [stand("x", "k"), stand("y", "k"), stand("z", "k"), stand("z", "l")] == [True, True, False, True]
    line.left("x")
    assert stand("z2", "k")


def test_large_requests_fill_the_line_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is held in memory."""
    monkeypatch.setattr(line_module, "TOKENS_MAX", 100)
    line = Bench(a=0).line
    stood = [line.stand(Place(name, UNTIL, lambda _: None), (A,), 60) for name in "xy"]
    line.left("x")
    assert [*stood, line.stand(Place("y", UNTIL, lambda _: None), (A,), 60)] == [True, False, True]


def test_a_plan_that_raises_stops_nobody_else() -> None:
    """The loop tells of it; the next one has its turn."""
    bench = Bench(a=0)
    bench.ask("x", A).go = lambda _: 1 / 0  # type: ignore[assignment]
    bench.ask("y", A)
    bench.end(A)
    with pytest.raises(ZeroDivisionError):
        bench.turns.settle()
    bench.turns.settle()
    assert bench.began == ["y:a"]


def test_who_has_room_and_cannot_go_does_not_ask_all_the_time() -> None:
    """It is planned again after a while."""
    bench = Bench(a=0)
    place = bench.ask("x", A)
    plans: list[float] = []

    def stand(again: Place) -> None:
        plans.append(bench.turns.now)
        bench.line.stand(again, (A,), 0)

    place.go = stand
    start = bench.turns.now
    bench.end(A)
    bench.turns.pass_time(3.5 * AGAIN)
    assert plans == pytest.approx([start + each * AGAIN for each in range(4)])
