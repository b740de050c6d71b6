"""The ledger's latest exchanges as samples of their endpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.records import NOON, STREAMED, USAGE, line
from tests.records import reserved as any_reserved
from tests.records import settled as any_settled
from tokenway.metering.ledger import Record, Reserved, Settled, Settlement
from tokenway.metering.stamps import Stamps
from tokenway.model.faults import Fault
from tokenway.model.identity import day_of, ids_of_day
from tokenway.model.probe import asked_as, id_of
from tokenway.model.sample import Outcome
from tokenway.model.usage import Usage
from tokenway.store import samples as module
from tokenway.store.base import Progress
from tokenway.store.open import Store


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A fresh store; its clock says noon."""
    return open_store(clock=lambda: NOON)


DAY = ids_of_day(day_of(NOON))


def settled(number: int = 0, **changes: Any) -> Settled:
    """A settlement of this day."""
    return any_settled(number, **({"id": f"{DAY}{number:026x}"} | changes))


def reserved(number: int) -> Reserved:
    """A reservation of this day."""
    return any_reserved(number, id=f"{DAY}{number:026x}")


def ingest(store: Store, *records: Record) -> None:
    """Puts records into the ledger."""
    store.ledger.commit(Progress("j", "w", "o", 1), records)


def test_a_stream_comes_back_with_its_times(store: Store) -> None:
    """Counted from the attempt's begin; the speed is the one that was measured, and the tokens are the provider's."""
    ingest(store, settled(1, overhead=0.05, stamps=STREAMED))
    (sample,) = store.samples.latest(0.0, 10)
    assert (sample.endpoint, sample.model, sample.outcome) == ("lab/mock", "mock", Outcome.ANSWERED)
    assert sample.at == NOON + 1
    assert [sample.took, sample.ttft] == pytest.approx([1.25, 0.2])
    assert (sample.tokens, sample.prompt, sample.cached) == (61, 100, 20)
    assert sample.speed == pytest.approx(60.0)
    assert sample.weight == 1.0


def test_what_was_not_measured_is_not_known(store: Store) -> None:
    """A whole answer has no first token, and no usage no tokens; neither has a count that cannot be."""
    whole = Stamps(received=10.0, end=12.0)
    absurd = line(usage=Usage(output_text=10**9), absurd=True, cost=None)
    ingest(
        store,
        settled(1, stream=False, stamps=whole, overhead=0.5),
        settled(2, lines=(line(usage=None, cost=None),)),
        settled(3, lines=(absurd,)),
    )
    answered, unmetered, unbelieved = store.samples.latest(0.0, 10)
    assert [answered.took, answered.ttft, answered.speed] == pytest.approx([1.5, 0.0, 0.0])
    assert answered.tokens == USAGE.output_tokens
    for sample in (unmetered, unbelieved):
        assert sample.ttft > 0.0
        assert (sample.tokens, sample.prompt, sample.speed) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"settlement": Settlement.DELIVERED}, Outcome.ANSWERED),
        ({"settlement": Settlement.UPSTREAM_BILLED}, Outcome.LEFT),
        ({"settlement": Settlement.RELEASED}, Outcome.LEFT),
        ({"settlement": Settlement.ABSORBED, "fault": Fault.STATUS, "status": 503}, Outcome.FAILED),
        ({"settlement": Settlement.ABSORBED, "fault": Fault.CUT, "status": 200}, Outcome.FAILED),
        ({"settlement": Settlement.RELEASED, "fault": Fault.CONNECT, "status": 0}, Outcome.FAILED),
        ({"settlement": Settlement.RELEASED, "fault": Fault.STATUS, "status": 429}, Outcome.LIMITED),
        ({"settlement": Settlement.RELEASED, "fault": Fault.STATUS, "status": 401}, Outcome.FAILED),
        ({"settlement": Settlement.RELEASED, "fault": Fault.STATUS, "status": 400}, Outcome.LEFT),
        ({"settlement": Settlement.ABSORBED, "fault": Fault.OUTRUN, "status": 200}, Outcome.LEFT),
        ({"settlement": Settlement.ABSORBED, "fault": Fault.SLOW, "status": 200}, Outcome.LEFT),
        ({"settlement": Settlement.ABSORBED, "fault": "a fault of later versions", "status": 500}, Outcome.LEFT),
    ],
)
def test_only_its_own_failures_are_an_endpoints(store: Store, changes: dict[str, Any], outcome: Outcome) -> None:
    """And what another one would not have said; neither what a caller did wrong, nor what we gave up."""
    ingest(store, settled(1, settlement=changes["settlement"], endpoint="", lines=(line(**changes),)))
    (sample,) = store.samples.latest(0.0, 10)
    assert (sample.endpoint, sample.outcome) == ("lab/mock", outcome)


