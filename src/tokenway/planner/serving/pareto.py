"""Layouts and batches of a model on a chip, and the curve of those that no other beats in speed of users and of GPUs.

All of a sweep are predicted at once; a few thousand take some milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tokenway.planner.hardware import Chip
from tokenway.planner.serving.cases import Cases, Column, spread
from tokenway.planner.serving.deployment import Deployment, Load, Pool
from tokenway.planner.serving.disaggregated import balanced
from tokenway.planner.serving.predict import Measured, Predictions, predict_all
from tokenway.planner.shapes import Shape

BATCHES: Final = tuple(float(batch) for batch in np.unique(np.round(2 ** np.arange(0.0, 12.01, 0.5))))
"""Concurrencies per worker of a sweep: 1 to 4,096, two to each doubling."""


PREFILL_CHIPS: Final = 8
"""GPUs of a worker that does nothing but prefill, and the most that share attention beside experts, in a sweep."""


class Sweep(NamedTuple):
    """Layouts times batches, one below the other: what was asked, and what was predicted."""

    pools: tuple[Pool, ...]
    pool: npt.NDArray[np.int64]
    """Number of its pool, for each case."""
    cases: Cases
    found: Predictions

    def deployment(self, like: Deployment, case: int) -> Deployment:
        """The deployment of one of the cases."""
        return Deployment(
            shape=like.shape,
            chip=like.chip,
            numbers=like.numbers,
            pool=self.pools[self.pool[case]],
            prefill=like.prefill,
            engine=like.engine,
            released=like.released,
            draft=like.draft,
        )


class Curve(NamedTuple):
    """The cases that no other beats, slowest user first."""

    case: npt.NDArray[np.int64]
    user: Column
    gpu: Column

    def at(self, user: float) -> float:
        """Tokens/s of a GPU where each user gets so many: between points by powers, beyond the last none."""
        if not len(self.user) or user > self.user[-1]:
            return 0.0
        return float(np.exp(np.interp(np.log(user), np.log(self.user), np.log(self.gpu))))


def layouts(shape: Shape, chip: Chip, most: int | None = None) -> tuple[Pool, ...]:
    """Ways to lay one worker on up to `most` chips (a domain's, where nothing is said).

    All chips share each layer; or, for models with experts, have whole experts each, with attention shared or apart.
    """
    most = chip.domain if most is None else most
    sizes = [size for size in (1, 2, 4, 8, 16, 32, 64) if size <= most]
    if most >= chip.domain and chip.domain not in sizes:
        sizes.append(chip.domain)
    found = [Pool(tp=size) for size in sizes if size <= shape.heads and shape.heads % size == 0]
    if shape.experts:
        apart = [size for size in sizes if size > 1 and shape.experts >= size]
        found += [Pool(tp=size, ep=size) for size in apart if size <= PREFILL_CHIPS and shape.heads % size == 0]
        found += [Pool(dp=size, ep=size) for size in apart]
    return tuple(found)


def sweep(
    deployment: Deployment,
    load: Load,
    pools: Sequence[Pool] | None = None,
    batches: Sequence[float] = BATCHES,
    measured: Measured | None = None,
    *,
    apart: bool = False,
) -> Sweep:
    """Predictions of every layout with every batch per worker, for a deployment's model, chip, formats and engine.

    `apart`: with prefill on GPUs of its own, as many as keep pace, in workers of a domain or eight GPUs.
    """
    kinds = tuple(layouts(deployment.shape, deployment.chip) if pools is None else pools)
    number = np.repeat(np.arange(len(kinds)), len(batches))
    columns = {name: np.array([getattr(kind, name) for kind in kinds], float) for name in ("workers", "tp", "dp", "ep")}
    columns = {name: column[number] for name, column in columns.items()}
    concurrency = np.tile(np.asarray(batches, float), len(kinds)) * columns["workers"]
    cases = spread(deployment, load, concurrency=concurrency, **columns)
    if apart:
        cases = balanced(cases, float(min(deployment.chip.domain, PREFILL_CHIPS)))
    return Sweep(kinds, number, cases, predict_all(cases, measured))


def curve(found: Predictions, ttft: float = np.inf) -> Curve:
    """The cases that fit, keep `ttft` seconds, and are not beaten in both speeds by another."""
    some = np.flatnonzero(found.fits & (found.ttft <= ttft))
    user, gpu = found.tokens_per_s_user[some], found.tokens_per_s_gpu[some]
    order = np.lexsort((-gpu, -user))
    best = np.maximum.accumulate(np.concatenate(([-np.inf], gpu[order][:-1])))
    kept = order[gpu[order] > best][::-1]
    return Curve(some[kept], user[kept], gpu[kept])
