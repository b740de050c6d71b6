"""Retries, fallback, deadlines and budgets over real sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, PRICE, Gateway, configuration, serving, until
from tests.e2e.raw import Answer, Raw, chat, post
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")


def model(*providers: str, upstream: str = "fake", **more: Any) -> dict[str, Any]:
    """A model with one endpoint at each provider, in that order."""
    return {"endpoints": [{"provider": name, "model": upstream, "price": PRICE} for name in providers]} | more


PAIRS: Final = 40
"""Models of two endpoints that nobody knows: each is asked in the order of its list, and what it did is remembered."""
_numbers: Final = itertools.count()


@pytest.fixture
def number() -> int:
    """Which of them is the test's own."""
    return next(_numbers)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def spare() -> AsyncIterator[FakeProvider]:
    """The second provider, whose answers say that they are its."""
    async with FakeProvider(Script(text="spare")) as fake:
        yield fake


@pytest.fixture(scope="module")
def config(provider: FakeProvider, spare: FakeProvider, dead_port: int, mute_port: int) -> dict[str, Any]:
    """Models that differ in where they are served."""
    return configuration(
        provider.base_url,
        providers={
            "lab": {"base_url": provider.base_url, "api_key": "sk-lab"},
            "spare": {"base_url": spare.base_url, "api_key": "sk-spare"},
            "dead": {"base_url": f"http://127.0.0.1:{dead_port}/v1"},
            "mute": {"base_url": f"http://127.0.0.1:{mute_port}/v1"},
        },
        models={
            "mock": model("lab"),
            **{f"both-{number}": model("lab", "spare", upstream=f"fake-{number}") for number in range(PAIRS)},
            "limping": model("dead", "spare", upstream="limping"),
            "slow-door": model("mute", "spare", upstream="slow-door"),
            "dead": model("dead"),
            "mute": model("mute"),
            "falls-back": model("lab", fallbacks=["elsewhere"]),
            "elsewhere": model("spare"),
        },
        timeouts={"connect": "1s", "first_token": "1.5s", "between_tokens": "1.5s", "total": "60s"},
    )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def routed(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway with those models and short deadlines."""
    async with serving(tmp_path_factory.mktemp("routed"), config) as running:
        yield running


async def ask(gateway: Gateway, body: bytes, *lines: bytes) -> Answer:
    """One call."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(body, *lines))
        return await raw.answer()


def said(answer: Answer) -> str:
    """The text of an answer, streamed or not."""
    if answer.headers["content-type"].startswith("application/json"):
        return str(answer.json["choices"][0]["message"]["content"])
    events = [line[6:] for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    choices = [choice for event in events for choice in json.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def last_error(answer: Answer) -> dict[str, Any]:
    """The error event that ends a stream."""
    events = [line[6:] for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    error: dict[str, Any] = json.loads(events[-1])["error"]
    return error


# -- the same endpoint again, and the next one ---------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [Script(status=500), Script(status=503), Script(status=429, retry_after="0"), Script(reset="head"), Script(cut=0)],
    ids=["500", "503", "429", "half a head", "cut before the first token"],
)
async def test_a_failure_that_passes_is_tried_again(
    routed: Gateway, provider: FakeProvider, fault: Script, stream: bool
) -> None:
    """The caller gets the whole answer of the second attempt, and pays for it alone."""
    if fault.cut == 0 and not stream:
        fault = Script(status=502)
    provider.queue(fault)
    answer = await ask(routed, chat(stream=stream))
    assert answer.status == 200
    assert said(answer) == "w0 w1 w2 w3 "
    assert answer.headers["x-tokenway-attempts"] == "2"
    entry = await routed.entry(answer.headers["x-request-id"])
    bill = provider.requests[-1].bill
    assert (entry.attempts, entry.settlement) == (2, "delivered")
    assert entry.charged == bill.prompt * 1000 + bill.completion * 2000


async def test_the_pause_that_a_provider_names_is_kept(routed: Gateway, provider: FakeProvider) -> None:
    """A 429 with `retry-after: 1` is asked again after a second, not before."""
    provider.queue(Script(status=429, retry_after="1"))
    began = time.monotonic()
    answer = await ask(routed, chat())
    assert answer.headers["x-tokenway-attempts"] == "2"
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        Script(status=500),
        Script(status=429, retry_after="30"),
        Script(status=401),
        Script(status=404),
        Script(reset="rst"),
        Script(body=b"<html>", content_type="text/html"),
        Script(error="overloaded"),
    ],
    ids=["500", "429", "401", "404", "reset", "HTML", "error in 200"],
)
async def test_another_endpoint_takes_over(
    routed: Gateway, number: int, provider: FakeProvider, fault: Script, stream: bool
) -> None:
    """What one endpoint cannot do now the next one does, at once and unnoticed but for the headers."""
    await provider.close_idle()
    provider.queue(fault)
    answer = await ask(routed, chat(f"both-{number}", stream=stream))
    assert answer.status == 200, answer
    assert said(answer) == "spare"
    assert answer.headers["x-tokenway-endpoint"] == f"spare/fake-{number}"
    assert answer.headers["x-tokenway-attempts"] == "2"
    entry = await routed.entry(answer.headers["x-request-id"])
    assert (entry.endpoint, entry.attempts) == (f"spare/fake-{number}", 2)


async def test_another_endpoint_takes_over_from_a_silent_one(
    routed: Gateway, number: int, provider: FakeProvider
) -> None:
    """A stream that does not begin in time is begun elsewhere, and the silent provider is left."""
    provider.queue(Script(delay=600))
    answer = await ask(routed, chat(f"both-{number}", stream=True))
    assert said(answer) == "spare"
    assert answer.headers["x-tokenway-attempts"] == "2"
    async with asyncio.timeout(30):
        await provider.requests[-1].over.wait()


@pytest.mark.parametrize("name", ["limping", "slow-door"])
async def test_an_endpoint_that_cannot_be_reached_is_passed_over(routed: Gateway, name: str) -> None:
    """A refused connection, or one that is never completed, leads to the next endpoint."""
    answer = await ask(routed, chat(name))
    assert said(answer) == "spare"
    assert answer.headers["x-tokenway-attempts"] == "2"


async def test_the_callers_own_mistake_is_not_tried_elsewhere(
    routed: Gateway, number: int, provider: FakeProvider, spare: FakeProvider
) -> None:
    """A 400 comes back from the first endpoint and costs no second call."""
    before = len(spare.requests)
    provider.queue(Script(status=400, error="no such parameter"))
    answer = await ask(routed, chat(f"both-{number}"))
    assert answer.status == 400
    assert len(spare.requests) == before


async def test_when_all_fail_the_last_failure_is_told(
    routed: Gateway, number: int, provider: FakeProvider, spare: FakeProvider
) -> None:
    """With how often was tried; and nothing is charged."""
    provider.queue(*[Script(status=500)] * 3)
    spare.queue(*[Script(status=500)] * 3)
    answer = await ask(routed, chat(f"both-{number}"))
    assert answer.status == 500
    assert int(answer.headers["x-tokenway-attempts"]) == 3
    entry = await routed.entry(answer.headers["x-request-id"])
    assert (entry.settlement, entry.charged, entry.attempts) == ("released", 0, 3)
    provider._queue.clear()
    spare._queue.clear()


async def test_the_configured_fallback_serves(routed: Gateway, provider: FakeProvider) -> None:
    """When the model's own endpoint fails, its fallback's endpoint answers."""
    provider.queue(Script(status=500))
    answer = await ask(routed, chat("falls-back"))
    assert said(answer) == "spare"
    assert answer.headers["x-tokenway-model"] == "falls-back"


async def test_the_callers_list_of_models_serves(routed: Gateway, provider: FakeProvider) -> None:
    """`models` in the body names what to try next, and does not go upstream."""
    provider.queue(Script(status=500))
    answer = await ask(routed, chat(models=["elsewhere"], route="fallback"))
    assert said(answer) == "spare"
    assert "models" not in provider.requests[-1].json
    unknown = await ask(routed, chat(models=["nothing-like-it"]))
    assert unknown.status == 404


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"only": ["spare"]}, "spare"),
        ({"ignore": ["lab"]}, "spare"),
        ({"order": ["spare", "lab"]}, "spare"),
        ({"order": ["lab"]}, "w0 w1 w2 w3 "),
        ({"order": ["openai"]}, "w0 w1 w2 w3 "),
        ({"ignore": ["spare"]}, "w0 w1 w2 w3 "),
    ],
)
async def test_the_callers_wishes_choose_the_endpoint(
    routed: Gateway, number: int, provider: FakeProvider, spare: FakeProvider, wishes: dict[str, Any], expected: str
) -> None:
    """OpenRouter's `provider` object decides who is asked, and does not go upstream."""
    answer = await ask(routed, chat(f"both-{number}", provider=wishes))
    assert said(answer) == expected
    assert "provider" not in (spare if expected == "spare" else provider).requests[-1].json


