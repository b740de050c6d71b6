"""Pooled connections, on which nobody gets another one's answer; and what goes over them, to the byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.faults.catalogue import JSON_HEAD, chunked
from tests.e2e.gateway import Gateway, configuration, serving, until
from tests.e2e.raw import Answer, Raw, chat, post
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHERS = b'{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"content":"SECRET"}}]}'
RESPONSE = JSON_HEAD + b"content-length: %d\r\n\r\n%b" % (len(OTHERS), OTHERS)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def strict(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that tries each call once, so that a fault is what the caller sees."""
    config = configuration(provider.base_url, retries={"max": 0})
    async with serving(tmp_path_factory.mktemp("strict"), config) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def wary(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """Another one, whose provider sends what nobody asked for, and is not trusted with a connection twice."""
    config = configuration(provider.base_url, retries={"max": 0})
    async with serving(tmp_path_factory.mktemp("wary"), config) as running:
        yield running


async def ask(gateway: Gateway, provider: FakeProvider, script: Script, *, stream: bool) -> Answer:
    """One call that meets the script; the connection to the gateway must stay usable unless it says otherwise."""
    provider.queue(script)
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=stream)))
        answer = await raw.answer()
        assert answer.headers.get("connection") != "close"
        assert await raw.is_usable()
    return answer


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    "script",
    [
        Script(surplus=b"x"),
        Script(surplus=RESPONSE),
        Script(stray=b"x"),
        Script(stray=RESPONSE),
        Script(stray=b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"),
        Script(stray=b"0\r\n\r\n"),
    ],
    ids=["a byte at once", "a response at once", "a byte later", "a response later", "a 408 later", "a chunk later"],
)
async def test_what_nobody_asked_for_reaches_nobody(
    wary: Gateway, provider: FakeProvider, script: Script, stream: bool
) -> None:
    """An early response or a stray byte on a pooled connection ends it; the next callers get their own answers."""
    first = await ask(wary, provider, script, stream=stream)
    assert b"SECRET" not in first.body
    link = provider.requests[-1].link
    if script.stray:
        await until(link.gone.is_set)
    for number in range(5):
        async with Raw(wary.port) as raw:
            await raw.send(post(chat(f"lab/fake?text=mine{number}", stream=False)))
            answer = await raw.answer()
        assert answer.json["choices"][0]["message"]["content"] == f"mine{number}"
        assert provider.requests[-1].link is not link


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_response_behind_an_answer_does_not_spoil_it(
    wary: Gateway, provider: FakeProvider, stream: bool
) -> None:
    """The answer is whole, and nobody asks, or pays, for it again."""
    before = len(provider.requests)
    answer = await ask(wary, provider, Script(surplus=RESPONSE), stream=stream)
    assert (answer.status, len(provider.requests)) == (200, before + 1)
    if stream:
        assert answer.body.endswith(b"data: [DONE]\n\n")
    else:
        assert answer.json["choices"][0]["finish_reason"] == "stop"
    await until(provider.requests[-1].link.gone.is_set)


async def test_after_a_response_nobody_asked_for_no_connection_is_used_twice(
    wary: Gateway, provider: FakeProvider
) -> None:
    """The next one could come a moment later, when the connection has its next request."""
    await ask(wary, provider, Script(stray=RESPONSE, stray_after=0.0), stream=False)
    await until(provider.requests[-1].link.gone.is_set)
    for _ in range(5):
        # What follows in a hundredth of a second would reach the next caller on the same connection.
        await ask(wary, provider, Script(stray=RESPONSE, stray_after=0.01), stream=False)
        assert b"SECRET" not in (await ask(wary, provider, Script(delay=0.05), stream=False)).body
        assert not any(each.reused for each in provider.requests[-2:])


async def test_stray_responses_under_load_reach_nobody(strict: Gateway, provider: FakeProvider) -> None:
    """While idle connections are fed with foreign farewells, each of two hundred callers gets its own answer."""
    farewell = RESPONSE.replace(b"200 OK", b"408 Request Timeout", 1)

    async def call(number: int) -> str:
        async with Raw(strict.port) as raw:
            await raw.send(post(chat(f"lab/fake?text=n{number}")))
            answer = await raw.answer()
            return str(answer.json["choices"][0]["message"]["content"])

    fed = 0
    for round_number in range(0, 200, 20):
        numbers = range(round_number, round_number + 20)
        answers = await asyncio.gather(*(call(number) for number in numbers))
        assert answers == [f"n{number}" for number in numbers]
        fed += await provider.send_stray(farewell)
    assert fed > 10


async def test_a_connection_closed_while_idle_costs_no_call(strict: Gateway, provider: FakeProvider) -> None:
    """A provider ends its keep-alive whenever it likes; the next call goes over a new connection."""
    await ask(strict, provider, Script(), stream=False)
    assert await provider.close_idle() >= 1
    assert (await ask(strict, provider, Script(), stream=False)).status == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("how", ["request", "rst"], ids=["closed", "reset"])
