"""Accelerators: what one chip computes, holds and moves. The figures and where they are from: `data/hardware.toml`.

Rates are dense operations per second, links bytes per second in one direction, memory bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from tokenway.planner.errors import PlanError, unknown
from tokenway.planner.formats import Format

TERA: Final = 1e12
GIGA: Final = 1e9


class Chip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One accelerator; units as in the data file. A rate of 0 is of a format that it has no units for."""

    title: str
    aliases: tuple[str, ...] = ()
    maker: str = ""
    architecture: str = ""
    bf16_tflops: float
    fp8_tflops: float = 0.0
    fp4_tflops: float = 0.0
    int8_tops: float = 0.0
    memory_gb: float
    memory_tb_s: float
    scale_up_gb_s: float
    domain: int = 8
    scale_out_gb_s: float = 50.0
    board_w: float = 0.0
    all_in_kw: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for figures that no chip has."""
        numbers = (self.bf16_tflops, self.memory_gb, self.memory_tb_s, self.scale_up_gb_s, self.scale_out_gb_s)
        if min(numbers) <= 0 or self.domain < 1:
            raise ValueError("a chip's rate, memory, bandwidth, links and domain have to be above zero")
        if min(self.fp8_tflops, self.fp4_tflops, self.int8_tops, self.board_w, self.all_in_kw) < 0:
            raise ValueError("a chip's figures cannot be below zero")

    def rate(self, number: Format) -> float:
        """Dense operations/s on numbers of a format; where it has no units for it, as it would be computed instead.

        Hopper has none for four bits: such weights are unpacked, and multiplied as FP8 or BF16.
        """
        by_name = {
            "fp4": (self.fp4_tflops, self.fp8_tflops, self.bf16_tflops),
            "fp8": (self.fp8_tflops, self.bf16_tflops),
            "int8": (self.int8_tops, self.bf16_tflops),
            "bf16": (self.bf16_tflops,),
        }
        return next(rate for rate in by_name[number.computes_as] if rate) * TERA

    @property
    def memory(self) -> float:
        """Bytes that it holds."""
        return self.memory_gb * GIGA

    @property
    def bandwidth(self) -> float:
        """Bytes/s between it and its memory."""
        return self.memory_tb_s * TERA

    @property
    def scale_up(self) -> float:
        """Bytes/s to the chips of its domain, in one direction."""
        return self.scale_up_gb_s * GIGA

    @property
    def scale_out(self) -> float:
        """Bytes/s to the chips beyond."""
        return self.scale_out_gb_s * GIGA


@cache
def chips() -> Mapping[str, Chip]:
    """All that are known, by name."""
    data = msgspec.toml.decode(files("tokenway.planner").joinpath("data/hardware.toml").read_bytes())
    del data["as_of"]
    return msgspec.convert(data, dict[str, Chip])


@cache
def _by_name() -> Mapping[str, str]:
    return {_plain(alias): name for name, chip in chips().items() for alias in (name, chip.title, *chip.aliases)}


def chip_of(name: str) -> tuple[str, Chip]:
    """A chip and the name that it has here. Raises PlanError for an unknown one, with those that come nearest."""
    found = _by_name().get(_plain(name))
    if found is None:
        raise unknown("GPU", name, chips())
    return found, chips()[found]


SIX: Final = 6
_SIX: Final = "dense BF16 and FP8 TFLOPS, memory in GB and TB/s, links in GB/s, watts"


def chip_from(text: str, title: str = "own GPU") -> Chip:
    """A chip of one's own from six numbers with commas between them, in the order of `_SIX`.

    What the utility provides for it is taken for twice its own power. Raises PlanError for anything else.
    """
    parts = text.split(",")
    try:
        if len(parts) != SIX:
            raise ValueError(f"it has {len(parts)}")
        bf16, fp8, memory, bandwidth, link, power = map(_figure, parts)
        return Chip(
            title=title,
            bf16_tflops=bf16,
            fp8_tflops=fp8,
            int8_tops=fp8,
            memory_gb=memory,
            memory_tb_s=bandwidth,
            scale_up_gb_s=link,
            board_w=power,
            all_in_kw=power * 2e-3,
        )
    except ValueError as error:
        raise PlanError(f"'{text}' is no GPU; it takes six numbers ({_SIX}): {error}.") from None


def _figure(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"'{text.strip()}' is no number")
    return found


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "-").replace("_", "-")
