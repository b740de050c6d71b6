"""Grants: shares of budgets that workers cannot overspend together."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.control.budgets import Allowance, Grant, Grants, Term, epoch_of
from tokenway.edge.admission import Admission, Lease
from tokenway.model.errors import Refusal
from tokenway.model.money import NanoUsd
from tokenway.model.snapshot import Principal, Snapshot

KEY = "key_1"
DAY = 86400.0
SUNDAY = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def test_a_period_is_known_by_the_day_on_which_it_began() -> None:
    """On Sunday the 1st of March 2026 a day and a month begin, and the week began on the 23rd of February."""
    first = epoch_of(Term.DAY, SUNDAY)
    assert epoch_of(Term.MONTH, SUNDAY) == first
    assert epoch_of(Term.WEEK, SUNDAY) == first - 6
    assert epoch_of(Term.TOTAL, SUNDAY) == 0
    assert epoch_of(Term.WEEK, SUNDAY + DAY) == first + 1
    assert epoch_of(Term.MONTH, SUNDAY + 30 * DAY) == first


def shares(grants: Grants, worker: int, allowance: Allowance, now: float = SUNDAY) -> int:
    """What a worker may spend in all since it heard of the key."""
    return grants.grant(worker, [allowance], now)[allowance.key_id].amount


def test_workers_get_equal_shares_of_what_is_left() -> None:
    """Of 100 with 40 spent, two workers get 30 each."""
    grants = Grants(2, lambda _key, _term: 40)
    assert [shares(grants, worker, Allowance(KEY, 100)) for worker in (1, 2)] == [30, 30]


def test_a_budget_that_was_overspent_leaves_nothing() -> None:
    """A share is never more than nothing then, whatever the amount."""
    grants = Grants(2, lambda _key, _term: 140)
    assert shares(grants, 1, Allowance(KEY, 100)) == 0


def test_a_share_does_not_shrink_while_it_is_spent() -> None:
    """A worker counts what it spends itself, so a later snapshot with the same budget says the same."""
    spent = 0
    grants = Grants(1, lambda _key, _term: spent)
    first = grants.grant(1, [Allowance(KEY, 100)], SUNDAY)
    spent = 70
    assert grants.grant(1, [Allowance(KEY, 100)], SUNDAY) == first == {KEY: Grant(100, 1)}


@pytest.mark.parametrize("how", ["crash", "key left out"])
def test_who_begins_anew_gets_what_is_left(how: str) -> None:
    """Neither a dead worker's successor nor one whose snapshot was without the key may spend the same again."""
    spent = 0
    grants = Grants(1, lambda _key, _term: spent)
    assert shares(grants, 1, Allowance(KEY, 100)) == 100
    spent = 70
    if how == "crash":
        grants.forget(1)
    else:
        grants.grant(1, [], SUNDAY)
    assert shares(grants, 1, Allowance(KEY, 100)) == 30


def test_a_new_period_begins_a_new_issue() -> None:
    """The number changes, so that workers begin to count anew, and what the new period has spent is off."""
    spent = {Term.DAY: 80}
    grants = Grants(1, lambda _key, term: spent[term])
    before = grants.grant(1, [Allowance(KEY, 100, Term.DAY)], SUNDAY)[KEY]
    spent[Term.DAY] = 5
    after = grants.grant(1, [Allowance(KEY, 100, Term.DAY)], SUNDAY + DAY)[KEY]
    assert (before.amount, after.amount) == (20, 95)
    assert before.issue != after.issue


def snapshot_of(grants: dict[str, Grant]) -> Snapshot:
    """What a worker is sent, as far as budgets go."""
    keys = {
        key: Principal(key, key, "default", budget=NanoUsd(grant.amount), budget_epoch=grant.issue)
        for key, grant in grants.items()
    }
    return Snapshot(version=1, providers={}, models={}, aliases={}, keys=keys)


def test_a_call_under_way_is_borne_by_the_worker_that_runs_it() -> None:
    """What was reserved under the last issue is off the share of the next, until it is settled."""
    grants = Grants(2, lambda _key, _term: 0)
    admission = Admission()
    granted = grants.grant(1, [Allowance(KEY, 100)], SUNDAY)
    admission.adopt(snapshot_of(granted))
    lease = admission.reserve(snapshot_of(granted).keys[KEY], 30)
    admission.adopt(snapshot_of(grants.grant(1, [Allowance(KEY, 80)], SUNDAY)))
    assert admission.remaining == {KEY: 10}
    assert lease is not None
    lease.close(30, 5)
    assert admission.remaining == {KEY: 35}


