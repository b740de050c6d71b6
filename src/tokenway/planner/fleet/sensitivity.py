"""Which input the answer depends on most: each moved alone from its low to its high end, the others as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Span(NamedTuple):
    """The range of an input, with what is taken where nothing is moved."""

    low: float
    base: float
    high: float


class Bar(NamedTuple):
    """What an input does to the answer: at its low end and at its high end. None: there is no answer there."""

    name: str
    span: Span
    at_low: float | None
    at_high: float | None
    base: float

    @property
    def swing(self) -> float:
        """How far the answer moves; without an end it moves as far as can be."""
        if self.at_low is None or self.at_high is None:
            return float("inf")
        ends = (self.at_low, self.base, self.at_high)
        return max(ends) - min(ends)


def tornado(answer: Callable[[Mapping[str, float]], float | None], spans: Mapping[str, Span]) -> list[Bar]:
    """The inputs by how much they move the answer, the strongest first.

    `answer` gets all inputs by name and gives a number, or None where there is none. Raises ValueError where the base
    values have none.
    """
    bases = {name: span.base for name, span in spans.items()}
    base = answer(bases)
    if base is None:
        raise ValueError("there is no answer to compare with")
    bars = [
        Bar(name, span, answer({**bases, name: span.low}), answer({**bases, name: span.high}), base)
        for name, span in spans.items()
    ]
    return sorted(bars, key=lambda bar: -bar.swing)
