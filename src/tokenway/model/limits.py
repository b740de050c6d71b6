"""What may be spent, how fast, and by whom: limits as the configuration and the store know them.

A *limit* belongs to a key, project, user or model, bounds one measure, and lasts a term. What a worker may spend of it
without asking is a *lease*. Limits whose term is a minute, and those of what is under way, may be lost with a machine's
memory; all others are money, and are counted from the ledger.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec


class Scope(StrEnum):
    """Whom a limit belongs to."""

    KEY = "key"
    PROJECT = "project"
    USER = "user"
    MODEL = "model"


class Measure(StrEnum):
    """What is bounded, and its unit."""

    USD = "usd"
    """Nano-dollars that are charged or withheld."""
    REQUESTS = "requests"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    TOKENS = "tokens"
    """Input and output together."""
    CONCURRENCY = "concurrency"
    """Calls that are under way; has no term."""
    DEPTH = "depth"
    """How deep a run's agents may call each other; the run's own is at 1."""
    LOOPS = "loops"
    """How often a run may make the same request."""


class Term(StrEnum):
    """When a limit starts anew, in UTC; `total` never does."""

    MINUTE = "minute"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


_PLURAL: Final = re.compile(r"s\b")


def counted(amount: int, what: str) -> str:
    """A number of things that are named in the plural: `2 calls at once`, `1 call at once`."""
    return f"{amount} {_PLURAL.sub('', what, count=1) if amount == 1 else what}"


class Limit(msgspec.Struct, frozen=True):
    """One limit. `subject` is the id of the key, project or user, or the name of the model that callers use.

    With `rolling` the term is the time that lies just behind and not the calendar's. With `per_run` it holds for each
    run of that key, project, user or model by itself.
    """

    id: str
    scope: Scope
    subject: str
    measure: Measure
    amount: int
    term: Term = Term.TOTAL
    rolling: bool = False
    per_run: bool = False

    @property
    def is_fleeting(self) -> bool:
        """Whether what was counted for it may be lost: it lives in memory, or in the shared store of rates."""
        return self.term is Term.MINUTE or self.measure in FLEETING

    @property
    def is_credits(self) -> bool:
        """Whether it is what was paid in for a prepaid project."""
        return self.id.startswith(CREDITS)


CREDITS: Final = "credits:"
"""How the ids of such limits begin; the project follows."""

FLEETING: Final = frozenset({Measure.CONCURRENCY, Measure.DEPTH, Measure.LOOPS})


class OnOutage(StrEnum):
    """What becomes of a project's calls while the control process, or its store, cannot be asked for a lease."""

    SERVE = "serve"
    """They are served as long as the leases last that the worker holds."""
    REFUSE = "refuse"
    """They are refused at once."""
