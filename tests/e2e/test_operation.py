"""A gateway in operation: changed configurations, new keys, signals, and what it tells about itself."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import httpx2
import pytest

from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, PRICE, WAIT_SECONDS, Gateway, configuration, until
from tests.e2e.raw import Answer, Raw, chat, get, post
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECOND = {"endpoints": [{"provider": "lab", "model": "fake", "price": PRICE}]}


async def fetch(gateway: Gateway, request: bytes) -> Answer:
    """One request on a connection of its own."""
    async with Raw(gateway.port) as raw:
        await raw.send(request)
        return await raw.answer()


async def models(gateway: Gateway) -> set[str]:
    """The names that can be asked for."""
    return {model["id"] for model in (await fetch(gateway, get(b"/v1/models"))).json["data"]}


async def is_let_in(gateway: Gateway, key: str) -> bool:
    """Whether a key opens the door."""
    request = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n\r\n" % key.encode()
    return (await fetch(gateway, request)).status == 200


# -- configuration -------------------------------------------------------------------------------------------


async def test_a_changed_file_takes_effect_without_a_restart(launch: Launch, provider: FakeProvider) -> None:
    """A new model is there soon, while a stream that is under way goes on and keeps its connection."""
    config = configuration(provider.base_url)
    gateway = await launch(config)
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=3, gate=gate))
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=True)))
        assert (await raw.head())[0] == 200
        gateway.write(config | {"models": config["models"] | {"second": SECOND}})

        async def is_there() -> bool:
            return "second" in await models(gateway)

        await until(is_there)
        gate.release()
        gate.release()
        body = b"".join([chunk async for chunk in raw.chunks()])
        assert body.endswith(b"data: [DONE]\n\n")
        await raw.send(post(chat("second")))
        assert (await raw.answer()).status == 200


async def test_sighup_reads_the_configuration_again(launch: Launch, provider: FakeProvider) -> None:
    """At once and whether it has changed or not; it says so, and nothing is interrupted."""
    gateway = await launch(configuration(provider.base_url))
    assert gateway.process is not None
    async with Raw(gateway.port) as raw:
        for count in (1, 2):
            gateway.process.send_signal(signal.SIGHUP)
            await until(lambda count=count: gateway.complaints.count("was read again") == count)  # type: ignore[misc]
            await raw.send(post(chat()))
            assert (await raw.answer()).status == 200


@pytest.mark.parametrize(
    "broken",
    ["models: [", "no-such-section: 1\n", '{"models": {"m": {"endpoints": [{"provider": "ghost", "model": "x"}]}}}'],
    ids=["not YAML", "unknown section", "unknown provider"],
)
async def test_a_broken_file_changes_nothing(gateway: Gateway, provider: FakeProvider, broken: str) -> None:
    """What is served stays as it was, and the reason is said; a corrected file is taken in."""
    said = len(gateway.complaints)
    gateway.write(broken)
    await until(lambda: "was not changed" in gateway.complaints[said:])
    assert "tokenway.yaml" in gateway.complaints[said:]
    assert (await fetch(gateway, post(chat()))).status == 200
    assert "mock" in await models(gateway)
    gateway.write(configuration(provider.base_url))
    await until(lambda: "was read again" in gateway.complaints[said:])
    assert (await fetch(gateway, post(chat()))).status == 200


async def test_a_provider_can_be_moved(launch: Launch, provider: FakeProvider) -> None:
    """After a reload calls go to the new address, and the old one hears no more."""
    async with FakeProvider(Script(text="moved")) as other:
        gateway = await launch(configuration(provider.base_url))
        assert (await fetch(gateway, post(chat()))).status == 200
        before = len(provider.requests)
        gateway.write(configuration(other.base_url))
        await until(lambda: "was read again" in gateway.complaints)

        async def has_moved() -> bool:
            answer = await fetch(gateway, post(chat()))
            return bool(answer.json["choices"][0]["message"]["content"] == "moved")

        await until(has_moved)
        after = len(provider.requests)
        assert (await fetch(gateway, post(chat()))).status == 200
        assert len(provider.requests) == after
        assert after - before < 50


async def test_keys_work_as_soon_as_they_exist(gateway: Gateway) -> None:
    """A key that was just created is let in, a rotated one replaces it, a revoked one is not let in."""
    key = (await gateway.run("keys", "create", "laptop")).strip()
    await until(lambda: is_let_in(gateway, key))
    rotated = json.loads(await gateway.run("keys", "rotate", "laptop", "--json"))["key"]
    await until(lambda: is_let_in(gateway, rotated))
    await gateway.run("keys", "revoke", "laptop")

    async def is_refused() -> bool:
        return not await is_let_in(gateway, rotated)

    await until(is_refused)
    assert await is_let_in(gateway, KEY)


# -- stopping ------------------------------------------------------------------------------------------------


async def test_sigterm_lets_open_streams_finish(launch: Launch, provider: FakeProvider) -> None:
    """No new connections, idle ones are closed, the open stream ends whole, the exit status is 0."""
    gateway = await launch(configuration(provider.base_url))
    assert gateway.process is not None
    gate = asyncio.Semaphore(2)
    provider.queue(Script(chunks=6, gate=gate))
    async with Raw(gateway.port) as raw, Raw(gateway.port) as idle:
        await raw.send(post(chat(stream=True)))
        status, headers = await raw.head()
        assert status == 200
        assert await idle.is_usable()
        gateway.process.send_signal(signal.SIGTERM)
        assert await idle.is_closed()

        async def is_shut() -> bool:
            try:
                async with Raw(gateway.port):
                    return False
            except ConnectionRefusedError:
                return True

        await until(is_shut)
        for _ in range(4):
            gate.release()
        body = b"".join([chunk async for chunk in raw.chunks()])
        assert b"w5" in body
        assert body.endswith(b"data: [DONE]\n\n")
        assert await raw.is_closed()
    assert await gateway.ended() == 0
    (entry,) = gateway.ledger()
    assert (entry.id, entry.settlement, entry.completion) == (headers["x-request-id"], "delivered", 6)
    assert not gateway.reservations()


async def test_a_stream_without_end_does_not_hold_up_the_stop(launch: Launch, provider: FakeProvider) -> None:
    """After the drain time it is cut off, and its exchange is closed in the books."""
    gateway = await launch(configuration(provider.base_url, server={"drain": "1s"}))
    provider.queue(Script(chunks=3, stall=2))
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=True)))
        assert (await raw.head())[0] == 200
        assert await gateway.stop() == 0
    open_ones = [each for each in gateway.reservations() if not each.is_expired]
    assert open_ones == []
    assert len(gateway.ledger()) == 1


async def test_a_worker_notices_that_its_gateway_is_gone(launch: Launch, provider: FakeProvider) -> None:
    """SIGKILL to the control process alone: the workers finish what is open and leave the port free."""
    gateway = await launch(configuration(provider.base_url))
    assert gateway.process is not None
    (worker,) = gateway.workers()
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=2, gate=gate))
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=True)))
        status, headers = await raw.head()
        assert status == 200
        gateway.process.kill()
        await gateway.ended()
        gate.release()
        body = b"".join([chunk async for chunk in raw.chunks()])
        assert body.endswith(b"data: [DONE]\n\n")
    await until(lambda: not worker.is_running())
    await gateway.start(gateway.port)
    assert (await gateway.entry(headers["x-request-id"])).settlement == "delivered"


# -- what it tells -------------------------------------------------------------------------------------------


async def test_a_generation_is_found_at_once(gateway: Gateway, provider: FakeProvider) -> None:
    """The record of an exchange is there as soon as its answer is, with tokens, money, speed and settlement."""
    answer = await fetch(gateway, post(chat(stream=True), b"x-tokenway-run: run-1"))
    bill = provider.requests[-1].bill
    identity = answer.headers["x-generation-id"]
    data = (await fetch(gateway, get(f"/v1/generation?id={identity}".encode()))).json["data"]
    assert data["id"] == identity
    assert (data["model"], data["endpoint"], data["provider_name"]) == ("mock", "lab/fake", "lab")
    assert (data["tokens_prompt"], data["tokens_completion"]) == (bill.prompt, bill.completion)
    assert data["total_cost"] == pytest.approx(bill.prompt * 1e-6 + bill.completion * 2e-6)
    assert (data["streamed"], data["cancelled"], data["settlement"]) == (True, False, "delivered")
    assert (data["status"], data["finish_reason"], data["session_id"]) == (200, "stop", "run-1")
    assert data["latency"] > 0
    assert [each["endpoint"] for each in data["provider_responses"]] == ["lab/fake"]


async def test_a_generation_belongs_to_its_key(gateway: Gateway) -> None:
    """Another key is told that there is none, as for an id that never was; without an id it is a 400."""
    answer = await fetch(gateway, post(chat()))
    path = f"/v1/generation?id={answer.headers['x-generation-id']}".encode()
    assert (await fetch(gateway, get(path))).status == 200
    key = (await gateway.run("keys", "create", "stranger")).strip()
    await until(lambda: is_let_in(gateway, key))
    foreign = await fetch(gateway, get(path).replace(KEY.encode(), key.encode()))
    assert (foreign.status, foreign.error["metadata"]["error_type"]) == (404, "not_found")
    assert (await fetch(gateway, get(b"/v1/generation?id=gen-0"))).status == 404
    assert (await fetch(gateway, get(b"/v1/generation?id=" + b"x" * 4000))).status == 404
    assert (await fetch(gateway, get(b"/v1/generation"))).status == 400


async def test_a_keys_figures(gateway: Gateway, provider: FakeProvider) -> None:
    """`/v1/key` says what the caller's key has used; without a budget there is no limit."""
    key = (await gateway.run("keys", "create", "figures")).strip()
    await until(lambda: is_let_in(gateway, key))
    await fetch(gateway, post(chat()).replace(KEY.encode(), key.encode()))
    bill = provider.requests[-1].bill
    data = (await fetch(gateway, get(b"/v1/key").replace(KEY.encode(), key.encode()))).json["data"]
    assert data["label"] == "figures"
    assert data["usage"] == pytest.approx(bill.prompt * 1e-6 + bill.completion * 2e-6)
    assert data["usage_daily"] == data["usage"]
    assert data["limit"] is data["limit_remaining"] is None


