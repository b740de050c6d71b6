"""Streams as they are made: pace and back-pressure."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.e2e.gateway import Gateway, until
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024


def words(data: bytes) -> list[str]:
    """The texts of the deltas in a piece of a stream."""
    events = [line[6:] for line in data.decode().splitlines() if line.startswith("data: ") and "[DONE]" not in line]
    choices: list[Any] = [choice for event in events for choice in json.loads(event)["choices"]]
    return [choice["delta"]["content"] for choice in choices if choice["delta"].get("content")]


@pytest.mark.parametrize(
    "style",
    [{}, {"comments": True}, {"crlf": True}, {"drip": 11}, {"empty_first": True}, {"until_close": True}],
    ids=["plain", "comments", "CR LF", "in drips", "empty first", "until close"],
)
async def test_each_chunk_arrives_before_the_next_is_made(
    gateway: Gateway, provider: FakeProvider, style: dict[str, Any]
) -> None:
    """The provider makes a token only when the one before it has reached the client: nothing waits on the way."""
    gate = asyncio.Semaphore(0)
    provider.queue(Script(chunks=20, gate=gate, **style))
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=True)))
        for number in range(20):
            gate.release()
            if number == 0:
                assert (await raw.head())[0] == 200
            seen: list[str] = []
            while not seen:
                seen = words(await raw.chunk())
            assert seen == [f"w{number} "]
        rest = b"".join([chunk async for chunk in raw.chunks()])
        assert rest.endswith((b"data: [DONE]\n\n", b"data: [DONE]\r\n\r\n"))
        assert await raw.is_usable()


async def test_a_hundred_streams_keep_their_own_pace(gateway: Gateway, provider: FakeProvider) -> None:
    """Streams that wait hold up no others, and no word strays into another's answer."""
    gates = [asyncio.Semaphore(0) for _ in range(100)]

    async def read(number: int) -> list[str]:
        async with Raw(gateway.port) as raw:
            await raw.send(post(chat(f"lab/fake?text={number:03d}", stream=True)))
            return words((await raw.answer()).body)

    async def waiting(number: int) -> list[str]:
        provider.queue(Script(chunks=3, gate=gates[number]))
        async with Raw(gateway.port) as raw:
            before = len(provider.requests)
            await raw.send(post(chat(stream=True)))
            await provider.received(before + 1)
            assert await read(number) == list(f"{number:03d}")
            for _ in range(3):
                gates[number].release()
            return words((await raw.answer()).body)

    for number in range(0, 100, 10):
        assert await waiting(number) == ["w0 ", "w1 ", "w2 "]
    results = await asyncio.gather(*(read(number) for number in range(100)))
    assert results == [list(f"{number:03d}") for number in range(100)]


async def test_a_slow_reader_slows_the_provider(gateway: Gateway, provider: FakeProvider) -> None:
    """A client that does not read holds the provider back instead of filling the gateway's memory."""
    (worker,) = gateway.workers()
    event = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 65_000)
    piece = b"%x\r\n%b\r\n" % (len(event), event)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    stop = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    count = 1000
    provider.queue(Script(pieces=(head, *[piece] * count, b"%x\r\n%b\r\n0\r\n\r\n" % (len(stop), stop))))
    before = len(provider.requests)
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=True)))
        received = await provider.received(before + 1)
        rss = worker.memory_info().rss
        await until(lambda: not received.link.is_writable)
        assert not received.complete
        assert worker.memory_info().rss - rss < 16 * MIB
        answer = await raw.answer()
    assert len(words(answer.body)) == count
    assert received.complete
