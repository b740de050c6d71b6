"""Addresses of providers."""

from __future__ import annotations

import pytest

from tokenway.control.addresses import address_fault, enabled_by, is_loopback, reads_accounts, speeches_of, versioned
from tokenway.dialects.providers import KNOWN
from tokenway.model.catalog import Dialect
from tokenway.model.settings import ProviderSettings


@pytest.mark.parametrize(
    "address",
    [
        "https://api.openai.com/v1",
        "http://127.0.0.1:9000/v1",
        "http://[::1]:9000",
        "http://host/v1/",
        "unix:/run/x.sock:/v1",
        "unix:/run/x.sock",
    ],
)
def test_an_address_that_can_be_called_has_no_fault(address: str) -> None:
    """HTTP, HTTPS and sockets of this machine, with or without a path."""
    assert address_fault(address) is None


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("", "expected an address"),
        ("api.openai.com/v1", "expected an address"),
        ("ftp://host/v1", "expected an address"),
        ("http://", "expected an address"),
        ("http://ho st/v1", "expected an address"),
        ("http://hést/v1", "expected an address"),
        ("http://host:99999/v1", "is not a URL"),
        ("http://host:x/v1", "is not a URL"),
        ("http://[::1/v1", "is not a URL"),
        ("http://host:0/v1", "port 0"),
        ("http://me:secret@host/v1", "user or password"),
        ("http://host/v1?x=1", "leave '?'"),
        ("http://host/v1#x", "leave '?'"),
        ("https://api.openai.com/v1/chat/completions", "leave /chat/completions out"),
        ("https://api.openai.com/v1/embeddings/", "leave /embeddings out"),
        ("unix:relative.sock", "expected unix:"),
        ("unix:/run/x.sock:v1", "expected unix:"),
    ],
)
def test_other_addresses_say_what_is_wrong(address: str, fault: str) -> None:
    """The reason tells what to change."""
    assert fault in (address_fault(address) or "")


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("x.org", False),
    ],
)
def test_loopback_is_this_machine_alone(host: str, only_here: bool) -> None:
    """Every other address may be reached by others."""
    assert is_loopback(host) is only_here


def test_usable_variables_enable_providers() -> None:
    """A key that is set enables its provider without a word."""
    rows, findings = enabled_by({"OPENAI_API_KEY": "sk-1", "GROQ_API_KEY": "g"})
    assert (list(rows), findings) == (["openai", "groq"], [])


def test_variables_that_are_set_in_vain_are_reported() -> None:
    """A variable with an impossible value enables nothing, and a warning names it without its value."""
    environment = {
        "OPENAI_API_KEY": "sk one two",
        "AZURE_OPENAI_API_KEY": "k",
        "AZURE_OPENAI_ENDPOINT": "it.example",
    }
    rows, findings = enabled_by(environment)
    assert rows == {}
    assert sorted(finding.file for finding in findings) == ["$AZURE_OPENAI_ENDPOINT", "$OPENAI_API_KEY"]
    assert all(finding.severity == "warning" and "sk one" not in str(finding) for finding in findings)


@pytest.mark.parametrize(
    ("dialect", "written", "meant"),
    [
        (Dialect.ANTHROPIC, "http://host", "http://host/v1"),
        (Dialect.ANTHROPIC, "http://host/anthropic/", "http://host/anthropic/v1"),
        (Dialect.ANTHROPIC, "http://host/v1/", "http://host/v1"),
        (Dialect.GEMINI, "http://host", "http://host/v1beta"),
        (Dialect.GEMINI, "http://host/v1/projects/p/publishers/google", "http://host/v1/projects/p/publishers/google"),
        (Dialect.GEMINI, "http://host/v1beta1", "http://host/v1beta1"),
        (Dialect.GEMINI, "unix:/run/x.sock", "unix:/run/x.sock:/v1beta"),
        (Dialect.GEMINI, "unix:/run/x.sock:/v1", "unix:/run/x.sock:/v1"),
        (Dialect.OPENAI_CHAT, "http://host/", "http://host"),
        (Dialect.BEDROCK, "http://host", "http://host"),
    ],
)
def test_a_version_is_added_where_it_is_absent(dialect: Dialect, written: str, meant: str) -> None:
    """For the two dialects whose SDKs add it themselves, so that their hosts can be written as they know them."""
    assert versioned(dialect, written) == meant


