"""How much a Gemini model is to think: a budget of tokens up to generation 2.5, a level from generation 3 on.

    caller says             2.5: `thinkingBudget`                  3: `thinkingLevel`
    effort                  share of `max_tokens`, else TOKENS     the nearest level the model has
    budget                  the budget, within the model's bounds  level by its share of `max_tokens`
    off (none, 0)           0 where the model can be silent        the lowest level
    on, nothing more        -1: as the model likes                 nothing: it thinks by itself

Older models do not think, and say so with an error if they are asked to. Names that tell no generation
(`gemini-flash-latest`, a tuned model) get a budget, which the third generation takes too.

Source: Gemini API, Thinking (levels, budgets and their bounds by model; the table for OpenAI's efforts).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tokenway.model.request import Thinking

_NUMBER: Final = re.compile(r"gemini-(\d+)(?:\.(\d+))?")

SHARES: Final = {"minimal": 0.10, "low": 0.20, "medium": 0.50, "high": 0.80, "xhigh": 0.95, "max": 0.95}
"""Effort as a share of the answer's limit; the ratios are OpenRouter's."""
TOKENS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
"""Effort as a budget where the answer has no limit: Google's own table."""

_LEVELS: Final = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
_DYNAMIC: Final = -1


class Config(msgspec.Struct, frozen=True):
    """`thinkingConfig`, and whether it says all that was asked for."""

    members: dict[str, object]
    is_exact: bool = True


class _Bounds(msgspec.Struct, frozen=True):
    """The budgets that a model takes; `can_stop` is whether 0 is one."""

    least: int
    most: int
    can_stop: bool


_PRO: Final = _Bounds(128, 32768, can_stop=False)
_FLASH: Final = _Bounds(1, 24576, can_stop=True)
_LITE: Final = _Bounds(512, 24576, can_stop=True)


def generation(model: str) -> tuple[int, int] | None:
    """A Gemini model's generation by its name: (2, 5), (3, 0); None where the name tells none."""
    found = _NUMBER.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def thinking_config(thinking: Thinking, model: str, max_tokens: int | None) -> Config:
    """What `thinkingConfig` says for a model; empty where it has nothing to say."""
    family = generation(model)
    if (family is not None and family < (2, 5)) or "gemma" in model:
        is_off = thinking.effort == "none" or thinking.budget == 0 or thinking.enabled is False
        is_silent = thinking == Thinking(shown=False) or thinking == Thinking()
        return Config({}, is_exact=is_off or is_silent)
    found = _level(thinking, model, max_tokens) if family and family >= (3, 0) else _budget(thinking, model, max_tokens)
    if _shows(thinking):
        found.members["includeThoughts"] = True
    return found


def _is_off(thinking: Thinking) -> bool:
    return thinking.effort == "none" or (thinking.effort is None and thinking.budget == 0) or thinking.enabled is False


def _shows(thinking: Thinking) -> bool:
    """Whether the caller gets to see thoughts: who asks for reasoning does, unless told otherwise."""
    if thinking.shown is not None:
        return thinking.shown and not _is_off(thinking)
    asks = thinking.effort or thinking.budget or thinking.enabled or thinking.summary not in {None, "none"}
    return bool(asks) and not _is_off(thinking)


def _budget(thinking: Thinking, model: str, max_tokens: int | None) -> Config:
    bounds = _LITE if "lite" in model else _PRO if "pro" in model else _FLASH
    if _is_off(thinking):
        return Config({"thinkingBudget": 0 if bounds.can_stop else bounds.least}, is_exact=bounds.can_stop)
    wanted = thinking.budget
    if wanted in {None, _DYNAMIC} and thinking.effort in SHARES:
        wanted = TOKENS[thinking.effort] if max_tokens is None else int(SHARES[thinking.effort] * max_tokens)
    if wanted is None:
        return Config({"thinkingBudget": _DYNAMIC} if thinking.enabled else {})
    if wanted != _DYNAMIC:
        wanted = min(max(wanted, bounds.least), bounds.most)
    return Config({"thinkingBudget": wanted})


def _level(thinking: Thinking, model: str, max_tokens: int | None) -> Config:
    if _is_off(thinking):
        return Config({"thinkingLevel": _nearest("MINIMAL", model)}, is_exact=False)
    effort = thinking.effort
    if effort is None and thinking.budget is not None and thinking.budget != _DYNAMIC:
        effort = _effort(thinking.budget, max_tokens)
    return Config({"thinkingLevel": _nearest(_LEVELS[effort], model)} if effort in _LEVELS else {})


def _effort(budget: int, max_tokens: int | None) -> str:
    """The effort that a budget amounts to."""
    if max_tokens:
        share = budget / max_tokens
        return "high" if share >= 0.8 else "medium" if share >= 0.5 else "low" if share >= 0.2 else "minimal"
    return "high" if budget > TOKENS["medium"] else "medium" if budget > TOKENS["low"] else "low"


def _nearest(level: str, model: str) -> str:
    """The level that a model has: `pro` has no MINIMAL, and the first of them no MEDIUM."""
    if "pro" in model:
        if level == "MINIMAL":
            return "LOW"
        if level == "MEDIUM" and generation(model) == (3, 0):
            return "HIGH"
    return level
