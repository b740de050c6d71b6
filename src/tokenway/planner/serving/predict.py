"""The prediction: seconds per token and to the first one, tokens per second, what bounds them, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tokenway.planner.serving.bands import width_of
from tokenway.planner.serving.capacity import most_running
from tokenway.planner.serving.cases import Cases, Column, cases_of
from tokenway.planner.serving.constants import calibration
from tokenway.planner.serving.deployment import Deployment, Load
from tokenway.planner.serving.timing import BOUNDS, first, token

__all__ = ["BOUNDS", "Measured", "Prediction", "Predictions", "measured_by", "predict", "predict_all", "predict_many"]


class Predictions(NamedTuple):
    """Columns, one number for each case. Times in seconds; rates count output tokens."""

    tpot: Column
    """Seconds per output token of a request, after the first; `low` to `high` holds it in four cases of five."""
    low: Column
    high: Column
    ttft: Column
    """Seconds to the first token of a mean request, with the wait for others where so many are in at once."""
    tokens_per_s_user: Column
    tokens_per_s_gpu: Column
    requests_per_s: Column
    """Of the whole deployment."""
    running: Column
    """Sequences that run at once, over all workers: concurrency, unless memory or the prefill pool let fewer run."""
    most: Column
    """Sequences that memory holds, over all workers."""
    fits: npt.NDArray[np.bool_]
    """Where the weights and at least one sequence fit."""
    shares: Column
    """Share of a token's time by what bounds it, in the order of BOUNDS: first axis."""


class Prediction(NamedTuple):
    """One case; fields as in Predictions."""

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


class Measured(NamedTuple):
    """What the prediction of this configuration has to be multiplied by, from a measurement of one's own."""

    factor: float


def predict_all(cases: Cases, measured: Measured | None = None) -> Predictions:
    """Predictions of all cases; with one measured point of the same configuration, by its factor and as sure."""
    shipped = calibration()
    found = token(cases, shipped.constants)
    factor = measured.factor if measured is not None else 1.0
    tpot = found.seconds * factor
    width = np.exp(width_of(cases, shipped.widths, is_measured=measured is not None))
    ttft = first(cases, found, shipped.constants, shipped.first) * factor
    running = found.running * cases.workers
    # Little's law; what waits for a place adds nothing to what those that have one do.
    requests = np.minimum(cases.concurrency / (ttft + (cases.output - 1.0) * tpot), running / (cases.output * tpot))
    gpus = cases.workers * cases.tp * cases.dp + cases.prefill_gpus
    most = most_running(cases)
    return Predictions(
        tpot=tpot,
        low=tpot / width,
        high=tpot * width,
        ttft=ttft,
        tokens_per_s_user=1.0 / tpot,
        tokens_per_s_gpu=requests * cases.output / gpus,
        requests_per_s=requests,
        running=running,
        most=most * cases.workers,
        fits=most >= 1.0,
        shares=found.shares / found.seconds,
    )


def predict_many(asked: Sequence[tuple[Deployment, Load]]) -> Predictions:
    """Predictions in order."""
    return predict_all(cases_of(asked))


def predict(deployment: Deployment, load: Load, measured: Measured | None = None) -> Prediction:
    """What one deployment does with one load."""
    found = predict_all(cases_of([(deployment, load)]), measured)
    numbers = {name: float(column[0]) for name, column in found._asdict().items() if name not in {"fits", "shares"}}
    shares = dict(zip(BOUNDS, map(float, found.shares[:, 0]), strict=True))
    return Prediction(**numbers, fits=bool(found.fits[0]), shares=shares)


def measured_by(deployment: Deployment, load: Load, tpot: float) -> Measured:
    """The factor of a measured time per output token in seconds. One at a middle concurrency says the most."""
    return Measured(tpot / predict(deployment, load).tpot)
