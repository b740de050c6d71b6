"""Base URLs, and dials that succeed or fail in a sentence."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from tests.contract.upstreams import REQUEST, Heard, until
from tests.fake_provider import FakeProvider, Script
from tokenway.aio.tasks import Tasks
from tokenway.model.errors import ConfigError
from tokenway.model.faults import Fault
from tokenway.upstream import transport
from tokenway.upstream.pool import Pool
from tokenway.upstream.transport import (
    DialFailure,
    Origin,
    dial,
    dial_public,
    is_public,
    parse_base_url,
    public_addresses,
    system_trust,
)


@pytest.mark.parametrize(
    ("url", "origin", "prefix", "authority"),
    [
        ("http://127.0.0.1:9000/v1", Origin("http", "127.0.0.1", 9000), "/v1", "127.0.0.1:9000"),
        ("https://api.example.com/v1/", Origin("https", "api.example.com", 443), "/v1", "api.example.com"),
        ("https://API.example.com", Origin("https", "api.example.com", 443), "", "api.example.com"),
        ("http://h:443/a/b", Origin("http", "h", 443), "/a/b", "h:443"),
        ("http://[::1]:80/v1", Origin("http", "::1", 80), "/v1", "[::1]"),
        ("http://[::1]:8080", Origin("http", "::1", 8080), "", "[::1]:8080"),
        ("unix:/run/x.sock", Origin("unix", path="/run/x.sock"), "", "localhost"),
        ("unix:/run/x.sock:/v1", Origin("unix", path="/run/x.sock"), "/v1", "localhost"),
    ],
)
def test_a_base_url_is_an_origin_and_a_prefix(url: str, origin: Origin, prefix: str, authority: str) -> None:
    """Every form of a base URL gives its origin, its prefix without a slash at the end, and a Host header."""
    assert parse_base_url(url) == (origin, prefix)
    assert origin.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://h/",
        "api.example.com/v1",
        "http://",
        "http://h:99999/",
        "http://h:port/",
        "unix:x.sock",
        "http://[::1",
        "https://user:hunter2@h/v1",
        "https://h/v1?key=hunter2",
        "https://h/#hunter2",
    ],
)
def test_what_names_no_origin_is_refused(url: str) -> None:
    """A URL that cannot be a base URL is a ConfigError whose text shows nothing secret."""
    with pytest.raises(ConfigError) as caught:
        parse_base_url(url)
    assert "hunter2" not in str(caught.value)


def test_the_texts_of_origins_are_urls() -> None:
    """An origin reads as what was configured, without the prefix; a socket without the folders it lies in."""
    assert str(Origin("https", "h", 443)) == "https://h"
    assert str(Origin("unix", path="/srv/run/x.sock")) == "unix:x.sock"


def test_system_trust_verifies() -> None:
    """The default context checks names and certificates and speaks nothing below TLS 1.2."""
    context = system_trust()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


async def fetch(url: str, tasks: Tasks, trust: trustme.CA | None = None, seconds: float = 5.0) -> Heard:
    """One call to `url`; its pool is closed afterwards."""

    def context() -> ssl.SSLContext:
        made = system_trust()
        if trust is not None:
            trust.configure_trust(made)
        return made

    origin, _ = parse_base_url(url)
    loop = asyncio.get_running_loop()
    pool = Pool(origin, loop, tasks, connect_timeout=seconds, ssl_context_factory=context)
    heard = Heard()
    pool.open(REQUEST, heard)
    await heard.over()
    await pool.close()
    return heard


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of the test's own."""
    return trustme.CA()