def test_a_count_of_an_answer_that_was_left_is_none(store: Store) -> None:
    """It is what had been counted by then."""
    left = line(settlement=Settlement.UPSTREAM_BILLED)
    ingest(store, settled(1, settlement=Settlement.UPSTREAM_BILLED, stamps=STREAMED, lines=(left,)))
    (sample,) = store.samples.latest(0.0, 10)
    assert (sample.outcome, sample.tokens, sample.speed, sample.prompt) == (Outcome.LEFT, 0, 0.0, 100)


def test_of_several_attempts_only_their_ends_are_told(store: Store) -> None:
    """The exchange's times hold what the first one took, which is no time of the second."""
    failed = line(endpoint="a/m", settlement=Settlement.ABSORBED, usage=None, cost=None, fault=Fault.RESET, status=0)
    ingest(store, settled(1, lines=(failed, line(attempt=2))))
    one, other = sorted(store.samples.latest(0.0, 10), key=lambda sample: sample.endpoint)
    assert (one.endpoint, one.outcome, other.endpoint, other.outcome) == ("a/m", 2, "lab/mock", 0)
    assert {(each.took, each.ttft, each.span, each.tokens) for each in (one, other)} == {(0.0, 0.0, 0.0, 0)}


def test_an_expired_reservation_is_nobodys_sample(store: Store) -> None:
    """It never reached an endpoint that we know of."""
    ingest(store, reserved(1))
    store.ledger.expire("o")
    assert store.samples.latest(0.0, 10) == []


def test_old_exchanges_are_left_out_and_few_are_taken(store: Store) -> None:
    """In the order of their ends, and the newest when there are too many."""
    ingest(store, *(settled(number) for number in range(1, 41)))
    assert [each.at - NOON for each in store.samples.latest(NOON + 31, 100)] == list(range(31, 41))
    assert [each.at - NOON for each in store.samples.latest(0.0, 3)] == [38, 39, 40]
    assert store.samples.latest(0.0, 0) == []


def test_probes_are_found_whatever_stands_before_them(store: Store) -> None:
    """They are of no worker's life; callers' exchanges are found behind them, and neither twice."""
    key = asked_as("mock")
    times = (NOON - 90_000, NOON - 60, NOON - 1)
    probes = [settled(id=id_of(at, "beef"), at=at, key=key, model=key, run="probe:5000") for at in times]
    ingest(store, *probes, settled(1), settled(2))
    found = store.samples.latest(NOON - 1800, 100)
    assert [(each.at - NOON, each.is_probe) for each in found] == [(-60, True), (-1, True), (1, False), (2, False)]
    assert [each.at - NOON for each in store.samples.latest(NOON - 1800, 3)] == [-60, -1, 2]
    assert len(store.samples.latest(NOON - 1800, 1)) == 1


@pytest.mark.parametrize("page", [1, 3, 500])
def test_every_workers_exchanges_are_found(store: Store, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """Within a day their ids begin with who made them, so that one's last exchanges stand before another's first."""
    monkeypatch.setattr(module, "PAGE", page)
    lives = (f"{DAY}0af00d", f"{DAY}0bbeef", f"{DAY}0ccafe")
    ingest(
        store,
        *(
            settled(id=f"{life}{number:010x}", at=NOON + number, lines=(line(endpoint=f"p/{life}"),))
            for life in lives
            for number in range(20)
        ),
    )
    found = store.samples.latest(NOON + 15, 100)
    assert [each.at - NOON for each in found] == [number for number in range(15, 20) for _ in lives]
    assert {each.endpoint for each in found} == {f"p/{life}" for life in lives}


def test_a_night_is_looked_through(open_store: Callable[..., Store]) -> None:
    """The ids of the day before stand before all of the next day; older days are not read, nor ids of another form."""
    midnight = (day_of(NOON) + 1) * 86_400.0
    store = open_store(clock=lambda: midnight + 600)
    times = (midnight - 90_000, midnight - 1200, midnight - 700, midnight - 1, midnight, midnight + 599)
    workers = [settled(id=f"{ids_of_day(day_of(at))}{'f' * 16}{place:010x}", at=at) for place, at in enumerate(times)]
    key = asked_as("mock")
    probes = [settled(id=id_of(at, "beef"), at=at, key=key, model=key, run="probe:5") for at in times]
    ingest(store, *workers, *probes, settled(id="gen-69565f80-" + "f" * 26, at=midnight))
    found = {(each.at - midnight, each.is_probe) for each in store.samples.latest(midnight - 1000, 100)}
    assert found == {(at, is_probe) for at in (-700, -1, 0, 599) for is_probe in (True, False)}
