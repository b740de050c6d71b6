"""The addresses under which a gateway is reached from its own machine."""

from __future__ import annotations

import pytest

from tokenway.compose.addresses import control_url, public_url
from tokenway.model.settings import ServerSettings, TlsSettings


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("gateway.lan", "http://gateway.lan:8080"),
    ],
)
def test_a_listener_is_reached_at_an_address_that_can_be_called(host: str, url: str) -> None:
    """An address that means every address is reached through loopback, and IPv6 stands in brackets."""
    assert public_url(ServerSettings(host=host)) == url
    assert control_url(ServerSettings(host=host)) == url.replace("8080", "8081")


def test_a_certificate_means_https_for_the_public_listener_only() -> None:
    """The control listener has no TLS of its own."""
    server = ServerSettings(tls=TlsSettings("cert.pem", "key.pem"))
    assert public_url(server) == "https://127.0.0.1:8080"
    assert control_url(server) == "http://127.0.0.1:8081"