@dataclass
class Fleet:
    """Workers with the edge's own leases, and a ledger; one key."""

    count: int
    allowance: Allowance
    now: float = SUNDAY
    has_key: bool = True
    ledger: list[tuple[float, int]] = field(default_factory=list)
    admissions: dict[int, Admission] = field(default_factory=dict)
    principals: dict[int, Principal | None] = field(default_factory=dict)
    under_way: dict[int, list[tuple[Lease, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.grants = Grants(self.count, self.spent)
        for worker in range(self.count):
            self.start(worker)

    def spent(self, _key: str, term: Term) -> int:
        """What the ledger has for the current period."""
        begin = 0 if term is Term.TOTAL else epoch_of(term, self.now) * DAY
        return sum(amount for at, amount in self.ledger if at >= begin)

    def start(self, worker: int) -> None:
        """A new process: it knows nothing and has nothing under way."""
        self.grants.forget(worker)
        self.admissions[worker] = Admission()
        self.under_way[worker] = []
        self.publish(worker)

    def publish(self, worker: int) -> None:
        """Sends a worker its snapshot."""
        allowances = [self.allowance] if self.has_key else []
        snapshot = snapshot_of(self.grants.grant(worker, allowances, self.now))
        self.admissions[worker].adopt(snapshot)
        self.principals[worker] = snapshot.keys.get(KEY)

    def publish_all(self) -> None:
        """A reload, or a new day."""
        for worker in range(self.count):
            self.publish(worker)

    def begin(self, worker: int, amount: int) -> None:
        """A call that can cost `amount`; refused when the worker's share does not hold it."""
        principal = self.principals[worker]
        if principal is None:
            return
        try:
            lease = self.admissions[worker].reserve(principal, amount)
        except Refusal:
            return
        assert lease is not None
        self.under_way[worker].append((lease, amount))

    def settle(self, worker: int, share: int) -> None:
        """The worker's oldest call ends and costs `share` percent of what it could."""
        if self.under_way[worker]:
            lease, reserved = self.under_way[worker].pop(0)
            charged = reserved * share // 100
            lease.close(reserved, charged)
            self.ledger.append((self.now, charged))

    def settle_all(self) -> None:
        """Every call ends, at its dearest."""
        for worker, calls in self.under_way.items():
            for _ in list(calls):
                self.settle(worker, 100)

    def promised(self) -> int:
        """What was spent in this period, what is reserved, and what workers would still let pass."""
        reserved = sum(amount for calls in self.under_way.values() for _, amount in calls)
        free = sum(
            max(0, admission.remaining.get(KEY, 0))
            for worker, admission in self.admissions.items()
            if self.principals[worker] is not None
        )
        return self.spent(KEY, self.allowance.term) + reserved + free


AMOUNTS = st.integers(0, 100)
WORKERS = st.integers(0, 3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), WORKERS, AMOUNTS),
        st.tuples(st.just("begin"), WORKERS, AMOUNTS),
        st.tuples(st.just("settle"), WORKERS, AMOUNTS),
        st.tuples(st.just("crash"), WORKERS, st.just(0)),
        st.tuples(st.just("reload"), WORKERS, st.just(0)),
        st.tuples(st.just("remove the key"), WORKERS, st.just(0)),
        st.tuples(st.just("days pass"), WORKERS, st.integers(1, 20)),
        st.tuples(st.just("change the period"), WORKERS, st.sampled_from(range(4))),
        st.tuples(st.just("change the amount"), WORKERS, st.integers(0, 300)),
    ),
    max_size=40,
)


@given(st.integers(1, 4), st.sampled_from(Term), AMOUNTS, STEPS)
def test_workers_never_hold_more_than_what_is_left(
    count: int, term: Term, amount: int, steps: list[tuple[str, int, int]]
) -> None:
    """Over crashes, reloads, removed keys, changed budgets and new periods, no two workers share a dollar.

    Calls end before a period, or the budget, changes: what becomes of those that do not is said above.
    """
    fleet = Fleet(count, Allowance(KEY, amount, term))
    for what, drawn, number in steps:
        worker = drawn % count
        had = fleet.promised()
        match what:
            case "begin":
                fleet.begin(worker, number)
            case "settle":
                fleet.settle(worker, number)
            case "crash":
                fleet.start(worker)
            case "reload":
                fleet.has_key = True
                fleet.publish_all()
            case "remove the key":
                fleet.has_key = False
                fleet.publish_all()
            case _:
                fleet.settle_all()
                if what == "days pass":
                    fleet.now += number * DAY
                elif what == "change the period":
                    fleet.allowance = Allowance(KEY, fleet.allowance.amount, list(Term)[number])
                else:
                    fleet.allowance = Allowance(KEY, number, fleet.allowance.term)
                fleet.publish_all()
                had = fleet.spent(KEY, fleet.allowance.term)
        # A budget that was lowered below what is spent leaves nothing, and takes nothing back.
        assert fleet.promised() <= max(fleet.allowance.amount, had)


@given(AMOUNTS, STEPS)
def test_a_worker_that_is_alone_may_spend_all_of_it(amount: int, steps: list[tuple[str, int, int]]) -> None:
    """With one worker nothing is lost to caution: what is not spent or reserved can be reserved."""
    fleet = Fleet(1, Allowance(KEY, amount))
    for what, _, number in steps:
        match what:
            case "begin":
                fleet.begin(0, number)
            case "settle":
                fleet.settle(0, number)
            case "crash":
                fleet.settle_all()
                fleet.start(0)
            case _:
                fleet.publish_all()
        assert fleet.promised() == amount
