"""From the names that formats have to those by which callers filter: row by row."""

from __future__ import annotations

from typing import get_args

import pytest
from openrouter.components.quantization import Quantization

from tokenway.model.quantization import COVERS, QUANTIZATIONS, fits, is_number_format, quantization_of

ROWS = {
    "fp32": "fp32 float32 f32 F32 gguf:F32",
    "bf16": "bf16 bfloat16 BF16 gguf:BF16",
    "fp16": "fp16 float16 half F16 gguf:F16",
    "fp8": "fp8 fp8_e4m3 fp8_e5m2 fp8_block e4m3fn FP8-dynamic float8_e4m3fn W8A8-fp8 fbgemm_fp8 ptpc_fp8",
    "mxfp8": "mxfp8 MXFP8 mxfp8_e4m3",
    "fp6": "fp6 mxfp6 e3m2",
    "fp4": "fp4 bnb_fp4",
    "mxfp4": "mxfp4 MXFP4 gguf:MXFP4 MXFP4_MOE mxfp4-pack-quantized",
    "nvfp4": "nvfp4 NVFP4 W4A4-nvfp4 modelopt_fp4 nvfp4-pack-quantized",
    "int8": "int8 w8a8 W8A16 mxint8 llm_int8 8bit q8 Q8_0 gguf:Q8_0 Q8_K Q8_K_XL",
    "int4": "int4 uint4 w4a16 awq AWQ awq_marlin gptq W4A16-awq nf4 4bit q4 Q4_0 Q4_1 q4_k_m gguf:Q4_K_M IQ4_XS IQ4_NL"
    " UD-Q4_K_XL",
    "unknown": "unknown Q2_K Q3_K_L IQ1_S IQ2_XXS IQ3_S Q5_0 Q5_K_M gguf:Q6_K TQ1_0 TQ2_0 tq1_0",
}
"""OpenRouter's value to names of it; what has two, three, five or six bits in whole numbers has none."""


@pytest.mark.parametrize(("grade", "value"), [(name, value) for value, names in ROWS.items() for name in names.split()])
def test_a_format_has_its_value(grade: str, value: str) -> None:
    """Whatever its spelling, and its name is known to who checks a configuration."""
    assert quantization_of(grade) == value
    assert is_number_format(grade)


@pytest.mark.parametrize("grade", ["", "fp5", "q9_0", "turbo", "awq2", "gguf:", "fp8_e4m3_"])
def test_another_name_is_unknown(grade: str) -> None:
    """And told as such to who checks a configuration."""
    assert quantization_of(grade) == "unknown"
    assert not is_number_format(grade)


def test_the_values_are_openrouters() -> None:
    """All of those that its SDK knows, and no others."""
    known, _other = get_args(Quantization)
    assert set(get_args(known)) == set(QUANTIZATIONS)


@pytest.mark.parametrize(
    ("wanted", "fitting"),
    [
        ("fp4", {"fp4", "mxfp4", "nvfp4"}),
        ("fp8", {"fp8", "mxfp8", "fp8_block"}),
        ("mxfp4", {"mxfp4"}),
        ("unknown", {"unknown", "Q5_K_M", "", "turbo"}),
        ("int4", {"awq", "Q4_K_M"}),
        ("bf16", set()),
    ],
)
def test_a_filter_means_what_openrouters_does(wanted: str, fitting: set[str]) -> None:
    """`fp4` and `fp8` cover the formats in blocks of their size; `unknown` is what is not declared."""
    grades = {"fp4", "mxfp4", "nvfp4", "fp8", "mxfp8", "fp8_block", "unknown", "Q5_K_M", "", "turbo", "awq", "Q4_K_M"}
    assert {grade for grade in grades if fits(grade, (wanted,))} == fitting
    assert {grade for grade in grades if fits(grade, (wanted, "fp32"))} == fitting


def test_what_is_covered_is_a_value() -> None:
    """The table has no slip of the pen."""
    assert set().union(*COVERS.values(), COVERS) <= set(QUANTIZATIONS)