def served_by(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server's context with a certificate for `names`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_a_trusted_certificate_is_accepted(tasks: Tasks, authority: trustme.CA) -> None:
    """Over TLS the answer arrives, and the protocol agreed on is HTTP/1.1."""
    async with FakeProvider(tls=served_by(authority, "127.0.0.1")) as provider:
        heard = await fetch(provider.base_url, tasks, authority)
        [link] = provider.links
        assert link.transport is not None
        assert link.transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    assert (heard.status, heard.calls[-1]) == (200, "end")


async def test_calls_over_tls_share_a_connection_and_can_be_cancelled(tasks: Tasks, authority: trustme.CA) -> None:
    """Session tickets and records do not look like stray bytes; a cancel closes, a stray byte as well."""
    context = system_trust()
    authority.configure_trust(context)
    async with FakeProvider(tls=served_by(authority, "127.0.0.1")) as provider:
        origin, _ = parse_base_url(provider.base_url)
        pool = Pool(origin, asyncio.get_running_loop(), tasks, ssl_context_factory=lambda: context)
        for _ in range(20):
            heard = Heard()
            pool.open(REQUEST, heard)
            await heard.over()
            assert heard.calls[-1] == "end"
        assert len(provider.links) == 1
        await provider.send_stray(b"x")
        await until(lambda: pool.open_connections == 0)
        provider.queue(Script(delay=60))
        heard = Heard()
        call = pool.open(REQUEST, heard)
        await provider.received(21)
        call.cancel()
        await until(lambda: pool.open_connections == 0 and provider.open_links == 0)
        assert heard.calls == ["opened"]
        await pool.close()


@pytest.mark.parametrize("case", ["unknown authority", "another name"])
async def test_a_certificate_that_proves_nothing_is_a_tls_fault(tasks: Tasks, authority: trustme.CA, case: str) -> None:
    """An unknown authority or a certificate for another name: a sentence, no request."""
    name = "127.0.0.1" if case == "unknown authority" else "elsewhere.example"
    trust = None if case == "unknown authority" else authority
    async with FakeProvider(tls=served_by(authority, name)) as provider:
        heard = await fetch(provider.base_url, tasks, trust)
        assert provider.requests == []
        assert provider.errors == []
    assert heard.calls == ["failed"]
    assert heard.fault is Fault.TLS
    assert "is not trusted" in heard.detail
    assert heard.detail.endswith(".")
    assert not heard.detail.endswith("..")


async def test_plain_http_on_a_tls_port_is_a_tls_fault(tasks: Tasks) -> None:
    """A server that answers the handshake with text does not speak TLS."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    heard = await fetch(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", tasks)
    server.close()
    await server.wait_closed()
    assert heard.fault is Fault.TLS


async def test_a_refused_connection_is_a_sentence(tasks: Tasks) -> None:
    """Nobody listens: CONNECT, with the reason in words."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    heard = await fetch(f"http://127.0.0.1:{port}", tasks)
    assert heard.fault is Fault.CONNECT
    assert heard.detail == f"No connection to http://127.0.0.1:{port}: connection refused."


async def test_a_missing_socket_is_a_sentence(tasks: Tasks, tmp_path: Path) -> None:
    """A Unix socket that is not there: CONNECT, and the caller does not learn where it would be."""
    heard = await fetch(f"unix:{tmp_path}/none.sock", tasks)
    assert heard.fault is Fault.CONNECT
    assert heard.detail == "No connection to unix:none.sock: no such file or directory."


async def test_a_handshake_without_end_is_cut_off(tasks: Tasks) -> None:
    """A server that accepts and stays silent costs no more than the connect time-out."""
    async with FakeProvider() as provider:
        heard = await fetch(provider.base_url.replace("http:", "https:"), tasks, seconds=0.05)
    assert heard.fault is Fault.CONNECT_DEADLINE
    assert heard.detail.endswith("within 0.05 s.")


async def test_a_unix_socket_carries_calls(tasks: Tasks, tmp_path: Path) -> None:
    """`unix:/path:/v1` reaches a server on that socket."""
    async with FakeProvider(Script(body=b"{}"), unix=tmp_path / "p.sock") as provider:
        heard = await fetch(provider.base_url, tasks)
    assert heard.body == b"{}"


async def test_a_connection_has_no_delay_and_is_kept_alive() -> None:
    """TCP_NODELAY and SO_KEEPALIVE are set on what `dial` makes."""
    made: asyncio.Future[asyncio.BaseTransport] = asyncio.get_running_loop().create_future()

    class Client(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.set_result(transport)

    async with FakeProvider() as provider:
        await dial(parse_base_url(provider.base_url)[0], Client, timeout=5, context=None)
        transport_made = await made
        peer = transport_made.get_extra_info("socket")
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        transport_made.close()


@pytest.mark.parametrize(
    ("error", "fault", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Fault.CONNECT, "does not resolve"),
        (ssl.SSLError(1, "[SSL] x"), Fault.TLS, "handshake"),
        (ConnectionResetError(errno.ECONNRESET, "secret 10.0.0.1"), Fault.TLS, "during the TLS handshake"),
        (OSError(errno.EHOSTUNREACH, "secret 10.0.0.1"), Fault.CONNECT, "no route to host"),
        (OSError("Multiple exceptions: secret"), Fault.CONNECT, "No connection to https://h."),
        (TimeoutError(), Fault.CONNECT_DEADLINE, "within 5 s"),
    ],
)
def test_each_foreign_error_becomes_a_sentence(error: Exception, fault: Fault, words: str) -> None:
    """Loops and OpenSSL raise what they like; a caller sees one of three faults and our own words."""
    failure = transport._explain(Origin("https", "h", 443), error, 5.0)
    assert failure.fault is fault
    assert words in failure.detail
    assert failure.detail.endswith(".")
    assert "secret" not in failure.detail


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "1.1.1.1", "193.0.14.129", "100.63.255.255", "172.15.255.255", "223.255.255.254"),
        *("2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001::1"),
        *("::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::8.8.8.8"),
    ],
)
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    """Also the neighbours of special ranges, and embeddings of a public IPv4 address."""
    assert is_public(address)