async def test_the_endpoints_of_a_model(gateway: Gateway) -> None:
    """Who offers it, at what price and grade."""
    data = (await fetch(gateway, get(b"/v1/models/mock/endpoints"))).json["data"]
    (endpoint,) = data["endpoints"]
    assert endpoint["provider_name"] == "lab"
    assert endpoint["pricing"]["completion"] == "0.000002"


@pytest.mark.parametrize("path", [b"/health/live", b"/health/ready"])
async def test_health_needs_no_key(gateway: Gateway, path: bytes) -> None:
    """A load balancer asks without one."""
    answer = await fetch(gateway, b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path)
    assert (answer.status, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/models",
        b"/v1/models/mock",
        b"/v1/models/mock/endpoints",
        b"/v1/key",
        b"/v1/credits",
        b"/v1/generation?id=x",
    ],
)
async def test_everything_else_needs_a_key(gateway: Gateway, path: bytes) -> None:
    """401 without one, and with a wrong one."""
    for line in (b"", b"authorization: Bearer wrong\r\n", b"x-api-key: wrong\r\n", b"authorization: Basic eDp5\r\n"):
        answer = await fetch(gateway, b"GET %b HTTP/1.1\r\nhost: x\r\n%b\r\n" % (path, line))
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    "line",
    [
        b"authorization: Bearer %b",
        b"authorization: bearer  %b",
        b"x-api-key: %b",
        b"api-key: %b",
        b"x-goog-api-key: %b",
    ],
)
async def test_a_key_is_taken_from_any_header(gateway: Gateway, line: bytes) -> None:
    """However the SDKs of OpenAI, Azure, Anthropic and Google send it; and from the query."""
    request = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n" % (line % KEY.encode())
    assert (await fetch(gateway, request)).status == 200
    request = b"GET /v1/models?key=%b HTTP/1.1\r\nhost: x\r\n\r\n" % KEY.encode()
    assert (await fetch(gateway, request)).status == 200


