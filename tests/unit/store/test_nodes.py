"""Machines that share a database: each is known by its own row."""

from __future__ import annotations

from collections.abc import Callable

from tests.records import NOON
from tokenway.store.nodes import BEAT_SECONDS, LOST_SECONDS, Node
from tokenway.store.open import Store


def test_a_machine_is_known_while_it_says_so(open_store: Callable[..., Store]) -> None:
    """It changes its own row alone; one that is silent for long is lost, and one that left is gone."""
    now = [NOON]
    one = open_store(clock=lambda: now[0], node="0000000a").nodes
    two = open_store(clock=lambda: now[0], node="0000000b").nodes
    one.beat(name="one", started=NOON - 5, workers=2, release="1")
    now[0] += 1
    two.beat(name="two", started=NOON, workers=4, release="1")
    one.beat(name="one", started=NOON - 5, workers=3, release="1")
    first = Node("0000000a", "one", NOON - 5, NOON + 1, 3, "1")
    assert one.all() == two.all() == [first, Node("0000000b", "two", NOON, NOON + 1, 4, "1")]
    assert (one.live(), two.live()) == ((2, 4), (2, 3))
    assert (one.lost(), two.lost()) == ([], [])

    for _ in range(int(LOST_SECONDS / BEAT_SECONDS)):
        now[0] += BEAT_SECONDS
        assert (one.lost(), two.lost()) == ([], [])
    now[0] += 1
    assert (one.lost(), two.lost()) == (["0000000b"], ["0000000a"])
    assert one.live() == (1, 0)

    one.beat(name="one", started=NOON - 5, workers=3, release="1")
    assert two.lost() == []
    one.leave()
    assert [each.id for each in two.all()] == ["0000000b"]


def test_a_clock_that_is_wrong_makes_nobody_lost(open_store: Callable[..., Store]) -> None:
    """Whether it is this one's that steps, or the other's that is an hour late, or one of them that stood still."""
    now, late = [NOON], [NOON - 3600]
    one = open_store(clock=lambda: now[0], node="0000000a").nodes
    two = open_store(clock=lambda: late[0], node="0000000b").nodes
    for step in (BEAT_SECONDS, -7200.0, 86_400.0, BEAT_SECONDS, LOST_SECONDS * 2, BEAT_SECONDS):
        two.beat(name="two", started=NOON, workers=4, release="1")
        assert one.lost() == []
        assert one.lost() == []
        now[0] += step
        late[0] += BEAT_SECONDS
        assert one.lost() == []
