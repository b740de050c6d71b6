"""Reasoning as Anthropic's API asks for it: read from a caller's request, written for a model's family.

Older families take a budget of tokens, newer ones an effort; between them stand OpenRouter's shares of the answer's
limit. Sources: Anthropic's Thinking and Effort, OpenRouter's Reasoning tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from tokenway.dialects.anthropic.families import Family, Thinks, effort_for
from tokenway.dialects.walk import Node
from tokenway.model.request import KINDS_OF_SUMMARY, Thinking

EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
SHARES: Final = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}
"""An effort as a share of the answer's limit, for models that take a budget."""
_DISPLAYS: Final = frozenset({"summarized", "omitted"})
"""How thinking is shown, as far as others know it."""
BUDGET_LEAST: Final = 1024
"""Anthropic refuses a smaller budget."""


# -- reading ---------------------------------------------------------------------------------------------


def read_thinking(node: Node | None, effort: Node | None, rest: dict[str, msgspec.Raw]) -> Thinking | None:
    """How much a caller wants a model to reason, from `thinking` and `output_config.effort`.

    Where thinking is off, the effort is about the answer alone, which nobody else has: it is kept in `rest`.
    """
    level = effort.one_of({name: name for name in EFFORTS}) if effort is not None else None
    if node is None:
        return Thinking(effort=level) if level is not None else None
    display = node.at("display")
    shown = None if display is None else display.text() != "omitted"
    if display is not None and display.text() not in _DISPLAYS:
        rest.setdefault("thinking.display", display.raw())
    kind = node.need("type")
    match kind.text():
        case "enabled":
            return Thinking(level, node.need("budget_tokens").whole(BUDGET_LEAST), enabled=True, shown=shown)
        case "adaptive":
            return Thinking(level, -1, enabled=True, shown=shown)
        case "disabled" | "between_tools" as off:
            if off == "between_tools":
                rest.setdefault("thinking", node.raw())
            if effort is not None:
                rest.setdefault("effort", effort.raw())
            return Thinking("none", enabled=False)
        case other:
            raise kind.wrong(f"'{other[:40]}' is not known here")


# -- writing ---------------------------------------------------------------------------------------------


class Plan(msgspec.Struct, frozen=True):
    """What a request says of reasoning: `thinking`, if anything, the effort, and whether the model will think."""

    thinking: dict[str, object] | None = None
    effort: str | None = None
    is_on: bool = False


def plan(
    wanted: Thinking | None, family: Family, limit: int, drop: Callable[[str], None], *, may_think: bool = True
) -> Plan:
    """What to say to a model of this family, whose answer is limited to `limit` tokens.

    `may_think` is False where the conversation so far rules thinking by a budget out. What cannot be said is declared
    with `drop`.
    """
    if wanted is None or wanted == Thinking():
        return Plan(is_on=family.thinks_unasked)
    if wanted.summary in KINDS_OF_SUMMARY:
        drop("summary")
    if wanted.enabled is False or wanted.effort == "none" or wanted.budget == 0:
        return _off(wanted, family, drop)
    asks = wanted.enabled or wanted.effort is not None or wanted.budget is not None
    if not asks and not (wanted.shown and family.thinks_unasked):  # only how reasoning is shown, where there is any
        if wanted.shown:
            drop("shown")
        return Plan(is_on=family.thinks_unasked)
    if family.thinks is Thinks.NEVER:
        drop(wanted.declared)
        return Plan()
    has_budget = wanted.budget is not None and wanted.budget > 0
    if family.thinks is Thinks.ADAPTIVE or (family.thinks is Thinks.BOTH and not has_budget):
        return _adaptive(wanted, family, limit)
    return _budgeted(wanted, limit, drop, may_think=may_think)


def _off(wanted: Thinking, family: Family, drop: Callable[[str], None]) -> Plan:
    if family.thinks is Thinks.NEVER:
        return Plan()
    if family.off:
        return Plan({"type": family.off})
    drop(wanted.declared)
    return Plan(effort="low", is_on=True)


def _adaptive(wanted: Thinking, family: Family, limit: int) -> Plan:
    effort = wanted.effort
    if effort is None and wanted.budget is not None and wanted.budget > 0:
        effort = effort_of(wanted.budget / max(limit, 1))
    display = "omitted" if wanted.shown is False else "summarized"
    level = effort_for(family, effort) if effort is not None else None
    return Plan({"type": "adaptive", "display": display}, level, is_on=True)


def _budgeted(wanted: Thinking, limit: int, drop: Callable[[str], None], *, may_think: bool) -> Plan:
    if limit <= BUDGET_LEAST or not may_think:
        drop(wanted.declared)
        return Plan()
    budget = wanted.budget
    if budget is None or budget < 0:
        budget = int(limit * SHARES.get(wanted.effort or "medium", SHARES["medium"]))
    shape: dict[str, object] = {"type": "enabled", "budget_tokens": min(max(budget, BUDGET_LEAST), limit - 1)}
    if wanted.shown is False:
        shape["display"] = "omitted"
    return Plan(shape, is_on=True)


def effort_of(share: float) -> str:
    """The effort that a budget amounts to, as a share of the answer's limit."""
    for name in ("high", "medium", "low"):
        if share >= SHARES[name]:
            return name
    return "minimal"
