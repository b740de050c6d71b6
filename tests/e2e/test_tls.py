"""TLS: to providers, whose certificates are verified, and from clients."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, Gateway, configuration
from tests.e2e.raw import Answer, Raw, chat, post
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the certificates here."""
    return trustme.CA()


@pytest.fixture(scope="module")
def trust(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of the authority's certificate, for `SSL_CERT_FILE`."""
    path: Path = tmp_path_factory.mktemp("trust") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server's context with a certificate for `names`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def ask(gateway: Gateway, *, stream: bool = False) -> Answer:
    """One call."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=stream)))
        return await raw.answer()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_a_trusted_provider_is_used(launch: Launch, authority: trustme.CA, trust: str, name: str) -> None:
    """By address or by name, streaming and not, over one kept connection."""
    async with FakeProvider(tls=serving(authority, name)) as provider:
        base_url = provider.base_url.replace("127.0.0.1", name)
        gateway = await launch(configuration(base_url), SSL_CERT_FILE=trust)
        for stream in (False, True, False):
            answer = await ask(gateway, stream=stream)
            assert answer.status == 200
            assert b"w3" in answer.body
        assert len(provider.links) == 1
        provider.queue(Script(chunks=6, cut=3))
        assert b"w2" in (await ask(gateway, stream=True)).body


@pytest.mark.parametrize("kind", ["unknown authority", "another name"])
async def test_a_provider_that_cannot_prove_itself_is_not_used(
    launch: Launch, authority: trustme.CA, trust: str, kind: str
) -> None:
    """502 that says why, and not a byte of the request is sent."""
    signer = trustme.CA() if kind == "unknown authority" else authority
    name = "example.test" if kind == "another name" else "127.0.0.1"
    async with FakeProvider(tls=serving(signer, name)) as provider:
        gateway = await launch(configuration(provider.base_url), SSL_CERT_FILE=trust)
        answer = await ask(gateway)
        assert answer.status == 502
        assert answer.error["code"] == "tls"
        assert "did not prove its identity" in answer.error["message"]
        assert provider.requests == []
        entry = await gateway.entry(answer.headers["x-request-id"])
        assert (entry.settlement, entry.charged) == ("released", 0)


async def test_clients_can_be_served_over_tls(
    launch: Launch, authority: trustme.CA, provider: FakeProvider, tmp_path: Path
) -> None:
    """With a certificate of its own the gateway speaks HTTPS, refusals of oversized bodies included."""
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(str(tmp_path / "cert.pem"), append=True)
    tls = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    gateway = await launch(configuration(provider.base_url, server={"tls": tls}))
    assert gateway.base_url.startswith("https://")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with Raw(gateway.port, context) as raw:
        for stream in (False, True):
            await raw.send(post(chat(stream=stream)))
            assert b"w3" in (await raw.answer()).body
        await raw.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ", KEY.encode())
        await raw.send(b"\r\ncontent-length: 99999999\r\n\r\n")
        assert (await raw.answer()).status == 413
