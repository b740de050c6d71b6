"""Requests that no client library sends, against a real gateway: each gets a clean answer and harms nobody."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.raw import AUTH, CHAT, Answer, Raw, chat, get, post
from tests.fake_provider import FakeProvider, Script
from tokenway.wire import limits

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("unharmed")]

BODY = chat()
START = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" + AUTH
MIB = 1024 * 1024


async def only_answer(gateway: Gateway, *parts: bytes) -> Answer:
    """The one answer to what was sent, after which the connection must end."""
    async with Raw(gateway.port) as raw:
        await raw.send(*parts)
        answer = await raw.answer()
        assert answer.headers["connection"] == "close"
        assert await raw.is_closed()
    return answer


# -- what would smuggle a request past a proxy -------------------------------------------------------------

SMUGGLED = b"GET /v1/key HTTP/1.1\r\nhost: x\r\n\r\n"
VECTORS = {
    "both lengths": START + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "both lengths, chunked first": START + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": START + b"content-length: 2\r\ncontent-length: 40\r\n\r\n{}" + SMUGGLED,
    "two equal lengths": START + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
    "length list": START + b"content-length: 2, 40\r\n\r\n{}" + SMUGGLED,
    "negative length": START + b"content-length: -1\r\n\r\n",
    "signed length": START + b"content-length: +2\r\n\r\n{}",
    "hexadecimal length": START + b"content-length: 0x2\r\n\r\n{}",
    "length beyond 64 bits": START + b"content-length: 99999999999999999999999\r\n\r\n{}",
    "length with a space before the colon": START + b"content-length : 2\r\n\r\n{}",
    "chunked twice": START + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked not last": START + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "coding with a tab": START + b"transfer-encoding:\tchunke\tchunked\r\n\r\n0\r\n\r\n",
    "vertical tab before chunked": START + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "folded header": START + b"x-a: 1\r\n transfer-encoding: chunked\r\n\r\n",
    "folded coding": START + b"transfer-encoding:\r\n chunked\r\ncontent-length: 2\r\n\r\n{}",
    "bare LF after the request line": b"POST /v1/chat/completions HTTP/1.1\nhost: x\r\n\r\n",
    "bare LF after a header": START + b"x-a: 1\ncontent-length: 2\r\n\r\n{}",
    "bare LF ends the head": START + b"content-length: 2\r\n\n{}",
    "bare CR in a value": START + b"x-a: 1\rtransfer-encoding: chunked\r\n\r\n",
    "NUL in a value": START + b"x-a: 1\x002\r\n\r\n",
    "NUL in a name": START + b"x\x00a: 1\r\n\r\n",
    "NUL in the URL": b"GET /v1/mod\x00els HTTP/1.1\r\nhost: x\r\n\r\n",
    "space in the URL": b"GET /v1/models /x HTTP/1.1\r\nhost: x\r\n\r\n",
    "space before a name": b"GET /v1/models HTTP/1.1\r\n host: x\r\n\r\n",
    "no name": START + b": value\r\n\r\n",
    "chunk size with a sign": START + b"transfer-encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "chunk size with 0x": START + b"transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": START + b"transfer-encoding: chunked\r\n\r\n11111111111111111\r\n{}\r\n",
    "chunk ended by LF": START + b"transfer-encoding: chunked\r\n\r\n2\n{}\n0\n\n",
    "chunk longer than it says": START + b"transfer-encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n",
    "chunk extension with a bare LF": START + b"transfer-encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n",
    "unknown version": b"GET /v1/models HTTP/3.7\r\nhost: x\r\n\r\n",
    "version 2 in clear": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /v1/models\r\n\r\n",
    "unknown method": b"BREW /v1/models HTTP/1.1\r\nhost: x\r\n\r\n",
    "lower-case method": b"get /v1/models HTTP/1.1\r\nhost: x\r\n\r\n",
    "TLS to a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "noise": bytes(range(128, 256)) * 4,
}


@pytest.mark.parametrize("request_bytes", VECTORS.values(), ids=VECTORS.keys())
async def test_a_malformed_request_is_refused_and_ends_the_connection(
    gateway: Gateway, provider: FakeProvider, request_bytes: bytes
) -> None:
    """One 400 in OpenAI's shape, nothing behind it is answered, and nothing of it goes upstream."""
    before = len(provider.requests)
    answer = await only_answer(gateway, request_bytes)
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert answer.headers["x-request-id"]
    assert len(provider.requests) == before


