"""The prediction: seconds per token and to the first one, tokens per second, what bounds them, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tokenway.planner.serving.capacity import most_running
from tokenway.planner.serving.cases import Cases, Column, cases_of
from tokenway.planner.serving.deployment import Deployment, Load
from tokenway.planner.serving.roofline import parts_of

BOUNDS = ("weights", "cache", "compute", "links", "overhead", "prefill")
"""What takes the most of a step: reading weights or the cache, products, messages, the host, or prefill beside it."""


class Predictions(NamedTuple):
    """Columns, one number for each case. Times in seconds; rates count output tokens."""

    tpot: Column
    """Seconds per output token of a request, after the first; `low` to `high` holds it in four cases of five."""
    low: Column
    high: Column
    ttft: Column
    """Seconds to the first token, of a mean request, with the wait for others where so many are in at once."""
    tokens_per_s_user: Column
    tokens_per_s_gpu: Column
    requests_per_s: Column
    """Of the whole deployment."""
    running: Column
    """Sequences that run at once, over all workers: concurrency, unless memory holds fewer."""
    most: Column
    """Sequences that memory holds, over all workers."""
    fits: npt.NDArray[np.bool_]
    """Where the weights and at least one sequence fit."""
    shares: Column
    """Share of a token's time by what bounds it, in the order of BOUNDS: first axis."""


class Prediction(NamedTuple):
    """One case; fields as in Predictions, but `bound` names the largest share."""

    tpot: float
    low: float
    high: float
    ttft: float
    tokens_per_s_user: float
    tokens_per_s_gpu: float
    requests_per_s: float
    running: float
    most: float
    fits: bool
    shares: dict[str, float]

    @property
    def bound(self) -> str:
        """What takes the most of a token's time."""
        return max(self.shares, key=lambda name: self.shares[name])


def predict_all(cases: Cases) -> Predictions:
    """Predictions of all cases."""
    most = most_running(cases)
    running = np.minimum(cases.concurrency / cases.workers, np.maximum(most, 1.0))
    parts = parts_of(cases, running)
    apart = cases.prefill_gpus > 0
    prefill = parts.prefill / 0.5
    share = np.where(apart, 0.0, running / cases.output)
    overhead = cases.facts.layers * (35e-6 + 19e-6 * (cases.tp > 1)) + cases.facts.expert_layers * 29e-6
    step = np.stack(
        np.broadcast_arrays(
            parts.weights / 0.77,
            parts.cache / 0.77,
            (parts.products + parts.scores) / 0.4,
            (parts.reduces + parts.experts) / 0.3,
            overhead,
            share * prefill,
        )
    )
    tpot = step.sum(axis=0)
    ttft = prefill + np.maximum(cases.concurrency / cases.workers - running, 0.0) * tpot
    total = ttft + (cases.output - 1.0) * tpot
    requests = cases.concurrency / total
    gpus = cases.workers * cases.tp * cases.dp + cases.prefill_gpus
    return Predictions(
        tpot=tpot,
        low=tpot / 1.35,
        high=tpot * 1.35,
        ttft=ttft,
        tokens_per_s_user=1.0 / tpot,
        tokens_per_s_gpu=requests * cases.output / gpus,
        requests_per_s=requests,
        running=running * cases.workers,
        most=most * cases.workers,
        fits=most >= 1.0,
        shares=step / tpot,
    )


def predict_many(asked: Sequence[tuple[Deployment, Load]]) -> Predictions:
    """Predictions in order."""
    return predict_all(cases_of(asked))


def predict(deployment: Deployment, load: Load) -> Prediction:
    """What one deployment does with one load."""
    found = predict_many([(deployment, load)])
    numbers = {name: float(column[0]) for name, column in found._asdict().items() if name not in {"fits", "shares"}}
    shares = dict(zip(BOUNDS, map(float, found.shares[:, 0]), strict=True))
    return Prediction(**numbers, fits=bool(found.fits[0]), shares=shares)
