"""Several answers for one caller, in thousands of histories; and broken fans, which must be caught."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.fan import first_broken, play_fan
from tokenway.edge.fan import Fan
from tokenway.metering.ledger import Settled, Settlement
from tokenway.model.usage import Metered

SEEDS = 3_000
CHUNK = 1_000


class EndsWithTheFirst(Fan):
    """Does not wait for the other answers."""

    def _ended(self, copy: Any, inner: Any) -> None:
        for each in self._copies:
            each.is_over = True
        super()._ended(copy, inner)


class ForgetsTheOthers(Fan):
    """Leaves the other copies running when one has failed."""

    def _give_up(self, broken: Any) -> None:
        self._copies = [broken]
        super()._give_up(broken)


class CountsOnlyTheFirst(Fan):
    """Tells the count of one answer for all."""

    def _metered(self) -> Metered:
        return self._copies[0].metered


class ForgetsWhoWaits(Fan):
    """Does not slow its copies for a slow caller."""

    def client_paused(self, *, paused: bool) -> None:
        """Does not hear of it."""


class IgnoresTheCallersLeaving(Fan):
    """Goes on for nobody."""

    def client_gone(self) -> None:
        """Does not hear of it."""


class DeliversEachAtOnce(Fan):
    """Has the caller pay for answers that it may not get."""

    def _made(self, copy: Any, end: Any) -> None:
        copy.relay.tell(end)


FANS = (
    DeliversEachAtOnce,
    EndsWithTheFirst,
    ForgetsTheOthers,
    CountsOnlyTheFirst,
    ForgetsWhoWaits,
    IgnoresTheCallersLeaving,
)


@pytest.mark.parametrize("start", range(0, SEEDS, CHUNK))
def test_every_fan_holds(start: int) -> None:
    """Whatever becomes of the copies, each is settled once and the caller has all answers or one error."""
    assert first_broken(range(start, start + CHUNK)) is None


@pytest.mark.parametrize("fan", FANS, ids=lambda fan: fan.__name__)
def test_a_broken_fan_is_caught(fan: type[Fan]) -> None:
    """A fan with one mistake breaks something that must hold."""
    assert first_broken(range(1_000), fan) is not None


def test_the_fans_are_varied() -> None:
    """The seeds reach whole answers, failures, answers that were given up, callers that left and slow ones."""
    endings: set[tuple[Settlement, bool]] = set()
    whole = left = paused = 0
    for seed in range(300):
        story = play_fan(seed)
        client = story.whole.client
        settled = [record for record in story.whole.records if isinstance(record, Settled)]
        whole += len(settled) > 1 and all(record.settlement is Settlement.DELIVERED for record in settled)
        left += client.left_at is not None
        paused += bool(client.pauses)
        for copy in story.copies:
            endings |= {(record.settlement, copy.given_up) for record in copy.records if isinstance(record, Settled)}
    assert min(whole, left, paused) > 15
    assert (Settlement.ABSORBED, True) in endings
    assert (Settlement.UPSTREAM_BILLED, False) in endings
