"""Configurations of a LiteLLM proxy, from a laptop's to a company's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tokenway.control.config import load
from tokenway.control.import_litellm import Imported, import_litellm
from tokenway.control.publish import build_snapshot
from tokenway.model.errors import ConfigError
from tokenway.routing.plan import resolve

FILES = Path(__file__).parent / "litellm"
NAMES = sorted(path.stem for path in FILES.glob("*.yaml"))
ENVIRONMENT = {
    **dict.fromkeys(
        [
            *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_KEY_EU", "AZURE_KEY_US", "AWS_ID", "AWS_SECRET"),
            *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GEMINI_API_KEY", "GOOGLE_OAUTH_ACCESS_TOKEN"),
            *("OTHER_KEY", "TOGETHERAI_API_KEY", "MISTRAL_EU_KEY", "GROQ_API_KEY", "FIREWORKS_AI_API_KEY"),
        ],
        "a-key-of-some-length",
    ),
    "LITELLM_MASTER_KEY": "sk-1234567890abcdef",
    "AZURE_BASE_US": "https://us.openai.azure.com",
    "AWS_REGION_NAME": "us-east-1",
    "AWS_REGION": "us-east-1",
    "OTHER_BASE_URL": "https://o.example/v1",
}


def imported(name: str) -> Imported:
    """One of the files beside this test, converted."""
    return import_litellm((FILES / f"{name}.yaml").read_text())


def unmapped(made: Imported) -> dict[str, str]:
    """What was named, by path."""
    return {each.path: each.reason for each in made.unmapped}


@pytest.mark.parametrize("name", NAMES)
def test_the_new_file_can_be_used(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no error and no warning where its variables and files are there, and every model has an endpoint."""
    monkeypatch.setattr("tokenway.control.rules.reads_accounts", lambda: True)
    file, account = tmp_path / "tokenway.yaml", tmp_path / "account.json"
    account.write_text("{}")
    file.write_text(imported(name).text.replace("/secrets/account.json", str(account)))
    loaded = load(file, ENVIRONMENT)
    assert [str(finding) for finding in loaded.findings if finding.severity != "note"] == []
    snapshot = build_snapshot(loaded.demand(), keys={}, environment=ENVIRONMENT, local=None, version=1)
    assert all(model.endpoints for model in snapshot.models.values())


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_carried_over_or_named(name: str) -> None:
    """Each setting below the sections is a part of the new file or in the list."""
    document = yaml.safe_load((FILES / f"{name}.yaml").read_text())
    made = imported(name)
    known = {"num_retries", "timeout", "request_timeout", "fallbacks", "default_fallbacks", "model_group_alias"}
    known |= {"routing_strategy", "master_key", "max_budget", "budget_duration"}
    named = unmapped(made)
    for section in ("router_settings", "litellm_settings", "general_settings"):
        for setting in document.get(section, {}):
            assert setting in known or f"{section}.{setting}" in named, setting


def test_usual_names_need_no_more_than_a_key() -> None:
    """A model without a prefix belongs to the vendor whose names are like it."""
    made = yaml.safe_load(imported("simple").text)
    assert made == {
        "providers": {
            "openai": {"api_key": "${OPENAI_API_KEY}"},
            "anthropic": {"api_key": "${ANTHROPIC_API_KEY}"},
        },
        "models": {
            "gpt-4o": {"endpoints": [{"provider": "openai", "model": "gpt-4o"}]},
            "claude": {"endpoints": [{"provider": "anthropic", "model": "claude-sonnet-4-5"}]},
            "embed": {"endpoints": [{"provider": "openai", "model": "text-embedding-3-small"}]},
        },
    }


def test_a_file_without_a_master_key_opens_nothing() -> None:
    """The proxy takes it from its environment too."""
    made = imported("simple")
    assert "auth" not in yaml.safe_load(made.text)
    assert "calls need a key here" in unmapped(made)["general_settings.master_key"]