@pytest.mark.parametrize(
    ("what", "addresses"),
    [
        ("loopback", ["127.0.0.1", "127.255.255.254", "::1"]),
        ("private", ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd00:ec2::254"]),
        ("link-local", ["169.254.169.254", "fe80::1", "fe80::1%eth0"]),
        ("site-local", ["fec0::1"]),
        ("carrier-grade NAT", ["100.64.0.1", "100.100.100.200", "100.127.255.255"]),
        ("multicast", ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"]),
        ("unspecified", ["0.0.0.0", "0.1.2.3", "::"]),
        ("reserved and broadcast", ["240.0.0.1", "255.255.255.255"]),
        ("documentation", ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"]),
        ("benchmarks", ["198.18.0.1", "198.19.255.255"]),
        ("protocol assignments", ["192.0.0.1", "192.0.0.9", "192.0.0.192", "2001:20::1"]),
        ("relays of 6to4", ["192.88.99.1"]),
        ("a cloud's host", ["168.63.129.16", "::ffff:168.63.129.16"]),
        ("IPv4 mapped", ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"]),
        ("IPv4 translated and compatible", ["::ffff:0:127.0.0.1", "::127.0.0.1", "::8.8.8.8"]),
        ("6to4", ["2002:7f00:1::", "2002:a00:1::", "2002:a9fe:a9fe::", "2002:e000:1::"]),
        ("Teredo", ["2001:0:4136:e378:8000:63bf:3fff:fdd2"]),
        ("NAT64", ["64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::224.0.0.1", "64:ff9b:1::8.8.8.8"]),
        ("nobody's", ["4000::1", "5f00::1", "100::1"]),
    ],
)
def test_an_address_of_a_special_range_is_not_public(what: str, addresses: list[str]) -> None:
    """Whatever range it is of, and however an IPv4 address is embedded."""
    assert [address for address in addresses if is_public(address)] == [], what


def test_a_name_with_one_private_address_among_several_is_refused() -> None:
    """It would be a matter of luck which one is connected to."""
    origin = Origin("http", "two-faced.example", 80)
    with pytest.raises(DialFailure, match=r"two-faced\.example is not a public address") as caught:
        public_addresses(origin, ["8.8.8.8", "2606:4700:4700::1111", "10.0.0.1"])
    assert caught.value.fault is Fault.CONNECT


def test_public_addresses_are_tried_each_once() -> None:
    """In the order that the system's look-up has chosen."""
    assert public_addresses(Origin("http", "h", 80), ["2606:4700:4700::1111", "1.1.1.1", "1.1.1.1"]) == [
        "2606:4700:4700::1111",
        "1.1.1.1",
    ]


def test_a_name_without_an_address_is_refused() -> None:
    """Nothing of it is known to be public."""
    with pytest.raises(DialFailure):
        public_addresses(Origin("http", "h", 80), [])


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "2130706433", "0x7f.1", "::ffff:127.0.0.1", "169.254.169.254"]
)
async def test_this_machine_is_not_dialed_for_a_caller(host: str) -> None:
    """However its address is spelled; nothing is connected."""
    with pytest.raises(DialFailure) as caught:
        await dial_public(Origin("http", host, 80), asyncio.Protocol, timeout=5, context=None)
    assert caught.value.fault is Fault.CONNECT


async def test_an_address_that_cannot_be_reached_gives_way_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of IPv6 on a machine without it; only the last one's failure is told."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    addresses = ["127.0.0.99", "127.0.0.1"]

    async def look_up(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    monkeypatch.setattr("tokenway.upstream.transport.is_public", lambda _: True)
    made = asyncio.Event()

    class Told(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()
            made.set()

    async with server:
        await dial_public(Origin("http", "two.example", port), Told, timeout=5, context=None)
        async with asyncio.timeout(5):
            await made.wait()
        addresses.reverse()
        addresses[0] = "127.0.0.98"
        with pytest.raises(DialFailure, match=r"two\.example"):
            await dial_public(Origin("http", "two.example", port), Told, timeout=5, context=None)


async def test_a_socket_of_this_machine_is_not_dialed_for_a_caller() -> None:
    """A URL cannot name one, and an origin that does is refused."""
    with pytest.raises(DialFailure, match="not public"):
        await dial_public(Origin("unix", path="/run/x.sock"), asyncio.Protocol, timeout=5, context=None)


async def test_a_name_that_does_not_resolve_is_refused_in_a_sentence() -> None:
    """A label of more than 63 letters is no name anywhere."""
    with pytest.raises(DialFailure, match=r"No connection to|does not resolve"):
        await dial_public(Origin("http", "x" * 64 + ".example", 80), asyncio.Protocol, timeout=5, context=None)
