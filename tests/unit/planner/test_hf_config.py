"""Configs as they are published, and what cannot be one."""

from __future__ import annotations

from typing import Any

import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.hf_config import shape_from
from tokenway.planner.shapes import shapes

LLAMA_70B: dict[str, Any] = {
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_attention_heads": 64,
    "num_hidden_layers": 80,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
DEEPSEEK_V3: dict[str, Any] = {
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "moe_layer_freq": 1,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "num_hidden_layers": 61,
    "vocab_size": 129280,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}
GPT_OSS: dict[str, Any] = {
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "num_local_experts": 128,
    "num_experts_per_tok": 4,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "num_hidden_layers": 36,
    "vocab_size": 201088,
    "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 18,
    "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]},
}
QWEN3_235B: dict[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "moe_intermediate_size": 1536,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "head_dim": 128,
    "num_attention_heads": 64,
    "num_key_value_heads": 4,
    "num_hidden_layers": 94,
    "vocab_size": 151936,
    "sliding_window": None,
    "use_sliding_window": False,
    "max_window_layers": 94,
}
QWEN35: dict[str, Any] = {
    "model_type": "qwen3_5_moe",
    "text_config": {
        "hidden_size": 4096,
        "moe_intermediate_size": 1024,
        "shared_expert_intermediate_size": 1024,
        "num_experts": 512,
        "num_experts_per_tok": 10,
        "num_attention_heads": 32,
        "num_key_value_heads": 2,
        "head_dim": 256,
        "num_hidden_layers": 60,
        "vocab_size": 248320,
        "full_attention_interval": 4,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 64,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 15,
    },
}
GLM: dict[str, Any] = {
    "hidden_size": 5120,
    "intermediate_size": 12288,
    "moe_intermediate_size": 1536,
    "n_routed_experts": 160,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "head_dim": 128,
    "num_attention_heads": 96,
    "num_key_value_heads": 8,
    "num_hidden_layers": 92,
    "vocab_size": 151552,
}
MIXTRAL: dict[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_hidden_layers": 32,
    "vocab_size": 32000,
    "sliding_window": None,
}


def test_queries_without_a_latent_vector() -> None:
    """DeepSeek-V2-Lite has none (`q_lora_rank` is null): 15.7B parameters, 2.4B of them without embeddings active."""
    small = {"hidden_size": 2048, "num_hidden_layers": 27, "num_attention_heads": 16, "vocab_size": 102_400}
    experts = {"n_routed_experts": 64, "n_shared_experts": 2, "moe_intermediate_size": 1408, "num_experts_per_tok": 6}
    rest = {"first_k_dense_replace": 1, "intermediate_size": 10_944, "q_lora_rank": None}
    found = shape_from({**DEEPSEEK_V3, **small, **experts, **rest})
    assert found.parameters == pytest.approx(15.7e9, rel=0.005)
    assert found.active == pytest.approx(2.4e9, rel=0.05)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        *[(LLAMA_70B, "llama-3-70b"), (DEEPSEEK_V3, "deepseek-v3"), (GPT_OSS, "gpt-oss-120b")],
        *[(QWEN3_235B, "qwen3-235b"), (QWEN35, "qwen3.5-397b"), (GLM, "glm-4.6"), (MIXTRAL, "mixtral-8x7b")],
    ],
)
def test_configs_of_models_that_are_known(config: dict[str, Any], name: str) -> None:
    """The same parameters, cache, windows and formats as the shape that is shipped."""
    found, known = shape_from(config), shapes()[name]
    assert found.parameters == known.parameters
    assert found.active == known.active
    assert found.cache_per_layer == known.cache_per_layer
    assert found.read(10_000) == known.read(10_000)
    assert found.state == known.state
    assert found.native == known.native


@pytest.mark.parametrize(
    ("told", "native"),
    [
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 32}}},
            },
            "int4",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}},
            },
            "fp8",
        ),
        ({"quant_method": "compressed-tensors"}, "bf16"),
        ({"quant_method": "something new"}, "bf16"),
        (None, "bf16"),
    ],
)
def test_formats_of_weights(told: object, native: str) -> None:
    """What is not known is taken for BF16."""
    assert shape_from({**LLAMA_70B, "quantization_config": told}).native == native


def test_windows_without_a_list_of_layers() -> None:
    """All layers; all but each sixth; none where it is switched off."""
    mistral = shape_from({**LLAMA_70B, "sliding_window": 4096})
    gemma = shape_from({**LLAMA_70B, "num_hidden_layers": 48, "sliding_window": 1024, "sliding_window_pattern": 6})
    off = shape_from({**LLAMA_70B, "sliding_window": 4096, "use_sliding_window": False})
    assert (mistral.windowed_layers, gemma.windowed_layers, off.windowed_layers) == (80, 40, 0)


def test_dense_layers_among_those_with_experts() -> None:
    """Listed, by kind, or every second one."""
    assert shape_from({**QWEN3_235B, "mlp_only_layers": [0, 1]}).dense_layers == 2
    assert shape_from({**QWEN3_235B, "decoder_sparse_step": 2}).dense_layers == 47
    kinds = ["dense"] * 4 + ["sparse"] * 90
    assert shape_from({**QWEN3_235B, "mlp_layer_types": kinds}).dense_layers == 4


def test_sparse_attention_and_tied_embeddings() -> None:
    """V3.2 reads 2,048 tokens; small models share the table with the last layer."""
    assert shape_from({**DEEPSEEK_V3, "index_topk": 2048}).attended == 2048
    tied = shape_from({**LLAMA_70B, "tie_word_embeddings": True})
    assert shape_from(LLAMA_70B).parameters - tied.parameters == 8192 * 128256


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "has no num_hidden_layers"),
        ({**LLAMA_70B, "vocab_size": None}, "has no vocab_size"),
        ({**LLAMA_70B, "hidden_size": "8192"}, "hidden_size has to be a whole number, not '8192'"),
        ({**LLAMA_70B, "num_attention_heads": 0}, "num_attention_heads is 0"),
        ({**LLAMA_70B, "num_hidden_layers": True}, "whole number"),
        ({**MIXTRAL, "num_experts_per_tok": 9}, "8 experts, of which a token would use 9"),
    ],
)
def test_configs_that_describe_no_model(wrong: dict[str, Any], said: str) -> None:
    """The sentence says which size."""
    with pytest.raises(PlanError, match=said):
        shape_from(wrong)


@pytest.mark.parametrize("config", [[], None, "llama", 5])
def test_what_is_no_object(config: object) -> None:
    """Is JSON all the same, and no config."""
    with pytest.raises(PlanError, match="no JSON object"):
        shape_from(config)
