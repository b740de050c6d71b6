"""The table of known providers."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tokenway.control.addresses import address_fault, versioned
from tokenway.dialects.known import KnownProvider
from tokenway.dialects.providers import KNOWN, detected, family_of

ROWS = [pytest.param(row, id=name) for name, row in KNOWN.items()]


@pytest.mark.parametrize("row", ROWS)
def test_each_row_can_be_called(row: KnownProvider) -> None:
    """With its variables set, a row has addresses with TLS (or on this machine) and no hole left in them."""
    environment = dict.fromkeys(row.key_variables, "sk-1") | {
        name: "https://x.example" if row.base_url.startswith("{") else "x" for name in row.address_variables
    }
    for address in (row.address(environment), *(row.fill(offer.base_url, environment) for offer in row.speaks)):
        assert address is not None
        assert "{" not in address
        assert address_fault(address) is None
        assert not address.endswith("/")
        if row.is_keyless:
            assert urlsplit(address).hostname == "127.0.0.1"
        else:
            assert address.startswith("https://")
    assert row.is_keyless or row.missing(environment) == ()


@pytest.mark.parametrize("row", ROWS)
def test_each_row_understands_a_dialect_at_one_address(row: KnownProvider) -> None:
    """Anthropic's paths start from a version, Gemini's too, and no dialect stands twice."""
    spoken = [(row.dialect, row.base_url), *((offer.dialect, offer.base_url) for offer in row.speaks)]
    assert len({dialect for dialect, _ in spoken}) == len(spoken)
    for dialect, address in spoken:
        assert versioned(dialect, address) == address


def test_the_providers_that_people_ask_for_are_known() -> None:
    """The vendors, the hosts and the servers of one's own."""
    wanted = """
        openai azure anthropic gemini vertex bedrock mistral groq deepseek xai cohere together fireworks cerebras
        sambanova perplexity openrouter deepinfra novita hyperbolic nebius moonshot zhipu zai minimax dashscope
        volcengine siliconflow nvidia huggingface cloudflare databricks ollama vllm sglang llamacpp lmstudio
        tgi ai21 baseten featherless nscale parasail jina voyage
    """
    assert set(wanted.split()) <= set(KNOWN)


@pytest.mark.parametrize("row", ROWS)
def test_each_row_says_what_it_needs(row: KnownProvider) -> None:
    """In an empty environment a row names the variables to set, unless it needs none."""
    assert row.missing({}) == (*row.key_variables[:1], *row.address_variables)


def test_no_two_providers_claim_one_prefix() -> None:
    """A name's family is decided by the table alone, not by the order of its rows."""
    prefixes = [prefix for row in KNOWN.values() for prefix in row.prefixes]
    assert len(prefixes) == len(set(prefixes))


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o", "openai"),
        ("o3-mini", "openai"),
        ("text-embedding-3-small", "openai"),
        ("kimi-k2", "moonshot"),
        ("glm-4.6", "zai"),
        ("voyage-3", "voyage"),
        ("claude-3-5-sonnet", "anthropic"),
        ("gemini-2.0-flash", "gemini"),
        ("codestral-latest", "mistral"),
        ("grok-4", "xai"),
        ("deepseek-chat", "deepseek"),
    ],
)
def test_a_models_name_tells_its_provider(model: str, provider: str) -> None:
    """The names of first-party models begin with what their row says."""
    family = family_of(model)
    assert family is not None
    assert family.name == provider


def test_a_strange_name_has_no_family() -> None:
    """A name without a known beginning belongs to nobody."""
    assert family_of("mock") is None


def test_only_complete_credentials_enable_a_provider() -> None:
    """A key without the address it needs enables nothing, and neither does a blank key."""
    assert detected({}) == {}
    assert detected({"OPENAI_API_KEY": " ", "AZURE_OPENAI_API_KEY": "k"}) == {}
    both = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://it.example/"}
    assert list(detected(both)) == ["azure"]
    assert KNOWN["azure"].address(both) == "https://it.example/openai/v1"


def test_a_second_variable_stands_in() -> None:
    """Where the usual variable is not set, the other usual one is read."""
    environment = {"AWS_BEARER_TOKEN_BEDROCK": "k", "AWS_DEFAULT_REGION": "eu-west-1"}
    assert "eu-west-1" in (KNOWN["bedrock"].address(environment) or "")
    assert KNOWN["bedrock"].missing(environment) == ()
    key = KNOWN["gemini"].key({"GOOGLE_API_KEY": "g"})
    assert key is not None
    assert key.reveal() == "g"


def test_signing_keys_enable_bedrock() -> None:
    """An access key, its secret and a region do what the bearer token does; one of them alone does not."""
    environment = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1"}
    assert list(detected(environment)) == ["bedrock"]
    assert detected(environment | {"AWS_SECRET_ACCESS_KEY": ""}) == {}
    assert detected(environment | {"AWS_REGION": ""}) == {}


def test_space_around_a_key_is_taken_off() -> None:
    """A line break at the end of a variable is a slip of the shell, not part of the key."""
    key = KNOWN["openai"].key({"OPENAI_API_KEY": "sk-1\n"})
    assert key is not None
    assert key.reveal() == "sk-1"
