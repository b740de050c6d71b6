"""What is asked of the model of serving: chips that hold a model in some layout, and the requests they are given."""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec

from tokenway.planner.errors import PlanError, unknown
from tokenway.planner.formats import Numbers
from tokenway.planner.hardware import Chip
from tokenway.planner.shapes import Shape

ENGINES: Final = ("trtllm", "vllm", "sglang")
"""Engines with a factor of their own in the calibration."""

SHARED: Final = 8
"""Up to so many chips of a worker share attention where nothing is told of that."""


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Workers that do the same, each with the whole model on `tp` x `dp` chips.

    `tp` chips share the attention of a sequence, `dp` such groups have sequences of their own, and all of them share
    the experts: each of `ep` parts has whole experts, and where `ep` is less than all chips, the rest splits them.
    """

    workers: int = 1
    tp: int = 1
    dp: int = 1
    ep: int = 1

    def __post_init__(self) -> None:
        """Raises PlanError for a layout that no chips have."""
        if min(self.workers, self.tp, self.dp, self.ep) < 1:
            raise PlanError("Workers and the degrees of parallelism are one or more each.")
        if self.chips % self.ep:
            raise PlanError(f"Experts in {self.ep} parts do not come out even on {self.chips} GPUs.")

    @property
    def chips(self) -> int:
        """Chips of one worker."""
        return self.tp * self.dp

    @property
    def gpus(self) -> int:
        """Chips of all workers."""
        return self.workers * self.chips


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """Speculative decoding: `tokens` are guessed per step, each right with probability `accepted`.

    A guess costs `cost` of a step of the model itself, as a layer for multi-token prediction or a small model does.
    """

    tokens: int = 3
    accepted: float = 0.7
    cost: float = 0.02

    def __post_init__(self) -> None:
        """Raises PlanError for figures that no draft has."""
        if self.tokens < 1 or not 0 <= self.accepted < 1 or self.cost < 0:
            raise PlanError(
                "A draft guesses a token or more, right with a share from 0 to below 1, at a cost not below 0."
            )


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A model on chips: `pool` decodes, and prefills as well where there is no pool `prefill` for that."""

    shape: Shape
    chip: Chip
    numbers: Numbers
    pool: Pool
    prefill: Pool | None = None
    engine: str = "vllm"
    released: date | None = None
    """When the engine was released; None is as new as the calibration knows them."""
    draft: Draft | None = None

    def __post_init__(self) -> None:
        """Raises PlanError for an engine that the calibration does not know."""
        if self.engine not in ENGINES:
            raise unknown("engine", self.engine, ENGINES)

    @property
    def gpus(self) -> int:
        """All chips."""
        return self.pool.gpus + (self.prefill.gpus if self.prefill is not None else 0)


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Requests: mean tokens of input and output, how many are in the deployment at once, and what caches spare.

    `cached` is the share of the input whose keys and values a prefix cache has already.
    """

    input: float
    output: float
    concurrency: float
    cached: float = 0.0

    def __post_init__(self) -> None:
        """Raises PlanError for lengths or shares that no request has."""
        if self.input < 0 or self.output < 1 or self.concurrency <= 0 or not 0 <= self.cached <= 1:
            raise PlanError(
                "A load has an input of 0 tokens or more, an output of 1 or more, a concurrency above 0 "
                "and a cached share from 0 to 1."
            )