async def test_wishes_that_leave_nobody_are_refused(routed: Gateway, number: int, provider: FakeProvider) -> None:
    """503 that says what excluded each endpoint; without fallbacks a failure is final."""
    answer = await ask(routed, chat(f"both-{number}", provider={"only": ["mute"]}))
    assert answer.status == 503
    excluded = answer.error["metadata"]["availability"]["excluded_by"]
    assert excluded == {f"lab/fake-{number}": "allowed_providers", f"spare/fake-{number}": "allowed_providers"}
    provider.queue(*[Script(status=501)] * 3)
    answer = await ask(routed, chat(f"both-{number}", provider={"allow_fallbacks": False}))
    assert answer.status == 501
    provider._queue.clear()


async def test_a_begun_stream_is_not_begun_again(
    routed: Gateway, number: int, provider: FakeProvider, spare: FakeProvider
) -> None:
    """After the first token a failure is told in the stream: no second answer follows half of the first."""
    before = len(spare.requests)
    provider.queue(Script(chunks=5, cut=2))
    answer = await ask(routed, chat(f"both-{number}", stream=True))
    assert said(answer).startswith("w0 w1 ")
    assert "spare" not in said(answer)
    assert last_error(answer)["metadata"]["error_type"] == "provider_unavailable"
    assert len(spare.requests) == before


