"""`tokenway.cli.client`: JSON and event streams from a gateway, and a sentence for each failure."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest

from tests.unit.cli.conftest import StubGateway, delta, event
from tokenway.cli.client import Gateway, GatewayError
from tokenway.cli.errors import BadUsage, CommandError
from tokenway.model.secret import Secret


def test_get_returns_the_object_and_sends_the_key(stub: StubGateway) -> None:
    """A GET gives the JSON object and carries the key as a bearer token."""
    stub.serves("/v1/models", {"data": []})
    assert Gateway(stub.base_url, Secret("tw-secret")).get("/v1/models") == {"data": []}
    assert stub.requests[0][2]["authorization"] == "Bearer tw-secret"


def test_without_a_key_no_credential_is_sent(stub: StubGateway) -> None:
    """A gateway that needs no key gets no authorization header."""
    stub.serves("/v1/models", {"data": []})
    Gateway(stub.base_url, None).get("/v1/models")
    assert "authorization" not in stub.requests[0][2]


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
def test_the_address_may_end_with_the_version(stub: StubGateway, ending: str) -> None:
    """What the official SDKs take as `base_url` works here too."""
    stub.serves("/v1/models", {"data": []})
    gateway = Gateway(stub.base_url + ending, None)
    gateway.get("/v1/models")
    assert gateway.base_url == stub.base_url
    assert stub.requests[0][1] == "/v1/models"


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8080", "ftp://x", "http://", "http://h:port", "http://h:99999", "http://[::1"]
)
def test_an_address_that_is_none_is_bad_usage(address: str) -> None:
    """A wrong --base-url is told as such before anything is sent."""
    with pytest.raises(BadUsage, match=r"http://127\.0\.0\.1:8080"):
        Gateway(address, None)


def test_nobody_listening_says_how_to_start_a_gateway() -> None:
    """A refused connection becomes a sentence that names the address and the command."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    with pytest.raises(CommandError, match=rf"No gateway answers at http://127\.0\.0\.1:{port} .*`tokenway serve`"):
        Gateway(f"http://127.0.0.1:{port}", None).get("/v1/models")


def test_an_error_body_gives_its_message(stub: StubGateway) -> None:
    """The gateway's own sentence is what the person reads."""
    stub.serves("/v1/models", {"error": {"message": "The gateway is draining.", "type": "server"}}, status=503)
    with pytest.raises(GatewayError, match=r"^The gateway is draining\.$") as caught:
        Gateway(stub.base_url, None).get("/v1/models")
    assert caught.value.status == 503


def test_a_refused_key_says_where_a_key_comes_from(stub: StubGateway) -> None:
    """A 401 names the option, the variable and the command that makes a key."""
    stub.serves("/v1/models", {"error": {"message": "Unknown key."}}, status=401)
    with pytest.raises(GatewayError, match=r"Unknown key; .*--key .*TOKENWAY_API_KEY .*`tokenway keys create`"):
        Gateway(stub.base_url, Secret("tw-wrong")).get("/v1/models")


def test_a_server_that_is_no_gateway_is_recognised(stub: StubGateway) -> None:
    """HTML under a good status is not taken for an empty success."""
    stub.pages["/v1/models"] = (200, b"<html>hello")
    with pytest.raises(CommandError, match=r"not a gateway's .*<html>hello.* --base-url"):
        Gateway(stub.base_url, None).get("/v1/models")


def test_an_error_page_that_is_not_json_is_quoted(stub: StubGateway) -> None:
    """A proxy's own error text reaches the person, with its status."""
    stub.pages["/v1/models"] = (502, b"Bad Gateway\n")
    with pytest.raises(GatewayError, match="answered 502: Bad Gateway"):
        Gateway(stub.base_url, None).get("/v1/models")


def test_a_stream_yields_each_event_up_to_the_end_mark(stub: StubGateway) -> None:
    """Chunks arrive in order, comments are passed over, and the end mark ends the iteration."""
    stub.events = [event(delta("a")), b": keep-alive\n\n", event(delta("é")) + event(delta("c")), b"data: [DONE]\n\n"]
    found = list(Gateway(stub.base_url, None).stream("/v1/chat/completions", {"model": "m"}))
    assert found == [delta("a"), delta("é"), delta("c")]


def test_a_stream_cut_inside_a_character_is_joined(stub: StubGateway) -> None:
    """Where the network cuts the bytes does not matter."""
    whole = event({"choices": [], "text": "né"}) + b"data: [DONE]\n\n"
    stub.events = [whole[index : index + 1] for index in range(len(whole))]
    assert list(Gateway(stub.base_url, None).stream("/p", {})) == [{"choices": [], "text": "né"}]


def test_events_arrive_as_they_are_made(stub: StubGateway) -> None:
    """The first chunk is here while the gateway still holds back the second."""
    second = threading.Event()
    stub.before_event = lambda index: None if index == 0 else assert_set(second)
    stub.streams(delta("a"), delta("b"))
    chunks = Gateway(stub.base_url, None).stream("/p", {})
    assert next(chunks) == delta("a")
    second.set()
    assert list(chunks) == [delta("b")]


def assert_set(flag: threading.Event) -> None:
    """Waits for the flag; a reader that never lets go fails the test instead of hanging it."""
    assert flag.wait(30)


def test_a_stream_without_its_end_mark_is_a_failure(stub: StubGateway) -> None:
    """A truncated answer does not look whole."""
    stub.events = [event(delta("a"))]
    with pytest.raises(CommandError, match="broke off"):
        list(Gateway(stub.base_url, None).stream("/p", {}))


def test_an_error_inside_a_stream_is_raised(stub: StubGateway) -> None:
    """An error chunk ends the answer with its message."""
    stub.streams(delta("a"), {"error": {"message": "The provider broke."}})
    chunks = Gateway(stub.base_url, None).stream("/p", {})
    assert next(chunks) == delta("a")
    with pytest.raises(GatewayError, match=r"^The provider broke\.$"):
        next(chunks)


def test_closing_the_stream_closes_the_connection(stub: StubGateway) -> None:
    """Letting go of the iterator is how an answer is stopped: the gateway sees the client leave."""
    go_on = threading.Event()
    stub.before_event = lambda index: None if index == 0 else assert_set(go_on)
    stub.events = [event(delta("a"))] + [event(delta("x" * 60000))] * 200
    chunks = Gateway(stub.base_url, None).stream("/p", {})
    next(chunks)
    chunks.close()
    go_on.set()
    assert stub.client_gone.wait(30)
