"""Runs of agents as the ledger has them: lists by pages, and the tree of one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.records import NOON, line, settled
from tokenway.metering.ledger import Record, Settlement, Trace
from tokenway.model.probe import PROBE
from tokenway.model.usage import Usage
from tokenway.store import runs as module
from tokenway.store.base import Progress
from tokenway.store.open import Store
from tokenway.store.runs import Agent, RunTree
from tokenway.store.sqlite import open_sqlite

USAGE = Usage(input_uncached=90, cache_read=10, output_text=30, reasoning=10, requests=1)
"""140 tokens, of which a user can see 30."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A fresh store."""
    opened = open_sqlite(tmp_path / "t.db", clock=lambda: NOON)
    yield opened
    opened.close()


_numbers = count(1)


def ingest(store: Store, *records: Record) -> None:
    """Puts records into the ledger."""
    store.ledger.commit(Progress("j", "w", "o", next(_numbers)), records)


def call(number: int, run: str = "r", *, trace: Trace | None = None, end: str = "stop", **changes: Any) -> Record:
    """The settlement of a call of a run, a second after the one with the number before, 1.3 seconds long."""
    values = {"lines": (line(usage=USAGE, cost=1_000),), "charged": 1_100, "admitted": NOON + number} | changes
    return settled(number, run=run, trace=trace, finish_reason=end, **values)


def shape(agents: list[Agent]) -> list[Any]:
    """Names with the last digits of their calls, and what is below them."""
    return [(each.name, [int(c.id[-6:]) for c in each.calls], shape(each.agents)) for each in agents]


def shown(store: Store, run: str = "r", key: str = "key_a") -> RunTree:
    """A run that is there."""
    tree = store.runs.show(run, key)
    assert tree is not None
    return tree


def test_a_run_is_a_tree_of_agents_with_their_calls_in_order(store: Store) -> None:
    """An agent that works for the run's own is told by the run's id; figures are of each agent, and of all."""
    ingest(
        store,
        call(2, trace=Trace("a1", "r", "Explore", "t1", "subagent"), end="tool_calls"),
        call(1, trace=Trace(turn="t1"), end="tool_calls"),
        call(3, trace=Trace("a2", "a1", "", "t1", "subagent")),
        call(4, trace=Trace("a1", "r", "Explore", "t1", "subagent")),
        call(5, trace=Trace(turn="t1")),
        call(6, trace=Trace(turn="t2")),
    )
    tree = shown(store)
    assert shape(tree.agents) == [("", [1, 5, 6], [("a1", [2, 4], [("a2", [3], [])])])]
    figures = tree.run.figures
    assert (figures.calls, figures.shown, figures.shown_tokens, figures.tokens) == (6, 2, 60, 840)
    assert (figures.amplification, figures.hidden_calls, figures.cache_hits) == (14.0, 2.0, 0.1)
    assert (figures.charged, figures.cost, figures.errors) == (6_600, 6_000, 0)
    assert figures.velocity == pytest.approx(39.0)
    assert figures.model_time == pytest.approx(6 * 1.3)
    assert tree.run.started == NOON + 1
    assert tree.run.ended == pytest.approx(NOON + 7.3)
    own = tree.agents[0]
    assert own.figures is not None
    assert (own.figures.calls, own.figures.shown) == (3, 2)
    explorer = own.agents[0]
    assert (explorer.agent_type, explorer.started) == ("Explore", NOON + 2)
    assert [(c.turn, c.turn_id, c.shown) for c in own.calls] == [(1, "t1", False), (1, "t1", True), (2, "t2", True)]
    assert tree.omitted == 0


def test_a_call_with_all_that_is_known_of_it(store: Store) -> None:
    """Tokens and cost are of all attempts; what is not known is None."""
    lost = line(attempt=1, endpoint="a/m", settlement=Settlement.ABSORBED, usage=USAGE, cost=500, status=502)
    ingest(
        store,
        call(1, lines=(lost, line(attempt=2, usage=USAGE, cost=1_000)), slow=True),
        call(2, lines=(), settlement=Settlement.RELEASED, status=502, error_type="provider", endpoint="", end=""),
        call(3, lines=(line(usage=None, cost=None),)),
    )
    first, second, third = shown(store).agents[0].calls
    assert first.usage == Usage(input_uncached=180, cache_read=20, output_text=60, reasoning=20, requests=2)
    assert (first.cost, first.charged, first.attempts, first.slow) == (1_500, 1_100, 2, True)
    assert first.ttft == pytest.approx(0.25)
    assert first.duration == pytest.approx(1.3)
    assert (first.model, first.endpoint, first.finish_reason) == ("mock", "lab/mock", "stop")
    assert (second.usage, second.cost, second.status, second.error_type, second.shown) == (
        *(None, None),
        *(502, "provider", False),
    )
    assert (third.usage, third.cost, third.shown) == (None, None, True)
    assert shown(store).run.figures.errors == 1


