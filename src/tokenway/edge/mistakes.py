"""Mistakes of ours that a call meets: which errors are taken for one, and what the log is told of it."""

from __future__ import annotations

import logging
import traceback
from typing import Final

log = logging.getLogger("tokenway.edge")

MISTAKES: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What code raises that meets a value it did not think of."""


def where(error: Exception) -> str:
    """What was raised and at which line; not its text, which can hold what a caller wrote."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}"


def log_mistake(what: str, exchange: str, error: Exception) -> None:
    """A mistake of ours that an exchange has met, and its place."""
    log.error(what, extra={"exchange": exchange, "mistake": where(error)})
