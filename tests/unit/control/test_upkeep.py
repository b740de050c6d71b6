"""What a machine does for the database that others share with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.records import NOON, settled
from tokenway.control.upkeep import HOUR, PAUSE_SECONDS, Upkeep
from tokenway.model.identity import day_of, ids_of_day
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.settings import LedgerSettings
from tokenway.model.stored import StoredResponse
from tokenway.store.base import Progress
from tokenway.store.granting import Ask
from tokenway.store.nodes import BEAT_SECONDS, GIVEN_UP_SECONDS, LOST_SECONDS
from tokenway.store.open import Store
from tokenway.store.schema import exchanges, rollups

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
