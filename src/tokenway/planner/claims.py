"""What a claim such as "30 times an H100" comes to: ratios by model, lengths, speed, formats and baseline, never one.

For each regime the best is looked for that either side can do at that speed. A ratio is of output tokens/s per GPU, per
dollar of rent, and per watt that the utility provides. `factors` takes the baseline chip and gives it the other one's
figures one after the other, so that each is seen for what it brings in that order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from tokenway.planner.errors import unknown
from tokenway.planner.fleet.prices import gpu_price
from tokenway.planner.fleet.search import Offer, Replica, Served, search
from tokenway.planner.fleet.workload import Mix, Targets
from tokenway.planner.formats import Numbers, numbers_of
from tokenway.planner.hardware import chips
from tokenway.planner.shapes import shapes

SPEEDS: Final = (10.0, 20.0, 50.0, 100.0)
"""Tokens/s that a caller gets."""
PATIENCE: Final = 30.0
"""Seconds to the first token that are put up with: speed is what is compared."""
ENGINE: Final = "trtllm"
"""The engine of both sides: the maker's own, which the claims are about."""


class Claim(NamedTuple):
    """A claim: which chip in which format against which ones, for which models and lengths, and where it was made."""

    name: str
    says: str
    origin: str
    chip: str
    numbers: str
    baselines: tuple[tuple[str, str], ...]
    models: tuple[str, ...]
    lengths: tuple[tuple[int, int], ...]


CLAIMS: Final = {
    each.name: each
    for each in (
        Claim(
            "blackwell-30x",
            "Blackwell serves large models up to 30 times as fast as H100.",
            "NVIDIA's keynote of March 2024, a projection: a mixture of experts with 1.8T parameters, 32k in and 1k "
            "out, 5 s to the first token, 50 ms for each more, GB200 NVL72 in FP4 against as many H100 in FP8",
            "gb200",
            "nvfp4",
            (("h100", "fp8"), ("h200", "fp8"), ("b200", "fp8"), ("b200", "nvfp4")),
            ("deepseek-v3", "llama-3-405b", "llama-3-70b", "gpt-oss-120b"),
            ((1024, 1024), (8192, 1024), (32768, 1024)),
        ),
    )
}


class Case(NamedTuple):
    """What both sides are asked: a model, tokens in and out, and tokens/s for a caller."""

    model: str
    input: int
    output: int
    speed: float

    def best(self, chip: str, numbers: str, kind: str) -> Replica | None:
        """The most tokens per GPU that a chip comes to, with its price of `kind`; None where it cannot do it."""
        return self.best_of(Offer(chip, chips()[chip], gpu_price(chip, kind)), numbers_of(numbers))

    def best_of(self, offer: Offer, numbers: Numbers) -> Replica | None:
        """The same of a chip with any figures."""
        mix = Mix(input=self.input, output=self.output, cached=0.0)
        targets = Targets(speed=self.speed, ttft=PATIENCE)
        found = search(Served(shapes()[self.model], ENGINE), mix, targets, [offer], [numbers]).replicas
        return max(found, key=lambda replica: replica.tokens_per_s_gpu, default=None)


class Regime(NamedTuple):
    """One row: what is asked, the baseline, and what the claimed side and the baseline come to at best."""

    case: Case
    baseline: str
    numbers: str
    claimed: Replica | None
    base: Replica | None

    @property
    def per_gpu(self) -> float | None:
        """Output tokens/s per GPU by the baseline's; None where one of the two cannot do it."""
        if self.claimed is None or self.base is None:
            return None
        return self.claimed.tokens_per_s_gpu / self.base.tokens_per_s_gpu

    @property
    def per_dollar(self) -> float | None:
        """The same per dollar of an hour."""
        if self.claimed is None or self.base is None:
            return None
        return self.base.cost() / self.claimed.cost()

    @property
    def per_watt(self) -> float | None:
        """The same per watt that the utility provides."""
        ratio = self.per_gpu
        if ratio is None or self.claimed is None or self.base is None:
            return None
        return ratio * self.base.offer.chip.all_in_kw / self.claimed.offer.chip.all_in_kw


class Factor(NamedTuple):
    """What one figure of the chip brings when it is changed after those before it."""

    name: str
    tokens_per_s_per_gpu: float | None
    gain: float | None


def claim_of(name: str) -> Claim:
    """A claim. Raises PlanError for an unknown one."""
    found = CLAIMS.get(name)
    if found is None:
        raise unknown("claim", name, CLAIMS)
    return found


def regimes(claim: Claim, kind: str, speeds: Sequence[float] = SPEEDS) -> Iterator[Regime]:
    """The rows of a claim, with prices of `kind`."""
    for model, (came_in, came_out), speed in itertools.product(claim.models, claim.lengths, speeds):
        case = Case(model, came_in, came_out, speed)
        claimed = case.best(claim.chip, claim.numbers, kind)
        for chip, numbers in claim.baselines:
            yield Regime(case, chip, numbers, claimed, case.best(chip, numbers, kind))


def factors(claim: Claim, case: Case, kind: str) -> list[Factor]:
    """The claimed chip's figures given to the first baseline one after the other: what it does with each."""
    name, numbers = claim.baselines[0]
    target = chips()[claim.chip]
    before, after = numbers_of(numbers), numbers_of(claim.numbers)
    steps: list[tuple[str, dict[str, float | int], Numbers]] = [
        ("the baseline", {}, before),
        ("memory bandwidth", {"memory_tb_s": target.memory_tb_s}, before),
        ("compute in the same format", {"bf16_tflops": target.bf16_tflops, "fp8_tflops": target.fp8_tflops}, before),
        ("memory capacity", {"memory_gb": target.memory_gb}, before),
        ("faster links", {"scale_up_gb_s": target.scale_up_gb_s, "scale_out_gb_s": target.scale_out_gb_s}, before),
        ("a larger NVLink domain", {"domain": target.domain}, before),
        ("four bits", {"fp4_tflops": target.fp4_tflops}, after),
    ]
    price = gpu_price(name, kind)
    chip, last = chips()[name], None
    found = []
    for title, figures, used in steps:
        chip = msgspec.structs.replace(chip, **figures)
        best = case.best_of(Offer(name, chip, price), used)
        now = best.tokens_per_s_gpu if best is not None else None
        found.append(Factor(title, now, now / last if now is not None and last is not None else None))
        last = now
    return found