async def test_a_second_authorization_does_not_open_a_door(gateway: Gateway) -> None:
    """Two credentials: one of them decides, and a wrong one never becomes a right one by order alone."""
    wrong = b"authorization: Bearer wrong\r\n"
    async with Raw(gateway.port) as raw:
        await raw.send(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n", wrong, wrong, b"\r\n")
        answer = await raw.answer()
    assert answer.status == 401


@pytest.mark.parametrize("garbage", [b"\x00\x01\x02 nonsense\r\n\r\n", b"GET /v1/models\r\n\r\n", b"}" * 200])
async def test_garbage_behind_a_request_leaves_its_answer_alone(gateway: Gateway, garbage: bytes) -> None:
    """The whole request is answered, then the garbage is called what it is, and the connection ends."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(BODY), garbage)
        answer = await raw.answer()
        assert answer.status == 200
        assert answer.json["choices"]
        assert (await raw.answer()).status == 400
        assert await raw.is_closed()


async def test_what_follows_a_request_that_closes_is_not_read(gateway: Gateway, provider: FakeProvider) -> None:
    """After `Connection: close` there is one answer and the end."""
    before = len(provider.requests)
    async with Raw(gateway.port) as raw:
        await raw.send(post(BODY, b"connection: close"), post(BODY))
        assert (await raw.answer()).status == 200
        assert await raw.is_closed()
    assert len(provider.requests) == before + 1


# -- too much of something ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [1, 40], ids=["at once", "in pieces"])
@pytest.mark.parametrize(
    "big",
    [
        b"x-big: " + b"a" * 100_000 + b"\r\n",
        b"".join(b"x-%d: %b\r\n" % (number, b"a" * 1000) for number in range(100)),
    ],
    ids=["one header", "many headers"],
)
async def test_a_huge_head_is_refused(gateway: Gateway, big: bytes, pieces: int) -> None:
    """More than 64 KiB of headers is a 431, however they arrive."""
    head = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n" + AUTH + big + b"\r\n"
    size = len(head) // pieces + 1
    async with Raw(gateway.port) as raw:
        for start in range(0, len(head), size):
            await raw.send(head[start : start + size])
        answer = await raw.answer()
        assert answer.status == 431
        assert answer.error["code"] == "headers_too_large"
        assert await raw.is_closed()


async def test_endless_headers_are_refused(gateway: Gateway) -> None:
    """A head that never ends is cut off while the client still sends."""
    async with Raw(gateway.port) as raw:
        await raw.send(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n")
        for number in range(2000):
            await raw.send(b"x-%d: %b\r\n" % (number, b"a" * 100))
            if number % 100 == 0:
                await asyncio.sleep(0)
        assert (await raw.answer()).status == 431


async def test_too_many_headers_are_refused(gateway: Gateway) -> None:
    """129 small headers are too many, 120 are not."""
    few = b"".join(b"x-%d: 1\r\n" % number for number in range(120))
    many = b"".join(b"x-%d: 1\r\n" % number for number in range(140))
    start = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n" + AUTH
    async with Raw(gateway.port) as raw:
        await raw.send(start, few, b"\r\n")
        assert (await raw.answer()).status == 200
        await raw.send(start, many, b"\r\n")
        assert (await raw.answer()).status == 431
        assert await raw.is_closed()


async def test_a_long_url_is_refused(gateway: Gateway) -> None:
    """Beyond 8 KiB a URL is a 431."""
    answer = await only_answer(gateway, get(b"/v1/models?" + b"q" * 9000))
    assert answer.status == 431


async def test_a_large_body_does_not_count_as_a_large_head(gateway: Gateway) -> None:
    """A head that begins in the same write as a megabyte of the body before it is read as any other."""
    body = chat(padding="x" * 300_000)
    second = post(BODY)
    async with Raw(gateway.port) as raw:
        await raw.send(post(body), second[:50])
        assert (await raw.answer()).status == 200
        await raw.send(second[50:])
        assert (await raw.answer()).status == 200


async def test_a_body_that_says_it_is_too_large_is_refused_at_once(gateway: Gateway) -> None:
    """With a content length of 33 MB the 413 comes before a byte of the body."""
    answer = await only_answer(gateway, START + b"content-length: %d\r\n\r\n" % (33 * MIB))
    assert answer.status == 413
    assert answer.error["code"] == "payload_too_large"


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with content-length", "chunked"])
async def test_a_client_that_keeps_sending_gets_its_413(gateway: Gateway, is_chunked: bool) -> None:
    """33 MB sent without a look at the answer: the refusal is there to be read, not lost in a reset."""
    size = 33 * MIB
    piece = b"a" * (256 * 1024)
    async with Raw(gateway.port) as raw:
        length = b"transfer-encoding: chunked" if is_chunked else b"content-length: %d" % size
        await raw.send(START, length, b"\r\n\r\n")
        for _ in range(size // len(piece)):
            await raw.send(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
        answer = await raw.answer()
        assert answer.status == 413
        assert answer.error["code"] == "payload_too_large"
        assert await raw.is_closed()


async def test_a_body_just_within_the_bound_is_served(gateway: Gateway) -> None:
    """31 MB are no trouble."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(padding="x" * (31 * MIB))))
        assert (await raw.answer()).status == 200
        assert await raw.is_usable()


# -- the rest of HTTP ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 5, 10])
async def test_pipelined_requests_are_answered_in_order(gateway: Gateway, count: int) -> None:
    """Hot and cold paths in one write: each answer is at its request's place, and the connection goes on."""
    kinds = [
        (post(chat("lab/fake?chunks=3")), b'"w0 w1 w2 "'),
        (get(b"/v1/models/mock"), b'"id":"mock"'),
        (post(chat("lab/fake?chunks=2", stream=True)), b"data: [DONE]"),
        (get(b"/v1/nothing"), b"/v1/nothing"),
        (post(b"no json"), b"not valid JSON"),
    ]
    sent = [kinds[number % len(kinds)] for number in range(count)]
    async with Raw(gateway.port) as raw:
        await raw.send(*(request for request, _ in sent))
        for _, expected in sent:
            assert expected in (await raw.answer()).body
        assert await raw.is_usable()


async def test_pipelined_requests_in_many_pieces(gateway: Gateway) -> None:
    """Where reads end between or within requests changes nothing."""
    requests = post(chat("lab/fake?chunks=3")) + get(b"/v1/models/mock") + post(BODY)
    async with Raw(gateway.port) as raw:
        for start in range(0, len(requests), 37):
            await raw.send(requests[start : start + 37])
            await asyncio.sleep(0)
        assert b"w2" in (await raw.answer()).body
        assert (await raw.answer()).json["id"] == "mock"
        assert (await raw.answer()).json["choices"]


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (b"\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (post(BODY)[:-4], None),
    ],
    ids=["noise", "a huge head", "no host", "half a request"],
)
async def test_whole_requests_before_a_bad_one_are_answered(gateway: Gateway, bad: bytes, status: int | None) -> None:
    """Three good ones and then nonsense: three answers, a refusal of what can be refused, and the end."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(BODY) * 2, get(b"/v1/models/mock"), bad)
        assert (await raw.answer()).json["choices"]
        assert (await raw.answer()).json["choices"]
        assert (await raw.answer()).json["id"] == "mock"
        if status is None:
            raw.writer.write_eof()
        else:
            assert (await raw.answer()).status == status
        assert await raw.is_closed()


async def test_a_full_pipeline_is_told_so_behind_the_answers_before_it(gateway: Gateway) -> None:
    """Of fifty requests at once the first are answered whole; then comes one refusal and the end."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(BODY) * 50)
        answers = [await raw.answer() for _ in range(limits.PIPELINED_MAX + 2)]
        assert [answer.status for answer in answers] == [200] * (limits.PIPELINED_MAX + 1) + [429]
        assert answers[-1].error["code"] == "pipeline_full"
        assert await raw.is_closed()


