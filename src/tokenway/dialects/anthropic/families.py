"""What Anthropic's models differ in, as a table: how they think, what they sample by, how much they write.

Requests that an Anthropic caller writes go through unchanged; the table serves requests from other dialects, whose
callers cannot know these differences. Sources: Anthropic's model pages and migration guides, Thinking, Effort and
Structured outputs. A model of another vendor behind an address that speaks this dialect is `OTHER`.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import msgspec


class Thinks(Enum):
    """How a family is told to think."""

    NEVER = "never"
    BUDGET = "budget"
    """`{"type": "enabled", "budget_tokens": N}`."""
    BOTH = "both"
    """By a budget or by an effort."""
    ADAPTIVE = "adaptive"
    """`{"type": "adaptive"}` with `output_config.effort`; a budget is refused."""


class Family(msgspec.Struct, frozen=True):
    """One row. `max_output` is the most tokens of an answer.

    `off` is the type that turns thinking off, empty where it cannot be; `thinks_unasked` is whether it thinks when the
    request does not say. `efforts` are the levels it knows. `samples` is whether temperature and the like are taken,
    `samples_by_both` whether temperature and top_p may come together. `has_schema` is whether an answer's JSON schema
    and strict tools are taken.
    """

    max_output: int
    thinks: Thinks
    off: str = "disabled"
    thinks_unasked: bool = False
    efforts: tuple[str, ...] = ()
    samples: bool = True
    samples_by_both: bool = False
    has_schema: bool = True


_FIVE: Final = ("low", "medium", "high", "xhigh", "max")
_FOUR: Final = ("low", "medium", "high", "max")

NEWEST: Final = Family(128_000, Thinks.ADAPTIVE, "", thinks_unasked=True, efforts=_FIVE, samples=False)
"""A Claude that is not in the table yet is taken for one like the newest."""
OTHER: Final = Family(4096, Thinks.BUDGET, samples_by_both=True)
"""A model that is no Claude."""

_ROWS: Final = (
    ("sonnet-5-5", Family(128_000, Thinks.ADAPTIVE, "between_tools", True, _FIVE, samples=False)),
    ("haiku-5-5", Family(128_000, Thinks.ADAPTIVE, "disabled", True, _FIVE, samples=False)),
    ("opus-5-5", NEWEST),
    ("(opus|sonnet)-5(?!-?[0-9])", Family(128_000, Thinks.ADAPTIVE, "disabled", True, _FIVE, samples=False)),
    ("opus-4-[78]", Family(128_000, Thinks.ADAPTIVE, "disabled", efforts=_FIVE, samples=False)),
    ("opus-4-6", Family(128_000, Thinks.BOTH, efforts=_FOUR)),
    ("sonnet-4-6", Family(64_000, Thinks.BOTH, efforts=_FOUR)),
    ("(opus|sonnet|haiku)-4-5", Family(64_000, Thinks.BUDGET)),
    ("opus-4-1", Family(32_000, Thinks.BUDGET, has_schema=False)),
    ("opus-4(-0|-[0-9]{8}|@|$)", Family(32_000, Thinks.BUDGET, samples_by_both=True, has_schema=False)),
    ("sonnet-4(-0|-[0-9]{8}|@|$)", Family(64_000, Thinks.BUDGET, samples_by_both=True, has_schema=False)),
    ("3-7-sonnet", Family(64_000, Thinks.BUDGET, samples_by_both=True, has_schema=False)),
    ("3-5-", Family(8192, Thinks.NEVER, samples_by_both=True, has_schema=False)),
    ("(3-(opus|sonnet|haiku)|v?2|instant|v?1)", Family(4096, Thinks.NEVER, samples_by_both=True, has_schema=False)),
)
_TABLE: Final = tuple((re.compile("claude-" + pattern), family) for pattern, family in _ROWS)


def family_of(model: str) -> Family:
    """The row of a model, by its name upstream; a vendor's prefix and dots in the version do not matter."""
    name = model.lower().replace(".", "-")
    for pattern, family in _TABLE:
        if pattern.search(name):
            return family
    return NEWEST if "claude" in name else OTHER


def effort_for(family: Family, asked: str) -> str:
    """The highest level of the family that is not above the one asked for; the lowest where all are."""
    wanted = _FIVE.index(asked) if asked in _FIVE else 0
    below = [level for level in family.efforts if _FIVE.index(level) <= wanted]
    return below[-1] if below else family.efforts[0]
