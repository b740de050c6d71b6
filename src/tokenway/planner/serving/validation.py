"""How far off predictions are for points that the constants were not found on.

Splits, all by whole groups (model, chip, precision, nominal input), since points of one group are near copies:

* grouped: five parts in turn;
* a model at a time is left out, then a chip at a time;
* found on Hopper, tried on Blackwell;
* found before 2026, tried on what was measured after, as if engines had not changed since;
* untouched: the third of the groups whose SHA-256 is divisible by three. The form of the model was chosen, and its
  plausible values set, on the other two thirds.

Points that cannot be as they are described (the model does not fit the chips, or they do more than 70 % of the
operations that the data sheet allows) are left out of finding constants, never of the count of errors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tokenway.planner.serving.bands import width_that_holds
from tokenway.planner.serving.calibration import Fit, fit, taken, weights_of
from tokenway.planner.serving.capacity import most_running
from tokenway.planner.serving.cases import Cases, Column, cases_of
from tokenway.planner.serving.constants import LAST_DAY, Widths, quarters_of
from tokenway.planner.serving.points import Point
from tokenway.planner.serving.roofline import prefill_work
from tokenway.planner.serving.timing import first, token

Mask = npt.NDArray[np.bool_]

BUSIEST: Final = 0.7
"""No engine does more than this share of the operations that a data sheet allows; prefix caches look as if."""
YEAR: Final = date(2026, 1, 1)
_PARTS: Final = 5
_FEWEST: Final = 3
"""Two points have none in the middle."""


class Sample(NamedTuple):
    """Points as columns."""

    points: tuple[Point, ...]
    cases: Cases
    tpot: Column
    ttft: Column
    usable: Mask

    def found_on(self, rows: Mask) -> Fit:
        """Constants by the usable ones of some rows."""
        rows = rows & self.usable
        kinds = [point.kind for point, is_in in zip(self.points, rows, strict=True) if is_in]
        return fit(taken(self.cases, rows), self.tpot[rows], self.ttft[rows], weights_of(kinds))

    def some(self, rows: Mask) -> Sample:
        """Those of some rows."""
        points = tuple(point for point, is_in in zip(self.points, rows, strict=True) if is_in)
        return Sample(points, taken(self.cases, rows), self.tpot[rows], self.ttft[rows], self.usable[rows])

    def by(self, rows: Mask, found: Fit) -> tuple[Column, Column]:
        """Predictions of some rows: seconds per token, and to the first."""
        cases = taken(self.cases, rows)
        tokens = token(cases, found.constants)
        return tokens.seconds, first(cases, tokens, found.constants, found.first)


class Errors(NamedTuple):
    """How far off predictions were, as shares of what was measured."""

    points: int
    median: float
    ninth: float
    """Nine in ten were no further off."""
    bias: float
    """Median of the error with its sign: above 0 predicted too slow."""


def sample_of(points: Sequence[Point]) -> Sample:
    """Points as columns."""
    cases = cases_of([(point.deployment, point.load) for point in points])
    tpot = np.array([point.tpot for point in points])
    ttft = np.array([point.ttft for point in points])
    return Sample(tuple(points), cases, tpot, ttft, _usable(cases, tpot, ttft))


def _usable(cases: Cases, tpot: Column, ttft: Column) -> Mask:
    facts = cases.facts
    decode = 2.0 * cases.output * (facts.attention + facts.always + facts.routed * facts.share) / facts.attention_rate
    rate = cases.concurrency / (np.nan_to_num(ttft) + cases.output * tpot)
    busy = rate * (prefill_work(cases) + decode) / (cases.workers * cases.tp * cases.dp)
    return ((cases.prefill_gpus > 0) | (busy < BUSIEST)) & (most_running(cases) >= 1.0)


def untouched(points: Sequence[Point]) -> Mask:
    """The third that the form of the model was not chosen on."""
    return np.array([int(hashlib.sha256(point.group.encode()).hexdigest(), 16) % 3 == 0 for point in points])


def parts(points: Sequence[Point], seed: int = 0) -> npt.NDArray[np.int64]:
    """For each point, in which of five parts its group is."""
    groups = sorted({point.group for point in points})
    places = np.random.default_rng(seed).permutation(len(groups))
    part = {groups[place]: number % _PARTS for number, place in enumerate(places)}
    return np.array([part[point.group] for point in points])


def left_out(sample: Sample, labels: Sequence[Hashable]) -> tuple[Column, Column]:
    """Predictions of each point by constants found on those with other labels."""
    kinds = list(labels)
    tpot, ttft = np.zeros(len(kinds)), np.zeros(len(kinds))
    for label in sorted(set(kinds), key=str):
        rows = np.array([kind == label for kind in kinds])
        tpot[rows], ttft[rows] = sample.by(rows, sample.found_on(~rows))
    return tpot, ttft


def errors(measured: Column, predicted: Column) -> Errors:
    """How far off."""
    off = predicted / measured - 1.0
    ninth = float(np.quantile(np.abs(off), 0.9))
    return Errors(len(off), float(np.median(np.abs(off))), ninth, float(np.median(off)))


def coverage(sample: Sample, predicted: Column, labels: Sequence[Hashable]) -> float:
    """The share of points within a band whose width was found on the points with other labels."""
    kinds, held = list(labels), np.zeros(len(list(labels)), bool)
    for label in set(kinds):
        rows = np.array([kind == label for kind in kinds])
        width = width_that_holds(sample.tpot[~rows], predicted[~rows])
        held[rows] = np.abs(np.log(sample.tpot[rows] / predicted[rows])) <= width
    return float(held.mean())


def by_one_point(sample: Sample, predicted: Column) -> tuple[Column, Mask]:
    """Predictions times the factor of one measured point of the same configuration, at its middle concurrency.

    Of configurations with three points or more; the mask tells which points are such and not that one.
    """
    configurations: dict[Hashable, list[int]] = {}
    for number, point in enumerate(sample.points):
        load = (point.load.input, point.load.output)
        configurations.setdefault((point.kind, point.deployment.pool, load), []).append(number)
    better, is_other = predicted.copy(), np.zeros(len(predicted), bool)
    for numbers in configurations.values():
        order = sorted(numbers, key=lambda each: sample.points[each].load.concurrency)
        if len(order) >= _FEWEST:
            middle = order[len(order) // 2]
            better[numbers] *= sample.tpot[middle] / predicted[middle]
            is_other[numbers], is_other[middle] = True, False
    return better, is_other


def after_2025(sample: Sample) -> tuple[Mask, Column]:
    """Points that were measured later, and predictions of them as if their engines were of the end of 2025."""
    is_late = np.array([(point.deployment.released or LAST_DAY) >= YEAR for point in sample.points])
    newest = sample._replace(cases=sample.cases._replace(quarters=np.minimum(sample.cases.quarters, quarters_of(YEAR))))
    return is_late, newest.by(is_late, newest.found_on(~is_late))[0]


def widths(sample: Sample) -> Widths:
    """Widths of the bands, by points, models and chips left out.

    For what is known the wider one of the grouped split and of the untouched third, on which nothing was chosen. What
    newer engines add is by constants found on the points before 2026, and tried on those after.
    """
    points = sample.points
    known, _ = left_out(sample, [int(part) for part in parts(points)])
    is_third = untouched(points)
    third = width_that_holds(sample.tpot[is_third], sample.by(is_third, sample.found_on(~is_third))[0])
    model, _ = left_out(sample, [point.model for point in points])
    chip, _ = left_out(sample, [point.chip for point in points])
    better, is_other = by_one_point(sample, model)
    found = [width_that_holds(sample.tpot, each) for each in (known, model, chip)]
    found[0] = max(found[0], third)
    both = float(np.sqrt(max(found[1] ** 2 + found[2] ** 2 - found[0] ** 2, found[1] ** 2, found[2] ** 2)))
    measured = width_that_holds(sample.tpot[is_other], better[is_other])
    is_late, predicted = after_2025(sample)
    late = width_that_holds(sample.tpot[is_late], predicted)
    drift = float(np.sqrt(max(late**2 - found[0] ** 2, 0.0)))
    return Widths(found[0], max(found[1], found[0]), max(found[2], found[0]), both, measured, drift)
