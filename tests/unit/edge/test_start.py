"""From a body to what it asks for: one exchange, several, an estimate, or a refusal."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import WHOLE, Bench, Client, answer, bench, request, snapshot
from tokenway.edge import start as start_module
from tokenway.model.catalog import Dialect, Endpoint, EndpointLimits, Model, Provider
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Snapshot

CLAUDE = Provider("p", "http://upstream/v1", Dialect.ANTHROPIC, api_keys=(Secret("sk-up"),))
GEMINI = Provider("p", "http://upstream/v1beta", Dialect.GEMINI, api_keys=(Secret("sk-up"),))
COUNT = b'{"model":"m","messages":[{"role":"user","content":"12345678"}]}'


def shown(client: Client) -> Any:
    """The body of the caller's answer."""
    return msgspec.json.decode(client.written.partition(b"\r\n\r\n")[2])


async def asked(made: Bench, body: bytes, path: bytes = b"/v1/chat/completions", **headers: str) -> Client:
    """A caller's request and its answer."""
    client = made.connect()
    client.send(request(body, path, **headers))
    await until(lambda: bool(client.statuses))
    return client


async def test_a_request_becomes_one_exchange() -> None:
    """Reserved, asked and settled."""
    async with bench([[answer(WHOLE)]]) as made:
        client = await asked(made, b'{"model":"m","messages":[]}')
        assert (client.statuses, len(made.books.settled)) == ([200], 1)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b'{"model":"m"}', 400), (b'{"model":"nobody","messages":[]}', 404)],
    ids=["no JSON", "no messages", "no such model"],
)
async def test_what_cannot_be_served_costs_nothing(body: bytes, status: int) -> None:
    """No exchange begins."""
    async with bench() as made:
        client = await asked(made, body)
        assert (client.statuses, made.books.records, made.network.dials) == ([status], [], [])


async def test_a_count_that_no_provider_makes_is_estimated() -> None:
    """At once, and it says so; nothing is asked, reserved or charged."""
    async with bench() as made:
        client = await asked(made, COUNT, b"/v1/messages/count_tokens")
        assert shown(client) == {"input_tokens": 14, "estimated": True}
        assert b"\r\nx-tokenway-estimated: true\r\n" in client.written
        assert b"\r\nx-tokenway-model: m\r\n" in client.written
        assert (made.books.records, made.network.dials) == ([], [])


async def test_a_count_of_a_wrong_request_is_refused() -> None:
    """As the request itself would be."""
    async with bench() as made:
        wrong = COUNT.replace(b'"user"', b'"nobody"')
        client = await asked(made, wrong, b"/v1/messages/count_tokens")
        assert (client.statuses, shown(client)["error"]["type"]) == ([400], "invalid_request_error")


async def test_a_provider_that_counts_is_asked() -> None:
    """Its count is passed on as it came, and costs nothing."""
    async with bench([[answer(b'{"input_tokens":9}')]], what=snapshot(providers={"p": CLAUDE})) as made:
        client = await asked(made, COUNT, b"/v1/messages/count_tokens")
        assert shown(client) == {"input_tokens": 9}
        assert b"x-tokenway-estimated" not in client.written
        assert made.network.requests[0].startswith(b"POST /v1/messages/count_tokens HTTP/1.1\r\n")
        assert [each.charged for each in made.books.settled] == [0]


