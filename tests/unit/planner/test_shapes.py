"""Parameters and caches of models that are published, which the shapes have to come to."""

from __future__ import annotations

import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.shapes import shape_of, shapes


@pytest.mark.parametrize(
    ("name", "billions", "active"),
    [
        *[("llama-3-8b", 8.03, 7.5), ("llama-3-70b", 70.55, 69.5), ("llama-3-405b", 405.9, 403.7)],
        *[("mixtral-8x7b", 46.7, 12.8), ("deepseek-v3", 671.0, 37), ("gpt-oss-20b", 20.9, 3.6)],
        *[("gpt-oss-120b", 116.8, 5.1), ("qwen3-32b", 32.8, 32), ("qwen3-235b", 235.1, 22), ("kimi-k2", 1026, 32)],
        *[("glm-4.6", 355, 32), ("minimax-m2", 230, 10), ("qwen3.5-397b", 397, 17), ("glm-5", 744, 40)],
        *[("qwen2.5-72b", 72.7, 71.5), ("qwen3-14b", 14.8, 14), ("qwen3-next-80b", 80, 3.5)],
        *[("mixtral-8x22b", 141, 39), ("llama-4-scout", 108, 16), ("llama-4-maverick", 401, 16)],
    ],
)
def test_parameters(name: str, billions: float, active: float) -> None:
    """As the model cards say, within a hundredth; what is active they round to a whole number."""
    assert shapes()[name].parameters == pytest.approx(billions * 1e9, rel=0.01)
    assert shapes()[name].active == pytest.approx(active * 1e9, rel=0.05)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("llama-3-70b", 163_840), ("deepseek-v3", 35_136), ("gpt-oss-120b", 36_864), ("qwen3-235b", 96_256)],
)
def test_the_cache_of_a_token(name: str, numbers: int) -> None:
    """2·L·H_kv·d_h, or the latent vector of each layer."""
    assert shapes()[name].kept(1) * shapes()[name].cache_per_layer == numbers


def test_experts_that_a_batch_touches() -> None:
    """Of R1's 256, four tokens touch 12 %, 16 touch 40 %, 32 touch 64 % and 128 nearly all."""
    shape = shapes()["deepseek-v3"]
    assert [round(100 * shape.touched(batch)) for batch in (4, 16, 32, 128)] == [12, 40, 64, 98]
    assert shapes()["llama-3-8b"].touched(8) == 0


def test_windows_bound_what_is_read() -> None:
    """Half of gpt-oss's layers look back 128 tokens; V3.2 reads 2,048 of what it keeps."""
    shape = shapes()["gpt-oss-120b"]
    assert shape.read(100) == 36 * 100
    assert shape.read(1000) == 18 * 1000 + 18 * 128
    sparse = shapes()["deepseek-v3.2"]
    assert sparse.read(10_000) == 61 * 2048
    assert sparse.kept(10_000) == 61 * 10_000


def test_recurrent_layers_keep_a_state() -> None:
    """Three of four layers of Qwen3.5 have no cache."""
    shape = shapes()["qwen3.5-397b"]
    assert shape.cached_layers == 15
    assert shape.state == 45 * 64 * 128 * 128


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("deepseek-ai/DeepSeek-R1", "deepseek-v3"),
        ("nvidia/Llama-3.1-8B-Instruct-FP8", "llama-3-8b"),
        ("Qwen/Qwen3-235B-A22B-FP8", "qwen3-235b"),
        ("openai/gpt-oss-120b", "gpt-oss-120b"),
        ("Llama2-70B", "llama-2-70b"),
    ],
)
def test_a_model_has_several_names(name: str, found: str) -> None:
    """Whoever publishes it, and in whatever format."""
    assert shape_of(name)[0] == found


def test_an_unknown_model() -> None:
    """The nearest names are told."""
    with pytest.raises(PlanError, match=r"did you mean .*qwen3-32b"):
        shape_of("qwen3-33b")