@pytest.mark.parametrize(
    "head",
    [b"", b"host: a\r\nhost: a\r\n", b"host: a\r\nhost: b\r\n"],
    ids=["none", "the same twice", "two"],
)
async def test_a_request_names_one_host(gateway: Gateway, head: bytes) -> None:
    """RFC 9112 asks for it; HTTP/1.0 does not."""
    for path in (CHAT, b"/health/live"):
        async with Raw(gateway.port) as raw:
            await raw.send(b"POST " + path + b" HTTP/1.1\r\n" + head + b"content-length: 0\r\n\r\n")
            assert (await raw.answer()).status == 400
            assert await raw.is_closed()
    async with Raw(gateway.port) as raw:
        await raw.send(b"GET /health/live HTTP/1.0\r\n\r\n")
        assert (await raw.answer()).status == 200


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"identity, chunked", b"chunked, chunked", b"xchunked"])
async def test_another_transfer_coding_than_chunked_is_refused(gateway: Gateway, coding: bytes) -> None:
    """Whoever stands in front may read it otherwise."""
    async with Raw(gateway.port) as raw:
        await raw.send(START + b"transfer-encoding: " + coding + b"\r\n\r\n0\r\n\r\n")
        assert (await raw.answer()).status == 400
        assert await raw.is_closed()


