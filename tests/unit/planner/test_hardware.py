"""Chips: figures that are often printed wrong, names, and chips of one's own."""

from __future__ import annotations

import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.formats import FORMATS
from tokenway.planner.hardware import chip_from, chip_of, chips


def test_rates_are_dense() -> None:
    """Each halving of the bits at most doubles the rate (a sparse figure would be four times), but for Ultra's FP4."""
    for chip in chips().values():
        assert chip.fp8_tflops <= 2.1 * chip.bf16_tflops
        most = 3.1 if chip.architecture == "blackwell ultra" else 2.1
        assert chip.fp4_tflops <= most * chip.fp8_tflops
    assert chips()["h100"].bf16_tflops == 989
    assert chips()["b200"].fp8_tflops == 4500


def test_links_are_in_one_direction() -> None:
    """NVLink 5 is sold with 1.8 TB/s, which counts both."""
    assert chips()["gb200"].scale_up_gb_s == 900
    assert chips()["h100"].scale_up_gb_s == 450


def test_gb200_is_not_b200() -> None:
    """The superchip's chips are clocked higher, and 72 of them share a network."""
    superchip, chip = chips()["gb200"], chips()["b200"]
    assert superchip.bf16_tflops > chip.bf16_tflops
    assert (superchip.domain, chip.domain) == (72, 8)


def test_whole_numbers_are_a_dead_end_on_ultra() -> None:
    """It has hardly any units for INT8."""
    assert chips()["b300"].rate(FORMATS["int8"]) < chips()["b300"].rate(FORMATS["bf16"]) / 10


@pytest.mark.parametrize(
    ("chip", "number", "tera"),
    [
        *[("h100", "nvfp4", 1979), ("h100", "int4", 989), ("b200", "mxfp4", 9000), ("b200", "mxfp6", 4500)],
        *[("mi300x", "nvfp4", 2615), ("gb300", "bf16", 2500)],
    ],
)
def test_what_it_has_no_units_for(chip: str, number: str, tera: float) -> None:
    """Is computed in the next wider format: four bits on Hopper save memory alone."""
    assert chips()[chip].rate(FORMATS[number]) == tera * 1e12


@pytest.mark.parametrize("name", ["H100 SXM", "h100_sxm", "h100", "H100-SXM-80GB"])
def test_a_chip_has_several_names(name: str) -> None:
    """As data sheets, benchmarks and people write it."""
    assert chip_of(name)[0] == "h100"


def test_an_unknown_chip() -> None:
    """The nearest names are told."""
    with pytest.raises(PlanError, match=r"did you mean .*b200"):
        chip_of("b20")


def test_a_chip_of_ones_own() -> None:
    """Six numbers are one."""
    chip = chip_from("1000,2000,96,4,400,600")
    assert (chip.rate(FORMATS["fp8"]), chip.memory, chip.bandwidth) == (2e15, 96e9, 4e12)
    assert chip.all_in_kw == 1.2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has 1"),
        ("1,2,3", "it has 3"),
        ("1000,2000,96,four,400,600", "'four' is no number"),
        ("nan,2000,96,4,400,600", "'nan' is no number"),
        ("1000,2000,inf,4,400,600", "'inf' is no number"),
        ("1000,2000,-96,4,400,600", "above zero"),
    ],
)
def test_what_is_no_chip(text: str, why: str) -> None:
    """Too few, no numbers, or ones that no chip has."""
    with pytest.raises(PlanError, match=f"six numbers .*: .*{why}"):
        chip_from(text)
