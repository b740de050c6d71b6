"""Single entries of LiteLLM's list of models."""

from __future__ import annotations

from typing import Any

import pytest

from tokenway.control.litellm_models import ModelList, environment, is_literal


def read(*parameters: dict[str, Any], info: dict[str, Any] | None = None) -> tuple[ModelList, dict[str, str]]:
    """Entries called `m`, read, and what was named."""
    named: dict[str, str] = {}
    listed = ModelList(named.__setitem__)
    for index, each in enumerate(parameters):
        listed.read({"model_name": "m", "litellm_params": each, "model_info": info or {}}, f"e[{index}]")
    return listed, named


def test_variables_are_named_as_here() -> None:
    """And what looks like one of ours is kept as text."""
    assert environment("os.environ/A_KEY") == "${A_KEY}"
    assert environment("a${b}") == "a$${b}"
    assert (is_literal("os.environ/A"), is_literal("sk-1")) == (False, True)


@pytest.mark.parametrize(
    ("parameters", "provider", "model"),
    [
        ({"model": "gpt-4o"}, "openai", "gpt-4o"),
        ({"model": "claude-sonnet-4-5"}, "anthropic", "claude-sonnet-4-5"),
        ({"model": "never-heard-of"}, "openai", "never-heard-of"),
        ({"model": "openrouter/anthropic/claude-3"}, "openrouter", "anthropic/claude-3"),
        ({"model": "together_ai/org/model"}, "together", "org/model"),
        ({"model": "cohere_chat/command-r"}, "cohere", "command-r"),
        ({"model": "bedrock/invoke/x.y"}, "bedrock", "x.y"),
        ({"model": "fireworks_ai/accounts/fireworks/models/z"}, "fireworks", "accounts/fireworks/models/z"),
        ({"model": "gpt-4o", "api_base": "https://api.openai.com/v1/"}, "openai", "gpt-4o"),
        ({"model": "openai/x", "api_base": "http://vllm.lan:8000/v1"}, "vllm-lan", "x"),
        ({"model": "x/y", "custom_llm_provider": "openai", "api_base": "https://api.host.io"}, "host-io", "x/y"),
        ({"model": "mine/x", "api_base": "os.environ/MINE_API_BASE"}, "mine", "x"),
        ({"model": "databricks/x"}, "databricks", "x"),
        ({"model": "vertex_ai/gemini-2.0-flash"}, "vertex", "gemini-2.0-flash"),
        ({"model": "vertex_ai/claude-opus-4-1@20250805"}, "vertex-anthropic", "claude-opus-4-1@20250805"),
        (
            {"model": "azure_ai/claude-x", "api_base": "https://me.services.ai.azure.com/anthropic"},
            "me-services-ai-azure-com",
            "claude-x",
        ),
    ],
)
def test_a_models_prefix_tells_its_provider(parameters: dict[str, Any], provider: str, model: str) -> None:
    """By LiteLLM's names for them, by the vendors' own names, or by the server's address."""
    listed, _ = read(parameters)
    (endpoint,) = listed.models["m"]["endpoints"]
    assert (endpoint["provider"], endpoint["model"]) == (provider, model)
    assert set(listed.providers) == {provider}


def test_claude_on_vertex_has_its_publishers_address() -> None:
    """With the project, the location and the credentials file that stand beside it."""
    listed, named = read(
        {
            "model": "vertex_ai/claude-sonnet-4-5@20250929",
            "vertex_project": "os.environ/PROJECT",
            "vertex_location": "us-east5",
            "vertex_credentials": "/a.json",
        },
        {"model": "vertex_ai/mistral-large@2411"},
    )
    assert listed.providers == {
        "vertex-anthropic": {
            "base_url": "https://us-east5-aiplatform.googleapis.com/v1/projects/${PROJECT}/locations/us-east5"
            "/publishers/anthropic",
            "credentials": "/a.json",
        }
    }
    assert "Anthropic's" in named["e[1].litellm_params.model"]


def test_one_account_is_one_provider() -> None:
    """Another key or address is another one, which is like the first."""
    one, two = {"model": "openai/a", "api_key": "os.environ/K1"}, {"model": "openai/a", "api_key": "os.environ/K2"}
    listed, named = read(one, one | {"model": "openai/b"}, two, two)
    assert listed.providers == {
        "openai": {"api_key": "${K1}"},
        "openai-2": {"like": "openai", "api_key": "${K2}"},
    }
    assert [each["provider"] for each in listed.models["m"]["endpoints"]] == ["openai", "openai", "openai-2"]
    assert set(named) == {"e[3]"}


def test_prices_may_stand_beside_or_below() -> None:
    """In the parameters or in what is said of the model; what is no amount is named."""
    listed, named = read(
        {"model": "openai/a", "input_cost_per_token": "much", "output_cost_per_token": 1e-6},
        info={"cache_read_input_token_cost": 5e-8, "cache_creation_input_token_cost": -1},
    )
    assert listed.models["m"]["endpoints"][0]["price"] == {"input": "0", "output": "1", "cache_read": "0.05"}
    assert {"e[0].input_cost_per_token", "e[0].cache_creation_input_token_cost", "e[0]"} <= set(named)