@pytest.mark.parametrize("start", [b"1;", b"0\r\nx: "], ids=["a chunk's extension", "a trailer"])
async def test_framing_without_end_is_refused(gateway: Gateway, start: bytes) -> None:
    """What brings no payload is bounded like a head."""
    async with Raw(gateway.port) as raw:
        await raw.send(START + b"transfer-encoding: chunked\r\n\r\n", start)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await raw.send(b"a" * 4096)
        assert (await raw.answer()).status == 400


@pytest.mark.parametrize("path", [CHAT, b"/v1/nothing"], ids=["hot", "cold"])
async def test_refused_requests_in_a_pipeline_each_get_their_refusal(gateway: Gateway, path: bytes) -> None:
    """Ten bad requests in one write give ten refusals."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(b"{", path=path) * 10)
        for _ in range(10):
            assert (await raw.answer()).status in {400, 404}
        assert await raw.is_usable()


async def test_100_continue_comes_before_the_body_is_sent(gateway: Gateway) -> None:
    """A client that waits for it gets it, then its answer; the connection goes on."""
    async with Raw(gateway.port) as raw:
        for _ in range(2):
            await raw.send(START, b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY))
            assert (await raw.head())[0] == 100
            await raw.send(BODY)
            assert (await raw.answer()).json["choices"]
        assert await raw.is_usable()


async def test_100_continue_for_a_request_in_a_pipeline(gateway: Gateway) -> None:
    """It comes when the request's turn has come, behind the answer before it."""
    async with Raw(gateway.port) as raw:
        expecting = START + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY)
        await raw.send(post(chat("lab/fake?delay=0.1")), expecting)
        assert (await raw.answer()).json["choices"]
        assert (await raw.head())[0] == 100
        await raw.send(BODY)
        assert (await raw.answer()).json["choices"]


async def test_100_continue_is_not_given_to_what_is_refused(gateway: Gateway) -> None:
    """A wrong key or a body that is too large is answered at once, so that the body need not be sent."""
    start = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
    assert (await only_answer(gateway, start + b"content-length: 100\r\n\r\n")).status == 401
    assert (await only_answer(gateway, start + AUTH + b"content-length: 99999999\r\n\r\n")).status == 413


@pytest.mark.parametrize("stream", [False, True])
async def test_http_1_0_gets_its_answer_and_the_end(gateway: Gateway, stream: bool) -> None:
    """Without chunked coding, which it would not understand; the connection's end marks a stream's end."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=stream), version=b"1.0"))
        answer = await raw.answer()
        assert answer.status == 200
        assert "transfer-encoding" not in answer.headers
        assert answer.headers["connection"] == "close"
        assert answer.body.endswith(b"data: [DONE]\n\n") if stream else answer.json["choices"]
        assert await raw.is_closed()


async def test_an_absolute_url_is_the_same_as_its_path(gateway: Gateway) -> None:
    """Requests as proxies get them are served, on hot and cold paths."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(BODY, path=b"http://example.test/v1/chat/completions"))
        assert (await raw.answer()).json["choices"]
        await raw.send(get(b"http://example.test/v1/models/mock"))
        assert (await raw.answer()).json["id"] == "mock"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        (b"GET", b"/", 404),
        (b"GET", b"/v1", 404),
        (b"GET", b"/v1/nothing", 404),
        (b"POST", b"/v1/nothing", 404),
        (b"GET", b"/v1/../etc/passwd", 404),
        (b"GET", b"/%2e%2e/%00", 404),
        (b"GET", b"//v1/models", 404),
        (b"GET", b"/v1/chat/completions", 405),
        (b"DELETE", b"/v1/chat/completions", 405),
        (b"PUT", b"/api/v1/embeddings", 405),
        (b"OPTIONS", b"/v1/chat/completions", 405),
        (b"OPTIONS", b"/v1/models", 405),
        (b"POST", b"/v1/models", 405),
        (b"POST", b"/health/live", 405),
        (b"OPTIONS", b"*", 404),
    ],
)
async def test_a_path_or_method_that_is_not_there(gateway: Gateway, method: bytes, path: bytes, status: int) -> None:
    """404 or 405 in OpenAI's shape, 405 with the methods that are; the connection goes on."""
    async with Raw(gateway.port) as raw:
        await raw.send(get(path, method))
        answer = await raw.answer()
        assert answer.status == status, answer
        assert answer.error["message"]
        assert answer.headers["content-type"] == "application/json"
        assert ("allow" in answer.headers) is (status == 405)
        assert await raw.is_usable()