CHAT, RESPONSES, ANTHROPIC, GEMINI = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC, Dialect.GEMINI
GOOGLE = "https://generativelanguage.googleapis.com/v1beta"


@pytest.mark.parametrize(
    ("name", "written", "speeches"),
    [
        ("lab", ProviderSettings(base_url="http://x/v1"), {CHAT: ("http://x/v1", "authorization")}),
        ("lab", ProviderSettings(), {}),
        (
            "lab",
            ProviderSettings(base_url="http://x", dialect=ANTHROPIC),
            {ANTHROPIC: ("http://x/v1", "x-api-key")},
        ),
        (
            "lab",
            ProviderSettings(base_url="http://x/v1", speaks=(RESPONSES, ANTHROPIC)),
            {
                CHAT: ("http://x/v1", "authorization"),
                RESPONSES: ("http://x/v1", "authorization"),
                ANTHROPIC: ("http://x/v1", "x-api-key"),
            },
        ),
        ("gemini", ProviderSettings(base_url="http://x"), {GEMINI: ("http://x/v1beta", "x-goog-api-key")}),
        (
            "gemini",
            ProviderSettings(dialect=CHAT),
            {CHAT: (f"{GOOGLE}/openai", "authorization"), GEMINI: (GOOGLE, "x-goog-api-key")},
        ),
        (
            "gemini",
            ProviderSettings(dialect=CHAT, speaks=()),
            {CHAT: (f"{GOOGLE}/openai", "authorization")},
        ),
        (
            "openai",
            ProviderSettings(base_url="http://x/v1"),
            {CHAT: ("http://x/v1", "authorization"), RESPONSES: ("http://x/v1", "authorization")},
        ),
        ("deepseek", ProviderSettings(base_url="http://x/v1"), {CHAT: ("http://x/v1", "authorization")}),
        (
            "moonshot",
            ProviderSettings(),
            {
                CHAT: ("https://api.moonshot.ai/v1", "authorization"),
                RESPONSES: ("https://api.moonshot.ai/v1", "authorization"),
                ANTHROPIC: ("https://api.moonshot.ai/anthropic/v1", "authorization"),
            },
        ),
    ],
)
def test_what_was_written_stands_before_what_is_known(
    name: str, written: ProviderSettings, speeches: dict[Dialect, tuple[str, str]]
) -> None:
    """A written address stands for the row's own, and for those of its other dialects that are the same one."""
    found = speeches_of(written, KNOWN.get(name), {})
    assert found == speeches
    assert not found or next(iter(found)) is (written.dialect or next(iter(speeches)))


def test_a_dialect_that_nobody_knows_of_has_no_address() -> None:
    """The provider's other dialects are no answer to it."""
    assert speeches_of(ProviderSettings(dialect=GEMINI), KNOWN["openai"], {}) == {}


def test_a_credentials_file_enables_only_where_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that reads it nothing is enabled by it; a token in its variable needs no package."""
    environment = {
        "GOOGLE_APPLICATION_CREDENTIALS": "account.json",
        "GOOGLE_CLOUD_PROJECT": "p",
        "GOOGLE_CLOUD_LOCATION": "global",
    }
    monkeypatch.setattr("tokenway.control.addresses.reads_accounts", lambda: True)
    assert list(enabled_by(environment)[0]) == ["vertex", "vertex-anthropic"]
    monkeypatch.setattr("tokenway.control.addresses.reads_accounts", lambda: False)
    assert enabled_by(environment) == ({}, [])
    assert list(enabled_by(environment | {"GOOGLE_OAUTH_ACCESS_TOKEN": "t"})[0]) == ["vertex", "vertex-anthropic"]


def test_whether_a_package_is_there_is_told_without_it() -> None:
    """The answer is the same as that of an import."""
    try:
        import google.oauth2.service_account  # noqa: F401, PLC0415 - the question itself
    except ImportError:
        assert not reads_accounts()
    else:
        assert reads_accounts()