def test_prices_by_the_piece_are_taken() -> None:
    """A second is a part of an hour, a character of a million; no tokens need to be said beside them."""
    costs = {
        "input_cost_per_second": 0.0001,
        "input_cost_per_character": 1.5e-05,
        "output_cost_per_image": 0.04,
        "input_cost_per_query": 0.002,
    }
    listed, named = read({"model": "openai/a", "api_key": "os.environ/OPENAI_API_KEY"} | costs)
    pieces = {"characters": "15", "sound_hour": "0.36", "image": "0.04", "search": "0.002"}
    assert listed.models["m"]["endpoints"][0]["price"] == {"input": "0", "output": "0"} | pieces
    assert named == {}


def test_an_organisation_is_a_header() -> None:
    """As OpenAI takes it."""
    listed, _ = read({"model": "openai/a", "organization": "os.environ/ORG", "headers": {"x-a": "b"}})
    assert listed.providers["openai"]["headers"] == {"x-a": "b", "openai-organization": "${ORG}"}


@pytest.mark.parametrize("entry", [None, "text", {}, {"litellm_params": 5}, {"litellm_params": {"model": ""}}])
def test_what_is_no_entry_is_named(entry: object) -> None:
    """And nothing comes of it."""
    named: dict[str, str] = {}
    listed = ModelList(named.__setitem__)
    listed.read(entry, "e")
    assert (listed.models, list(named)) == ({}, ["e"])


def test_a_name_that_no_caller_can_send_is_named() -> None:
    """Spaces cannot stand in a header."""
    named: dict[str, str] = {}
    listed = ModelList(named.__setitem__)
    listed.read({"model_name": "two words", "litellm_params": {"model": "gpt-4o"}}, "e")
    assert (listed.models, list(named)) == ({}, ["e.model_name"])


@pytest.mark.parametrize("model", ["sagemaker/jumpstart", "replicate/llama-2:27", "github/gpt-4o"])
def test_a_prefix_that_nobody_has_here_is_named(model: str) -> None:
    """Its key and its prompts must not go to somebody else."""
    listed, named = read({"model": model, "api_key": "os.environ/REPLICATE_API_KEY"})
    assert (listed.models, listed.providers) == ({}, {})
    assert "is not known here" in named["e[0].litellm_params.model"]


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("nvidia_nim/meta/llama", "NVIDIA_NIM_API_KEY"),
        ("perplexity/sonar", "PERPLEXITYAI_API_KEY"),
        ("bigmodel/glm-5", "BIGMODEL_API_KEY"),
        ("volcengine/doubao", "VOLCENGINE_API_KEY"),
        ("groq/llama", "GROQ_API_KEY"),
    ],
)
def test_the_variable_is_the_one_that_the_proxy_read(model: str, variable: str) -> None:
    """It is set where the proxy ran; the usual one here may not be."""
    listed, _ = read({"model": model})
    assert [each["api_key"] for each in listed.providers.values()] == ["${" + variable + "}"]


def test_a_server_of_ones_own_needs_no_key() -> None:
    """Text Generation Inference answers below /v1; a model of the hub's router needs its key."""
    listed, _ = read({"model": "huggingface/org/x", "api_base": "http://tgi.lan:8001"}, {"model": "huggingface/org/x"})
    assert listed.providers["huggingface"] == {"base_url": "http://tgi.lan:8001/v1"}
    assert listed.providers["huggingface-2"] == {"like": "huggingface", "api_key": "${HUGGINGFACE_API_KEY}"}


def test_anthropic_models_at_azure_keep_their_dialect() -> None:
    """Their address says it."""
    listed, _ = read(
        {
            "model": "azure_ai/claude",
            "api_base": "https://me.services.ai.azure.com/anthropic",
            "api_key": "os.environ/K",
        }
    )
    (provider,) = listed.providers.values()
    assert provider["dialect"] == "anthropic"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, {}),
        ({"vertex_credentials": "/a.json"}, {"credentials": "/a.json"}),
        ({"vertex_ai_credentials": "os.environ/FILE"}, {"credentials": "${FILE}"}),
        ({"vertex_credentials": '{"type": "service_account"}'}, {}),
        ({"vertex_credentials": {"type": "service_account"}}, {}),
    ],
)
def test_a_credentials_file_of_vertex_is_carried_over(written: dict[str, Any], expected: dict[str, str]) -> None:
    """A file's name; what is a secret itself is named and left out. Without one the usual variables hold."""
    listed, named = read({"model": "vertex_ai/gemini-2.5-pro"} | written)
    assert listed.providers == {"vertex": expected}
    assert bool(named) == (bool(written) and not expected)
