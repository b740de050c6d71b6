"""The simulation can fail: every broken machine, reader and translation is caught."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MACHINES, READERS, TRANSLATIONS
from tests.simulation.run import first_failure
from tokenway.dialects.openai_chat.passing import PassingChat
from tokenway.dialects.translate import Translation
from tokenway.exchange.machine import Exchange

SEEDS = range(3_000)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
def test_a_broken_machine_is_caught(machine: type[Exchange]) -> None:
    """A machine with one mistake breaks an invariant within a few thousand histories."""
    assert first_failure(SEEDS, machine=machine) is not None


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_a_broken_reader_is_caught(reader: type[PassingChat]) -> None:
    """So does a reader of streams with one mistake."""
    assert first_failure(SEEDS, reader=reader) is not None


@pytest.mark.parametrize("translation", TRANSLATIONS, ids=lambda translation: translation.__name__)
def test_a_broken_translation_is_caught(translation: type[Translation]) -> None:
    """And a translation between two dialects."""
    assert first_failure(SEEDS, translation=translation) is not None
