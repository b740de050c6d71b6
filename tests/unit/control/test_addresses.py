"""Addresses of providers."""

from __future__ import annotations

import pytest

from tokenway.control.addresses import address_fault, enabled_by, is_loopback


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
