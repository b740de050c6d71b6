"""Images by URL: what is fetched, what is refused, and that nobody's credentials go along."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import Client, answer, bench, request, snapshot
from tests.unit.edge.inside import turns
from tokenway.aio.tasks import Tasks
from tokenway.edge import images
from tokenway.edge.images import with_images
from tokenway.model.catalog import Capabilities, Dialect, Endpoint, Model, Provider, Quirks
from tokenway.model.errors import Problem, Refusal
from tokenway.model.faults import Fault
from tokenway.model.request import Media, MediaKind, Message, Request, Role, Text, ToolResult
from tokenway.model.secret import Secret
from tokenway.upstream.mock import MockNetwork
from tokenway.upstream.transport import DialFailure, Origin
from tokenway.wire.limits import FETCHED, FETCHES_MAX

PNG = answer(b"\x89PNG", content_type=b"image/png")


def image(url: str = "https://pics.example/a.png", place: str = "messages[0].content[0]", **more: str) -> Media:
    """An image by its URL."""
    return Media(MediaKind.IMAGE, url=url, place=place, **more)


def asked(*parts: Any) -> Request:
    """A request with these parts in its one message."""
    return Request("m", (Message(Role.USER, parts),))


async def filled(network: MockNetwork, *parts: Any) -> tuple[Any, ...]:
    """The parts with what was fetched; nothing may be left running or open."""
    errors: list[BaseException] = []
    tasks = Tasks(lambda _name, error: errors.append(error))
    try:
        request_ = await with_images(asked(*parts), asyncio.get_running_loop(), tasks, network)
    finally:
        await turns(lambda: all(each.is_closing() for each in network.transports))
        await tasks.close()
        assert errors == []
    return request_.messages[0].parts


async def refused(network: MockNetwork, *parts: Any) -> Problem:
    """Why what is named is not to be had."""
    with pytest.raises(Refusal) as caught:
        await filled(network, *parts)
    problem = caught.value.problem
    assert (problem.status, problem.code) == (400, "image_not_fetched")
    return problem


async def test_an_image_takes_the_place_of_its_url() -> None:
    """Its bytes in base64, with the type that its server says; all else stays."""
    network = MockNetwork([[PNG]])
    text, found = await filled(network, Text("what is this?"), image(detail="low", title="t", media_type="image/x"))
    assert text == Text("what is this?")
    assert found == Media(
        MediaKind.IMAGE, "image/png", "iVBORw==", title="t", detail="low", place="messages[0].content[0]"
    )


async def test_what_is_sent_says_nothing_of_the_caller() -> None:
    """The path with its query, the host, what is wanted, and no more."""
    network = MockNetwork([[PNG]])
    await filled(network, image("http://pics.example:8080/a%20b.png?sig=%2F#part"))
    assert network.requests == [
        b"GET /a%20b.png?sig=%2F HTTP/1.1\r\nhost: pics.example:8080\r\naccept: image/*, application/pdf\r\n\r\n"
    ]
    assert [origin for origin, _, _ in network.dials] == [Origin("http", "pics.example", 8080)]


async def test_a_url_without_a_path_asks_for_the_root() -> None:
    """As browsers do."""
    network = MockNetwork([[PNG]])
    await filled(network, image("http://pics.example"))
    assert network.requests[0].startswith(b"GET / HTTP/1.1\r\n")


async def test_one_url_is_fetched_once() -> None:
    """However often it is named, in a tool's result too; what has no URL stays."""
    network = MockNetwork([[PNG]])
    plain = Media(MediaKind.IMAGE, "image/gif", "R0lG")
    one, result, other = await filled(network, image(), ToolResult("c", (Text("see"), image())), plain)
    assert len(network.requests) == 1
    assert one.data == "iVBORw=="
    assert result.content[0] == Text("see")
    assert result.content[1].data == "iVBORw=="
    assert other == plain


