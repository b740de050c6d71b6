"""Intervals of shares, and tests that assume nothing about the noise: pure arithmetic for `agreement`."""

from __future__ import annotations

from itertools import combinations
from math import comb, sqrt
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEVEL: Final = 0.95
_Z: Final = 1.959964
"""The normal quantile of `LEVEL`, both sides."""
_DRAWS: Final = 2000
_TIE: Final = 1e-12
"""Sums that differ by less are equal but for rounding."""
_NEVER_SEEN: Final = 3.0
"""What was never seen in n cases happens in at most 3 / n of them, at `LEVEL` (the rule of three)."""


class Interval(NamedTuple):
    """A figure with the bounds that hold it at `LEVEL`."""

    value: float
    low: float
    high: float


class Excess(NamedTuple):
    """How much further apart answers are between two endpoints than within each, by one measure.

    `chance` is how often equal endpoints would be at least as far apart.
    """

    prompts: int
    between: float
    within: float
    more: Interval
    chance: float


def wilson(share: float, count: int) -> Interval:
    """The interval of a share of `count`."""
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z * sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / (1 + _Z**2 / count)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def newcombe(a: Interval, b: Interval) -> Interval:
    """The interval of how much more share `b` is than `a`, from theirs."""
    more = b.value - a.value
    low = sqrt((b.value - b.low) ** 2 + (a.high - a.value) ** 2)
    high = sqrt((b.high - b.value) ** 2 + (a.value - a.low) ** 2)
    return Interval(more, more - low, more + high)


def excess(distances: Array, chance: np.random.Generator) -> Excess:
    """From distances (prompts x answers x answers); the first half of the answers is one endpoint's.

    Each has two answers or more. The interval is over prompts.
    """
    prompts, answers, _ = distances.shape
    rounds = answers // 2
    between, within = _parts(distances, _labellings(rounds)[:, None, :])  # labellings x prompts
    apart = between - within
    each = apart[0]
    seen = float(each.mean())
    drawn = chance.integers(0, len(apart), (_DRAWS, prompts))
    as_far = int((apart[drawn, np.arange(prompts)].mean(axis=1) >= seen - _TIE).sum())
    means = each[chance.integers(0, prompts, (_DRAWS, prompts))].mean(axis=-1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if not distances.any():
        high = _NEVER_SEEN / prompts
    return Excess(
        prompts,
        float(between[0].mean()),
        float(within[0].mean()),
        Interval(seen, float(low), float(high)),
        (1 + as_far) / (1 + _DRAWS),
    )


def _labellings(rounds: int) -> Array:
    """Every way to say which half of the answers is whose, as 1 and -1; the first is how they came."""
    found = np.full((comb(2 * rounds, rounds), 2 * rounds), -1.0)
    for number, chosen in enumerate(combinations(range(2 * rounds), rounds)):
        found[number, list(chosen)] = 1.0
    return found


def _parts(distances: Array, labels: Array) -> tuple[Array, Array]:
    """(mean distance between, mean distance within) for each labelling (... x prompts x answers) and prompt."""
    rounds = labels.shape[-1] // 2
    alike = np.einsum("...pi,pij,...pj->...p", labels, distances, labels) / 2  # within minus between
    everything = distances.sum(axis=(1, 2)) / 2
    return (everything - alike) / 2 / rounds**2, (everything + alike) / 2 / (rounds * (rounds - 1))


def chance_of_difference(values: Array, chance: np.random.Generator) -> float:
    """How often equal endpoints would differ as much in the mean of a figure (prompts x answers), either way."""
    prompts, answers = values.shape
    sums = values @ _labellings(answers // 2).T  # of each prompt under each labelling, as it is in the first
    seen = abs(float(sums[:, 0].sum()))
    drawn = chance.integers(0, sums.shape[1], (_DRAWS, prompts))
    as_far = int((np.abs(sums[np.arange(prompts), drawn].sum(axis=1)) >= seen - _TIE).sum())
    return (1 + as_far) / (1 + _DRAWS)
