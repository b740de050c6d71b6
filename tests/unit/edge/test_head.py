"""Heads that are known again, to the byte."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.upstreams import until
from tests.unit.edge.bench import WHOLE, Bench, answer, bench, request, snapshot
from tokenway.edge import head as module
from tokenway.edge.doors import CHAT, Door
from tokenway.edge.head import LESSONS_MAX, Head, Heads, what_is_wrong, without_origin
from tokenway.edge.relay import Relay

BODY = b'{"model":"m","messages":[]}'
LONGER = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
BEFORE = b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nContent-Length: "
AFTER = b"\r\nauthorization: Bearer sk-alice\r\n\r\n"
HEADERS = {b"host": b"gateway", b"content-length": b"27", b"authorization": b"Bearer sk-alice"}


@dataclasses.dataclass
class Parsed:
    """What a parser made of the request above."""

    headers: dict[bytes, bytes] = dataclasses.field(default_factory=lambda: dict(HEADERS))
    door: Door = CHAT
    query: bytes = b""


def with_length(body: bytes, digits: bytes | None = None) -> bytes:
    """The request with this body; `digits` where the length is told otherwise."""
    return b"%b%b%b%b" % (BEFORE, b"%d" % len(body) if digits is None else digits, AFTER, body)


def learnt() -> Head:
    """The head above, once it has been seen."""
    head = Heads().learn(with_length(BODY), Parsed())
    assert head is not None
    return head


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/v1/models", b"/v1/models"),
        (b"http://h/v1/models", b"/v1/models"),
        (b"https://h:1/v1", b"/v1"),
        (b"http://h", b"/"),
        (b"*", b"*"),
        (b"ftp://h/v1", b"ftp://h/v1"),
    ],
)
def test_a_target_without_its_origin(target: bytes, path: bytes) -> None:
    """Only what proxies send whole is cut."""
    assert without_origin(target) == path


@pytest.mark.parametrize(
    ("version", "fields", "word"),
    [
        ("1.1", [(b"host", b"a")], ""),
        ("1.0", [], ""),
        ("1.1", [(b"host", b"a"), (b"transfer-encoding", b" Chunked ")], ""),
        ("1.1", [(b"host", b"a"), (b"x", b"1"), (b"x", b"2")], ""),
        ("1.1", [], "no Host"),
        ("2.0", [(b"host", b"a")], "version"),
        ("0.9", [], "version"),
        ("1.0", [(b"host", b"a"), (b"host", b"a")], "twice"),
        ("1.1", [(b"host", b"a"), (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], "twice"),
        ("1.1", [(b"host", b"a"), (b"transfer-encoding", b"gzip, chunked")], "coding"),
        ("1.1", [(b"host", b"a"), (b"transfer-encoding", b"")], "coding"),
        ("1.1", [(b"host", b"a"), (b"content-length", b"0" * 5000 + b"5")], "length"),
        ("1.1", [(b"host", b"a"), (b"content-length", b"5" * 20)], ""),
    ],
)
def test_what_a_strict_reader_refuses(version: str, fields: list[tuple[bytes, bytes]], word: str) -> None:
    """Another version, a coding or a host that two readers could take differently, no host in HTTP/1.1."""
    wrong = what_is_wrong(version, dict(fields), fields)
    assert word in wrong
    assert bool(wrong) is bool(word)


def test_the_same_head_gives_its_body() -> None:
    """With a length of its own; what the headers said is kept, but for that."""
    head = learnt()
    assert head.body_of(with_length(BODY)) == BODY
    assert head.body_of(with_length(LONGER)) == LONGER
    assert head.body_of(with_length(b"x" * 12345)) == b"x" * 12345
    assert head.headers == {b"host": b"gateway", b"authorization": b"Bearer sk-alice"}
    assert (head.door, head.query) == (CHAT, b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        BEFORE,
        BEFORE + b"27",
        with_length(BODY)[:-1],
        with_length(BODY) + b"x",
        with_length(BODY) + with_length(BODY),
        with_length(BODY, b""),
        with_length(BODY, b"-27"),
        with_length(BODY, b"+27"),
        with_length(BODY, b"2_7"),
        with_length(BODY, b" 27"),
        with_length(BODY, b"27\r\ncontent-length: 27"),
        with_length(BODY, b"27\r\ntransfer-encoding: chunked"),
        with_length(BODY, b"27, 27"),
        with_length(BODY, b"\xd9\xa2\xd9\xa7"),
        with_length(BODY, b"0000000027"),
        with_length(BODY).replace(b"POST", b"post"),
        with_length(BODY).replace(b"sk-alice", b"sk-other"),
        with_length(BODY).replace(AFTER, b"\r\n\r\n"),
        b"\r\n" + with_length(BODY),
    ],
    ids=range(20),
)
def test_anything_else_is_the_parsers_affair(data: bytes) -> None:
    """A piece, more than one request, another header, or a length that is not plain digits."""
    assert learnt().body_of(data) is None


@given(st.binary(max_size=40), st.integers(0, len(with_length(BODY))), st.integers(0, 10))
def test_what_is_known_again_is_the_head_and_one_body(junk: bytes, at: int, cut: int) -> None:
    """Whatever is put in or cut out: a body comes only from this head and the length that it tells."""
    data = with_length(BODY)
    data = data[:at] + junk + data[at + cut :]
    body = learnt().body_of(data)
    if body is not None:
        start = len(data) - len(body)
        assert data.startswith(BEFORE)
        assert data[:start].endswith(AFTER)
        assert data[len(BEFORE) : start - len(AFTER)].isdigit()
        assert int(data[len(BEFORE) : start - len(AFTER)]) == len(body)


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (with_length(BODY) + b"POST", HEADERS),
        (with_length(BODY)[:-1], HEADERS),
        (b"\r\n\r\n" + with_length(BODY), HEADERS),
        (with_length(BODY), HEADERS | {b"expect": b"100-continue"}),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", {b"transfer-encoding": b"chunked"}),
    ],
    ids=range(5),
)
def test_only_a_read_that_is_one_request_teaches(data: bytes, headers: dict[bytes, bytes]) -> None:
    """Not a part of one, nor one with something behind it, without a length, or that waits for a 100."""
    assert Heads().learn(data, Parsed(headers)) is None


def test_connections_share_what_they_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand clients of one kind cost one head; beyond the bound all begins anew, and nothing outlives `clear`."""
    monkeypatch.setattr(module, "HEADS_MAX", 2)
    heads = Heads()
    first = heads.learn(with_length(BODY), Parsed())
    assert heads.learn(with_length(LONGER), Parsed()) is first
    for host in (b"a", b"b"):
        heads.learn(with_length(BODY).replace(b"gateway", host), Parsed())
    assert heads.learn(with_length(BODY), Parsed()) is not first
    known = heads.learn(with_length(BODY), Parsed())
    heads.clear()
    assert heads.learn(with_length(BODY), Parsed()) is not known