# -- deadlines -----------------------------------------------------------------------------------------------


async def test_the_connect_deadline(routed: Gateway) -> None:
    """A connection that is never completed is a 504 that says so."""
    answer = await ask(routed, chat("mute"))
    assert answer.status == 504
    assert answer.error["code"] == "connect_deadline"


async def test_a_refused_connection(routed: Gateway) -> None:
    """Nobody listens: 502, and nothing is owed to anybody."""
    answer = await ask(routed, chat("dead"))
    assert answer.status == 502
    entry = await routed.entry(answer.headers["x-request-id"])
    assert (entry.settlement, entry.charged) == ("released", 0)


async def test_the_first_token_deadline(routed: Gateway, provider: FakeProvider) -> None:
    """A stream whose head comes and whose tokens do not is given up, and the provider is left."""
    provider.queue(*[Script(stall=0)] * 3)
    answer = await ask(routed, chat(stream=True))
    assert answer.status == 504
    assert answer.error["code"] == "first_token_deadline"
    async with asyncio.timeout(30):
        await provider.requests[-1].over.wait()
    provider._queue.clear()


async def test_comments_are_not_tokens(routed: Gateway, provider: FakeProvider) -> None:
    """A provider that keeps the connection alive with comments, or with chunks without text, has not begun."""
    role = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    provider.queue(*[Script(raw=head + b": keep-alive\n\n" * 3, delay=0, stall=0)] * 3)
    answer = await ask(routed, chat(stream=True))
    assert answer.status == 504
    provider._queue.clear()
    provider.queue(*[Script(raw=head + role)] * 3)
    answer = await ask(routed, chat(stream=True))
    error = answer.error if answer.status != 200 else last_error(answer)
    assert error["code"] in {"first_token_deadline", "between_tokens_deadline"}
    provider._queue.clear()


async def test_the_deadline_between_tokens(routed: Gateway, provider: FakeProvider) -> None:
    """A stream that falls silent ends with an error event, and the provider is left."""
    provider.queue(Script(chunks=5, stall=2))
    answer = await ask(routed, chat(stream=True))
    assert said(answer).startswith("w0 w1 ")
    assert last_error(answer)["code"] == "between_tokens_deadline"
    async with asyncio.timeout(30):
        await provider.requests[-1].over.wait()
    entry = await routed.entry(answer.headers["x-request-id"])
    assert (entry.status, entry.charged) == (200, 0)


async def test_a_stream_slower_than_the_deadline_in_all_is_fine(routed: Gateway, provider: FakeProvider) -> None:
    """The deadline is for one pause, not for the whole answer."""
    provider.queue(Script(chunks=12, gap=0.12))
    answer = await ask(routed, chat(stream=True))
    assert said(answer) == "".join(f"w{number} " for number in range(12))


