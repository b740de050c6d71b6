"""The constants of the model of serving: what is really had of a chip's rates, and what a step costs beside.

`data/calibration.json` has them as `calibration.fit` found them on the points of `data/inference_points.csv`.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import msgspec

FIRST_DAY: Final = date(2025, 11, 1)
LAST_DAY: Final = date(2026, 2, 25)
"""Between these days engines are taken to have got faster; nothing is said of what came later."""

_QUARTER: Final = 90.0


class Constants(NamedTuple):
    """Shares of the data sheet's rates, seconds, and factors."""

    weights: float
    """Share of the memory's bandwidth with which weights are read."""
    cache: float
    products: float
    """Share of the rate of operations in a step; `prefill` likewise."""
    prefill: float
    around: float
    """As if experts were so much wider: what is around their products in prefill.

    Tokens are sorted, quantized and added up whatever an expert's width, so that narrow ones get less of the rate.
    """
    prefill_reduces: float
    """Share of the links' bandwidth with which results are added up in prefill; `reduces` in a step."""
    reduces: float
    messages: float
    """The same with which tokens go to experts and back."""
    layer: float
    """Seconds per layer that no batch is too small for: starts of kernels, norms, gaps."""
    doubling: float
    """More of that for each doubling of the chips that share a layer."""
    expert_layer: float
    """More of it for a layer with experts, one with latent attention, one with recurrent attention."""
    latent_layer: float
    recurrent_layer: float
    older: float
    """Factor of what layers with experts or latent attention cost more on chips that have no four-bit units."""
    apart_layer: float
    """More for a layer with experts whose attention is apart: messages to them and back, however few."""
    packed_layer: float
    """More for a layer whose weights of four bits have to be unpacked."""
    outer_layer: float
    """More for a layer whose chips are beyond one scale-up domain."""
    sequence: float
    """Seconds per sequence that runs on the chips that share its attention."""
    vllm: float
    """Factor of the engine beside TensorRT-LLM; likewise SGLang."""
    sglang: float
    quarter: float
    """By how much engines got faster in a quarter of a year (of a logarithm)."""


class First(NamedTuple):
    """Constants of the time to the first token."""

    starts: float
    """How many times a pass of prefill takes the starts of a step, whose kernels are captured in a graph."""
    own: float
    """Factor of the time of one's own prefill; `steps` of a step's, `others` of the prefill of all others at once."""
    steps: float
    others: float
    queue: float
    """Factor of the wait for a place where more requests are in than run."""
    vllm: float
    """Factor of the engine on all but that wait; likewise SGLang."""
    sglang: float


class Widths(NamedTuple):
    """How far off predictions were that knew nothing of it: log of the ratio that four of five stayed within."""

    known: float
    """A model and a chip of the calibration, in another group of points."""
    new_model: float
    new_chip: float
    new_both: float
    measured: float
    """Where one point of the same configuration is known."""
    drift: float
    """What engines add, as the root of a sum of squares, that are newer than the points."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What is shipped."""

    as_of: str
    points: int
    source: str
    constants: Constants
    first: First
    widths: Widths
    models: tuple[str, ...]
    """Titles of the models, and of the chips, whose points it rests on."""
    chips: tuple[str, ...]


def quarters_of(released: date | None) -> float:
    """Quarters of a year from the first day to an engine's release; the last day where none is told."""
    day = min(max(released or LAST_DAY, FIRST_DAY), LAST_DAY)
    return (day - FIRST_DAY).days / _QUARTER


@cache
def calibration() -> Calibration:
    """The one that is shipped."""
    data = msgspec.json.decode(files("tokenway.planner").joinpath("data/calibration.json").read_bytes())
    for name, kind in (("constants", Constants), ("first", First), ("widths", Widths)):
        data[name] = kind(**data[name])
    return Calibration(**data)
