"""What all tests share: how many examples the property tests draw, in which order files run, what is not collected.

`TOKENWAY_TEST_PROFILE` chooses the examples: `fast` for `make test-fast`, `deep` for a night's search, else the
default. There is no deadline per example, because a busy machine is not a defect.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers.fixtures"]

_BASE = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("default", _BASE, max_examples=100)
settings.register_profile("fast", _BASE, max_examples=15)
settings.register_profile("deep", _BASE, max_examples=5_000)
settings.load_profile(os.environ.get("TOKENWAY_TEST_PROFILE", "default"))

HERE: Final = Path(__file__).parent
COMPUTING: Final = (HERE / "property", HERE / "simulation", HERE / "unit")
"""Folders whose tests keep a core busy; those of the others wait for processes, servers and clocks."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait come first, while others of their kind run, and of each kind those with slow tests.

    So what takes a minute never begins when the rest is done, and short files fill up the end. `make test` keeps this
    order. Within a file nothing changes.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    ranks = {
        path: ([folder in path.parents for folder in reversed(COMPUTING)], path not in slow)
        for path in {item.path for item in items}
    }
    items.sort(key=lambda item: ranks[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> object:
    """What was collected stays to the end: some million objects that no collection of garbage has to look through."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
