"""A provider that comes and goes while it is used by many."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import openai
import pytest

from tests.e2e.conftest import Launch
from tests.e2e.faults.calls import Seen, call_chat
from tests.e2e.faults.catalogue import PROMPT, SPARE, words
from tests.e2e.faults.looks import IN_TIME, price
from tests.e2e.gateway import KEY, PRICE, WAIT_SECONDS, configuration, until
from tests.fake_provider import FakeProvider, Script, UsageMode
from tokenway.aio.tasks import Tasks

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUNDS: Final = 60
"""How often it goes."""
DOWN, UP = 0.5, 0.5
"""Seconds."""
CALLERS: Final = 8
ANSWER: Final = Script(chunks=8, gap=0.01, prompt=PROMPT, usage=UsageMode.EVERY)
TEXTS: Final = {words(8): price(8), SPARE.text: price(len(SPARE.text))}
"""What an answer costs, by its text."""


def config(flaky: FakeProvider, spare: FakeProvider) -> dict[str, Any]:
    """One model that has nobody else, and one that has."""
    models: dict[str, Any] = {
        name: {"endpoints": [{"provider": name, "model": "fake", "price": PRICE}]} for name in ("flaky", "spare")
    }
    return configuration(
        flaky.base_url,
        providers={
            "flaky": {"base_url": flaky.base_url, "api_key": "sk-flaky"},
            "spare": {"base_url": spare.base_url, "api_key": "sk-spare"},
        },
        models=models | {"backed": models["flaky"] | {"fallbacks": ["spare"]}},
        timeouts={"connect": "1s", "first_token": "2s", "between_tokens": "1s", "total": "6s"},
    )


async def flap(provider: FakeProvider) -> None:
    """Down and up, again and again, and up in the end."""
    for _ in range(ROUNDS):
        await provider.down()
        await asyncio.sleep(DOWN)
        await provider.up()
        await asyncio.sleep(UP)


def check(seen: Seen, model: str, *, stream: bool) -> None:
    """A whole answer, or an error that says so; with a fallback only what had begun to stream may break."""
    assert seen.seconds < IN_TIME
    if seen.status != 200:
        assert model == "flaky"
        assert seen.status in {502, 503, 504}
        assert seen.error
    elif seen.error:
        assert stream
        assert not seen.finish
        assert words(8).startswith(seen.text)
    else:
        assert seen.finish
        assert seen.text in TEXTS


@pytest.mark.slow
async def test_a_provider_that_flaps(launch: Launch) -> None:
    """Nobody hangs, nobody gets half an answer for a whole one, each answer is charged once; then all is well again."""
    async with FakeProvider(ANSWER) as flaky, FakeProvider(SPARE) as spare:
        gateway = await launch(config(flaky, spare))
        base_url, all_seen = gateway.base_url, list[Seen]()
        async with openai.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0, timeout=WAIT_SECONDS) as client:
            failures: list[BaseException] = []
            tasks = Tasks(lambda _name, error: failures.append(error))
            flapping = tasks.start("flapping", flap(flaky))

            async def call(number: int) -> None:
                while not flapping.done():
                    number += 1
                    model, stream = ("flaky", "backed")[number % 2], number // 2 % 2 == 0
                    seen = await call_chat(client, model, stream=stream)
                    check(seen, model, stream=stream)
                    all_seen.append(seen)

            await asyncio.gather(*(call(number) for number in range(CALLERS)))
            await flapping
            recovered = time.monotonic()
            while not (seen := await call_chat(client, "flaky", stream=True)).finish:
                all_seen.append(seen)
                assert time.monotonic() - recovered < WAIT_SECONDS
            all_seen.append(seen)
            assert failures == []
        assert {seen.text for seen in all_seen if seen.finish} == TEXTS.keys()
        await until(lambda: len(gateway.ledger()) >= len(all_seen) and not gateway.reservations())
        charged = {entry.id: entry.charged for entry in gateway.ledger()}
        assert charged == {seen.exchange: TEXTS[seen.text] if seen.finish else 0 for seen in all_seen}
        assert flaky.errors == spare.errors == []
