"""Providers that misbehave: what the caller is told, and that nobody gets another one's answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.gateway import Gateway, configuration, serving, until
from tests.e2e.raw import Answer, Raw, chat, post
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
OTHERS = b'{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"content":"SECRET"}}]}'
RESPONSE = JSON_HEAD + b"content-length: %d\r\n\r\n%b" % (len(OTHERS), OTHERS)
HTML = b"<!doctype html><html><body>Welcome to the captive portal</body></html>"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def strict(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that tries each call once, so that a fault is what the caller sees."""
    config = configuration(provider.base_url, retries={"max": 0})
    async with serving(tmp_path_factory.mktemp("strict"), config) as running:
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


NOT_AN_ANSWER = {
    "204": Script(status=204),
    "302 to elsewhere": Script(status=302, location="http://127.0.0.1:1/v1/chat/completions"),
    "304": Script(raw=b"HTTP/1.1 304 Not Modified\r\n\r\n", close=True),
    "200 of HTML": Script(body=HTML, content_type="text/html"),
    "200 of HTML called JSON": Script(body=HTML, content_type="application/json"),
    "200 of HTML called a stream": Script(body=HTML, content_type="text/event-stream"),
    "200 of text": Script(body=b"ok", content_type="text/plain"),
    "200 of nothing": Script(body=b"", content_type="application/json"),
    "200 without a type": Script(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
    "an empty object": Script(body=b"{}"),
    "a list": Script(body=b"[]"),
    "another dialect": Script(body=b'{"type":"message","content":[{"type":"text","text":"hi"}]}'),
    "an error in 200": Script(error="the model is on fire"),
    "no HTTP": Script(raw=b"hello, this is not HTTP\r\n\r\n", hang_up="close"),
    "SSH": Script(raw=b"SSH-2.0-OpenSSH_9.2\r\n", hang_up="close"),
    "half a head": Script(reset="head"),
    "nothing at all": Script(reset="request"),
    "a reset": Script(reset="rst"),
    "two lengths": Script(raw=JSON_HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
    "length and chunked": Script(
        raw=JSON_HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
    "a broken chunk": Script(raw=STREAM_HEAD + b"zz\r\ndata: x\n\n\r\n"),
    "an unasked compression": Script(raw=JSON_HEAD + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b"),
    "a huge head": Script(raw=b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n"),
    "a switch of protocols": Script(
        raw=b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
    ),
    "a stream that is empty": Script(raw=STREAM_HEAD + b"0\r\n\r\n"),
    "a stream that only ends": Script(raw=STREAM_HEAD + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"),
    "a stream of no JSON": Script(raw=STREAM_HEAD + b"c\r\ndata: hello\n\n\r\n0\r\n\r\n"),
}


WRONG_LENGTHS = {
    "a shorter body than it says": Script(length_delta=10),
    "a longer body than it says": Script(length_delta=-10),
}
CASES = [(name, script, stream) for name, script in NOT_AN_ANSWER.items() for stream in (False, True)]
CASES += [(name, script, False) for name, script in WRONG_LENGTHS.items()]


@pytest.mark.parametrize(
    ("script", "stream"),
    [(script, stream) for _, script, stream in CASES],
    ids=[f"{name}, {'streaming' if stream else 'whole'}" for name, _, stream in CASES],
)
async def test_what_is_no_answer_is_an_upstream_failure(
    strict: Gateway, provider: FakeProvider, script: Script, stream: bool
) -> None:
    """Never an empty success: a 502 that names the endpoint, nothing charged, no redirect followed."""
    await provider.close_idle()  # a pooled connection that fails without a byte would be tried once more
    before = len(provider.requests)
    answer = await ask(strict, provider, script, stream=stream)
    assert answer.status == 502, answer
    assert answer.error["metadata"]["error_type"] == "provider_unavailable"
    assert "lab/fake" in answer.error["message"]
    assert answer.headers["x-should-retry"] == "true"
    assert "<" not in answer.error["message"]
    entry = await strict.entry(answer.headers["x-request-id"])
    assert (entry.status, entry.charged) == (502, 0)
    assert entry.settlement in {"absorbed", "released"}
    assert len(provider.requests) == before + 1
    assert (await ask(strict, provider, Script(), stream=stream)).status == 200


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
    strict: Gateway, provider: FakeProvider, script: Script, stream: bool
) -> None:
    """An early response or a stray byte on a pooled connection ends it; the next callers get their own answers."""
    first = await ask(strict, provider, script, stream=stream)
    assert b"SECRET" not in first.body
    link = provider.requests[-1].link
    if script.stray:
        await until(link.gone.is_set)
    for number in range(5):
        async with Raw(strict.port) as raw:
            await raw.send(post(chat(f"lab/fake?text=mine{number}", stream=False)))
            answer = await raw.answer()
        assert answer.json["choices"][0]["message"]["content"] == f"mine{number}"
        assert provider.requests[-1].link is not link


async def test_stray_responses_under_load_reach_nobody(strict: Gateway, provider: FakeProvider) -> None:
    """While idle connections are fed with foreign responses, each of two hundred callers gets its own answer."""

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
        fed += await provider.send_stray(RESPONSE)
    assert fed > 10


async def test_a_connection_closed_while_idle_costs_no_call(strict: Gateway, provider: FakeProvider) -> None:
    """A provider ends its keep-alive whenever it likes; the next call goes over a new connection."""
    await ask(strict, provider, Script(), stream=False)
    assert await provider.close_idle() >= 1
    assert (await ask(strict, provider, Script(), stream=False)).status == 200


@pytest.mark.parametrize("how", ["close", "rst"])
async def test_a_connection_that_hangs_up_after_its_answer(strict: Gateway, provider: FakeProvider, how: str) -> None:
    """Without having said so: the answer counts, and the call after it succeeds."""
    for _ in range(5):
        answer = await ask(strict, provider, Script(hang_up=how), stream=False)
        assert answer.json["choices"]


async def test_interim_responses_are_skipped(strict: Gateway, provider: FakeProvider) -> None:
    """Early hints come before the answer and are not the answer."""
    for stream in (False, True):
        answer = await ask(strict, provider, Script(interim=3), stream=stream)
        assert answer.status == 200
        assert b"w3" in answer.body


@pytest.mark.parametrize("how", ["close", "rst", "end"])
@pytest.mark.parametrize("inside", [0, 20], ids=["between events", "inside an event"])
async def test_a_stream_that_is_cut_ends_with_an_error(
    strict: Gateway, provider: FakeProvider, how: str, inside: int
) -> None:
    """What came is passed on whole, then an error event in the stream; never a quiet end, never half an event."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=6, cut=3, cut_inside=inside, cut_how=how, gate=gate))
    async with Raw(strict.port) as raw:
        await raw.send(post(chat(stream=True)))
        status, headers = await raw.head()
        assert status == 200
        gate.release()
        gate.release()
        body = b"".join([chunk async for chunk in raw.chunks()]).decode()
        assert await raw.is_usable()
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    words = [event["choices"][0]["delta"]["content"] for event in events if "error" not in event]
    # A reset may destroy what was sent right before it.
    assert words == ["w0 ", "w1 ", "w2 "] if how != "rst" else words[0] == "w0 "
    assert "lab/fake" in events[-1]["error"]["message"]
    assert events[-1]["choices"][0]["finish_reason"] == "error"
    entry = await strict.entry(headers["x-request-id"])
    assert (entry.settlement, entry.charged) == ("absorbed", 0)


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
