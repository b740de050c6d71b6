"""The same in every dialect: what breaks ends in the caller's own, and another dialect's endpoint takes over."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.e2e.callers import ask, dial, hear, problem_of, text_of
from tests.e2e.faults.catalogue import PROMPT
from tests.e2e.faults.conftest import TIMEOUTS
from tests.e2e.gateway import PRICE, Gateway, configuration, serving, until
from tests.e2e.sdk_matrix import DIALECTS, base_url
from tests.fake_provider import REPLIES, FakeProvider, Script
from tests.fake_provider.cases import BROKEN
from tokenway.model.catalog import Dialect

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = REPLIES["text"]
BEGUN = "Grüße from the "
"""Its first three tokens."""
SPARE_COST = PROMPT * 1000 + len("spare") * 2000
"""What the fallback's answer costs; what an attempt before it has counted is nobody's."""
GAP = 0.02
"""Between the events of what breaks: what comes in one piece with its end has not begun."""
BREAKS: list[dict[str, Any]] = [{"stall": 3}, {"cut": 3, "gap": GAP}, {"error_after": 3, "error": BROKEN, "gap": GAP}]
SETS = 12
"""Each test has endpoints of its own: what failed before is not tried first any more."""
_numbers = itertools.count()
OTHER = {dialect: DIALECTS[number - 1] for number, dialect in enumerate(DIALECTS)}
"""For each dialect the one of the fallback."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def mixed(
    provider: FakeProvider, spare: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway with a model of every dialect, alone and with a fallback of another one."""
    providers: dict[str, Any] = {}
    models: dict[str, Any] = {}
    for dialect in DIALECTS:
        for name, fake in ((f"lab-{dialect}", provider), (f"spare-{dialect}", spare)):
            providers[name] = {"dialect": str(dialect), "base_url": base_url(fake, dialect), "api_key": f"sk-{name}"}
            models[name] = {"endpoints": [{"provider": name, "model": "fake", "price": PRICE}]}
    for dialect, other in OTHER.items():
        for number in range(SETS):
            lab = {"provider": f"lab-{dialect}", "model": f"fake-{number}", "price": PRICE}
            models[f"backed-{number}-{dialect}"] = {"endpoints": [lab], "fallbacks": [f"spare-{other}"]}
    config = configuration(provider.base_url, providers=providers, models=models, timeouts=TIMEOUTS, retries={"max": 1})
    async with serving(tmp_path_factory.mktemp("mixed"), config) as running:
        yield running
        await until(lambda: not running.reservations())
        await until(lambda: all(request.over.is_set() for request in provider.requests))


@pytest.fixture
def number() -> int:
    """Which of the sets of endpoints is the test's own."""
    return next(_numbers)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def http(mixed: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of it."""
    async with dial(mixed) as client:
        yield client


async def each(check: Callable[[Dialect], Awaitable[None]]) -> None:
    """All dialects at once; all of them meet the same, so that it does not matter who asks first."""

    async def one(dialect: Dialect) -> None:
        try:
            await check(dialect)
        except Exception as error:
            error.add_note(dialect)
            raise

    await asyncio.gather(*(one(dialect) for dialect in DIALECTS))


@pytest.mark.parametrize("fault", BREAKS, ids=str)
async def test_a_stream_that_breaks(
    mixed: Gateway, http: httpx2.AsyncClient, provider: FakeProvider, number: int, fault: dict[str, Any]
) -> None:
    """What came, then the dialect's own error, and no end; the caller pays nothing."""
    provider.queue(*[Script(reply=TEXT, **fault)] * len(DIALECTS))

    async def check(dialect: Dialect) -> None:
        request = ask(dialect, f"backed-{number}-{dialect}", stream=True)
        answer = await http.post(request.path, json=request.body)
        heard = hear(dialect, answer.content)
        assert (answer.status_code, heard.text, heard.is_whole) == (200, BEGUN, False)
        assert heard.error
        entry = await mixed.entry(answer.headers["x-request-id"])
        assert (entry.settlement, entry.charged) == ("absorbed", 0)

    await each(check)


async def test_a_stream_that_never_begins(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """504 in the caller's shape, after two tries."""
    provider.queue(*[Script(delay=600)] * len(DIALECTS) * 2)

    async def check(dialect: Dialect) -> None:
        request = ask(dialect, f"lab-{dialect}", stream=True)
        answer = await http.post(request.path, json=request.body)
        assert (answer.status_code, answer.headers["x-tokenway-attempts"]) == (504, "2")
        assert f"lab-{dialect}/fake" in problem_of(dialect, answer.json()).message

    await each(check)


async def test_a_stream_that_begins_and_says_nothing(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """Most dialects say that an answer begins before they say any of it: an error, or the answer of another try."""
    provider.queue(*[Script(stall=0, reply=TEXT)] * len(DIALECTS))

    async def check(dialect: Dialect) -> None:
        request = ask(dialect, f"lab-{dialect}", stream=True)
        answer = await http.post(request.path, json=request.body)
        heard = hear(dialect, answer.content)
        assert answer.status_code == 200
        assert heard.is_whole is not bool(heard.error)
        assert heard.is_whole or not heard.text

    await each(check)


async def test_a_stream_that_begins_and_says_nothing_is_taken_over(
    mixed: Gateway, http: httpx2.AsyncClient, provider: FakeProvider, number: int
) -> None:
    """Nothing of an answer has been seen, so another endpoint can still give all of it."""
    provider.queue(*[Script(stall=0, reply=TEXT)] * len(DIALECTS))

    async def check(dialect: Dialect) -> None:
        request = ask(dialect, f"backed-{number}-{dialect}", stream=True)
        answer = await http.post(request.path, json=request.body)
        heard = hear(dialect, answer.content)
        assert (answer.status_code, heard.text, heard.is_whole, heard.error) == (200, "spare", True, "")
        entry = await mixed.entry(answer.headers["x-request-id"])
        assert (entry.settlement, entry.attempts, entry.charged) == ("delivered", 2, SPARE_COST)

    await each(check)


@pytest.mark.parametrize("fault", [{"delay": 600}, {"status": 503}, {"reset": "rst"}, {"reset": "body"}], ids=str)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_another_dialects_endpoint_takes_over(
    mixed: Gateway, http: httpx2.AsyncClient, provider: FakeProvider, number: int, stream: bool, fault: dict[str, Any]
) -> None:
    """The whole answer, converted, and charged once."""
    if "delay" in fault and not stream:
        fault = {"status": 429, "retry_after": "60"}  # a whole answer has no first token to wait for
    await provider.close_idle()  # else a reset would be a stale connection's, and no attempt
    provider.queue(*[Script(reply=TEXT, **fault)] * len(DIALECTS))

    async def check(dialect: Dialect) -> None:
        request = ask(dialect, f"backed-{number}-{dialect}", stream=stream)
        answer = await http.post(request.path, json=request.body)
        assert answer.status_code == 200
        if stream:
            heard = hear(dialect, answer.content)
            assert (heard.text, heard.is_whole, heard.error) == ("spare", True, "")
        else:
            assert text_of(dialect, answer.json()) == "spare"
        assert answer.headers["x-tokenway-endpoint"] == f"spare-{OTHER[dialect]}/fake"
        entry = await mixed.entry(answer.headers["x-request-id"])
        assert (entry.settlement, entry.attempts, entry.charged) == ("delivered", 2, SPARE_COST)

    await each(check)
