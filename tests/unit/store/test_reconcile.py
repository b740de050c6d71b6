"""A provider's count beside the ledger's: equal to the token where nothing is lost, and else by how much it is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.records import NOON, line, settled
from tokenway.metering.billing import ALL_MODELS, Export
from tokenway.model.usage import Usage
from tokenway.store.base import Progress
from tokenway.store.open import Store
from tokenway.store.reconcile import Drift, compare

TODAY = int(NOON // 86_400)
NAMES = ("requests", "input", "cache_read", "output", "cost")


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A store with a day of two models of one provider, and of another one."""
    opened = open_store(clock=lambda: NOON)
    usage = Usage(input_uncached=100, audio_in=5, cache_read=20, output_text=51, reasoning=10)
    records = [
        settled(number, lines=(line(endpoint=endpoint, usage=usage, cost=1_000),))
        for number, endpoint in enumerate(("openai/gpt-4o", "openai/gpt-4o", "openai/o3", "openai-eu/gpt-4o"))
    ]
    opened.ledger.commit(Progress("j", "w", "o", 1), records)
    return opened


def export(figures: dict[tuple[int, str], dict[str, int]], names: tuple[str, ...] = NAMES) -> Export:
    """A file that says so, of today and tomorrow."""
    return Export("s", "openai", names, (TODAY, TODAY + 1), figures, [])


def test_what_is_equal_has_no_drift(store: Store) -> None:
    """Reasoning is output, and sound is input; another provider's use is not counted."""
    told = {"requests": 2, "input": 210, "cache_read": 40, "output": 122, "cost": 2_000}
    found = compare(store.database, export({(TODAY, "gpt-4o"): told}), "openai")

    assert found[0] == Drift("gpt-4o", {name: (told[name], told[name]) for name in NAMES}, ())
    assert (found[1].model, found[1].only, found[1].figures["requests"]) == ("o3", "ledger", (0, 1))


def test_the_days_on_which_they_differ_are_named(store: Store) -> None:
    """Also a day of which one side knows nothing; a model that only the provider knows is said to be."""
    told = {(TODAY, "gpt-4o"): {"output": 120}, (TODAY + 1, "gpt-4o"): {"output": 1}, (TODAY, "sora"): {"output": 9}}
    found = compare(store.database, export(told, ("output",)), "openai")

    assert found[0] == Drift("gpt-4o", {"output": (121, 122)}, ("2026-01-01", "2026-01-02"))
    assert found[2] == Drift("sora", {"output": (9, 0)}, ("2026-01-01",), "provider")


def test_costs_that_are_of_no_model_are_compared_in_all(store: Store) -> None:
    """A file that does not tell the models apart is held against all of them."""
    found = compare(store.database, export({(TODAY, ALL_MODELS): {"cost": 3_500}}, ("cost",)), "openai")

    assert found == [Drift(ALL_MODELS, {"cost": (3_500, 3_000)}, ("2026-01-01",))]