async def test_a_connection_that_ends_as_it_is_used_costs_no_call(
    strict: Gateway, provider: FakeProvider, how: str, stream: bool
) -> None:
    """A pooled one that fails before a byte of the answer was stale: once more over a new one, which is no retry."""
    await ask(strict, provider, Script(), stream=False)
    before = len(provider.requests)
    answer = await ask(strict, provider, Script(reset=how), stream=stream)
    assert (answer.status, answer.headers["x-tokenway-attempts"]) == (200, "1")
    stale, fresh = provider.requests[before:]
    assert (stale.reused, fresh.reused) == (True, False)
    assert stale.body == fresh.body


async def test_a_stale_connection_is_replaced_once(strict: Gateway, provider: FakeProvider) -> None:
    """What fails on a new connection too is a failure."""
    await ask(strict, provider, Script(), stream=False)
    before = len(provider.requests)
    provider.queue(Script(reset="request"))
    answer = await ask(strict, provider, Script(reset="request"), stream=False)
    assert answer.status == 502
    assert len(provider.requests) == before + 2


@pytest.mark.parametrize("how", ["close", "rst"])
async def test_a_connection_that_hangs_up_after_its_answer(strict: Gateway, provider: FakeProvider, how: str) -> None:
    """Without having said so: the answer counts, and the call after it succeeds."""
    for _ in range(5):
        answer = await ask(strict, provider, Script(hang_up=how), stream=False)
        assert answer.json["choices"]


async def test_how_a_broken_stream_ends(strict: Gateway, provider: FakeProvider) -> None:
    """What came, then one event that is an error and, as OpenRouter has it, a reason to stop; then the end mark."""
    provider.queue(Script(chunks=6, cut=3, gap=0.02))
    async with Raw(strict.port) as raw:
        await raw.send(post(chat(stream=True)))
        assert (await raw.head())[0] == 200
        body = b"".join([chunk async for chunk in raw.chunks()]).decode()
        assert await raw.is_usable()
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    assert [event["choices"][0]["delta"]["content"] for event in events[:-1]] == ["w0 ", "w1 ", "w2 "]
    assert "lab/fake" in events[-1]["error"]["message"]
    assert events[-1]["choices"][0]["finish_reason"] == "error"


async def test_an_answer_without_end(strict: Gateway, provider: FakeProvider) -> None:
    """It is given up at its bound: 502, and the provider is left."""
    head = JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n"
    provider.queue(Script(raw=head, endless=chunked(b" " * 1_000_000)))
    async with Raw(strict.port) as raw:
        await raw.send(post(chat()))
        answer = await raw.answer()
        assert (answer.status, answer.error["code"]) == (502, "too_large")
        assert await raw.is_usable()
    await until(provider.requests[-1].over.is_set)


async def test_an_error_event_in_a_stream_passes(strict: Gateway, provider: FakeProvider) -> None:
    """A provider's error inside a stream that has begun reaches the caller in the provider's words."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=6, error_after=2, error="out of memory", gate=gate))
    async with Raw(strict.port) as raw:
        await raw.send(post(chat(stream=True)))
        assert (await raw.head())[0] == 200
        gate.release()
        body = b"".join([chunk async for chunk in raw.chunks()]).decode()
        assert await raw.is_usable()
    last = [line for line in body.splitlines() if line.startswith("data: {")][-1]
    assert json.loads(last[6:])["error"]["message"] == "out of memory"
    assert "w1" in body


async def test_the_gateways_own_credentials_are_its_own_affair(strict: Gateway, provider: FakeProvider) -> None:
    """A refused provider key is told as such, and the provider's words about the key are not passed on."""
    refused = await ask(strict, provider, Script(status=401, error="Incorrect API key: sk-lab"), stream=False)
    forbidden = await ask(strict, provider, Script(status=403, error="not in your country"), stream=False)
    assert (refused.status, forbidden.status) == (401, 403)
    assert refused.error["metadata"]["error_type"] == "provider_authentication"
    assert forbidden.error["metadata"]["error_type"] == "provider_authentication"
    assert b"sk-lab" not in refused.body
    assert "not in your country" in forbidden.error["message"]


async def test_what_goes_upstream(strict: Gateway, provider: FakeProvider) -> None:
    """The provider sees its own key and the model's own name, and nothing of the caller's credentials."""
    async with Raw(strict.port) as raw:
        await raw.send(post(chat(temperature=0.5), b"x-api-key: mine", b"cookie: a=b", b"accept-encoding: gzip"))
        assert (await raw.answer()).status == 200
    received = provider.requests[-1]
    assert received.path == "/v1/chat/completions"
    assert received.header("authorization") == "Bearer sk-lab"
    assert received.header("accept-encoding") == "identity"
    assert received.header("host") == f"127.0.0.1:{provider.port}"
    assert {name for name, _ in received.headers} & {"x-api-key", "cookie"} == set()
    assert received.json == {
        "model": "fake",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
        "temperature": 0.5,
    }