def parsed_bytes(made: Bench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects how much each read gives to the parser."""
    sizes: list[int] = []
    protocol = made.clients[0].protocol
    feed = protocol._feed

    def count(data: bytes) -> None:
        sizes.append(len(data))
        feed(data)

    monkeypatch.setattr(protocol, "_feed", count)
    return sizes


async def turn(made: Bench, data: bytes) -> bytes:
    """Sends one request and gives its answer, without the lines that tell ids and times."""
    client = made.clients[0]
    client.written = b""
    client.send(data)
    await until(lambda: client.written != b"")
    lines = client.written.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith((b"x-", b"date")))


async def test_a_repeated_head_is_answered_as_a_parsed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answer, and the same body to the provider, though only the first request was parsed."""
    async with bench([[answer(WHOLE)]] * 3) as made:
        made.connect()
        sizes = parsed_bytes(made, monkeypatch)
        first = await turn(made, request(BODY))
        assert [await turn(made, request(body)) for body in (BODY, LONGER)] == [first, first]
        assert sizes == [len(request(BODY))]
        sent = [each.partition(b"\r\n\r\n")[2] for each in made.network.transports[0].requests]
        assert sent == [body.replace(b'"m"', b'"up"') for body in (BODY, BODY, LONGER)]


async def test_a_body_that_goes_on_behind_its_answer_is_no_request() -> None:
    """ASGI answers before it has read; what follows belongs to that body, though it looks like a head that is known."""
    async with bench([[answer(WHOLE)]] * 2) as made:
        client = made.connect()
        await turn(made, request(BODY))
        client.written = b""
        inner = request(BODY)
        client.send(b"POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (len(inner) * 2))
        await until(lambda: client.statuses == [404])
        await until(lambda: client.protocol._active is None)
        client.send(inner)
        for _ in range(20):
            await asyncio.sleep(0)
        assert client.statuses == [404]
        client.send(inner)
        await turn(made, request(BODY))
        assert len(made.books.settled) == 2


async def test_who_may_call_is_asked_each_time() -> None:
    """What is remembered is how bytes are read: a key that is gone is refused though its head is known."""
    async with bench([[answer(WHOLE)]]) as made:
        client = made.connect()
        await turn(made, request(BODY))
        made.state.adopt(snapshot(keys={}))
        client.send(request(BODY))
        assert client.statuses == [200, 401]


async def test_a_body_beyond_the_bound_is_refused_though_its_head_is_known() -> None:
    """As when it is parsed."""
    async with bench([[answer(WHOLE)]], what=snapshot(max_body=40)) as made:
        client = made.connect()
        await turn(made, request(BODY))
        client.send(request(LONGER))
        assert client.statuses == [200, 413]


async def test_a_client_whose_heads_differ_is_not_learnt_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that sends a trace id: after a few requests nothing more is kept of it."""
    async with bench([[answer(WHOLE)]] * (LESSONS_MAX + 2)) as made:
        made.connect()
        learnt_from: list[Relay] = []
        learn = made.state.heads.learn

        def noted(data: bytes, relay: Relay) -> Head | None:
            learnt_from.append(relay)
            return learn(data, relay)

        monkeypatch.setattr(made.state.heads, "learn", noted)
        for number in range(LESSONS_MAX + 2):
            await turn(made, request(BODY, traceparent=f"00-{number}"))
        assert len(learnt_from) == LESSONS_MAX
