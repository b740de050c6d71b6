"""What the planner cannot answer, and why."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from tokenway.model.errors import TokenwayError


class PlanError(TokenwayError):
    """A question that has no answer; its text says which part of it, and what would have one."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Up to three known names that come near, as `a or b`; empty where none does."""
    return " or ".join(difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.5))


def unknown(what: str, name: str, known: Iterable[str]) -> PlanError:
    """`name` is no `what` that is known: says which ones come nearest, or all where none does."""
    names = sorted(set(known))
    near = nearest(name, names)
    hint = f"did you mean {near}?" if near else f"known are {', '.join(names)}."
    return PlanError(f"There is no {what} '{name}'; {hint}")
