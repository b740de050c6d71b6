"""The table of known providers."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tokenway.dialects.registry import KNOWN, KnownProvider, detected, family_of, is_key

ROWS = [pytest.param(row, id=name) for name, row in KNOWN.items()]


@pytest.mark.parametrize("row", ROWS)
def test_each_row_can_be_called(row: KnownProvider) -> None:
    """With its variables set, a row has an address with TLS (or on this machine) and no hole left in it."""
    environment = dict.fromkeys(row.key_variables, "sk-1") | dict.fromkeys(row.address_variables, "https://x.example")
    address = row.address(environment)
    assert address is not None
    assert "{" not in address
    assert not address.endswith("/")
    if row.is_keyless:
        assert urlsplit(address).hostname == "127.0.0.1"
    else:
        assert address.startswith("https://")
        assert row.missing(environment) == ()


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


def test_space_around_a_key_is_taken_off() -> None:
    """A line break at the end of a variable is a slip of the shell, not part of the key."""
    key = KNOWN["openai"].key({"OPENAI_API_KEY": "sk-1\n"})
    assert key is not None
    assert key.reveal() == "sk-1"


@pytest.mark.parametrize(("text", "good"), [("sk-1", True), ("", False), ("a b", False), ("a\nb", False), ("é", False)])
def test_a_key_is_what_a_header_can_carry(text: str, good: bool) -> None:
    """Printable ASCII without spaces, and at least one character."""
    assert is_key(text) is good
