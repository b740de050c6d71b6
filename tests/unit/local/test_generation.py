"""A blocking generation read from the loop: order, refusal, cancellation, and the slot that goes with the thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tokenway.local.generation import Chunk, Generation, OnChunk, Refused


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Two threads, gone after the test."""
    with ThreadPoolExecutor(2) as executor:
        yield executor


async def test_chunks_arrive_in_order_and_the_end_is_told(pool: ThreadPoolExecutor) -> None:
    """What the callback gets is what the reader gets, and the owner hears of the end once."""
    ends: list[int] = []

    def run(on_chunk: OnChunk) -> None:
        for number in range(5):
            on_chunk({"n": number})

    generation = Generation(run, pool, lambda: ends.append(1))
    assert [chunk["n"] async for chunk in generation] == [0, 1, 2, 3, 4]
    await generation.ended()
    await asyncio.sleep(0)
    assert ends == [1]


@pytest.mark.parametrize("error", [ValueError("no messages"), RuntimeError("no images"), TypeError("no number")])
async def test_what_the_runtime_raises_is_a_refusal(pool: ThreadPoolExecutor, error: Exception) -> None:
    """The runtime's exceptions reach the reader as one kind, with their text."""

    def run(on_chunk: OnChunk) -> None:
        raise error

    with pytest.raises(Refused, match=str(error)) as caught:
        _ = [chunk async for chunk in Generation(run, pool, lambda: None)]
    assert caught.value.status == 400


async def test_cancelling_makes_the_callback_say_stop(pool: ThreadPoolExecutor) -> None:
    """After `cancel` the next callback returns true, and the owner hears of the end only then."""
    go, answers, ends = threading.Event(), list[bool](), list[int]()

    def run(on_chunk: OnChunk) -> None:
        answers.append(on_chunk({"n": 0}))
        go.wait()
        answers.append(on_chunk({"n": 1}))

    generation = Generation(run, pool, lambda: ends.append(1))
    chunks: list[Chunk] = []
    async for chunk in generation:
        chunks.append(chunk)
        generation.cancel()
        assert ends == []
        go.set()
    await generation.ended()
    assert answers[1] is True


async def test_a_generation_cancelled_before_its_thread_is_free_never_runs(pool: ThreadPoolExecutor) -> None:
    """A request that leaves while all threads are busy costs no computation."""
    go, ran = threading.Event(), list[int]()

    def wait(_: OnChunk) -> None:
        go.wait()

    busy = [Generation(wait, pool, lambda: None) for _ in range(2)]
    late = Generation(lambda _: ran.append(1), pool, lambda: None)
    late.cancel()
    go.set()
    assert [chunk async for chunk in late] == []
    for generation in busy:
        await generation.ended()
    assert ran == []


async def test_a_reader_who_stops_reading_cancels(pool: ThreadPoolExecutor) -> None:
    """Closing the iterator is enough to stop the runtime."""
    stopped = threading.Event()

    def run(on_chunk: OnChunk) -> None:
        while not on_chunk({}):
            pass
        stopped.set()

    generation = Generation(run, pool, lambda: None)
    iterator = aiter(generation)
    await anext(iterator)
    await iterator.aclose()  # type: ignore[attr-defined]
    await generation.ended()
    assert stopped.is_set()
