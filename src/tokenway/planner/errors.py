"""What the planner cannot answer, and why."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from tokenway.model.errors import TokenwayError


class PlanError(TokenwayError):
    """A question that has no answer; its text says which part of it, and what would have one."""


def unknown(what: str, name: str, known: Iterable[str]) -> PlanError:
    """`name` is no `what` that is known: says which ones come nearest, or all where none does."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names)}."
    return PlanError(f"There is no {what} '{name}'; {hint}")
