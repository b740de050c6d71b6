"""Intervals of shares, and tests that assume nothing about the noise: pure arithmetic for `agreement`."""

from __future__ import annotations

from math import sqrt
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
    labels = np.repeat([1.0, -1.0], rounds)
    between, within = _parts(distances, labels[None, None, :])
    each = (between - within)[0]
    seen = float(each.mean())
    shuffled, also = _parts(distances, chance.permuted(np.tile(labels, (_DRAWS, prompts, 1)), axis=-1))
    as_far = int(((shuffled - also).mean(axis=-1) >= seen - _TIE).sum())
    means = each[chance.integers(0, prompts, (_DRAWS, prompts))].mean(axis=-1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if not distances.any():
        high = _NEVER_SEEN / prompts
    return Excess(
        prompts,
        float(between.mean()),
        float(within.mean()),
        Interval(seen, float(low), float(high)),
        (1 + as_far) / (1 + _DRAWS),
    )


def _parts(distances: Array, labels: Array) -> tuple[Array, Array]:
    """(mean distance between, mean distance within) for each labelling (draws x prompts x answers) and prompt."""
    rounds = labels.shape[-1] // 2
    alike = np.einsum("...pi,pij,...pj->...p", labels, distances, labels) / 2  # within minus between
    everything = distances.sum(axis=(1, 2)) / 2
    return (everything - alike) / 2 / rounds**2, (everything + alike) / 2 / (rounds * (rounds - 1))


def chance_of_difference(values: Array, chance: np.random.Generator) -> float:
    """How often equal endpoints would differ as much in the mean of a figure (prompts x answers), either way."""
    prompts, answers = values.shape
    labels = np.repeat([1.0, -1.0], answers // 2)
    seen = abs(float((values * labels).sum()))
    shuffled = chance.permuted(np.tile(labels, (_DRAWS, prompts, 1)), axis=-1)
    as_far = int((np.abs((values * shuffled).sum(axis=(1, 2))) >= seen - _TIE).sum())
    return (1 + as_far) / (1 + _DRAWS)
