"""A clock that is set by hand, for whatever of the store asks what time it is."""

from __future__ import annotations

import pytest

from tests.records import NOON


class Clock:
    """A clock that is set by hand."""

    now = NOON

    def __call__(self) -> float:
        """The time it was set to."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at noon."""
    return Clock()