def test_entries_of_one_name_are_endpoints_of_one_model() -> None:
    """In their order where one is written, with their own limits and weights; regions are providers of their own."""
    made = yaml.safe_load(imported("azure").text)
    endpoints = made["models"]["gpt-4o"]["endpoints"]
    assert [each["provider"] for each in endpoints] == ["openai", "azure", "azure-2"]
    assert endpoints[1]["limits"] == {"rpm": 900, "tpm": 150000}
    assert endpoints[1]["weight"] == 3
    assert made["providers"]["azure"]["base_url"] == "https://europe-1.openai.azure.com/openai/v1"
    assert made["providers"]["azure-2"] == {
        "like": "azure",
        "base_url": "${AZURE_BASE_US}/openai/v1",
        "api_key": "${AZURE_KEY_US}",
    }


def test_settings_of_the_router() -> None:
    """Retries, deadlines, fallbacks and aliases; the router's go before the library's."""
    made = yaml.safe_load(imported("azure").text)
    assert made["retries"] == {"max": 3}
    assert made["timeouts"] == {"first_token": 45, "total": 45}
    assert made["models"]["gpt-4o"]["fallbacks"] == ["small"]
    assert made["aliases"] == {"gpt-4": "gpt-4o", "gpt-3.5-turbo": "small"}
    assert made["auth"]["keys"] == [{"name": "master", "key": "${LITELLM_MASTER_KEY}"}]
    named = unmapped(imported("azure"))
    assert "usage-based-routing-v2" in named["router_settings.routing_strategy"]
    assert "router_settings.num_retries" in named["litellm_settings.num_retries"]
    assert {"router_settings.redis_host", "general_settings.database_url"} <= named.keys()
    assert "litellm_settings.fallbacks.unknown" in named
    assert "router_settings.model_group_alias.lost" in named


def test_clouds_budgets_and_default_fallbacks() -> None:
    """Signing keys, a region in the address, a project, a budget for the key, a spare for every other model."""
    made = yaml.safe_load(imported("clouds").text)
    assert made["providers"]["bedrock"]["aws"] == {
        "access_key": "${AWS_ID}",
        "secret_key": "${AWS_SECRET}",
        "region": "us-west-2",
    }
    assert made["providers"]["bedrock-2"]["base_url"] == "https://bedrock-runtime.${AWS_REGION_NAME}.amazonaws.com"
    assert "europe-west4-aiplatform" in made["providers"]["vertex"]["base_url"]
    assert made["providers"]["vertex"]["credentials"] == "/secrets/account.json"
    assert made["auth"]["keys"][0]["budget"] == {"usd": "250.5", "period": "month"}
    assert made["models"]["sonnet"]["fallbacks"] == ["gemini"]
    assert "fallbacks" not in made["models"]["gemini"]
    assert made["models"]["nova"]["routing"] == {"sort": "latency"}
    assert made["timeouts"] == {"first_token": 20, "between_tokens": 20, "total": 20}
    named = unmapped(imported("clouds"))
    assert made["models"]["opus"]["endpoints"][0]["provider"] == "vertex-anthropic"
    assert made["providers"]["vertex-anthropic"]["base_url"].endswith("/publishers/anthropic")
    assert "secret in the file" in named["general_settings.master_key"]


def test_servers_prices_and_sizes() -> None:
    """Dollars per token become dollars per million, exactly; a literal secret is copied and named."""
    made = yaml.safe_load(imported("own").text)
    first, second = made["models"]["llama"]["endpoints"]
    assert first["price"] == {"input": "0.2", "output": "0.6"}
    assert first["capabilities"] == {"context": 131072, "max_output": 8192, "vision": False, "tools": True}
    assert first["limits"] == {"concurrency": 64}
    assert (first["provider"], second["provider"]) == ("vllm", "vllm-2")
    assert made["providers"]["ollama"]["base_url"] == "http://desk.lan:11434/v1"
    assert made["providers"]["llm-example-com"]["api_key"] == "sk-literal-secret-000"
    assert made["providers"]["llm-example-com"]["headers"] == {"x-team": "blue"}
    named = unmapped(imported("own"))
    assert "secret in the file" in named["model_list[3].litellm_params.api_key"]
    assert "sk-literal" not in repr(named)
    assert {"model_list[0].litellm_params.temperature", "model_list[5].litellm_params.model", "model_list[6]"} <= set(
        named
    )


