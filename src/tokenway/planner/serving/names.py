"""Names as measurements have them: paths of models, systems, precisions and backends, each told in many ways.

An edition counts as its model: formats, dates and words such as `Instruct` at the end of a path change no shape, and
what an engine or a benchmark calls a precision is one of the formats that are known.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from tokenway.planner.errors import PlanError
from tokenway.planner.formats import Numbers, numbers_of
from tokenway.planner.hardware import Chip, chip_of
from tokenway.planner.shapes import Shape, shape_of, shapes

_EDITION: Final = re.compile(
    r"-(fp8|fp4|nvfp4|mxfp4|mxfp8|int4|int8|w\d+a\d+|w|a|awq|gptq|bf16|instruct|chat|it|hf|base|thinking|preview|exp"
    r"|terminus|speciale|dynamic|block|v\d|0\d{3}|1[0-2]\d\d|25\d\d|26\d\d|tput|kv|attn|moe|mtp|eagle3?)$"
)
"""Words at the end of a name that tell an edition of the same shape."""

_BOARD: Final = re.compile(r"[-_ ](sxm\d?|oam|hgx|dgx|nvl8|nvl72)$")
"""Words at the end of a GPU's name that tell what it is put on."""

_SHORT: Final = {"dsr1": "deepseek-r1", "gptoss": "gpt-oss-120b"}
"""InferenceX's own names for models, where they are not the usual ones without the hyphens."""

_PRECISIONS: Final = {
    **dict.fromkeys(("bfloat16", "float16", "half"), "bf16"),
    **dict.fromkeys(("fp8_block", "fp8_static", "fp8_e5m2", "float8_e4m3fn"), "fp8"),
    **dict.fromkeys(("w4a16", "int4_wo", "int4_awq", "w4a16_awq"), "int4"),
    **dict.fromkeys(("w4a8", "w4afp8", "w4a8_awq"), "int4/fp8"),
    **dict.fromkeys(("w8a16", "int8_wo"), "int8/bf16"),
    "w8a8": "int8",
    "nvfp4_wo": "nvfp4/bf16",
    "w4a16_mxfp4": "mxfp4/bf16",
    "w4a8_mxfp4_mxfp8": "mxfp4/mxfp8",
}
"""What engines, aiconfigurator among them, call formats that have other names here."""


def _squeezed(name: str) -> str:
    """Letters and digits alone: `gptoss120b` is gpt-oss-120b."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@cache
def _by_squeezed() -> dict[str, str]:
    return {_squeezed(alias): name for name, shape in shapes().items() for alias in (name, shape.title, *shape.aliases)}


@cache
def model_of(name: str) -> tuple[str, Shape]:
    """The shape of a model of this name or path; of an edition where the name itself is not known.

    Raises PlanError for one that is no edition of a known model either.
    """
    plain = name.strip().lower().rpartition("/")[2].replace("_", "-").replace(" ", "-").removeprefix("meta-")
    while True:
        found = _SHORT.get(plain) or _by_squeezed().get(_squeezed(plain))
        if found is not None:
            return shape_of(found)
        shorter = _EDITION.sub("", plain)
        if shorter == plain:
            return shape_of(name)
        plain = shorter


@cache
def system_of(name: str) -> tuple[str, Chip]:
    """The chip of a system, whatever board it is on. Raises PlanError for an unknown one."""
    try:
        return chip_of(name)
    except PlanError as error:
        try:
            return chip_of(_BOARD.sub("", name.strip().lower()))
        except PlanError:
            raise error from None


def engine_of(name: str) -> str:
    """The engine that a backend's name speaks of: `dynamo-trt` is TensorRT-LLM; what is not known counts as vLLM."""
    plain = name.lower()
    if "trt" in plain or "tensorrt" in plain:
        return "trtllm"
    return "sglang" if "sglang" in plain else "vllm"


@cache
def numbers_for(shape: Shape, chip: Chip, precision: str) -> Numbers:
    """The formats of a precision: four bits are MXFP4 where the model was published so or the chip is AMD's."""
    plain = precision.strip().lower()
    if plain in {"fp4", "mxfp4", "nvfp4"}:
        return numbers_of("mxfp4" if shape.native == "mxfp4" or chip.maker == "amd" else "nvfp4")
    return numbers_of(_PRECISIONS.get(plain, plain))
