"""Names as measurements have them."""

from __future__ import annotations

import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.hardware import chip_of
from tokenway.planner.serving.names import engine_of, model_of, numbers_for, system_of
from tokenway.planner.shapes import shape_of


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("deepseek-v3", "deepseek-ai/DeepSeek-R1-0528 nvidia/DeepSeek-R1-0528-FP4-v2 amd/DeepSeek-R1-MXFP4-Preview"),
        ("deepseek-v3", "deepseek-ai/DeepSeek-V3.1-Terminus nvidia/DeepSeek-V3.1-NVFP4 DEEPSEEK_V3 dsr1-fp8"),
        (
            "deepseek-v3.2",
            "deepseek-ai/DeepSeek-V3.2-Exp deepseek-ai/DeepSeek-V3.2-Speciale nvidia/DeepSeek-V3.2-NVFP4",
        ),
        ("glm-4.6", "zai-org/GLM-4.6-FP8 zai-org/GLM-4.5 zai-org/GLM-4.7-FP8"),
        ("glm-5", "zai-org/GLM-5-FP8 nvidia/GLM-5-NVFP4 glm5"),
        ("gpt-oss-120b", "openai/gpt-oss-120b amd/gpt-oss-120b-w-mxfp4-a-fp8 GPT_OSS_120B gptoss120b gptoss"),
        ("gpt-oss-20b", "openai/gpt-oss-20b"),
        ("kimi-k2", "moonshotai/Kimi-K2-Instruct moonshotai/Kimi-K2-Instruct-0905 moonshotai/Kimi-K2.5 kimik2.5"),
        ("llama-3-405b", "meta-llama/Meta-Llama-3.1-405B-Instruct-FP8 nvidia/Llama-3.1-405B-Instruct-FP4"),
        ("llama-3-70b", "amd/Llama-3.3-70B-Instruct-FP8-KV meta-llama/Meta-Llama-3.1-70B-Instruct LLAMA3.1_70B"),
        ("llama-3-8b", "meta-llama/Meta-Llama-3-8B-Instruct meta-llama/Llama-3.1-8B"),
        ("minimax-m2", "MiniMaxAI/MiniMax-M2 MiniMaxAI/MiniMax-M2.5 minimaxm2.5"),
        ("qwen3-next-80b", "Qwen/Qwen3-Next-80B-A3B Qwen/Qwen3-Next-80B-A3B-Thinking-FP8"),
        ("qwen3.5-397b", "nvidia/Qwen3.5-397B-A17B-NVFP4"),
    ],
)
def test_editions_are_of_the_same_shape(name: str, paths: str) -> None:
    """Formats, dates and makers make no other model, nor do capitals and hyphens."""
    assert {path: model_of(path)[0] for path in paths.split()} == dict.fromkeys(paths.split(), name)


@pytest.mark.parametrize("path", ["deepseek-ai/DeepSeek-V4-Pro", "Qwen/Qwen3-4B", "fp8", "", "meta-llama/Llama-3"])
def test_another_model_is_none_of_those(path: str) -> None:
    """The reason names it as it was told."""
    with pytest.raises(PlanError, match=f"There is no model '{path}'"):
        model_of(path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("h100", "h100 h100_sxm H100-SXM5 h100-hgx"),
        ("b300", "b300 b300_sxm B300-HGX"),
        ("gb200", "gb200 gb200_sxm gb200_nvl72"),
        ("gb300", "gb300 gb300_nvl72 GB300_SXM"),
        ("mi355x", "mi355x MI355X mi355x_oam mi355x_sxm"),
    ],
)
def test_systems_by_any_board(name: str, told: str) -> None:
    """Of the same chip."""
    assert {each: system_of(each)[0] for each in told.split()} == dict.fromkeys(told.split(), name)


@pytest.mark.parametrize("name", ["h100_pcie", "h200-nvl", "mi300", "_sxm"])
def test_another_chip_is_none_of_those(name: str) -> None:
    """A slower edition is another chip."""
    with pytest.raises(PlanError, match=f"There is no GPU '{name}'"):
        system_of(name)


@pytest.mark.parametrize(
    ("told", "formats"),
    [
        *[("fp8_e4m3", "fp8 fp8 fp8"), ("fp8_block", "fp8 fp8 fp8"), ("BF16", "bf16 bf16 bf16")],
        *[("float16", "bf16 bf16 bf16"), ("int4", "int4 bf16 fp8"), ("w4a16", "int4 bf16 fp8")],
        *[("int4_wo", "int4 bf16 fp8"), ("w4a8", "int4 fp8 fp8"), ("nvfp4", "nvfp4 nvfp4 fp8")],
        *[("nvfp4_wo", "nvfp4 bf16 fp8"), ("w4a16_mxfp4", "mxfp4 bf16 fp8"), ("fp8/fp8/bf16", "fp8 fp8 bf16")],
    ],
)
def test_precisions(told: str, formats: str) -> None:
    """Of weights, activations and cache."""
    found = numbers_for(shape_of("qwen3-235b")[1], chip_of("b200")[1], told)
    assert [each.name for each in found] == formats.split()


def test_four_bits_by_model_and_maker() -> None:
    """MXFP4 where the model has them so, or the chip is AMD's."""
    names = [
        numbers_for(shape_of(model)[1], chip_of(chip)[1], told).weights.name
        for model, chip in (("gpt-oss-120b", "b200"), ("deepseek-r1", "b200"), ("deepseek-r1", "mi355x"))
        for told in ("fp4", "nvfp4", "mxfp4")
    ]
    assert names == ["mxfp4"] * 3 + ["nvfp4"] * 3 + ["mxfp4"] * 3


def test_engines_by_what_a_backend_is_called() -> None:
    """What is not known counts as vLLM."""
    names = {
        "trtllm": ("dynamo-trt", "TensorRT-LLM", "trt", "tensorrt_llm"),
        "sglang": ("dynamo-sglang", "mori-sglang", "sglang-disagg"),
        "vllm": ("vllm", "dynamo-vllm", "", "atom"),
    }
    for engine, told in names.items():
        assert {engine_of(each) for each in told} == {engine}
