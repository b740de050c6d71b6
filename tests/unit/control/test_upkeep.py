"""What a machine does for the database that others share with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.records import NOON, reserved, settled
from tokenway.control.upkeep import HOUR, PAUSE_SECONDS, Upkeep
from tokenway.metering.ledger import Draw
from tokenway.model.identity import day_of, ids_of_day
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.settings import LedgerSettings
from tokenway.model.stored import StoredResponse
from tokenway.store.accounts.records import CLI
from tokenway.store.base import Conflict, NotFound, Progress
from tokenway.store.granting import Ask, Given
from tokenway.store.nodes import BEAT_SECONDS, GIVEN_UP_SECONDS, LOOK_SECONDS, LOST_SECONDS
from tokenway.store.open import Store
from tokenway.store.schema import exchanges, rollups
from tokenway.store.verify import verify

DAY = 86_400.0


class Machine:
    """A machine with a clock and a setting."""

    def __init__(self, open_store: Callable[..., Store], node: str, now: list[float]) -> None:
        self.store = open_store(clock=lambda: now[0], node=node)
        self.kept = LedgerSettings()
        self.upkeep = Upkeep(
            self.store, name=node, workers=2, release="1", kept=lambda: self.kept, clock=lambda: now[0]
        )

    def rest(self) -> None:
        """Does all that is due."""
        while (pause := self.upkeep.step()) != BEAT_SECONDS:
            assert pause == PAUSE_SECONDS

    def keep(self, name: str) -> None:
        """Begins to make a response."""
        response = StoredResponse(name, "default", NOON, "m", "p/up", "queued", b"{}", b"[]")
        self.store.responses.put(response, expires=2.0**40, maker="1")

    def status(self, name: str) -> str:
        """How far a response is."""
        found = self.store.responses.get(name, "default")
        assert found is not None
        return found.status


def test_what_lost_machines_were_making_has_failed(open_store: Callable[..., Store]) -> None:
    """A machine is lost when it has not been heard of for ten minutes, and not when it has left."""
    now = [NOON]
    one, two, three = (Machine(open_store, f"0000000{name}", now) for name in "abc")
    for machine in (one, two, three):
        machine.rest()
        machine.keep(machine.store.nodes.node)
    assert [each.started for each in one.store.nodes.all()] == [NOON] * 3
    three.upkeep.leave()
    one.upkeep.step()
    for _ in range(int(LOST_SECONDS / BEAT_SECONDS) + 2):
        now[0] += BEAT_SECONDS
        one.upkeep.step()
    assert [each.id for each in one.store.nodes.all()] == ["0000000a", "0000000b"]
    assert [one.status(f"0000000{name}") for name in "abc"] == ["queued", "failed", "queued"]


def test_a_copied_data_directory_is_told_of(open_store: Callable[..., Store], caplog: pytest.LogCaptureFixture) -> None:
    """By whichever gateway was there first, or both; one that was only started anew is no other."""
    now = [NOON]
    one = Machine(open_store, "0000000a", now)
    one.rest()
    now[0] += BEAT_SECONDS
    two = Machine(open_store, "0000000a", now)
    two.rest()
    assert caplog.text == ""
    one.upkeep.step()
    assert "another gateway runs with this machine's id" in caplog.text


def test_what_a_lost_machine_held_is_free_when_it_is_given_up(open_store: Callable[..., Store]) -> None:
    """Not when it is lost: it may have spent that, and comes back to say so."""
    now = [NOON]
    one, two = (Machine(open_store, f"0000000{name}", now) for name in "ab")
    limit = Limit("lim_1", Scope.KEY, "key_1", Measure.USD, 100, Term.TOTAL)
    for machine in (one, two):
        machine.rest()
        machine.store.leases.lend([Ask("lim_1", limit, machine.store.nodes.node, 10, 2)])
    assert one.store.leases.outstanding("lim_1", 0) == 20
    now[0] += GIVEN_UP_SECONDS - 1
    one.rest()
    assert one.store.leases.outstanding("lim_1", 0) == 20
    for _ in range(5):
        now[0] += BEAT_SECONDS
        one.upkeep.step()
    assert one.store.leases.outstanding("lim_1", 0) == 10


def test_what_a_machine_held_is_free_when_it_is_declared_gone(open_store: Callable[..., Store]) -> None:
    """Within a minute; journals of it that come later all the same are taken in once, and count for what is left."""
    now = [NOON]
    one, two = (Machine(open_store, f"0000000{name}", now) for name in "ab")
    limit = Limit("lim_1", Scope.KEY, "key_a", Measure.USD, 100, Term.TOTAL)
    for machine in (one, two):
        machine.rest()
    (lent,) = two.store.leases.lend([Ask("lim_1", limit, "owner-b", 60, 1)])
    assert lent.amount == 60
    two.store.ledger.commit(Progress("j-b", "w", "owner-b", 1), [reserved(1)])
    two.keep("0000000b")

    def left() -> int:
        (given,) = one.store.leases.lend([Ask("lim_1", limit, "owner-a", 100, 1)])
        one.store.leases.take_back([Given("lim_1", 0, "owner-a", given.amount)])
        return given.amount

    def beats(count: int) -> None:
        for _ in range(count):
            now[0] += BEAT_SECONDS
            one.upkeep.step()
            for owner in one.store.ledger.owners() - {"owner-a"}:
                one.store.ledger.expire(owner)

    beats(5)
    assert (left(), one.status("0000000b")) == (40, "queued"), "it is silent, and keeps what it holds"
    one.store.nodes.retire("0000000b", by=CLI)
    beats(2)
    assert one.status("0000000b") == "failed"
    assert [each.id for each in one.store.nodes.all()] == ["0000000a"], "nothing of it is left"
    assert (left(), one.store.leases.outstanding("lim_1", 0)) == (100, 0)
    assert verify(one.store.database, now[0]).faults == []

    late = [settled(1, charged=25, draws=(Draw("lim_1", 0, 25),)), settled(2, charged=5, draws=(Draw("lim_1", 0, 5),))]
    for _ in range(2):
        two.store.ledger.commit(Progress("j-b", "w", "owner-b", 2), [reserved(1), *late])
    two.rest()
    assert {each.id for each in one.store.nodes.all()} == {"0000000a", "0000000b"}
    assert {each.retired for each in one.store.nodes.all()} == {None}
    assert one.store.usage.key_usage("key_a").total == 30
    assert left() == 70, "what it said late is spent, and nothing is held twice"
    found = verify(one.store.database, now[0])
    assert (found.faults, found.exchanges, found.opened) == ([], 2, [])


def test_a_machine_that_lives_is_not_declared_gone(open_store: Callable[..., Store]) -> None:
    """It takes back what was said of it as soon as it speaks, and keeps all that it has."""
    now = [NOON]
    one, two = (Machine(open_store, f"0000000{name}", now) for name in "ab")
    limit = Limit("lim_1", Scope.KEY, "key_a", Measure.USD, 100, Term.TOTAL)
    for machine in (one, two):
        machine.rest()
    two.store.leases.lend([Ask("lim_1", limit, "owner-b", 60, 1)])
    two.keep("0000000b")
    now[0] += LOOK_SECONDS - 1
    with pytest.raises(Conflict, match=r"0000000b \(0000000b\) was heard of 29 s ago: it lives, stop it first"):
        one.store.nodes.retire("0000000b", by=CLI)
    now[0] += 1
    revision = one.store.accounts.changes.revision()
    first = one.store.nodes.retire("0000000b", by=CLI)
    assert one.store.nodes.retire("0000000b", by=CLI) == first, "once is enough"
    (row,) = [each for each in one.store.accounts.audit.page().rows if each.action == "retire"]
    assert (row.resource, row.subject, row.actor) == ("node", "0000000b", "cli")
    assert one.store.accounts.changes.revision() == revision + 1
    for _ in range(9):
        two.upkeep.step()
        now[0] += BEAT_SECONDS
        one.upkeep.step()
        assert one.store.leases.outstanding("lim_1", 0) == 60
    assert one.status("0000000b") == "queued"
    assert {each.retired for each in one.store.nodes.all()} == {None}
    with pytest.raises(NotFound):
        one.store.nodes.retire("0000000c", by=CLI)


def test_a_clock_that_steps_back_silences_no_machine(open_store: Callable[..., Store]) -> None:
    """It says at once that it lives, by the new time; else the others would take it for lost."""
    now = [NOON]
    one = Machine(open_store, "0000000a", now)
    one.rest()
    now[0] -= DAY
    one.upkeep.step()
    assert [each.seen for each in one.store.nodes.all()] == [NOON - DAY]


def test_what_is_old_enough_is_dropped(open_store: Callable[..., Store]) -> None:
    """Looked at once an hour, a little at a time; nothing goes where the setting says 0. What was spent stays."""
    now = [NOON]
    machine = Machine(open_store, "0000000a", now)
    days = [day_of(NOON) - back for back in range(6)]
    records = [settled(1, id=f"{ids_of_day(day)}{1:026x}", at=day * DAY) for day in days]
    machine.store.ledger.commit(Progress("j", "w", "o", 1), records)

    def kept() -> int:
        machine.rest()
        with machine.store.database.read() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(exchanges)).scalar() or 0

    spent = machine.store.usage.spent()
    assert kept() == 6
    machine.kept = LedgerSettings(retention=2 * DAY, minutes=2 * DAY)
    now[0] += HOUR - 1
    assert kept() == 6
    now[0] += 1
    # The partition of a day goes a day later.
    expected = 4 if machine.store.database.has_partitions else 3
    assert kept() == expected
    now[0] += DAY
    assert kept() == expected - 1
    assert machine.store.usage.spent()["key_a"].total == spent["key_a"].total
    assert sum(row.requests for row in machine.store.usage.report()) == 6
    with machine.store.database.read() as connection:
        minutes = sa.select(sa.func.count()).select_from(rollups).where(rollups.c.grain == 60)
        assert connection.execute(minutes).scalar() == 2
    assert machine.store.nodes.live()[0] == 1


@pytest.mark.postgres
def test_the_partitions_of_tomorrow_are_made(postgres_url: str) -> None:
    """Before the day begins."""
    from tokenway.store.postgres import open_postgres  # noqa: PLC0415 - where the mark is

    now = [NOON]
    machine = Machine(lambda **options: open_postgres(postgres_url, **options), "0000000a", now)
    machine.upkeep.step()
    now[0] += DAY
    machine.upkeep.step()
    with machine.store.database.read() as connection:
        assert connection.exec_driver_sql(f"SELECT to_regclass('exchanges_d{day_of(NOON) + 2}')").scalar() is not None
    machine.store.close()