@pytest.mark.parametrize("content_type", [b"image/jpeg", b"application/pdf", b"audio/wav", b"video/mp4"])
async def test_media_of_every_kind_are_taken(content_type: bytes) -> None:
    """Whether the provider takes them is seen when the request is written."""
    [found] = await filled(MockNetwork([[answer(b"x", content_type=content_type)]]), image())
    assert found.media_type == content_type.decode()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([[answer(b"gone", status=b"404 Not Found", content_type=b"image/png")]], "the answer has the status 404"),
        ([[b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n"]], "the status 302"),
        ([[answer(b"<html>", content_type=b"text/html")]], "the answer is of the type text/html"),
        ([[b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"]], "the answer is of the type none"),
        (
            [
                [
                    b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: %d\r\n\r\n" % (FETCHED + 1),
                    b"x" * (FETCHED + 1),
                ]
            ],
            "larger than",
        ),
        (DialFailure(Fault.CONNECT, "https://pics.example is not a public address."), "is not a public address"),
    ],
    ids=["missing", "redirect", "page", "nothing", "too large", "private"],
)
async def test_what_is_not_to_be_had_is_told(script: Any, words: str) -> None:
    """With the field that named it, the host, and the reason."""
    problem = await refused(MockNetwork(script), image())
    assert problem.param == "messages[0].content[0]"
    assert problem.message.startswith("'messages[0].content[0]': the file at pics.example could not be fetched: ")
    assert words in problem.message
    assert not problem.message.endswith("..")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "unix:/run/x.sock",
        "ftp://pics.example/a.png",
        "gopher://pics.example/",
        "//pics.example/a.png",
        "a.png",
        "http://",
        "http://user:secret@pics.example/",
        "http://[bad/a.png",
        "http://pics.example:99999/",
        "http://pics.example:x/",
        "http://pics.example/a b.png",
        "http://pics.example/a\x7f.png",
        "http://pics.example/ä.png",
        "http://bücher.example/a.png",
    ],
)
async def test_a_url_that_nobody_can_be_asked_for_is_refused(url: str) -> None:
    """Nothing is dialed, but for a socket, which no dialer of callers' URLs connects to."""
    network = MockNetwork(DialFailure(Fault.CONNECT, "A socket of this machine is not public."))
    problem = await refused(network, image(url))
    assert problem.param == "messages[0].content[0]"
    assert "secret" not in problem.message
    assert [origin.scheme for origin, _, _ in network.dials] in ([], ["unix"])


async def test_the_one_that_is_missing_is_named() -> None:
    """Among several."""
    network = MockNetwork([[PNG]], [[answer(b"", status=b"404 Not Found")]])
    problem = await refused(network, image(), image("https://pics.example/b.png", "messages[0].content[1]"))
    assert problem.param == "messages[0].content[1]"


async def test_a_request_has_a_bound_of_images() -> None:
    """One more than that is fetched for nobody."""
    network = MockNetwork()
    with pytest.raises(Refusal) as caught:
        await filled(network, *[image(f"https://pics.example/{number}") for number in range(FETCHES_MAX + 1)])
    assert caught.value.problem.code == "too_many_images"
    assert network.dials == []


async def test_this_machine_is_not_asked() -> None:
    """Unless a test brings its own dialer, only public addresses are."""
    errors: list[BaseException] = []
    tasks = Tasks(lambda _name, error: errors.append(error))
    with pytest.raises(Refusal, match="not a public address"):
        await with_images(asked(image("http://127.0.0.1:1/a.png")), asyncio.get_running_loop(), tasks)
    await tasks.close()
    assert errors == []


# -- on the way of a request -------------------------------------------------------------------------------

BODY: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/a.png"}}]}
    ],
}
ANTHROPIC = Provider(
    "p", "http://upstream/v1", Dialect.ANTHROPIC, api_keys=(Secret("sk-up"),), quirks=Quirks(image_urls=False)
)
SEES = {"m": Model("m", (Endpoint("p", "up", capabilities=Capabilities(vision=True)),))}


def encoded(body: Any) -> bytes:
    """As JSON."""
    return msgspec.json.encode(body)


async def test_an_image_of_this_machine_is_refused_to_a_caller() -> None:
    """Nothing goes upstream and nothing is reserved."""
    provider = msgspec.structs.replace(ANTHROPIC, fetch_urls=True)
    async with bench(what=snapshot(providers={"p": provider}, models=SEES)) as made:
        client = made.connect()
        client.send(request(encoded(BODY)))
        await until(lambda: bool(client.statuses))
        assert client.statuses == [400]
        assert b"image_not_fetched" in client.written
        assert made.network.dials == []
        assert made.books.records == []


async def test_nothing_is_fetched_unless_it_is_allowed() -> None:
    """A provider that takes no URLs then refuses the request."""
    async with bench(what=snapshot(providers={"p": ANTHROPIC}, models=SEES)) as made:
        client = made.connect()
        client.send(request(encoded(BODY)))
        assert client.statuses == [400]
        assert b"image_not_fetched" not in client.written


async def test_a_caller_that_leaves_meanwhile_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it waited for is dropped."""
    gate = asyncio.Event()

    async def slow(request_: Request, *_: Any) -> Request:
        await gate.wait()
        return request_

    monkeypatch.setattr(images, "with_images", slow)
    provider = msgspec.structs.replace(ANTHROPIC, fetch_urls=True)
    async with bench(what=snapshot(providers={"p": provider}, models=SEES)) as made:
        client: Client = made.connect()
        client.send(request(encoded(BODY)))
        client.lose()
        gate.set()
        await until(lambda: len(made.state.tasks) == 0)
        assert (client.written, made.books.records, made.network.dials) == (b"", [], [])
