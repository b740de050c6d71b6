"""Request bodies that cannot be used, or only after unpacking, against a real gateway."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
import zstandard

from tests.e2e.gateway import Gateway
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("unharmed")]

BODY = chat()
MIB = 1024 * 1024

BAD_BODIES = {
    "nothing": b"",
    "no JSON": b"hello",
    "cut JSON": BODY[:-5],
    "two values": BODY + b"{}",
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "invalid UTF-8": BODY.replace(b"hi", b"h\xff\xfei"),
    "UTF-16": BODY.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + BODY,
    "a lone surrogate": BODY.replace(b"hi", b"\\ud800"),
    "a control character in a string": BODY.replace(b"hi", b"h\x01i"),
    "NUL": BODY.replace(b"hi", b"h\x00i"),
    "NaN": BODY.replace(b"false", b"NaN"),
    "deep arrays": b'{"model":"mock","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"model":"mock","messages":[],"x":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "deep and open": b'{"model":"mock","messages":' + b"[" * 500_000,
    "model is a number": b'{"model":1,"messages":[]}',
    "no model": b'{"messages":[]}',
    "empty model": b'{"model":"","messages":[]}',
    "no messages": b'{"model":"mock"}',
    "stream is text": b'{"model":"mock","messages":[],"stream":"yes"}',
    "max_tokens of minus one": b'{"model":"mock","messages":[],"max_tokens":-1}',
    "the model twice": b'{"model":"mock","messages":[],"model":"other"}',
    "n of zero": b'{"model":"mock","messages":[],"n":0}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_bad_body_is_a_clean_400_and_the_connection_goes_on(
    gateway: Gateway, provider: FakeProvider, body: bytes
) -> None:
    """OpenAI's error shape, nothing upstream, and the next request on the connection is served."""
    before = len(provider.requests)
    async with Raw(gateway.port) as raw:
        await raw.send(post(body, b"content-type: application/json"))
        answer = await raw.answer()
        assert answer.status == 400, answer.body
        assert answer.error["type"] == "invalid_request_error"
        assert await raw.is_usable()
    assert len(provider.requests) == before


@pytest.mark.parametrize("field", ["max_tokens", "n", "max_completion_tokens"])
async def test_a_number_beyond_64_bits_is_for_the_provider_to_judge(gateway: Gateway, field: str) -> None:
    """The most that such a call can cost does not fit into the books, and the call still goes through them."""
    before = len(gateway.ledger())
    async with Raw(gateway.port) as raw:
        await raw.send(post(BODY.replace(b"}]", b'}], "%b": 1%b' % (field.encode(), b"0" * 30), 1)))
        assert (await raw.answer()).status == 200
        assert await raw.is_usable()
    assert (await gateway.entries(before + 1))[-1].settlement == "delivered"


async def test_a_compressed_body_is_understood(gateway: Gateway, provider: FakeProvider) -> None:
    """Gzip and zstd, in one member or several, reach the provider as plain JSON."""
    half = len(BODY) // 2
    bodies = {
        b"gzip": [gzip.compress(BODY), gzip.compress(BODY[:half]) + gzip.compress(BODY[half:])],
        b"x-gzip": [gzip.compress(BODY)],
        b"GZIP": [gzip.compress(BODY)],
        b"zstd": [zstandard.compress(BODY), zstandard.compress(BODY[:half]) + zstandard.compress(BODY[half:])],
        b"identity": [BODY],
    }
    async with Raw(gateway.port) as raw:
        for coding, variants in bodies.items():
            for body in variants:
                await raw.send(post(body, b"content-encoding: " + coding))
                answer = await raw.answer()
                assert answer.status == 200, (coding, answer.body)
                received = provider.requests[-1]
                assert received.json["messages"] == json.loads(BODY)["messages"]
                assert received.header("content-encoding") is None


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        (b"gzip", b"not gzip", 400),
        (b"gzip", gzip.compress(BODY)[:-10], 400),
        (b"gzip", gzip.compress(BODY) + b"junk", 400),
        (b"zstd", b"not zstd", 400),
        (b"zstd", zstandard.compress(BODY)[:-4], 400),
        (b"br", BODY, 415),
        (b"deflate", zlib.compress(BODY), 415),
        (b"gzip, gzip", gzip.compress(gzip.compress(BODY)), 415),
        (b"gzip", gzip.compress(b" " * (64 * MIB)), 413),
        (b"zstd", zstandard.compress(b" " * (64 * MIB)), 413),
    ],
    ids=[
        "no gzip",
        "cut gzip",
        "junk after gzip",
        "no zstd",
        "cut zstd",
        "brotli",
        "deflate",
        "twice",
        "gzip bomb",
        "zstd bomb",
    ],
)
async def test_a_compressed_body_that_cannot_be_used(gateway: Gateway, coding: bytes, body: bytes, status: int) -> None:
    """Broken is 400, unknown 415, a bomb 413; the connection goes on."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(body, b"content-encoding: " + coding))
        answer = await raw.answer()
        assert answer.status == status, answer.body
        assert answer.error["message"]
        assert await raw.is_usable()


async def test_a_bomb_takes_no_more_memory_than_the_bound(gateway: Gateway) -> None:
    """A quarter of a gigabyte in a little gzip is given up at 32 MiB."""
    member = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = b"\0" * MIB
    bomb = b"".join([*(member.compress(zeros) for _ in range(256)), member.flush()])
    (worker,) = gateway.workers()
    before = worker.memory_info().rss
    async with Raw(gateway.port) as raw:
        await raw.send(post(bomb, b"content-encoding: gzip"))
        assert (await raw.answer()).status == 413
    assert worker.memory_info().rss - before < 150 * MIB
