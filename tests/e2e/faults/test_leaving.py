"""A caller who leaves: every attempt for it is cancelled at once, and what that costs is settled.

How long it takes until the provider sees its connection close is printed (`pytest -s`): the goal is 0.1 s. The bound
here is one that only a gateway fails that forgets a call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import psutil
import pytest
import pytest_asyncio

from tests.e2e.gateway import PRICE, WAIT_SECONDS, Gateway, configuration, serving, until
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider, Script, UsageMode
from tests.fake_provider.play import Received

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE: Final = 1.0
"""Seconds: a busy machine's, not the gateway's."""
FOREVER: Final = "600s"
PROMPT: Final = 3


@pytest.fixture(scope="module")
def delays() -> Iterator[list[float]]:
    """Seconds from a caller's leaving to the end of its attempt at the provider."""
    found: list[float] = []
    yield found
    if found:
        print(f"\nuntil the provider sees that a caller has left: {told(found)}")


def told(seconds: list[float]) -> str:
    """How long things took."""
    middle = sorted(seconds)[len(seconds) // 2]
    return f"at most {max(seconds) * 1000:.1f} ms of {len(seconds)} times, {middle * 1000:.1f} ms in the middle"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def patient(
    provider: FakeProvider, mute_port: int, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway that gives nothing up by itself while these tests run."""
    endpoints = {
        name: {"endpoints": [{"provider": name, "model": "fake", "price": PRICE}]}
        for name in ("lab", "mute", "messages")
    }
    config = configuration(
        provider.base_url,
        providers={
            "lab": {"base_url": provider.base_url, "api_key": "sk-lab"},
            "mute": {"base_url": f"http://127.0.0.1:{mute_port}/v1"},
            "messages": {"base_url": provider.origin, "api_key": "sk-messages", "dialect": "anthropic"},
        },
        models=endpoints | {"after-mute": endpoints["mute"] | {"fallbacks": ["lab"]}},
        timeouts={"connect": FOREVER, "first_token": FOREVER, "between_tokens": FOREVER, "total": FOREVER},
    )
    async with serving(tmp_path_factory.mktemp("patient"), config) as running:
        (before,) = running.workers()
        yield running
        (after,) = running.workers()
        assert after.pid == before.pid
        await until(lambda: not running.reservations())


async def gone(received: Received, left: float) -> float:
    """Seconds from `left` until the provider sees that its client has gone."""
    async with asyncio.timeout(WAIT_SECONDS):
        await received.link.gone.wait()
    return time.monotonic() - left


def leave(raw: Raw, *, abruptly: bool) -> float:
    """Closes a caller's connection, or resets it; when."""
    if abruptly:
        raw.reset()
    else:
        raw.writer.close()
    return time.monotonic()


MOMENTS: Final[dict[str, tuple[Script, bytes | None]]] = {
    "before the head of a stream": (Script(delay=600), None),
    "before the first token": (Script(stall=0), None),
    "in a stream that flows": (Script(chunks=100_000, gap=0.002), b"w9 "),
    "in a stream that is silent": (Script(chunks=9, stall=4), b"w3 "),
    "before a whole answer": (Script(delay=600), None),
    "within a whole answer": (Script(drip=1, drip_gap=60), None),
}
"""What the provider does, and what the caller has read when it leaves; None for no more than its own request."""


@pytest.mark.parametrize("abruptly", [False, True], ids=["closing", "resetting"])
@pytest.mark.parametrize("model", ["lab", "messages"], ids=["one dialect", "two dialects"])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_caller_who_leaves_frees_the_provider(
    patient: Gateway, provider: FakeProvider, delays: list[float], moment: str, model: str, abruptly: bool
) -> None:
    """However and whenever it leaves; the exchange is settled as 499, and the provider may bill."""
    script, seen = MOMENTS[moment]
    before, known = len(provider.requests), len(patient.ledger())
    provider.queue(script)
    async with Raw(patient.port) as raw:
        await raw.send(post(chat(model, stream="whole" not in moment)))
        received = await provider.received(before + 1)
        if seen is not None:
            await raw.head()
            data = b""
            while seen not in data:
                data += await raw.chunk()
        delays.append(await gone(received, leave(raw, abruptly=abruptly)))
    assert delays[-1] < AT_ONCE
    assert not received.complete
    assert len(provider.requests) == before + 1
    entry = (await patient.entries(known + 1))[-1]
    assert (entry.status, entry.attempts, entry.settlement) == (499, 1, "upstream_billed")


async def test_a_hundred_callers_who_leave_together(patient: Gateway, provider: FakeProvider) -> None:
    """None of their streams goes on."""
    before, known = len(provider.requests), len(patient.ledger())
    provider.queue(*[Script(chunks=100_000, gap=0.05)] * 100)
    raws = [Raw(patient.port) for _ in range(100)]
    for raw in raws:
        await raw.__aenter__()
        await raw.send(post(chat("lab", stream=True)))
    for raw in raws:
        await raw.head()
    await provider.received(before + 100)
    lefts = [leave(raw, abruptly=number % 2 == 0) for number, raw in enumerate(raws)]
    delays = await asyncio.gather(*(gone(received, lefts[0]) for received in provider.requests[before:]))
    print(f"\nof a hundred who leave together: {told(delays)}")
    assert max(delays) < AT_ONCE
    entries = (await patient.entries(known + 100))[-100:]
    assert {(entry.status, entry.settlement) for entry in entries} == {(499, "upstream_billed")}


async def test_a_caller_who_leaves_pays_what_the_provider_has_counted(patient: Gateway, provider: FakeProvider) -> None:
    """The running totals of the stream up to then are in the ledger, with their price."""
    before, known = len(provider.requests), len(patient.ledger())
    provider.queue(Script(chunks=9, stall=5, usage=UsageMode.EVERY, prompt=PROMPT))
    async with Raw(patient.port) as raw:
        await raw.send(post(chat("lab", stream=True)))
        await provider.received(before + 1)
        await raw.head()
        data = b""
        while b"w4 " not in data:
            data += await raw.chunk()
    entry = (await patient.entries(known + 1))[-1]
    assert entry.settlement == "upstream_billed"
    assert (entry.prompt, entry.completion, entry.charged) == (PROMPT, 5, PROMPT * 1000 + 5 * 2000)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_caller_who_leaves_while_a_retry_waits(patient: Gateway, provider: FakeProvider, stream: bool) -> None:
    """The retry is not made; what was refused costs nothing."""
    before, known = len(provider.requests), len(patient.ledger())
    provider.queue(Script(status=429, retry_after="1"))
    async with Raw(patient.port) as raw:
        await raw.send(post(chat("lab", stream=stream)))
        received = await provider.received(before + 1)
        await received.over.wait()
    entry = (await patient.entries(known + 1))[-1]
    assert (entry.status, entry.attempts, entry.settlement, entry.charged) == (499, 1, "released", 0)
    await asyncio.sleep(1.2)  # as long as the retry would have waited
    assert len(provider.requests) == before + 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_caller_who_leaves_in_the_second_attempt(
    patient: Gateway, provider: FakeProvider, delays: list[float], stream: bool
) -> None:
    """It is the second that is cancelled, and the third is not made."""
    before, known = len(provider.requests), len(patient.ledger())
    provider.queue(Script(status=500), Script(delay=600))
    async with Raw(patient.port) as raw:
        await raw.send(post(chat("lab", stream=stream)))
        received = await provider.received(before + 2)
        delays.append(await gone(received, leave(raw, abruptly=False)))
    assert delays[-1] < AT_ONCE
    entry = (await patient.entries(known + 1))[-1]
    assert (entry.status, entry.attempts, entry.settlement) == (499, 2, "upstream_billed")
    assert len(provider.requests) == before + 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ["mute", "after-mute"], ids=["alone", "backed"])
async def test_a_caller_who_leaves_while_its_attempt_connects(
    patient: Gateway, provider: FakeProvider, mute_port: int, delays: list[float], model: str, stream: bool
) -> None:
    """The attempt to connect is given up, nobody else is asked, and nothing is owed."""
    (worker,) = patient.workers()
    before, known = len(provider.requests), len(patient.ledger())

    def is_dialing() -> bool:
        return any(is_to(each, mute_port) for each in worker.net_connections("tcp"))

    async with Raw(patient.port) as raw:
        await raw.send(post(chat(model, stream=stream)))
        await until(is_dialing)
        left = leave(raw, abruptly=False)
        await until(lambda: not is_dialing())
        delays.append(time.monotonic() - left)
    assert delays[-1] < AT_ONCE
    entry = (await patient.entries(known + 1))[-1]
    assert (entry.status, entry.attempts, entry.settlement, entry.charged) == (499, 1, "released", 0)
    assert len(provider.requests) == before


def is_to(connection: Any, port: int) -> bool:
    """Whether this is an attempt to connect there that still goes on."""
    return bool(connection.raddr) and connection.raddr.port == port and connection.status == psutil.CONN_SYN_SENT
