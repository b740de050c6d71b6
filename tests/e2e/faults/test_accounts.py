"""What a fault costs, attempt by attempt: the caller pays for the answer it got, and the rest is absorbed."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import openai
import pytest
import pytest_asyncio

from tests.e2e.faults.calls import Seen, call_chat
from tests.e2e.faults.catalogue import DONE, FOUR, PROMPT, SIXTY, SPARE, STREAM_HEAD, chunked, event, words
from tests.e2e.gateway import KEY, PRICE, WAIT_SECONDS, Gateway, Line, configuration, serving, until
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNTED: Final = chunked(b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":0}}\n\n')
"""A first event that counts the prompt and says nothing."""
PROMPT_COST: Final = PROMPT * 1000
SPARE_COST: Final = PROMPT * 1000 + len(SPARE.text) * 2000


MODELS: Final = 16
"""Each test has a model and an endpoint of its own: what failed before is not tried first any more."""
_numbers: Final = itertools.count()


@pytest.fixture
def number() -> int:
    """Which of the models is the test's own."""
    return next(_numbers)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def books(
    provider: FakeProvider, spare: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway with models that have a fallback, and one of them alone."""
    models: dict[str, Any] = {
        name: {"endpoints": [{"provider": name, "model": "fake", "price": PRICE}]} for name in ("lab", "spare")
    }
    for number in range(MODELS):
        lab = {"provider": "lab", "model": f"fake-{number}", "price": PRICE}
        models[f"backed-{number}"] = {"endpoints": [lab], "fallbacks": ["spare"]}
    config = configuration(
        provider.base_url,
        providers={
            "lab": {"base_url": provider.base_url, "api_key": "sk-lab"},
            "spare": {"base_url": spare.base_url, "api_key": "sk-spare"},
        },
        models=models,
        timeouts={"first_token": "1s", "between_tokens": "1s"},
        retries={"max": 1},
    )
    async with serving(tmp_path_factory.mktemp("books"), config) as running:
        yield running
        await until(lambda: not running.reservations())


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(books: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client of it."""
    async with openai.AsyncOpenAI(base_url=books.base_url, api_key=KEY, max_retries=0, timeout=WAIT_SECONDS) as made:
        yield made


async def told(books: Gateway, seen: Seen) -> tuple[int, list[Line]]:
    """What the exchange was charged, and its attempts."""
    entry = await books.entry(seen.exchange)
    return entry.charged, books.attempts_of(seen.exchange)


LOST: Final[dict[str, tuple[Script, str, int | None]]] = {
    "a refusal by status": (Script(status=503), "released", None),
    "a cut before any count": (Script(pieces=(STREAM_HEAD,), hang_up="close"), "absorbed", None),
    "a cut behind the prompt's count": (
        Script(pieces=(STREAM_HEAD, COUNTED), hang_up="close"),
        "absorbed",
        PROMPT_COST,
    ),
    "an error behind the prompt's count": (
        Script(pieces=(STREAM_HEAD, COUNTED, chunked(b'data: {"error":{"message":"no memory"}}\n\n') + DONE)),
        "absorbed",
        PROMPT_COST,
    ),
    "silence behind the prompt's count": (Script(pieces=(STREAM_HEAD, COUNTED)), "absorbed", PROMPT_COST),
}
"""How an attempt is lost before any text, what becomes of it, and what it has cost."""


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_attempt_is_absorbed(
    books: Gateway, client: openai.AsyncOpenAI, provider: FakeProvider, number: int, fault: str
) -> None:
    """Its cost is in the ledger and nobody is charged with it; the caller pays for the fallback's answer, once."""
    script, settlement, cost = LOST[fault]
    provider.queue(script)
    seen = await call_chat(client, f"backed-{number}", stream=True)
    assert (seen.text, seen.attempts) == (SPARE.text, 2)
    charged, lines = await told(books, seen)
    assert charged == SPARE_COST
    assert lines == [
        Line(1, f"lab/fake-{number}", settlement, 0, cost),
        Line(2, "spare/fake", "delivered", SPARE_COST, SPARE_COST),
    ]


async def test_a_whole_answer_that_is_lost_is_absorbed(
    books: Gateway, client: openai.AsyncOpenAI, provider: FakeProvider, number: int
) -> None:
    """Nobody has counted it."""
    provider.queue(Script(reset="body"))
    seen = await call_chat(client, f"backed-{number}", stream=False)
    charged, lines = await told(books, seen)
    assert charged == SPARE_COST
    assert lines == [
        Line(1, f"lab/fake-{number}", "absorbed", 0, None),
        Line(2, "spare/fake", "delivered", SPARE_COST, SPARE_COST),
    ]


@pytest.mark.parametrize("fault", [{"cut": 40}, {"stall": 40}, {"error_after": 40, "error": "no memory"}])
async def test_a_broken_stream_costs_its_caller_nothing(
    books: Gateway, client: openai.AsyncOpenAI, provider: FakeProvider, number: int, fault: dict[str, Any]
) -> None:
    """What the provider had counted until then is absorbed."""
    provider.queue(replace(SIXTY, **fault))
    seen = await call_chat(client, f"backed-{number}", stream=True)
    assert (seen.text, seen.finish) == (words(40), "")
    charged, lines = await told(books, seen)
    assert charged == 0
    assert lines == [Line(1, f"lab/fake-{number}", "absorbed", 0, PROMPT_COST + 40 * 2000)]


async def test_when_all_fail_nobody_is_charged(
    books: Gateway, client: openai.AsyncOpenAI, provider: FakeProvider, number: int, spare: FakeProvider
) -> None:
    """What each has cost is absorbed."""
    provider.queue(Script(pieces=(STREAM_HEAD, COUNTED), hang_up="close"))
    spare.queue(Script(pieces=(STREAM_HEAD, COUNTED), hang_up="close"))
    seen = await call_chat(client, f"backed-{number}", stream=True)
    assert (seen.status, seen.attempts) == (502, 2)
    charged, lines = await told(books, seen)
    assert charged == 0
    assert [(line.settlement, line.charged, line.cost) for line in lines] == [("absorbed", 0, PROMPT_COST)] * 2


async def test_a_second_answer_on_one_connection_costs_nothing(
    books: Gateway, client: openai.AsyncOpenAI, provider: FakeProvider
) -> None:
    """An answer is counted once, also where its end comes twice with the usage between."""
    usage = chunked(b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":4}}\n\n')
    ends = (event(finish_reason="stop"), usage, chunked(b"data: [DONE]\n\n"), usage, DONE)
    provider.queue(Script(pieces=(STREAM_HEAD, event(delta={"content": FOUR}), *ends)))
    seen = await call_chat(client, "lab", stream=True)
    assert (seen.text, seen.finish) == (FOUR, "stop")
    charged, lines = await told(books, seen)
    assert charged == PROMPT_COST + 4 * 2000
    assert len(lines) == 1


async def test_the_key_was_charged_with_what_the_ledger_says(books: Gateway, client: openai.AsyncOpenAI) -> None:
    """After all the faults above, to the nano-dollar."""
    await until(lambda: not books.reservations())
    charged = sum(entry.charged for entry in books.ledger())
    figures = await client.get("/key", cast_to=object)
    assert charged > 0
    assert round(figures["data"]["usage"] * 1e9) == charged  # type: ignore[index]
