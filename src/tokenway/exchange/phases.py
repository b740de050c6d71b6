"""The phases of an exchange; `exchange.machine` has the picture of what leads from one to another."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Phase(IntEnum):
    """Where an exchange is."""

    FRESH = 0
    ADMITTING = 1
    TRYING = 2
    """Nothing was sent to the caller."""
    FLOWING = 3
    """Its answer has begun, and passes."""
    RESCUING = 4
    """Its answer has begun, and another attempt is to continue it."""
    CLOSED = 5


# Python 3.11 takes a quarter of a microsecond to look a member up in its enumeration.
FRESH: Final = Phase.FRESH
ADMITTING: Final = Phase.ADMITTING
TRYING: Final = Phase.TRYING
FLOWING: Final = Phase.FLOWING
RESCUING: Final = Phase.RESCUING
CLOSED: Final = Phase.CLOSED
