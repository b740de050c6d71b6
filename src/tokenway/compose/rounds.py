"""What the control process does again and again, whatever fails meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from tokenway.model.errors import TokenwayError

log = logging.getLogger("tokenway.control")

AGAIN_SECONDS: Final = 1.0
"""How long after a failure the next try comes."""


async def forever(what: str, step: Callable[[], Awaitable[float]]) -> None:
    """Repeats a step, which says how long to pause after it; one that fails is tried again.

    A failure is reported once, and so is its end.
    """
    said = ""
    while True:
        try:
            pause = await step()
            if said:
                log.warning("%s works again", what)
                said = ""
        except Exception as error:  # a full disk or a locked database must not end the bookkeeping
            pause = AGAIN_SECONDS
            if str(error) != said:
                said = str(error)
                # What we say ourselves needs no trace: the database is away, as a rule.
                trace = None if isinstance(error, TokenwayError) else error
                log.error("%s failed and is tried again: %s", what, error, exc_info=trace)  # noqa: TRY400
        await asyncio.sleep(pause)
