"""The fake provider does what its scripts say: tests that stand on it may believe it."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import socket
import struct
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contract.upstreams import Heard, until
from tests.fake_provider import Bill, FakeProvider, Script, UsageMode, spell
from tests.fake_provider.scripts import read
from tokenway.aio.tasks import Tasks
from tokenway.model.faults import Fault
from tokenway.upstream.pool import Pool
from tokenway.upstream.transport import parse_base_url

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "say a few words"}]}
STREAM = CHAT | {"stream": True}
ASKED = STREAM | {"stream_options": {"include_usage": True}}


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """A provider whose own code may not fail."""
    async with FakeProvider() as running:
        yield running
    assert running.errors == []


@pytest.fixture
async def pool(provider: FakeProvider) -> AsyncIterator[Pool]:
    """Connections to it."""
    tasks = Tasks(lambda _name, error: pytest.fail(repr(error)))
    made = Pool(parse_base_url(provider.base_url)[0], asyncio.get_running_loop(), tasks)
    yield made
    await made.close()


def begin(pool: Pool, body: dict[str, Any], path: str = "chat/completions") -> Heard:
    """Sends a request and returns what will be heard."""
    data = json.dumps(body).encode()
    heard = Heard()
    heard.call = pool.open(
        b"POST /v1/%b HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (path.encode(), len(data), data), heard
    )
    return heard


async def post(pool: Pool, body: dict[str, Any], path: str = "chat/completions") -> Heard:
    """One request to its end."""
    heard = begin(pool, body, path)
    await heard.over()
    return heard


def events(body: bytes) -> list[Any]:
    """The data of each event, decoded unless it is `[DONE]`."""
    blocks = body.decode(errors="replace").replace("\r\n", "\n").split("\n\n")
    lines = [line for block in blocks for line in block.split("\n") if line.startswith("data: ")]
    return [line[6:] if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


def text(body: bytes) -> str:
    """A stream's whole text."""
    deltas = [event["choices"][0]["delta"] for event in events(body) if event != "[DONE]" and event["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


async def test_a_whole_answer_tells_what_it_bills(provider: FakeProvider, pool: Pool) -> None:
    """A chat answer holds its tokens and a usage equal to the bill that the provider keeps."""
    provider.queue(Script(chunks=3, prompt=10, cached=4, reasoning=1))
    answer = json.loads((await post(pool, CHAT)).body)
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "w1 w2 ", "reasoning_content": "w0 "}
    assert answer["usage"]["prompt_tokens"] == 10
    assert answer["usage"]["total_tokens"] == 13
    assert provider.bill == Bill(prompt=10, cached=4, completion=3, reasoning=1)
    assert provider.requests[0].complete


async def test_a_stream_is_events_and_done(provider: FakeProvider, pool: Pool) -> None:
    """Each token is an event, then the reason to stop, the usage that was asked for, and one [DONE]."""
    heard = await post(pool, ASKED)
    told = events(heard.body)
    assert heard.headers.get(b"content-type") == b"text/event-stream; charset=utf-8"
    assert text(heard.body) == "w0 w1 w2 w3 "
    assert told[-3]["choices"][0]["finish_reason"] == "stop"
    assert told[-2]["choices"] == []
    assert told[-2]["usage"]["completion_tokens"] == 4
    assert told[-1] == "[DONE]"
    assert provider.bill.completion == 4
    assert provider.requests[0].sent == 4


@pytest.mark.parametrize(
    ("mode", "asked", "counts"),
    [
        (UsageMode.ASKED, False, []),
        (UsageMode.ASKED, True, [4]),
        (UsageMode.ALWAYS, False, [4]),
        (UsageMode.NONE, True, []),
        (UsageMode.EARLY, False, [4]),
        (UsageMode.EVERY, False, [1, 2, 3, 4]),
        (UsageMode.ABSURD, False, [10**12]),
        (UsageMode.NEGATIVE, False, [-5]),
    ],
)
async def test_usage_comes_as_the_mode_says(
    provider: FakeProvider, pool: Pool, mode: UsageMode, asked: bool, counts: list[int]
) -> None:
    """Each mode tells its counts, and lies never change the bill."""
    provider.queue(Script(usage=mode))
    heard = await post(pool, ASKED if asked else STREAM)
    told = [event["usage"]["completion_tokens"] for event in events(heard.body)[:-1] if "usage" in event]
    assert told == counts
    assert provider.bill.completion == 4


@pytest.mark.parametrize("done", [0, 1, 2])
async def test_done_is_said_as_often_as_told(provider: FakeProvider, pool: Pool, done: int) -> None:
    """A missing or repeated [DONE] still is a stream with a clean end."""
    provider.queue(Script(done=done))
    heard = await post(pool, STREAM)
    assert events(heard.body).count("[DONE]") == done
    assert heard.calls[-1] == "end"


async def test_dress_does_not_change_the_text(provider: FakeProvider, pool: Pool) -> None:
    """CR LF, comments and a first chunk without choices are other bytes for the same answer."""
    provider.queue(Script(crlf=True, comments=True, empty_first=True, interim=2, drip=5))
    heard = await post(pool, STREAM)
    assert text(heard.body) == "w0 w1 w2 w3 "
    assert b": keep-alive\r\n\r\n" in heard.body
    assert events(heard.body)[0]["choices"] == []


async def test_lines_can_end_in_cr_alone(provider: FakeProvider, pool: Pool) -> None:
    """As the standard allows: the bytes hold no LF."""
    provider.queue(Script(cr=True))
    body = (await post(pool, STREAM)).body
    assert b"\n" not in body
    assert text(body.replace(b"\r", b"\n")) == "w0 w1 w2 w3 "


@pytest.mark.parametrize("request_body", [CHAT, STREAM], ids=["whole", "stream"])
async def test_a_body_can_be_packed(provider: FakeProvider, pool: Pool, request_body: dict[str, Any]) -> None:
    """What comes says that it is gzip, and is: a client that inflates it has the answer as it is without."""
    provider.queue(Script(), Script(packed="gzip"))
    plain = (await post(pool, request_body)).body
    heard = await post(pool, request_body)
    assert heard.headers.get(b"content-encoding") == b"gzip"
    assert heard.body == plain


async def test_an_event_can_be_malformed(provider: FakeProvider, pool: Pool) -> None:
    """It stands between the others, which all come."""
    provider.queue(Script(), Script(malformed=2))
    plain = (await post(pool, STREAM)).body.split(b"\n\n")
    told = (await post(pool, STREAM)).body.split(b"\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(told[2].removeprefix(b"data: "))
    assert told[:2] + told[3:] == plain


async def test_a_stream_can_become_slow(provider: FakeProvider, pool: Pool) -> None:
    """The gap grows after so many tokens; a body can drip behind a head that came at once."""
    loop = asyncio.get_running_loop()
    provider.queue(Script(chunks=4, slow_after=3, slow_gap=0.2), Script(chunks=1, drip=200, drip_gap=0.2))
    began = loop.time()
    await post(pool, STREAM)
    assert loop.time() - began >= 0.2
    began = loop.time()
    heard = begin(pool, CHAT)
    await heard.until("head")
    assert not heard.is_over
    await heard.over()
    assert loop.time() - began >= 0.2
    assert json.loads(heard.body)["choices"]


async def test_a_script_can_be_for_some_requests(provider: FakeProvider, pool: Pool) -> None:
    """The first ones of a model; then the default treats them."""
    flaky = CHAT | {"model": spell(status=500, times=2)}
    assert [(await post(pool, flaky)).status for _ in range(4)] == [500, 500, 200, 200]


async def test_it_can_be_down_and_up_again(provider: FakeProvider, pool: Pool) -> None:
    """A crash resets what runs, then nobody is let in, then it serves at the same address."""
    provider.queue(Script(stall=1))
    heard = begin(pool, STREAM)
    await heard.until("body")
    await provider.down()
    await heard.over()
    assert heard.fault is Fault.RESET
    assert (await post(pool, STREAM)).fault is Fault.CONNECT
    await provider.up()
    assert text((await post(pool, STREAM)).body) == "w0 w1 w2 w3 "


async def test_a_gate_sends_a_token_for_each_release(provider: FakeProvider, pool: Pool) -> None:
    """The test decides when each token leaves: none before it is released."""
    gate = asyncio.Semaphore(0)
    provider.queue(Script(gate=gate))
    heard = begin(pool, STREAM)
    await heard.until("head")
    request = await provider.received(1)
    for released in range(1, 5):
        gate.release()
        await until(lambda count=released: b"w%d " % (count - 1) in heard.body)  # type: ignore[misc]
        assert b"w%d " % released not in heard.body
        assert request.sent == released
    await heard.over()
    assert heard.calls[-1] == "end"


async def test_a_client_that_leaves_stops_the_generation(provider: FakeProvider, pool: Pool) -> None:
    """When the client closes, the provider stops, bills what it sent and knows that it was not all."""
    provider.queue(Script(stall=2, prompt=7))
    heard = begin(pool, STREAM)
    await until(lambda: b"w1 " in heard.body)
    assert heard.call is not None
    heard.call.cancel()
    request = await provider.received(1)
    await request.over.wait()
    assert not request.complete
    assert request.bill == Bill(prompt=7, completion=2)


@pytest.mark.parametrize(
    ("script", "fault", "status"),
    [
        (Script(reset="request"), Fault.RESET, 0),
        (Script(reset="rst"), Fault.RESET, 0),
        (Script(reset="head"), Fault.RESET, 0),
        (Script(reset="body"), Fault.RESET, 200),
        (Script(status=503, reset="body", cut_how="rst"), Fault.RESET, 503),
        (Script(raw=b"HTTP/1.1 200 OK\r\n", endless=b"x-a: b\r\n"), Fault.FRAMING, 0),
        (Script(cut=2), Fault.RESET, 200),
        (Script(cut=2, cut_how="rst"), Fault.RESET, 200),
        (Script(cut=2, cut_how="end"), None, 200),
        (Script(surplus=b"x"), Fault.FRAMING, 200),
        (Script(status=500, length_delta=3), Fault.RESET, 500),
        (Script(status=500, length_delta=-3), Fault.FRAMING, 500),
        (Script(raw=b"HTTP/1.1 banana\r\n\r\n"), Fault.FRAMING, 0),
        (Script(status=429, retry_after="2"), None, 429),
        (Script(status=204), None, 204),
        (Script(status=302, location="http://127.0.0.1:1/"), None, 302),
        (Script(error="broken"), None, 200),
        (Script(body=b"<html>", content_type="text/html"), None, 200),
        (Script(until_close=True), None, 200),
        (Script(close=True), None, 200),
    ],
    ids=[
        "no answer",
        "reset",
        "half a head",
        "head alone",
        "half a body",
        "endless head",
        "cut",
        "cut by reset",
        "cut with a clean end",
        "surplus",
        "length too long",
        "length too short",
        "no HTTP",
        "429",
        "204",
        "302",
        "error in a 200",
        "page",
        "until close",
        "close",
    ],
)
async def test_each_misbehaviour_arrives_as_itself(
    provider: FakeProvider, pool: Pool, script: Script, fault: Fault | None, status: int
) -> None:
    """A client with strict HTTP hears the fault that the script makes, and the status where there is one."""
    provider.queue(script)
    heard = await post(pool, STREAM)
    assert (heard.fault, heard.status) == (fault, status), heard.detail
    if script.retry_after:
        assert heard.headers.get(b"retry-after") == b"2"
    if script.location:
        assert heard.headers.get(b"location") == b"http://127.0.0.1:1/"
    if script.content_type:
        assert heard.headers.get(b"content-type") == b"text/html"
    if script.error:
        assert json.loads(heard.body)["error"]["message"] == "broken"


async def test_a_cut_can_fall_inside_a_character(provider: FakeProvider, pool: Pool) -> None:
    """`cut_inside` sends so many bytes of the next event, also half of a UTF-8 sequence."""
    whole = Script(text="aéb")
    provider.queue(whole)
    body = (await post(pool, STREAM)).body
    second = body.index(b"\n\n") + 2
    inside = body.index("é".encode()) + 1 - second
    provider.queue(Script(text="aéb", cut=1, cut_inside=inside))
    heard = await post(pool, STREAM)
    assert heard.body == body[: second + inside]
    with pytest.raises(UnicodeDecodeError):
        heard.body.decode()


async def test_an_error_can_come_in_the_middle(provider: FakeProvider, pool: Pool) -> None:
    """After `error_after` tokens the stream holds an error object and ends."""
    provider.queue(Script(error_after=1, error="overloaded"))
    told = events((await post(pool, STREAM)).body)
    assert len(told) == 2
    assert told[1]["error"]["message"] == "overloaded"


async def test_stray_bytes_come_when_the_connection_is_idle(provider: FakeProvider, pool: Pool) -> None:
    """`stray` follows a good answer in a write of its own, which costs the client its connection."""
    provider.queue(Script(stray=b"x", stray_after=0.0))
    assert (await post(pool, CHAT)).calls[-1] == "end"
    await until(lambda: pool.open_connections == 0)


async def test_embeddings_are_floats_or_base64(provider: FakeProvider, pool: Pool) -> None:
    """Both encodings hold the same vectors, one for each input."""
    asked = {"model": "e", "input": ["a", "b"]}
    floats = json.loads((await post(pool, asked, "embeddings")).body)
    packed = json.loads((await post(pool, asked | {"encoding_format": "base64"}, "embeddings")).body)
    assert len(floats["data"]) == 2
    for plain, coded in zip(floats["data"], packed["data"], strict=True):
        assert list(struct.unpack("<8f", base64.b64decode(coded["embedding"]))) == plain["embedding"]
    assert floats["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert provider.bill == Bill(prompt=4)


async def test_completions_answer_a_prompt(provider: FakeProvider, pool: Pool) -> None:
    """`/completions` speaks of text, whole and in a stream."""
    asked = {"model": "c", "prompt": "one two"}
    answer = json.loads((await post(pool, asked, "completions")).body)
    assert answer["choices"][0]["text"] == "w0 w1 w2 w3 "
    told = events((await post(pool, asked | {"stream": True}, "completions")).body)
    assert "".join(event["choices"][0]["text"] for event in told[:-1]) == "w0 w1 w2 w3 "
    assert provider.requests[0].bill == Bill(prompt=2, completion=4)


def test_a_name_spells_a_script() -> None:
    """What `spell` writes, `read` understands; other names leave the default, and a wrong field is an error."""
    script = Script(chunks=64, gap=0.02, usage=UsageMode.NONE, crlf=True, surplus=b"x")
    assert read(spell(chunks=64, gap=0.02, usage=UsageMode.NONE, crlf=True, surplus="x"), Script()) == script
    assert read("gpt-4o", script) is script
    assert spell() == "fake"
    with pytest.raises(ValueError, match="no speed"):
        spell(speed=1)
    for wrong in ("fake?speed=1", "fake?gate=1", "fake?chunks=many"):
        with pytest.raises(ValueError):
            read(wrong, Script())


async def test_the_name_chooses_when_the_queue_is_empty(provider: FakeProvider, pool: Pool) -> None:
    """The queue goes first, then the model's name, then the default."""
    provider.queue(Script(status=503))
    named = CHAT | {"model": spell(status=418)}
    statuses = [(await post(pool, body)).status for body in (named, named, CHAT)]
    assert statuses == [503, 418, 200]


async def test_another_client_reads_the_same(provider: FakeProvider) -> None:
    """The standard library's client gets a stream, its headers and the list of models."""

    def fetch() -> tuple[int, bytes, list[str]]:
        connection = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=10)
        connection.request("POST", "/v1/chat/completions", json.dumps(STREAM), {"authorization": "Bearer x"})
        answer = connection.getresponse()
        body = answer.read()
        connection.request("GET", "/v1/models")
        models = json.loads(connection.getresponse().read())
        connection.close()
        return answer.status, body, [model["id"] for model in models["data"]]

    status, body, models = await asyncio.to_thread(fetch)
    assert (status, text(body), models) == (200, "w0 w1 w2 w3 ", ["fake"])
    assert provider.requests[0].header("authorization") == "Bearer x"
    assert [request.reused for request in provider.requests] == [False, True]


async def test_a_script_with_a_bug_hangs_nobody() -> None:
    """A model name that spells nonsense closes the connection and is kept as an error."""
    async with FakeProvider() as broken:
        tasks = Tasks(lambda _name, error: pytest.fail(repr(error)))
        pool = Pool(parse_base_url(broken.base_url)[0], asyncio.get_running_loop(), tasks)
        heard = await post(pool, CHAT | {"model": "fake?speed=1"})
        await pool.close()
        assert heard.fault is Fault.RESET
        assert len(broken.errors) == 1


async def test_it_runs_as_a_program() -> None:
    """`python -m tests.fake_provider` says where it listens and serves there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.fake_provider",
        "--port",
        str(port),
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdout is not None
    assert (await program.stdout.readline()).decode().strip() == f"base_url: http://127.0.0.1:{port}/v1"
    tasks = Tasks(lambda _name, error: pytest.fail(repr(error)))
    pool = Pool(parse_base_url(f"http://127.0.0.1:{port}")[0], asyncio.get_running_loop(), tasks)
    heard = await post(pool, STREAM)
    await pool.close()
    program.terminate()
    await program.communicate()
    assert text(heard.body) == "w0 w1 w2 w3 "
