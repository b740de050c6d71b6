"""What operators of large deployments published, beside what the model of serving says; no constant was found on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tokenway.planner.formats import numbers_of
from tokenway.planner.hardware import Chip, chip_of
from tokenway.planner.serving.cases import cases_of
from tokenway.planner.serving.deployment import Deployment, Load, Pool
from tokenway.planner.serving.disaggregated import input_rate, split
from tokenway.planner.serving.pareto import curve, sweep
from tokenway.planner.serving.predict import predict
from tokenway.planner.serving.roofline import parts_of
from tokenway.planner.serving.timing import FAR_SHARE
from tokenway.planner.shapes import shape_of

DAY: Final = 86_400
MACHINE: Final = 8
DAY_INPUT: Final = 608e9
DAY_OUTPUT: Final = 168e9
"""Tokens of DeepSeek's day, 27 February 2025 (open-infra-index, day 6)."""
USER_SPEED: Final = 21.0
_DEEPEP: Final = {16: 313, 32: 428, 64: 487, 128: 561, 256: 554}
"""Microseconds by GPUs, dispatch and combine (DeepEP's README, low-latency kernels)."""


class Figure(NamedTuple):
    """One figure, measured and predicted."""

    name: str
    measured: float
    predicted: float


def _r1(chip: Chip, numbers: str, pool: Pool, engine: str, prefill: Pool | None = None) -> Deployment:
    return Deployment(
        shape=shape_of("deepseek-r1")[1],
        chip=chip,
        numbers=numbers_of(numbers),
        pool=pool,
        prefill=prefill,
        engine=engine,
    )


def deepseek_day(engine: str = "trtllm") -> Iterator[Figure]:
    """608 billion tokens in, 56.3 % of them cached, and 168 billion out, on 1,814 H800.

    EP32 for prefill and EP144 to decode, a cache in BF16, 20 to 22 tokens/s for each user at a mean context of 4,989,
    which is 4,383 tokens in and 1,211 out. A machine of eight did 73,700 tokens/s in, and another 14,800 out. The
    batch is the largest that gives users that speed with an engine.
    """
    h800 = msgspec.structs.replace(chip_of("h800")[1], scale_up_gb_s=200.0)
    decoding = _r1(h800, "fp8/fp8/bf16", Pool(dp=144, ep=144), engine)
    loads = (Load(input=4383, output=1211, concurrency=144 * batch, cached=0.563) for batch in range(88, 0, -1))
    runs = ((split(decoding, load, Pool(dp=32, ep=32)).deployment, load) for load in loads)
    deployment, load, found = next(
        (each, load, found) for each, load in runs if (found := predict(each, load)).tokens_per_s_user >= USER_SPEED
    )
    came_in = input_rate(deployment, load)
    out = found.running / found.tpot / decoding.gpus
    yield Figure(f"DeepSeek's day, {engine}: tokens/s of a user", USER_SPEED, found.tokens_per_s_user)
    yield Figure("    a machine's tokens/s out", 14_800, MACHINE * out)
    yield Figure("    a machine's tokens/s in", 73_700, MACHINE * came_in)
    yield Figure("    GPUs, each pool at its rate", 1814, (DAY_INPUT / came_in + DAY_OUTPUT / out) / DAY)
    all_in = DAY_OUTPUT / DAY / found.tokens_per_s_gpu
    yield Figure("    GPUs, whole workers, prefill among the batch", 1814, all_in)


def sglang_over_nine_machines() -> Figure:
    """EP72 on H100 with 256 sequences a GPU of 2,000 tokens in (LMSYS, 5 May 2025)."""
    deployment = _r1(chip_of("h100")[1], "fp8", Pool(dp=72, ep=72), "sglang", Pool(workers=10**6))
    deployment = msgspec.structs.replace(deployment, released=date(2025, 5, 5))
    found = predict(deployment, Load(input=2000, output=100, concurrency=72 * 256))
    return Figure("SGLang, EP72 on H100: a machine's tokens/s", 22_282, MACHINE * 256 / found.tpot)


def deepep() -> Iterator[Figure]:
    """Dispatch and combine of a layer, of 128 tokens on each H800."""
    for gpus, measured in _DEEPEP.items():
        asked = Load(input=1000, output=500, concurrency=128 * gpus)
        cases = cases_of([(_r1(chip_of("h800")[1], "fp8", Pool(dp=gpus, ep=gpus), "trtllm"), asked)])
        layers = float(cases.facts.expert_layers[0])
        seconds = float(parts_of(cases, np.array([128.0 * gpus])).beyond[0]) / FAR_SHARE / layers
        yield Figure(f"DeepEP over {gpus} H800: microseconds", measured, seconds * 1e6)


def r1_on_h200() -> Figure:
    """8k/1k at 50 tokens/s for each user: InferenceX measured 108 tokens/s a GPU, at $1.41 an hour."""
    asked = Load(input=0.9 * 8192, output=0.9 * 1024, concurrency=1)
    deployment = _r1(chip_of("h200")[1], "fp8", Pool(tp=8), "trtllm")
    best = max(curve(sweep(deployment, asked, apart=apart).found).at(50) for apart in (False, True))
    return Figure("R1 on H200 at 50 tokens/s: $ a million of output", 3.63, 1.41 / 3600 / best * 1e6)


def figures() -> list[Figure]:
    """All of them."""
    days = (figure for engine in ("trtllm", "sglang") for figure in deepseek_day(engine))
    return [*days, sglang_over_nine_machines(), *deepep(), r1_on_h200()]