async def test_metrics_count_what_happened(launch: Launch, provider: FakeProvider) -> None:
    """Requests, tokens, money, speed and attempts by model and endpoint; an open stream is seen while it is open."""
    gateway = await launch(configuration(provider.base_url))

    async def metrics() -> str:
        async with httpx2.AsyncClient(timeout=WAIT_SECONDS) as http:
            answer = await http.get(gateway.control_url + "/metrics")
        assert answer.status_code == 200
        return answer.text

    def value(text: str, name: str, **labels: str) -> float:
        wanted = [f'{key}="{label}"' for key, label in labels.items()]
        rows = [line for line in text.splitlines() if line.startswith(name) and all(each in line for each in wanted)]
        return sum(float(line.rpartition(" ")[2]) for line in rows)

    await fetch(gateway, post(chat()))
    await fetch(gateway, post(chat(stream=True)))
    prompt = provider.requests[-1].bill.prompt
    provider.queue(Script(status=400))
    await fetch(gateway, post(chat()))
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=2, gate=gate))
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=True)))
        await raw.head()

        async def sees_the_stream() -> bool:
            return value(await metrics(), "tokenway_open_streams") == 1

        await until(sees_the_stream)
        gate.release()
        await raw.reader.readuntil(b"0\r\n\r\n")
    await gateway.entries(4)

    async def counts_all() -> bool:
        return value(await metrics(), "tokenway_requests_total") == 4

    await until(counts_all)
    text = await metrics()
    assert value(text, "tokenway_requests_total", model="mock", endpoint="lab/fake", status="200") == 3
    assert value(text, "tokenway_requests_total", status="400") == 1
    assert value(text, "tokenway_tokens_total", endpoint="lab/fake") == 3 * prompt + 4 + 4 + 2
    assert value(text, "tokenway_cost_usd_total") == pytest.approx((3 * prompt + 2 * 10) * 1e-6)
    assert value(text, "tokenway_attempts_total", endpoint="lab/fake") == 4
    assert value(text, "tokenway_time_to_first_token_seconds_count") == 2
    assert value(text, "tokenway_overhead_seconds_count") == 4
    assert "tokenway_loop_lag_seconds" in text
    assert KEY not in text


async def test_two_gateways_do_not_share_a_data_directory(launch: Launch, provider: FakeProvider) -> None:
    """A second one says so and does not start."""
    gateway = await launch(configuration(provider.base_url))
    process = await asyncio.create_subprocess_exec(
        *gateway.command("serve", "--port", "0", "--control-port", "0"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=gateway.environment,
        cwd=gateway.home,
    )
    async with asyncio.timeout(WAIT_SECONDS):
        _, err = await process.communicate()
    assert process.returncode == 1
    assert str(gateway.data_dir) in err.decode()


async def test_a_port_that_is_taken_is_said_in_a_sentence(
    launch: Launch, provider: FakeProvider, tmp_path: Any
) -> None:
    """It names the port and the flag, without a traceback."""
    gateway = await launch(configuration(provider.base_url))
    other = Gateway(tmp_path, configuration(provider.base_url))
    with pytest.raises(AssertionError, match=f"cannot listen on 127.0.0.1:{gateway.port}.*--port"):
        await other.start(gateway.port)
    assert "Traceback" not in other.complaints