def test_wildcards_are_providers(tmp_path: Path) -> None:
    """Under the name that callers write before the slash."""
    file = tmp_path / "tokenway.yaml"
    file.write_text(imported("wildcards").text)
    settings = load(file, ENVIRONMENT).demand()
    snapshot = build_snapshot(settings, keys={}, environment={}, local=None, version=1)
    assert snapshot.providers["together_ai"].base_url == "https://api.together.ai/v1"
    for name in ("together_ai/x/y", "eu/mistral-large", "openai/gpt-4o", "gpt-4o"):
        assert resolve(snapshot, name) is not None
    fast = settings.models["fast"]
    assert fast.fallbacks == ("openai/gpt-4o-mini", "gpt-4o", "hosted", "together_ai/x")
    assert settings.retries.max == 20
    assert len(fast.endpoints) == 1
    assert settings.models["hosted"].endpoints[0].model.startswith("accounts/fireworks/models/")


@pytest.mark.parametrize("text", ["", "a: [", "[]", "models: {}", "just text"])
def test_other_files_are_refused(text: str) -> None:
    """With a sentence about what is missing."""
    with pytest.raises(ConfigError, match=r"not (YAML|the configuration)"):
        import_litellm(text)


def test_odd_values_are_named_and_left_out() -> None:
    """Nothing that a person wrote makes it fail."""
    made = import_litellm(
        "model_list: 5\nrouter_settings: {timeout: soon, num_retries: many, fallbacks: 3, model_group_alias: [a]}\n"
        "litellm_settings: {max_budget: 5, budget_duration: 3h}\ngeneral_settings: {master_key: sk-0123456789abcdef}"
    )
    named = unmapped(made)
    assert {"router_settings.timeout", "router_settings.num_retries", "litellm_settings.budget_duration"} <= set(named)
    assert yaml.safe_load(made.text)["auth"]["keys"][0]["budget"] == {"usd": "5", "period": "total"}


def test_a_list_without_models_is_named() -> None:
    """The proxy has them in its database, or in other files."""
    named = unmapped(import_litellm("include: [models.yaml]\nmodel_list: []"))
    assert "database" in named["model_list"]
    assert "put what the other files hold" in named["include"]
    assert "model_list" in unmapped(import_litellm("general_settings: {master_key: sk-0123456789abcdef}"))


def test_credentials_with_a_name_are_filled_in() -> None:
    """Where the list has that name; the entry's own parameters go before it, and an unknown name is named."""
    made = import_litellm(
        "credential_list: [{credential_name: c, credential_values: {api_key: os.environ/K, api_base: 'https://a.b/v1'}}]\n"
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: openai/x, litellm_credential_name: c}}\n"
        "- {model_name: b, litellm_params: {model: openai/x, litellm_credential_name: c, api_key: os.environ/L}}\n"
        "- {model_name: d, litellm_params: {model: openai/x, litellm_credential_name: lost}}\n"
    )
    providers = yaml.safe_load(made.text)["providers"]
    assert [(each.get("base_url"), each["api_key"]) for each in providers.values()] == [
        ("https://a.b/v1", "${K}"),
        ("https://a.b/v1", "${L}"),
        (None, "${OPENAI_API_KEY}"),
    ]
    assert [path for path in unmapped(made) if "credential" in path] == [
        "model_list[2].litellm_params.litellm_credential_name"
    ]


def test_fallbacks_of_every_model() -> None:
    """A star stands for the models that have none of their own."""
    made = import_litellm(
        "model_list: [{model_name: a, litellm_params: {model: gpt-4o}}, {model_name: b, litellm_params: {model: o3}}]\n"
        "router_settings: {fallbacks: [{'*': [b]}]}"
    )
    models = yaml.safe_load(made.text)["models"]
    assert (models["a"]["fallbacks"], "fallbacks" in models["b"]) == (["b"], False)


def test_a_mistake_in_the_yaml_has_its_line() -> None:
    """In a sentence, without the parser's drawing."""
    with pytest.raises(ConfigError, match=r"^this is not YAML: line 2: [^^]*$"):
        import_litellm("model_list:\n  - model_name: [")
