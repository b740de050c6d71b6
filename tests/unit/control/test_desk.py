"""The desk of a store of limits: who is answered when, and with what."""

from __future__ import annotations

from msgspec.structs import replace

from tokenway.control.desk import BATCH_MAX, RECALL_PAUSE, RECALL_SECONDS, RECALLED_MAX, Batch, Desk, Wanted
from tokenway.model.limits import Limit, Measure, Scope
from tokenway.model.link import Granted, Recall, Want
from tokenway.store.granting import Ask, Given, Lent

NOW = 100.0


class Worker:
    """One that hears answers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[Granted | Recall] = []
        self.wants = 0

    def send(self, message: Granted | Recall) -> None:
        """Hears something."""
        self.heard.append(message)

    def want(self, desk: Desk, least: int, limit: str = "lim_1") -> None:
        """Wants something."""
        self.wants += 1
        terms = Limit(limit, Scope.KEY, "k", Measure.USD, 100)
        desk.want(Wanted(Want(self.wants, limit, least), Ask(limit, terms, self.name, least), self.send))

    def amounts(self) -> list[int]:
        """What it was granted."""
        return [each.amount for each in self.heard if isinstance(each, Granted)]


class Floor:
    """A desk with the workers that are here. The link is the worker's bound method, kept so that it is one object."""

    def __init__(self, *names: str) -> None:
        self.workers = {name: Worker(name) for name in names}
        for worker in self.workers.values():
            worker.send = worker.send  # type: ignore[method-assign]
        self.recalls: list[str] = []
        self.desk = Desk(self._is_here, self._recall)

    def _is_here(self, holder: str, send: object) -> bool:
        return holder in self.workers and self.workers[holder].send is send

    def _recall(self, limit: str, send: object) -> bool:
        self.recalls.append(limit)
        return len(self.workers) > 1

    def turn(self, *lent: Lent, now: float = NOW) -> Batch:
        """One turn, in which the store answers this; gives what the store was asked."""
        batch = self.desk.begin(now)
        asked = Batch(batch.given, [replace(wanted) for wanted in batch.wanted])
        self.desk.done(batch, lent, now)
        return asked


def given(holder: str, amount: int, limit: str = "lim_1", period: int = 0) -> Given:
    """Something comes back."""
    return Given(limit, period, holder, amount)


def test_who_gets_enough_is_answered_at_once() -> None:
    """With all that the store has said."""
    floor = Floor("w1", "w2")
    one = floor.workers["w1"]
    one.want(floor.desk, 5)
    is_busy = [floor.desk.is_busy]
    floor.turn(Lent(7, 3, 20, 1.0, 2.0, 0.0, 50))
    assert one.heard == [Granted(1, "lim_1", 20, 7, 3, 1.0, 2.0, 0.0)]
    assert [*is_busy, floor.desk.is_busy] == [True, False]
    assert floor.desk.due is None
    assert floor.recalls == []


def test_who_gets_too_little_is_answered_at_once_where_nobody_else_has_any() -> None:
    """Nor is he kept waiting when he is the only worker here."""
    floor, alone = Floor("w1", "w2"), Floor("w1")
    for each, elsewhere in ((floor, 0), (alone, 9)):
        each.workers["w1"].want(each.desk, 5)
        each.turn(Lent(2, elsewhere=elsewhere, wait=1.0))
        assert each.workers["w1"].amounts() == [2]


def test_others_are_asked_to_give_back_before_somebody_gets_too_little() -> None:
    """What comes back is tried for at once, and both parts are one answer."""
    floor = Floor("w1", "w2")
    one = floor.workers["w1"]
    one.want(floor.desk, 5)
    floor.turn(Lent(2, elsewhere=9))
    assert (floor.recalls, one.heard, floor.desk.due) == (["lim_1"], [], NOW + RECALL_SECONDS)
    floor.desk.give(given("w2", 9, "other"))
    assert floor.turn().wanted == []
    floor.desk.give(given("w2", 1))
    batch = floor.turn(Lent(1, elsewhere=8), now=NOW + 0.01)
    assert [ask.least for ask in batch.asks] == [3]
    assert batch.given == [given("w2", 1)]
    floor.desk.give(given("w2", 1))
    floor.desk.give(given("w2", 2))
    batch = floor.turn(Lent(2, 1, elsewhere=6), now=NOW + 0.02)
    assert [ask.least for ask in batch.asks] == [2]
    assert one.heard == [Granted(1, "lim_1", 0, 5, 1)]
    assert floor.recalls == ["lim_1"]


def test_after_a_moment_the_last_answer_holds() -> None:
    """Whether anything came back or not; the store is not asked in vain."""
    floor = Floor("w1", "w2")
    one = floor.workers["w1"]
    one.want(floor.desk, 5)
    floor.turn(Lent(2, elsewhere=9, wait=0.5))
    assert floor.turn(now=NOW + RECALL_SECONDS - 0.01).wanted == []
    assert one.heard == []
    assert floor.turn(now=NOW + RECALL_SECONDS).wanted == []
    assert one.heard == [Granted(1, "lim_1", 0, 2, 0, wait=0.5)]
    one.want(floor.desk, 5)
    floor.turn(Lent(0, elsewhere=9), now=NOW + 10)
    floor.desk.give(given("w2", 1))
    floor.turn(Lent(1, elsewhere=9), now=NOW + 10 + RECALL_SECONDS)
    assert one.amounts() == [2, 1]


