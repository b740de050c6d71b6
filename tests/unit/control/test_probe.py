"""Which endpoint is probed, and when; and that no day costs more than its budget."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import msgspec
import pytest

from tokenway.control.probe import FIRST_AFTER, PACE_LEAST, Candidate, Schedule, candidates
from tokenway.model.catalog import Endpoint, Model, Operation, Price, Probing, Provider, Quirks, Routing
from tokenway.model.identity import day_of
from tokenway.model.money import NanoUsd, Rate
from tokenway.model.probe import OUTPUT_MOST, asked_as, body_of
from tokenway.model.snapshot import Snapshot

START = 1_800_000_000.0
EVERY = 300.0
PRICE = Price(Rate(1_000_000), Rate(2_000_000))
"""A nano-dollar a token in, two a token out."""
PROBED = Routing(probe=Probing(EVERY, NanoUsd(1_000)))


def candidate(
    endpoint: str, *, model: str = "m", every: float = EVERY, budget: int = 1_000, worst: int = 100
) -> Candidate:
    """An endpoint that may be probed."""
    return Candidate(model, endpoint, every, budget, worst)


def schedule(*found: Candidate, start: float = START) -> Schedule:
    """Which may probe these, and has started."""
    made = Schedule(start - FIRST_AFTER)
    made.use(found)
    return made


def due(made: Schedule, now: float, broken: frozenset[str] = frozenset(), **heard: float) -> list[str]:
    """Who is due, by the end of the name."""
    return [each.endpoint for each in made.due(now, heard.get, broken)]


# -- who may be --------------------------------------------------------------------------------------------


def snapshot(*endpoints: Endpoint, routing: Routing = PROBED) -> Snapshot:
    """One model with these endpoints, at two providers that are there."""
    providers = {
        "a": Provider("a", "http://a", quirks=Quirks(limit_field="max_tokens")),
        "b": Provider("b", "http://b"),
    }
    return Snapshot(1, providers, {"m": Model("m", endpoints, routing=routing)}, {}, {})


def test_endpoints_of_a_model_with_a_choice_may_be_probed() -> None:
    """A byte of the request is a token at most, and the answer is as long as it may be."""
    found = candidates(snapshot(Endpoint("a", "x", PRICE), Endpoint("b", "x", PRICE)))
    assert [(each.endpoint, each.every, each.budget) for each in found] == [
        ("a/x", EVERY, 1_000),
        ("b/x", EVERY, 1_000),
    ]
    fields = ("max_tokens", "max_completion_tokens")
    assert [each.worst for each in found] == [len(body_of("m", field)) + 2 * OUTPUT_MOST for field in fields]


def test_a_free_one_costs_nothing_and_one_without_a_price_is_not_probed() -> None:
    """What it costs could not be counted."""
    found = candidates(snapshot(Endpoint("a", "x", Price(Rate(0), Rate(0))), Endpoint("b", "x")))
    assert [(each.endpoint, each.worst) for each in found] == [("a/x", 0)]


@pytest.mark.parametrize(
    "what",
    [
        snapshot(Endpoint("a", "x", PRICE), Endpoint("b", "x", PRICE), routing=Routing()),
        snapshot(Endpoint("a", "x", PRICE)),
        snapshot(Endpoint("a", "x", PRICE), Endpoint("b", "x", PRICE, operations=(Operation.EMBEDDING,))),
        snapshot(Endpoint("a", "x", PRICE), Endpoint("gone", "x", PRICE)),
    ],
)
def test_nothing_is_probed_without_being_asked_for_or_without_a_choice(what: Snapshot) -> None:
    """Not configured; one endpoint; one that cannot chat beside it; one whose provider is not there."""
    assert candidates(what) == ()


# -- when --------------------------------------------------------------------------------------------------


def test_who_was_not_heard_of_for_long_is_due() -> None:
    """Whoever that was, the longest first; one that was never heard of before all others."""
    made = schedule(*map(candidate, "abcd"))
    now = START + 1000.0
    assert due(made, now, a=now - EVERY + 1, b=now - EVERY, c=now - 2 * EVERY) == ["d", "c", "b"]


def test_a_breaker_that_is_not_closed_is_callers_business() -> None:
    """Whether the endpoint works again is tried with their requests."""
    assert due(schedule(candidate("a"), candidate("b")), START, frozenset("a")) == ["b"]


def test_overdue_is_counted_in_turns() -> None:
    """One that is to be probed every minute is ahead of one that is to be every hour."""
    made = schedule(candidate("hour", every=3600.0), candidate("minute", every=60.0))
    assert due(made, START, hour=START - 4000.0, minute=START - 130.0) == ["minute", "hour"]


def test_nothing_is_probed_at_the_start_and_between_two_there_is_a_pause() -> None:
    """A hundred endpoints that are due at once are probed evenly, each within its own time."""
    found = [candidate(f"e{number}", budget=10**9) for number in range(100)]
    made = Schedule(START)
    made.use(found)
    rng, now = Random(1), START
    times: list[tuple[float, str]] = []
    while len(times) < 100:
        waiting = made.due(now, lambda _endpoint: None, ())
        if waiting and (chosen := made.choose(waiting, {}, now, rng.random())):
            times.append((now, chosen.endpoint))
        now += 0.1
    assert times[0][0] >= START + FIRST_AFTER
    assert len({endpoint for _, endpoint in times}) == 100
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(times)]
    assert 0.5 * EVERY / 100 <= min(gaps) < max(gaps) <= EVERY / 100 + 0.2
    assert times[-1][0] - START <= EVERY


def test_there_is_a_least_pause() -> None:
    """However many there are, and however often they are wanted."""
    made = schedule(*(candidate(f"e{number}", every=10.0) for number in range(100)))
    assert made.choose(made.due(START, lambda _endpoint: None, ()), {}, START, 0.0) is not None
    assert due(made, START + 0.9 * PACE_LEAST) == []
    assert len(due(made, START + PACE_LEAST)) == 99


def test_one_of_which_nothing_came_back_waits_its_time() -> None:
    """It was skipped, or failed in a way that says nothing of it."""
    made = schedule(candidate("a"), candidate("b"))
    assert made.choose([candidate("a")], {}, START, 0.0) is not None
    assert due(made, START + EVERY - 1) == ["b"]
    made.use([candidate("a"), candidate("c")])
    assert due(made, START + EVERY - 1) == ["c"]
    assert due(made, START + EVERY) == ["c", "a"]


def test_a_budget_that_does_not_hold_the_worst_case_is_left_alone() -> None:
    """Another model's may; what is free is in any budget; then nobody is asked, and the pause is the same."""
    made = schedule(candidate("a"), candidate("b", model="n"), candidate("free", worst=0))
    waiting = [candidate("a"), candidate("b", model="n"), candidate("free", worst=0)]
    spent = {asked_as("m"): 901, asked_as("n"): 900}
    assert made.choose(waiting, {asked_as("m"): 900}, START, 0.0) == waiting[0]
    assert made.choose(waiting, spent, START, 0.0) == waiting[1]
    assert made.choose(waiting, spent | {asked_as("n"): 2_000}, START, 0.0) == waiting[2]
    assert made.choose(waiting[:2], spent | {asked_as("n"): 901}, START, 0.0) is None
    assert due(made, START + 1.0) == []