def test_turns_are_told_by_answers_where_no_client_tells_them(store: Store) -> None:
    """What the user saw ends one; calls beside the conversation begin none."""
    ingest(
        store,
        call(1, end="tool_calls"),
        call(2, trace=Trace("a", "r", request_class="subagent")),
        call(3),
        call(4, trace=Trace(request_class="auxiliary")),
        call(5, end="tool_calls"),
        call(6),
        call(7),
    )
    tree = shown(store)
    assert [c.turn for c in tree.agents[0].calls] == [1, 1, 1, 2, 2, 3]
    assert [c.turn for c in tree.agents[0].agents[0].calls] == [1]


def test_turns_that_are_told_and_others_that_are_not(store: Store) -> None:
    """A told one is the same wherever it comes up again."""
    turns = ("t1", "t2", "t1", "", "")
    ingest(store, *(call(at, trace=Trace(turn=turn)) for at, turn in enumerate(turns, start=1)))
    assert [c.turn for c in shown(store).agents[0].calls] == [1, 2, 1, 3, 4]


def test_agents_whose_parents_asked_nothing(store: Store) -> None:
    """The parent is there, without calls or figures; the run's own too."""
    ingest(
        store,
        call(1, trace=Trace("/plan/step", "/plan")),
        call(2, trace=Trace("a", "r")),
        call(3, trace=Trace("b")),
    )
    assert shape(shown(store).agents) == [
        ("", [], [("a", [2], [])]),
        ("/plan", [], [("/plan/step", [1], [])]),
        ("b", [3], []),
    ]
    assert shown(store).agents[0].figures is None


def test_agents_that_work_for_each_other_are_shown_all_the_same(store: Store) -> None:
    """Each once; nobody is lost and nothing goes round."""
    ingest(store, *(call(at, trace=Trace(*pair)) for at, pair in enumerate(("ab", "ba", "ca", "dd"), start=1)))

    def names(agents: list[Agent]) -> list[str]:
        return [name for each in agents for name in (each.name, *names(each.agents))]

    assert sorted(names(shown(store).agents)) == ["a", "b", "c", "d"]


def test_two_keys_with_the_same_run_are_apart(store: Store) -> None:
    """Ids are clients' own words: two that use the same see nothing of each other."""
    ingest(store, call(1), call(2, key="key_b"), call(3, key="key_b"))
    assert shape(shown(store).agents) == [("", [1], [])]
    assert shape(shown(store, key="key_b").agents) == [("", [2, 3], [])]
    assert store.runs.show("r", "key_c") is None
    assert store.runs.show("other", "key_a") is None
    assert sorted(store.runs.keys_of("r")) == ["key_a", "key_b"]
    assert store.runs.keys_of("other") == []


def test_an_agent_whose_name_is_that_of_another_run(store: Store) -> None:
    """As where a client only tells for whom an agent works: what works for that one is found there."""
    ingest(store, call(1), call(2, trace=Trace("s1", "r")), call(3, run="s1", trace=Trace("s2", "s1")))
    agent = shown(store).agents[0].agents[0]
    assert (agent.name, agent.goes_on) == ("s1", True)
    assert not shown(store).agents[0].goes_on


def test_a_run_of_more_calls_than_are_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones; the figures are of all."""
    monkeypatch.setattr(module, "CALLS_MAX", 3)
    ingest(store, *(call(number) for number in range(1, 6)))
    tree = shown(store)
    assert shape(tree.agents) == [("", [1, 2, 3], [])]
    assert (tree.omitted, tree.run.figures.calls) == (2, 5)


def test_runs_by_their_last_call(store: Store) -> None:
    """Of a key, of a project, since a moment; probes are no agent's."""
    ingest(
        store,
        call(1, "a"),
        call(2, "b", project="maps"),
        call(3, "c", key="key_b"),
        call(4, "d", project=PROBE),
        call(500, "a"),
    )

    def ids(**wanted: Any) -> list[str]:
        return [run.run for run in store.runs.page(**wanted).runs]

    assert ids() == ["a", "c", "b"]
    assert ids(key="key_a", project="default") == ["a"]
    assert ids(project="maps") == ["b"]
    assert ids(project=PROBE) == ["d"]
    assert ids(since=NOON + 100) == ["a"]
    assert ids(key="nobody's") == []


def test_pages_follow_each_other(store: Store) -> None:
    """Each run once, also where several ended in the same moment."""
    ingest(store, *(call(number, f"run {number}", admitted=NOON + number // 4) for number in range(10)))
    seen, cursor = [], None
    while True:
        page = store.runs.page(limit=3, cursor=cursor)
        seen += [run.run for run in page.runs]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(seen) == [f"run {number}" for number in range(10)]
    assert len(store.runs.page(limit=10).runs) == 10
    assert store.runs.page(limit=10).cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "ä", "bm9uZQ", "W10"])
def test_what_is_no_cursor(store: Store, cursor: str) -> None:
    """Is refused."""
    with pytest.raises(ValueError, match="no cursor"):
        store.runs.page(cursor=cursor)