@pytest.mark.parametrize("stream", [False, True])
async def test_the_callers_total_deadline_before_the_answer(
    routed: Gateway, provider: FakeProvider, stream: bool
) -> None:
    """`x-tokenway-timeout` bounds everything: 504, the provider is left, no other attempt."""
    before = len(provider.requests)
    provider.queue(Script(delay=60))
    answer = await ask(routed, chat(stream=stream), b"x-tokenway-timeout: 0.3")
    assert answer.status == 504
    assert answer.error["code"] == "total_deadline"
    assert len(provider.requests) == before + 1
    async with asyncio.timeout(30):
        await provider.requests[-1].over.wait()


async def test_the_callers_total_deadline_within_a_stream(routed: Gateway, provider: FakeProvider) -> None:
    """A stream that goes on beyond it ends with an error event."""
    provider.queue(Script(chunks=1000, gap=0.05))
    answer = await ask(routed, chat(stream=True), b"x-tokenway-timeout: 1")
    assert said(answer).startswith("w0 w1 ")
    assert last_error(answer)["code"] == "total_deadline"


@pytest.mark.parametrize("value", [b"0", b"-1", b"soon", b"nan", b"inf", b""])
async def test_a_nonsensical_timeout_is_refused(routed: Gateway, value: bytes) -> None:
    """400 that names the header."""
    answer = await ask(routed, chat(), b"x-tokenway-timeout: " + value)
    assert answer.status == 400
    assert answer.error["param"] == "x-tokenway-timeout"


# -- money ---------------------------------------------------------------------------------------------------


async def test_a_call_that_could_cost_too_much_is_refused(routed: Gateway, provider: FakeProvider) -> None:
    """`provider.max_cost` below the worst case is a 402 before any call."""
    before = len(provider.requests)
    answer = await ask(routed, chat(max_tokens=1000, provider={"max_cost": 0.0001}))
    assert answer.status == 402
    assert answer.error["code"] == "max_cost_exceeded"
    assert len(provider.requests) == before
    answer = await ask(routed, chat(max_tokens=1000, provider={"max_cost": 1}))
    assert answer.status == 200


async def test_a_budget_is_spent_and_then_refused(launch: Launch, provider: FakeProvider) -> None:
    """Calls go through while the worst case fits, then 402; other keys are not touched; what fits still passes."""
    tight = {"name": "tight", "key": "sk-tight-0123456789abcdef", "budget": 0.001}
    config = configuration(provider.base_url, auth={"keys": [{"name": "ci", "key": KEY}, tight]})
    gateway = await launch(config)

    async def call(tokens: int) -> Answer:
        body = chat("mock", max_tokens=tokens)
        async with Raw(gateway.port) as raw:
            await raw.send(post(body).replace(KEY.encode(), tight["key"].encode()))  # type: ignore[attr-defined]
            return await raw.answer()

    provider.queue(Script(chunks=200))
    first = await call(200)
    assert first.status == 200
    cost = provider.requests[-1].bill.prompt * 1000 + 200 * 2000
    refused = await call(400)
    assert refused.status == 402
    assert refused.error["code"] == "insufficient_quota"
    assert refused.error["metadata"]["limit_remaining"].startswith("0.000")
    assert refused.headers["x-should-retry"] == "false"
    small = await call(10)
    assert small.status == 200
    cost += provider.requests[-1].bill.prompt * 1000 + 4 * 2000
    assert (await ask(gateway, chat())).status == 200
    await gateway.entry(small.headers["x-request-id"])

    async with Raw(gateway.port) as raw:
        await raw.send(
            b"GET /v1/key HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n\r\n" % b"sk-tight-0123456789abcdef"
        )
        figures = (await raw.answer()).json["data"]
    assert figures["limit"] == 0.001
    assert figures["usage"] == pytest.approx(cost / 1e9)
    assert figures["limit_remaining"] == pytest.approx(0.001 - cost / 1e9)


async def test_parallel_calls_cannot_overdraw_a_budget(launch: Launch, provider: FakeProvider) -> None:
    """Of fifty calls at once only as many are let in as the budget holds in the worst case."""
    tight = {"name": "tight", "key": KEY, "budget": 0.0005}
    gateway = await launch(configuration(provider.base_url, auth={"keys": [tight]}))

    async def call() -> Answer:
        async with Raw(gateway.port) as raw:
            await raw.send(post(chat("mock", max_tokens=4)))
            return await raw.answer()

    answers = await asyncio.gather(*(call() for _ in range(50)))
    assert {answer.status for answer in answers} == {200, 402}
    served = sum(answer.status == 200 for answer in answers)
    await until(lambda: len(gateway.ledger()) >= served and not gateway.reservations())
    assert 0 < sum(entry.charged for entry in gateway.ledger()) <= 500_000
