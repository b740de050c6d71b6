"""Names of number formats: what operators and files call them, and the twelve values that OpenRouter's callers know.

A *grade* is the name that an endpoint declares for its weights, such as `fp8_e4m3`, `awq` or GGUF's `Q4_K_M`. A caller
filters by OpenRouter's values. A format that none of the twelve describes, of two, three, five or six bits in whole
numbers, is `unknown` to it: it must not pass for something else.

Sources: OpenRouter's OpenAPI description (`Quantization`; its filter `fp4` includes `mxfp4` and `nvfp4`, `fp8` includes
`mxfp8`); OCP Microscaling Formats 1.0 (`mx…`); the tensor types of the GGUF specification; the names of
`quantization_config` in Hugging Face Transformers and of `--quantization` in vLLM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

UNKNOWN: Final = "unknown"
QUANTIZATIONS: Final = (
    *("int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32"),
    UNKNOWN,
)
"""OpenRouter's values."""

COVERS: Final[Mapping[str, frozenset[str]]] = {
    "fp4": frozenset({"fp4", "mxfp4", "nvfp4"}),
    "fp8": frozenset({"fp8", "mxfp8"}),
}
"""What a filter means beside itself."""

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    # Weights of four bits in whole numbers or a codebook, with activations in 16 bits.
    "int4": (
        *("uint4", "w4a16", "4bit", "awq", "awq_marlin", "gptq", "gptq_marlin", "int4_awq", "int4_gptq", "w4a16_awq"),
        *("w4a16_gptq", "nf4", "bnb_nf4", "bnb_4bit"),
    ),
    "int8": ("uint8", "w8a8", "w8a16", "w8a8_int8", "8bit", "bnb_8bit", "llm_int8", "mxint8", "experts_int8"),
    "fp4": ("float4", "e2m1", "bnb_fp4"),
    "mxfp4": ("mxfp4_moe", "w4a4_mxfp4", "mxfp4_pack_quantized"),
    "nvfp4": ("w4a4_nvfp4", "w4a16_nvfp4", "modelopt_fp4", "nvfp4_pack_quantized"),
    "fp6": ("float6", "e3m2", "e2m3", "mxfp6", "mxfp6_e3m2", "mxfp6_e2m3"),
    "fp8": (
        *("float8", "e4m3", "e4m3fn", "e5m2", "fp8_e4m3", "fp8_e4m3fn", "fp8_e5m2", "float8_e4m3fn", "float8_e5m2"),
        *("fp8_block", "fp8_dynamic", "fp8_static", "w8a8_fp8", "fbgemm_fp8", "ptpc_fp8", "modelopt_fp8"),
    ),
    "mxfp8": ("mxfp8_e4m3", "mxfp8_e5m2"),
    "fp16": ("float16", "f16", "half"),
    "bf16": ("bfloat16",),
    "fp32": ("float32", "f32", "float"),
}
"""OpenRouter's value to the other names of what it is."""

_VALUES: Final = {name: value for value, names in _NAMES.items() for name in (value, *names)}
_GGUF: Final = re.compile(r"(?:ud_)?(?:i?q([1-8])|tq[12])(?:_[a-z0-9]+)*", re.ASCII)
"""GGUF's types in whole numbers: `q`, the bits of a weight, and how they are packed."""
_GGUF_BITS: Final = {"4": "int4", "8": "int8"}


@lru_cache(1024)
def quantization_of(grade: str) -> str:
    """OpenRouter's value for a grade, `unknown` where it has none: `gguf:Q4_K_M` gives `int4`, `Q5_K_M` `unknown`."""
    name = _plain(grade)
    packed = _GGUF.fullmatch(name)
    return _GGUF_BITS.get(packed[1], UNKNOWN) if packed else _VALUES.get(name, UNKNOWN)


def is_number_format(grade: str) -> bool:
    """Whether a grade is a name that is known here, also one that none of OpenRouter's values describes."""
    name = _plain(grade)
    return name == UNKNOWN or name in _VALUES or _GGUF.fullmatch(name) is not None


def _plain(grade: str) -> str:
    return grade.strip().lower().replace("-", "_").removeprefix("gguf:")


def fits(grade: str, wanted: tuple[str, ...]) -> bool:
    """Whether a grade is one of the values that a caller asks for."""
    value = quantization_of(grade)
    return any(value == each or value in COVERS.get(each, ()) for each in wanted)
