"""Finding the constants: least squares of the log of the time per token, drawn towards what is plausible beforehand.

Each constant has a plausible value and how far it may be off (a factor, as the sigma of a logarithm), so that one which
the points say little about stays where physics and published kernels put it. Points count by the root of how many there
are of their kind, lest a model that was measured more often outweighs the others; far-off ones pull less (soft L1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from tokenway.planner.serving.cases import Cases, Column, Facts
from tokenway.planner.serving.constants import Constants, First
from tokenway.planner.serving.timing import first, token

PLAUSIBLE: Final = Constants(
    weights=0.8,
    cache=0.7,
    products=0.5,
    prefill=0.5,
    around=4000.0,
    prefill_reduces=0.5,
    reduces=0.3,
    messages=0.3,
    layer=45e-6,
    doubling=5e-6,
    expert_layer=25e-6,
    latent_layer=10e-6,
    recurrent_layer=10e-6,
    older=2.0,
    apart_layer=40e-6,
    packed_layer=30e-6,
    outer_layer=60e-6,
    sequence=1e-6,
    vllm=1.1,
    sglang=1.15,
    quarter=0.05,
)
SIGMA: Final = Constants(
    weights=0.12,
    cache=0.25,
    products=0.5,
    prefill=0.3,
    around=1.0,
    prefill_reduces=0.4,
    reduces=0.6,
    messages=0.6,
    layer=0.4,
    doubling=1.0,
    expert_layer=0.6,
    latent_layer=0.7,
    recurrent_layer=0.7,
    older=0.4,
    apart_layer=0.7,
    packed_layer=0.7,
    outer_layer=0.7,
    sequence=1.0,
    vllm=0.12,
    sglang=0.12,
    quarter=0.7,
)
PLAUSIBLE_FIRST: Final = First(starts=5.0, own=1.0, steps=1.0, others=0.05, queue=1.0, vllm=1.0, sglang=1.0)
_FIRST_SIGMA: Final = First(starts=1.0, own=0.5, steps=1.0, others=1.0, queue=0.5, vllm=0.3, sglang=0.3)
_SPREAD: Final = 0.15
_FIRST_SPREAD: Final = 0.4


class Fit(NamedTuple):
    """Constants that were found."""

    constants: Constants
    first: First


def taken(cases: Cases, rows: npt.NDArray[np.bool_]) -> Cases:
    """Some of the cases."""
    facts = Facts(*(each[rows] for each in cases.facts))
    return Cases(facts, *(each[rows] for each in cases[1:]))


def weights_of(kinds: Sequence[Hashable]) -> Column:
    """A weight for each point: the root of one over how many are of its kind, one in the mean."""
    counts = Counter(kinds)
    found: Column = np.array([counts[kind] ** -0.5 for kind in kinds])
    mean: Column = found / found.mean()
    return mean


def fit(cases: Cases, tpot: Column, ttft: Column, weights: Column) -> Fit:
    """Constants by measured times in seconds; those to the first token where `ttft` is a number."""
    pull, scale = np.sqrt(weights), np.log(np.array(PLAUSIBLE))
    spread, wanted = np.array(SIGMA), np.log(tpot)

    def off(logs: Column) -> Column:
        found = np.log(token(cases, Constants(*np.exp(logs))).seconds)
        return np.concatenate([(found - wanted) * pull / _SPREAD, (logs - scale) / spread])

    solved = least_squares(off, scale, loss="soft_l1", x_scale=spread, ftol=1e-5, xtol=1e-5)
    constants = Constants(*map(float, np.exp(solved.x)))
    return Fit(constants, _fit_first(cases, ttft, pull, constants))


def _fit_first(cases: Cases, ttft: Column, pull: Column, constants: Constants) -> First:
    known = np.isfinite(ttft) & (ttft > 0)
    some, pull, wanted = taken(cases, known), pull[known], np.log(ttft[known])
    found, start = token(some, constants), np.log(np.array(PLAUSIBLE_FIRST))

    def off(logs: Column) -> Column:
        guessed = np.log(first(some, found, constants, First(*np.exp(logs))))
        return np.concatenate([(guessed - wanted) * pull / _FIRST_SPREAD, (logs - start) / np.array(_FIRST_SIGMA)])

    solved = least_squares(off, start, loss="cauchy", ftol=1e-5, xtol=1e-5)
    return First(*map(float, np.exp(solved.x)))
