"""Shapes from the `config.json` of a model on Hugging Face: what it has of attention, experts, windows and formats.

Names differ between families; each size below lists those that are in use. What is not told is what transformers
takes in its place. A config of several parts (text and images) is read for its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tokenway.planner.errors import PlanError
from tokenway.planner.shapes import Latent, Recurrent, Shape

Config = Mapping[str, Any]

_SIZES: Final = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head"),
    "vocabulary": ("vocab_size",),
    "ff": ("intermediate_size", "n_inner", "ffn_hidden_size"),
    "experts": ("n_routed_experts", "num_experts", "num_local_experts"),
    "experts_per_token": ("num_experts_per_tok", "num_experts_per_token", "moe_topk"),
    "expert_ff": ("moe_intermediate_size", "expert_ffn_hidden_size"),
    "shared": ("n_shared_experts", "num_shared_experts"),
    "first_dense": ("first_k_dense_replace", "moe_layer_start_index"),
}
_ALGORITHMS: Final = {"nvfp4": "nvfp4", "fp8": "fp8", "mxfp8": "mxfp8", "mxfp4": "mxfp4", "w4a16_awq": "int4"}
_METHODS: Final = {"fp8": "fp8", "fbgemm_fp8": "fp8", "mxfp4": "mxfp4", "awq": "int4", "gptq": "int4"}
_FOUR: Final = 4


def shape_from(config: object, title: str = "own model") -> Shape:
    """The shape that a config describes. Raises PlanError for one that lacks a size or has one of no use."""
    if not isinstance(config, Mapping):
        raise PlanError("The config is no JSON object; a config.json of Hugging Face is one.")
    text = _text_part(config)
    layers, hidden = _size(text, "layers"), _size(text, "hidden")
    heads = _size(text, "heads")
    experts = _size(text, "experts", 0)
    dense = _dense_layers(text, layers) if experts else layers
    expert_ff = _size(text, "expert_ff", 0) or (_size(text, "ff") if experts else 0)
    window, windowed = _windows(text, layers)
    shape = Shape(
        title=title,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=_whole(text.get("num_key_value_heads"), "num_key_value_heads", heads),
        head_dim=_whole(text.get("head_dim"), "head_dim", max(1, hidden // heads)),
        dense_ff=_size(text, "ff") if dense else 0,
        dense_layers=dense,
        experts=experts,
        experts_per_token=_size(text, "experts_per_token") if experts else 0,
        shared_experts=_shared(text, expert_ff) if experts else 0,
        expert_ff=expert_ff if experts else 0,
        vocabulary=_size(text, "vocabulary"),
        tied=bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", False))),
        mla=_latent(text),
        window=window,
        windowed_layers=windowed,
        linear=_recurrent(text, layers),
        attended=_whole(text.get("index_topk"), "index_topk", 0),
        native=_native(config, text),
    )
    if shape.experts_per_token > shape.experts:
        raise PlanError(
            f"The config has {shape.experts} experts, of which a token would use {shape.experts_per_token}."
        )
    return shape


def _text_part(config: Config) -> Config:
    for name in ("text_config", "llm_config", "language_config"):
        part = config.get(name)
        if isinstance(part, Mapping):
            return part
    return config


def _size(config: Config, what: str, otherwise: int | None = None) -> int:
    """A size under any of its names."""
    for name in _SIZES[what]:
        if config.get(name) is not None:
            return _whole(config[name], name, otherwise)
    if otherwise is None:
        raise PlanError(f"The config has no {_SIZES[what][0]}.")
    return otherwise


def _whole(value: object, name: str, otherwise: int | None = None) -> int:
    """A whole number that is not below 0; a list of them, one for each layer, has to be of one number."""
    if value is None and otherwise is not None:
        return otherwise
    if isinstance(value, list) and value and all(each == value[0] for each in value):
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise PlanError(f"The config's {name} has to be a whole number, not {value!r}.")
    if value == 0 and otherwise is None:
        raise PlanError(f"The config's {name} is 0.")
    return value


def _dense_layers(config: Config, layers: int) -> int:
    """How many layers have no experts: the first ones, those listed, or all but each n-th."""
    listed = config.get("mlp_only_layers")
    if isinstance(listed, list) and listed:
        return len(listed)
    step = _whole(
        config.get("decoder_sparse_step") or config.get("interleave_moe_layer_step"), "decoder_sparse_step", 1
    )
    if step > 1:
        return layers - layers // step
    first = _size(config, "first_dense", 0)
    kinds = config.get("mlp_layer_types")
    if isinstance(kinds, list):
        return sum(kind == "dense" for kind in kinds)
    frequency = config.get("moe_layer_freq")
    if isinstance(frequency, list):
        return sum(not each for each in frequency)
    return min(first, layers)


def _shared(config: Config, expert_ff: int) -> int:
    """Shared experts, also where only their common width is told."""
    width = _whole(config.get("shared_expert_intermediate_size"), "shared_expert_intermediate_size", 0)
    return round(width / expert_ff) if width and expert_ff else _size(config, "shared", 0)


def _latent(config: Config) -> Latent | None:
    rank = config.get("kv_lora_rank")
    if not rank:
        return None
    return Latent(
        kv_rank=_whole(rank, "kv_lora_rank"),
        rope=_whole(config.get("qk_rope_head_dim"), "qk_rope_head_dim", 64),
        query_rank=_whole(config.get("q_lora_rank"), "q_lora_rank", 0),
        nope=_whole(config.get("qk_nope_head_dim"), "qk_nope_head_dim", 128),
        value=_whole(config.get("v_head_dim"), "v_head_dim", 128),
    )


def _recurrent(config: Config, layers: int) -> Recurrent | None:
    """Gated delta rule, as Qwen3-Next and Qwen3.5 have it."""
    if not config.get("linear_num_value_heads"):
        return None
    kinds = config.get("layer_types")
    if isinstance(kinds, list):
        count = sum("linear" in str(kind) for kind in kinds)
    else:
        count = layers - layers // _whole(config.get("full_attention_interval"), "full_attention_interval", 4)
    return Recurrent(
        layers=count,
        key_heads=_whole(config.get("linear_num_key_heads"), "linear_num_key_heads"),
        value_heads=_whole(config.get("linear_num_value_heads"), "linear_num_value_heads"),
        key_dim=_whole(config.get("linear_key_head_dim"), "linear_key_head_dim"),
        value_dim=_whole(config.get("linear_value_head_dim"), "linear_value_head_dim"),
    )


def _windows(config: Config, layers: int) -> tuple[int, int]:
    """How far windowed layers look back, and how many such there are."""
    window = _whole(config.get("sliding_window"), "sliding_window", 0)
    if not window or config.get("use_sliding_window") is False:
        return 0, 0
    kinds = config.get("layer_types")
    if isinstance(kinds, list):
        count = sum("sliding" in str(kind) for kind in kinds)
    elif pattern := _whole(config.get("sliding_window_pattern"), "sliding_window_pattern", 0):
        count = layers - layers // pattern
    else:
        count = layers - _whole(config.get("max_window_layers"), "max_window_layers", 0)
    return (window, count) if count > 0 else (0, 0)


def _native(config: Config, text: Config) -> str:
    """The format of the weights: what `quantization_config` tells, or BF16."""
    told = config.get("quantization_config") or text.get("quantization_config")
    if not isinstance(told, Mapping):
        return "bf16"
    algorithm = str(told.get("quant_algo") or "").lower()
    if algorithm in _ALGORITHMS:
        return _ALGORITHMS[algorithm]
    method = str(told.get("quant_method") or "").lower()
    if method == "compressed-tensors":
        return _compressed(told)
    if method in {"awq", "gptq"} and told.get("bits", _FOUR) != _FOUR:
        return "int8"
    if method == "bitsandbytes":
        return "int4" if told.get("load_in_4bit") else "int8"
    return _METHODS.get(method, "bf16")


def _compressed(told: Config) -> str:
    """Compressed tensors: by the bits and the type of the first group of weights."""
    groups = told.get("config_groups")
    first: object = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    if not isinstance(weights, Mapping):
        return "bf16"
    is_float, bits = weights.get("type") == "float", weights.get("num_bits")
    if bits == _FOUR:
        return "nvfp4" if is_float else "int4"
    return "fp8" if is_float else "int8"
