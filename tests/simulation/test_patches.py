"""The simulation can fail: every mistake where several attempts make one answer is caught."""

from __future__ import annotations

import pytest

from tests.simulation.patches import MACHINES, PATCHES, Patch
from tests.simulation.run import first_failure
from tokenway.exchange.machine import Exchange

SEEDS = range(12_000)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
def test_a_broken_machine_is_caught(machine: type[Exchange]) -> None:
    """A machine with one mistake breaks an invariant within a few thousand histories."""
    assert first_failure(SEEDS, machine=machine) is not None


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_a_broken_part_is_caught(patch: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does a part of the shell, or of what it is made of."""
    monkeypatch.setattr(patch.target, patch.member, patch.broken)
    assert first_failure(SEEDS) is not None
