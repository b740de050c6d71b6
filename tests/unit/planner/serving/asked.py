"""Deployments and loads that tests ask about."""

from __future__ import annotations

from tokenway.planner.formats import numbers_of
from tokenway.planner.hardware import chip_of
from tokenway.planner.serving.deployment import Deployment, Draft, Load, Pool
from tokenway.planner.shapes import shape_of


def deployed(
    model: str = "llama-3-70b",
    chip: str = "h200",
    numbers: str = "fp8",
    pool: Pool | None = None,
    *,
    prefill: Pool | None = None,
    engine: str = "trtllm",
    draft: Draft | None = None,
) -> Deployment:
    """A model on chips by their names; eight that share each layer, where nothing else is said."""
    return Deployment(
        shape=shape_of(model)[1],
        chip=chip_of(chip)[1],
        numbers=numbers_of(numbers),
        pool=pool or Pool(tp=8),
        prefill=prefill,
        engine=engine,
        draft=draft,
    )


def load(concurrency: float = 32, input_: float = 1000, output: float = 500, cached: float = 0.0) -> Load:
    """Requests."""
    return Load(input=input_, output=output, concurrency=concurrency, cached=cached)
