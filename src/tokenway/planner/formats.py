"""Formats of numbers: how many bits a weight, an activation or a cached key takes, scales included.

A format with a block has a scale for so many elements: MXFP8, MXFP6 and MXFP4 eight bits for 32 (OCP Microscaling
Formats 1.0, §5), NVFP4 eight for 16 and one number for the tensor, INT4 by group sixteen for 128 (GPTQ and AWQ as they
are published). FP8 has one for a block of 128 x 128 or a row, which is nothing beside the elements.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tokenway.planner.errors import PlanError, unknown


class Format(NamedTuple):
    """One format. `element_bits` of a number; `block` numbers share `scale_bits` (0: too many to count).

    `computes_as` is the rate at which a chip multiplies it where it has units for it: bf16, fp8, fp4 or int8.
    """

    name: str
    element_bits: int
    block: int
    scale_bits: int
    computes_as: str

    @property
    def bits(self) -> float:
        """Bits per number, with its share of the scale."""
        return self.element_bits + (self.scale_bits / self.block if self.block else 0.0)

    @property
    def size(self) -> float:
        """Bytes per number."""
        return self.bits / 8


FORMATS: Final = {
    each.name: each
    for each in (
        Format("bf16", 16, 0, 0, "bf16"),
        Format("fp8", 8, 0, 0, "fp8"),
        Format("mxfp8", 8, 32, 8, "fp8"),
        Format("mxfp6", 6, 32, 8, "fp8"),
        Format("mxfp4", 4, 32, 8, "fp4"),
        Format("nvfp4", 4, 16, 8, "fp4"),
        Format("int8", 8, 0, 0, "int8"),
        Format("int4", 4, 128, 16, "bf16"),
    )
}
_ALIASES: Final = {"fp16": "bf16", "fp4": "nvfp4", "e4m3": "fp8", "fp8_e4m3": "fp8", "awq": "int4", "gptq": "int4"}


def format_of(name: str) -> Format:
    """The format of this name. Raises PlanError for an unknown one, with those that come nearest."""
    plain = name.strip().lower()
    found = FORMATS.get(_ALIASES.get(plain, plain))
    if found is None:
        raise unknown("number format", name, FORMATS)
    return found


class Numbers(NamedTuple):
    """The formats of a deployment, each by itself: of its weights, its activations and its cached keys and values."""

    weights: Format
    activations: Format
    cache: Format

    @property
    def label(self) -> str:
        """`nvfp4`, or `int4/bf16 kv fp8` where the parts differ from what the weights' format implies."""
        label = self.weights.name
        if self.activations != default_numbers(self.weights).activations:
            label += f"/{self.activations.name}"
        return label if self.cache == default_numbers(self.weights).cache else f"{label} kv {self.cache.name}"


def default_numbers(weights: Format) -> Numbers:
    """What engines do with weights of a format: integers of four bits are multiplied in bf16, the cache is FP8."""
    activations = FORMATS["bf16"] if weights.name == "int4" else weights
    cache = FORMATS["bf16"] if weights.name == "bf16" else FORMATS["fp8"]
    return Numbers(weights, activations, cache)


def numbers_of(text: str) -> Numbers:
    """Reads `fp8`, or `weights/activations`, or `weights/activations/cache`. Raises PlanError."""
    parts = text.split("/")
    if len(parts) > len(Numbers._fields):
        raise PlanError(f"'{text}' names more than the formats of weights, activations and cache.")
    found = list(default_numbers(format_of(parts[0])))
    found[1 : len(parts)] = [format_of(part) for part in parts[1:]]
    return Numbers(*found)