# -- what it costs -----------------------------------------------------------------------------------------


class Ledger:
    """What the store has of probes: the model, the day, what was set aside, and the cost once it is known."""

    def __init__(self) -> None:
        self.rows: list[list[int | str | None]] = []

    def spent(self, day: int) -> dict[str, int]:
        """As `store.probes` has it: what is not known counts in full."""
        sums: dict[str, int] = {}
        for model, when, amount, cost in self.rows:
            if when == day:
                name = asked_as(str(model))
                sums[name] = sums.get(name, 0) + int(amount if cost is None else cost)  # type: ignore[arg-type]
        return sums

    def bills(self, lost: Random) -> dict[tuple[str, int], int]:
        """What providers charge: of what the ledger does not know, anything up to what was set aside."""
        sums: dict[tuple[str, int], int] = {}
        for model, day, amount, cost in self.rows:
            billed = lost.choice((0, int(amount or 0))) if cost is None else int(cost)
            key = str(model), int(day or 0)
            sums[key] = sums.get(key, 0) + billed
        return sums


@pytest.mark.parametrize("seed", range(100))
def test_no_day_costs_more_than_its_budget(seed: int) -> None:
    """Whatever probes cost, however they end, whenever control starts anew or the configuration changes."""
    rng = Random(seed)
    found = tuple(
        candidate(
            f"e{number}",
            model=rng.choice("mno"),
            every=rng.choice((10.0, 60.0, 300.0)),
            worst=rng.choice((0, 7, 90, 400)),
        )
        for number in range(rng.randint(1, 8))
    )
    budgets = {name: rng.choice((50, 1_000, 5_000)) for name in "mno"}
    found = tuple(msgspec.structs.replace(each, budget=budgets[each.model]) for each in found)
    ledger, heard, now = Ledger(), dict[str, float](), START + rng.uniform(0, 86_400)
    made, running = schedule(*found, start=now), -1
    for _ in range(600):
        now += rng.choice((0.5, 3.0, 40.0, 1_000.0))
        if running >= 0 and rng.random() < 0.7:
            # It ends, at a cost that may be known.
            row = ledger.rows[running]
            row[3] = None if rng.random() < 0.1 else rng.randint(0, int(row[2] or 0))
            running = -1
        if rng.random() < 0.05:
            # A new control process: what was under way is open in the ledger, and stays so.
            made, running = schedule(*found, start=now + FIRST_AFTER), -1
        waiting = made.due(now, heard.get, ()) if running < 0 else []
        if not waiting:
            continue
        day = day_of(now)
        chosen = made.choose(waiting, ledger.spent(day), now, rng.random())
        if chosen is not None:
            ledger.rows.append([chosen.model, day, chosen.worst, None])
            running = len(ledger.rows) - 1
            if rng.random() < 0.8:
                heard[chosen.endpoint] = now
    assert all(amount <= budgets[model] for (model, _), amount in ledger.bills(rng).items())
