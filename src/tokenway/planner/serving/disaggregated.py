"""Prefill and decoding on pools of their own: how many GPUs each needs, and what handing a cache over takes."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np

from tokenway.planner.serving.cases import Cases, cases_of
from tokenway.planner.serving.constants import calibration
from tokenway.planner.serving.deployment import Deployment, Load, Pool
from tokenway.planner.serving.predict import predict
from tokenway.planner.serving.timing import own_prefill, token


class Split(NamedTuple):
    """A deployment with a pool for prefill that keeps pace with the one that decodes."""

    deployment: Deployment
    prefill_per_decode: float
    """GPUs that prefill for each that decodes, before they are rounded up to whole workers."""
    handover: float
    """Seconds that a request's cache is on its way from one pool to the other."""


def input_rate(deployment: Deployment, load: Load) -> float:
    """Input tokens/s of one GPU that does nothing but prefill; those that a prefix cache spares are counted too.

    In the layout of its pool for that, where it has one.
    """
    seconds = float(own_prefill(cases_of([(deployment, load)]), calibration().constants)[0])
    return load.input / seconds if seconds else math.inf


def balanced(cases: Cases, chips: float) -> Cases:
    """The cases with as many GPUs for prefill as keep pace, in workers of `chips`; fractions, as of a large fleet."""
    endless = cases._replace(prefill_gpus=np.full(np.shape(cases.concurrency), np.inf))
    constants = calibration().constants
    decoding = token(endless, constants)
    requests = decoding.running * cases.workers / (cases.output * decoding.seconds)
    gpus = requests * own_prefill(cases, constants)
    return cases._replace(prefill_gpus=gpus, prefill_workers=gpus / chips)


def handover(deployment: Deployment, load: Load) -> float:
    """Seconds to send one request's cache: by one GPU's link, within the scale-up domain where both pools are in it."""
    facts = cases_of([(deployment, load)]).facts
    kept = deployment.shape.kept(load.input) * float(facts.cache_size[0]) + float(facts.state_size[0])
    chip = deployment.chip
    return kept / (chip.scale_up if deployment.gpus <= chip.domain else chip.scale_out)


def split(deployment: Deployment, load: Load, worker: Pool) -> Split:
    """Gives a deployment that decodes as many workers for prefill as keep pace with it.

    `load` is what is in the deployment at once; decoding runs at the full concurrency.
    """
    alone = msgspec.structs.replace(deployment, prefill=Pool(workers=10**6))
    decoding = predict(alone, load)
    requests = decoding.running / (load.output * decoding.tpot)
    gpus = requests * load.input / input_rate(msgspec.structs.replace(deployment, prefill=worker), load)
    prefill = Pool(workers=max(1, math.ceil(gpus / worker.chips)), tp=worker.tp, dp=worker.dp, ep=worker.ep)
    found = msgspec.structs.replace(deployment, prefill=prefill)
    return Split(found, gpus / deployment.pool.gpus, handover(found, load))