async def test_several_answers_take_several_exchanges() -> None:
    """Where no endpoint makes them at once."""
    async with bench(what=snapshot(providers={"p": CLAUDE})) as made:
        client = made.connect()
        client.send(request(b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":3}'))
        await until(lambda: len(made.network.requests) == 3)
        client.lose()
        assert len(made.books.settled) == 3


async def test_a_form_is_passed_with_its_files() -> None:
    """Byte for byte, but for the model's name; its type goes along."""
    kind = "multipart/form-data; boundary=XX"
    form = (
        b'--XX\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n%b\r\n'
        b'--XX\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--XX--\r\n'
    ) % bytes(range(256))
    async with bench([[answer(b'{"text":"hi"}')]]) as made:
        client = await asked(made, form, b"/v1/audio/transcriptions", content_type=kind)
        assert (client.statuses, shown(client)["text"]) == ([200], "hi")
        head, _, body = made.network.requests[0].partition(b"\r\n\r\n")
        assert body == form.replace(b"\r\n\r\nm\r\n", b"\r\n\r\nup\r\n")
        assert b"\r\ncontent-type: multipart/form-data; boundary=XX\r\n" in head + b"\r\n"
        assert head.startswith(b"POST /v1/audio/transcriptions HTTP/1.1\r\n")


@pytest.mark.parametrize(("query", "is_array"), [(b"", True), (b"?alt=sse", False)])
async def test_google_streams_as_a_list_unless_it_is_asked_for_events(query: bytes, is_array: bool) -> None:
    """The query says it."""
    body = b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'
    event = (
        b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP","index":0}],'
        b'"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":2}}\r\n\r\n'
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(event)
    async with bench([[head, event]], what=snapshot(providers={"p": GEMINI})) as made:
        client = made.connect()
        client.send(request(body, b"/v1beta/models/m:streamGenerateContent" + query))
        await until(lambda: client.written.endswith(b"0\r\n\r\n"))
        payload = client.written.partition(b"\r\n\r\n")[2]
        assert (b"data: {" in payload) is not is_array
        assert (b"\n[{" in payload) is is_array


async def test_a_model_of_no_operation_is_refused() -> None:
    """An endpoint of another dialect has no moderations."""
    models = {"m": Model("m", (Endpoint("p", "up"),))}
    async with bench(what=snapshot(providers={"p": CLAUDE}, models=models)) as made:
        client = await asked(made, b'{"model":"m","input":"x"}', b"/v1/moderations")
        assert client.statuses == [400]


CHAT = request(b'{"model":"m","messages":[]}')


def one_at_a_time(limit: int | None = 1) -> Snapshot:
    """A model whose only endpoint takes so many calls at once."""
    return snapshot(models={"m": Model("m", (Endpoint("p", "up", limits=EndpointLimits(concurrency=limit)),))})


def ask(made: Bench, count: int) -> list[Client]:
    """Callers, one after the other."""
    clients = [made.connect() for _ in range(count)]
    for client in clients:
        client.send(CHAT)
    return clients


async def test_who_waits_for_a_limit_goes_when_a_call_before_it_ends() -> None:
    """However it ends; one for each, in the order in which they came."""
    async with bench([[]], [[answer(WHOLE)]], [[]], what=one_at_a_time()) as made:
        clients, line = ask(made, 4), made.state.fleet.line
        await until(lambda: len(made.network.requests) == 1)
        assert len(line) == 3
        clients[0].lose()
        await until(lambda: clients[1].statuses == [200] and len(made.network.requests) == 3)
        assert (len(line), clients[3].statuses) == (1, [])
        clients[2].lose()
        await until(lambda: len(made.network.requests) == 4)
        assert len(line) == 0


async def test_a_caller_who_leaves_the_line_is_never_asked_for() -> None:
    """And nothing is kept of it."""
    async with bench([[]], [[answer(WHOLE)]], what=one_at_a_time()) as made:
        clients, line = ask(made, 3), made.state.fleet.line
        await until(lambda: len(made.network.requests) == 1)
        clients[1].lose()
        assert len(line) == 1
        clients[0].lose()
        await until(lambda: clients[2].statuses == [200])
        assert (len(made.network.requests), len(made.books.settled), len(line)) == (2, 2, 0)


@pytest.mark.parametrize("limit", [4, None])
async def test_other_limits_hold_for_those_who_wait(limit: int | None) -> None:
    """A snapshot that raises or lifts a limit lets them go, and those that are under way count."""
    async with bench(*[[[]]] * 4, what=one_at_a_time()) as made:
        ask(made, 4)
        made.state.adopt(one_at_a_time(2))
        await until(lambda: len(made.network.requests) == 2)
        assert len(made.state.fleet.line) == 2
        made.state.adopt(one_at_a_time(limit))
        await until(lambda: len(made.network.requests) == 4)
        assert len(made.state.fleet.line) == 0


async def test_a_model_that_is_gone_is_waited_for_by_nobody() -> None:
    """They are told so."""
    async with bench([[]], what=one_at_a_time()) as made:
        clients = ask(made, 3)
        made.state.adopt(snapshot(models={}))
        await until(lambda: clients[2].statuses == [404])
        assert ([each.statuses for each in clients], len(made.state.fleet.line)) == ([[], [404], [404]], 0)


async def test_nobody_waits_for_a_limit_beyond_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, and says when to come again."""
    monkeypatch.setattr(start_module, "WAIT_MAX", 0.05)
    async with bench([[]], what=one_at_a_time()) as made:
        clients = ask(made, 2)
        await until(lambda: clients[1].statuses == [429])
        assert b"\r\nretry-after: 1\r\n" in clients[1].written
        assert len(made.state.fleet.line) == 0


async def test_who_waits_counts_from_the_whole_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that took long to arrive has taken nothing of its caller's time in line."""
    monkeypatch.setattr(start_module, "WAIT_MAX", 0.3)
    async with bench([[]], [[answer(WHOLE)]], what=one_at_a_time()) as made:
        first, late = made.connect(), made.connect()
        first.send(CHAT)
        late.send(CHAT[:-10])
        await asyncio.sleep(0.35)
        late.send(CHAT[-10:])
        assert (late.statuses, len(made.state.fleet.line)) == ([], 1)
        first.lose()
        await until(lambda: late.statuses == [200])