async def test_connect_is_declined(gateway: Gateway) -> None:
    """The gateway is no forward proxy: a 4xx, and the end of the connection."""
    answer = await only_answer(gateway, b"CONNECT example.test:443 HTTP/1.1\r\nhost: example.test:443\r\n\r\n")
    assert 400 <= answer.status < 500
    assert answer.error


@pytest.mark.parametrize(("path", "status"), [(b"/v1/models", 200), (CHAT, 405), (b"/nothing", 404)])
async def test_head_has_a_head_only(gateway: Gateway, path: bytes, status: int) -> None:
    """No byte of a body follows, so that the next answer is where the client looks for it."""
    async with Raw(gateway.port) as raw:
        await raw.send(get(path, b"HEAD"), get(b"/v1/models/mock"))
        answer = await raw.answer(bodyless=True)
        assert answer.status == status
        assert (await raw.answer()).json["id"] == "mock"


@pytest.mark.parametrize("path", [CHAT, b"/v1/models/mock"], ids=["hot", "cold"])
@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
async def test_an_offered_upgrade_is_ignored(gateway: Gateway, upgrade: bytes, path: bytes) -> None:
    """Java's client offers h2c with every request, body included; it is answered in HTTP/1.1, and so is the next."""
    offer = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: " + upgrade, b"http2-settings: AAEAAEAAAAIAAAAB")
    method = b"POST" if path == CHAT else b"GET"
    request = post(BODY, *offer, path=path).replace(b"POST", method, 1)
    async with Raw(gateway.port) as raw:
        for pieces in (1, 7):
            size = len(request) // pieces + 1
            for start in range(0, len(request), size):
                await raw.send(request[start : start + size])
                await asyncio.sleep(0)
            answer = await raw.answer()
            assert answer.status == 200
            assert "upgrade" not in answer.headers
        await raw.send(request * 3)
        for _ in range(3):
            assert (await raw.answer()).status == 200
        assert await raw.is_usable()


async def test_trailers_are_read_and_dropped(gateway: Gateway, provider: FakeProvider) -> None:
    """Trailers of a chunked body change nothing: not the credentials, not what goes upstream."""
    async with Raw(gateway.port) as raw:
        await raw.send(START, b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(BODY), BODY))
        await raw.send(b"0\r\nauthorization: Bearer other\r\nx-trailer: 1\r\n\r\n")
        assert (await raw.answer()).status == 200
        assert provider.requests[-1].header("x-trailer") is None
        assert await raw.is_usable()


async def test_chunked_bodies_in_single_bytes(gateway: Gateway) -> None:
    """Chunks of one byte, one write each, are a body like any other."""
    async with Raw(gateway.port) as raw:
        await raw.send(START, b"transfer-encoding: chunked\r\n\r\n")
        for byte in BODY:
            await raw.send(b"1\r\n%c\r\n" % byte)
        await raw.send(b"0\r\n\r\n")
        assert (await raw.answer()).status == 200


@pytest.mark.parametrize("sent", [0, 1, 30, 200, len(post(BODY)) - 1])
async def test_a_client_that_leaves_before_its_request_is_whole(
    gateway: Gateway, provider: FakeProvider, sent: int
) -> None:
    """Nothing goes upstream and nothing is written into the books."""
    before = len(provider.requests)
    async with Raw(gateway.port) as raw:
        await raw.send(post(BODY)[:sent])
        raw.writer.write_eof()
        assert await raw.is_closed()
    assert len(provider.requests) == before
    await gateway.entries(before)
    assert len(gateway.ledger()) == before


async def test_a_half_closed_client_still_gets_its_answer(gateway: Gateway, provider: FakeProvider) -> None:
    """Closing one's sending side is not leaving, or it is settled as such: no exchange hangs."""
    provider.queue(Script(delay=0.2))
    before = len(gateway.ledger())
    async with Raw(gateway.port) as raw:
        await raw.send(post(BODY))
        raw.writer.write_eof()
        await raw.reader.read()
    await gateway.entries(before + 1)
    assert not gateway.reservations()


async def test_many_bad_clients_at_once_do_not_hurt_a_good_one(gateway: Gateway) -> None:
    """While two hundred connections send nonsense, a proper request is served."""

    async def nonsense(number: int) -> None:
        async with Raw(gateway.port) as raw:
            await raw.send(b"%c" % (128 + number % 128) * 500, b"\r\n\r\n")
            await raw.reader.read()

    async def good() -> int:
        async with Raw(gateway.port) as raw:
            await raw.send(post(BODY))
            return (await raw.answer()).status

    *_, status = await asyncio.gather(*(nonsense(number) for number in range(200)), good())
    assert status == 200