def test_a_limit_is_recalled_now_and_then_only() -> None:
    """Who wants it just after that waits with the others, then nobody waits until others may have something again."""
    floor = Floor("w1", "w2", "w3")
    one, two = floor.workers["w1"], floor.workers["w2"]
    none = Lent(0, elsewhere=9)
    one.want(floor.desk, 5)
    floor.turn(none)
    two.want(floor.desk, 5)
    floor.turn(none, now=NOW + 0.02)
    assert floor.desk.due == NOW + RECALL_SECONDS
    floor.turn(now=NOW + RECALL_SECONDS)
    assert one.amounts() == two.amounts() == [0]
    one.want(floor.desk, 5)
    floor.turn(none, now=NOW + RECALL_PAUSE - 0.01)
    assert one.amounts() == [0, 0]
    one.want(floor.desk, 5, "lim_2")
    one.want(floor.desk, 5)
    floor.turn(none, none, now=NOW + RECALL_PAUSE)
    assert floor.recalls == ["lim_1", "lim_2", "lim_1"]


def test_who_asks_ahead_is_never_kept_waiting() -> None:
    """Nothing that he needs is lacking."""
    floor = Floor("w1", "w2")
    floor.workers["w1"].want(floor.desk, 0)
    floor.turn(Lent(0, elsewhere=9))
    assert floor.workers["w1"].amounts() == [0]
    assert floor.recalls == []


def test_what_was_lent_of_a_period_that_is_over_goes_back() -> None:
    """The answer is about the new one."""
    floor = Floor("w1", "w2")
    floor.workers["w1"].want(floor.desk, 5)
    floor.turn(Lent(2, period=20, elsewhere=9))
    floor.desk.give(given("w2", 3, period=20))
    floor.turn(Lent(3, period=21, elsewhere=9))
    assert floor.workers["w1"].heard == []
    floor.desk.give(given("w2", 2, period=21))
    batch = floor.turn(Lent(2, period=21))
    assert [ask.least for ask in batch.asks] == [2]
    assert batch.given == [given("w1", 2, period=20), given("w2", 2, period=21)]
    assert floor.workers["w1"].heard == [Granted(1, "lim_1", 21, 5)]


def test_to_a_worker_that_is_gone_nothing_is_lent() -> None:
    """What the store has lent goes back, and one that has come again has another link."""
    floor = Floor("w1", "w2")
    one, two = floor.workers["w1"], floor.workers["w2"]
    one.want(floor.desk, 5)
    two.want(floor.desk, 5)
    batch = floor.desk.begin(NOW)
    floor.workers["w1"] = Worker("w1")
    floor.desk.done(batch, [Lent(5, period=3), Lent(5)], NOW)
    assert one.heard == []
    assert two.amounts() == [5]
    assert floor.turn().given == [given("w1", 5, period=3)]
    one.want(floor.desk, 5)
    floor.desk.failed(floor.desk.begin(NOW))
    assert one.heard == []


def test_when_the_store_fails_nobody_is_told_more_than_is_known() -> None:
    """What was to be given back is given again, unless it was taken; what a first try brought is not lost."""
    floor = Floor("w1", "w2")
    one, two = floor.workers["w1"], floor.workers["w2"]
    one.want(floor.desk, 5)
    floor.turn(Lent(2, elsewhere=9))
    two.want(floor.desk, 5)
    floor.desk.give(given("w2", 3))
    floor.desk.failed(floor.desk.begin(NOW))
    assert one.heard == [Granted(1, "lim_1", 0, 2)]
    assert two.heard == [Granted(1, "lim_1", 0, 0, ok=False)]
    batch = floor.desk.begin(NOW)
    assert batch.given == [given("w2", 3)]
    batch.given = []
    floor.desk.failed(batch)
    assert floor.desk.begin(NOW).given == []


def test_a_batch_is_bounded_and_in_order() -> None:
    """Those who wait already come first, and the rest is for the next turn."""
    floor = Floor("w1", "w2")
    one = floor.workers["w1"]
    for _ in range(BATCH_MAX + 1):
        one.want(floor.desk, 1)
    assert len(floor.turn(*[Lent(1)] * BATCH_MAX).wanted) == BATCH_MAX
    assert floor.desk.is_busy
    floor.turn(Lent(0, elsewhere=1))
    one.want(floor.desk, 7)
    floor.desk.give(given("w2", 1))
    assert [ask.least for ask in floor.desk.begin(NOW).asks] == [1, 7]


def test_what_is_remembered_of_recalls_is_bounded() -> None:
    """Limits of runs come and go."""
    floor = Floor("w1", "w2")
    for number in range(RECALLED_MAX + 2):
        floor.workers["w1"].want(floor.desk, 1, f"lim@{number}")
        floor.turn(Lent(0, elsewhere=1), now=NOW + number)
    assert len(floor.desk._recalled) <= RECALLED_MAX
