"""Routing by velocity over real sockets: who is asked, what happens when an answer is late, slow or breaks."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, PRICE, WAIT_SECONDS, Gateway, configuration, until
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

PREFILL = {"prefill": True}
FIRST = {"order": ["first"]}
"""What a call says where the first endpoint is to be asked first, whoever is faster."""
FLOOR = 20.0
GRACE = 2.0


def endpoint(provider: str, model: str, **more: Any) -> dict[str, Any]:
    """One endpoint of a model."""
    return {"provider": provider, "model": model, "price": PRICE, **more}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def other() -> AsyncIterator[FakeProvider]:
    """A second provider, whose answers say that they are its."""
    async with FakeProvider(Script(text="spare")) as fake:
        yield fake
        assert fake.errors == []


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def routed(
    provider: FakeProvider, other: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway with models that differ in what their first endpoint does wrong, each with endpoints of its own."""
    slow = {"routing": {"rescue": "on", "grace": f"{GRACE}s", "min_tps": FLOOR}}
    race = {"routing": {"hedge": {"at": "p90", "max_share": 1.0}}}
    models = {
        "speeds": {
            "endpoints": [
                endpoint("first", "fake?chunks=30&gap=0.04"),
                endpoint("first", f"fake?chunks=30&gap={1 / 60:.4f}"),
                endpoint("first", "fake?chunks=30&gap=0.125"),
            ]
        },
        "cut": {"endpoints": [endpoint("first", "fake?chunks=60&cut=40"), rest("cut")]},
        "stall": {"endpoints": [endpoint("first", "fake?chunks=60&stall=20"), rest("stall")]},
        "plain": {"endpoints": [endpoint("first", "fake?cut=3&prompt=7"), endpoint("second", "fake?prompt=7")]},
        "late": {"endpoints": [endpoint("first", "fake?prompt=3"), endpoint("second", "fake?prompt=3&delay=0.05")]}
        | race,
        "collapse": {"endpoints": [endpoint("first", "fake?prompt=4"), rest("collapse")]} | slow,
        "dead": {"endpoints": [endpoint("first", "fake?chunks=60&cut=10&prompt=5"), rest("dead", status=400)]},
        "keys": {"endpoints": [endpoint("two-keys", "fake?prompt=6")]},
        "breaking": {"endpoints": [endpoint("first", "fake?status=503&prompt=8"), endpoint("second", "fake?prompt=8")]},
        "own": {
            "endpoints": [
                endpoint("first", "fake?delay=5", timeouts={"total": "300ms", "first_token": "300ms"}),
                endpoint("second", "fake?prompt=9"),
            ]
        },
        "gathered": {"endpoints": [endpoint("first", "fake?chunks=20&stall=5"), endpoint("second", "fake?prompt=10")]}
        | {"routing": {"stream": True}},
        "limited": {"endpoints": [endpoint("first", "fake?prompt=11", limits={"rpm": 3})]},
    }
    config = configuration(
        provider.base_url,
        providers={
            "first": {"base_url": provider.base_url, "api_key": "sk-one"},
            "second": {"base_url": other.base_url, "api_key": "sk-two"},
            "two-keys": {"base_url": provider.base_url, "api_keys": ["sk-one", "sk-two"]},
        },
        models=models,
        timeouts={"connect": "1s", "first_token": "2s", "between_tokens": "500ms", "total": "30s"},
    )
    folder = tmp_path_factory.mktemp("gateway")
    running = await Gateway(folder, config).start()
    yield running
    assert await running.stop() == 0
    assert "Traceback" not in running.complaints, running.complaints


def rest(name: str, **script: int) -> dict[str, Any]:
    """An endpoint at the second provider that goes on with a begun answer, with a name of its own."""
    spelled = "&".join(f"{key}={value}" for key, value in {"prompt": 20 + len(name), **script}.items())
    return endpoint("second", f"fake?{spelled}", capabilities=PREFILL)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sdk(routed: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client, without retries of its own."""
    async with openai.AsyncOpenAI(base_url=routed.base_url, api_key=KEY, max_retries=0, timeout=WAIT_SECONDS) as made:
        yield made


class Stream:
    """A stream as its reader lived it."""

    def __init__(self) -> None:
        self.text = ""
        self.ids: set[str] = set()
        self.roles = 0
        self.finish = ""
        self.usage: Any = None
        self.gateway: dict[str, Any] = {}
        self.times: list[float] = []

    @property
    def longest_below_floor(self) -> float:
        """Seconds of the longest stretch in which every piece of text came later than the floor has it."""
        longest = stretch = 0.0
        for before, after in itertools.pairwise(self.times):
            stretch = stretch + after - before if after - before > 1 / FLOOR else 0.0
            longest = max(longest, stretch)
        return longest


async def read(client: openai.AsyncOpenAI, model: str, **more: Any) -> Stream:
    """Reads a stream to its end."""
    story = Stream()
    answer = await client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "hi there"}],
        stream=True,
        stream_options={"include_usage": True},
        extra_body=more or None,
    )
    async for chunk in answer:
        story.ids.add(chunk.id)
        for choice in chunk.choices:
            story.roles += choice.delta.role is not None
            if choice.delta.content:
                story.text += choice.delta.content
                story.times.append(time.monotonic())
            story.finish = choice.finish_reason or story.finish
        if chunk.usage is not None:
            story.usage = chunk.usage
            story.gateway = getattr(chunk, "tokenway", {})
    return story


async def test_within_thirty_requests_nearly_all_go_to_the_fastest(sdk: openai.AsyncOpenAI) -> None:
    """Of endpoints with 25, 60 and 8 tokens a second, none of which is known at the beginning."""
    asked = Counter([(await read(sdk, "speeds")).gateway["endpoint"] for _ in range(30)])
    assert asked[f"first/fake?chunks=30&gap={1 / 60:.4f}"] >= 27, asked


@pytest.mark.parametrize(("model", "tokens"), [("cut", 40), ("stall", 20)])
async def test_a_broken_stream_goes_on_from_the_exact_text(
    sdk: openai.AsyncOpenAI, routed: Gateway, other: FakeProvider, model: str, tokens: int
) -> None:
    """One answer for its reader: one id, one role, one end. What was lost is ours, and only the rest is charged."""
    begun = "".join(f"w{number} " for number in range(tokens))
    story = await read(sdk, model)
    assert story.text == begun + "spare"
    assert (len(story.ids), story.roles, story.finish) == (1, 1, "stop")
    assert story.gateway["attempts"] == 2
    assert story.gateway["ttft_ms"] < 500  # of the first part: a stall alone takes longer
    resumed = other.requests[-1].json
    assert resumed["messages"][-1] == {"role": "assistant", "content": begun.rstrip()}
    await until(lambda: any(entry.model == model for entry in routed.ledger()))
    (entry,) = [entry for entry in routed.ledger() if entry.model == model]
    assert (entry.settlement, entry.attempts) == ("delivered", 2)
    bill = other.requests[-1].bill
    assert entry.charged == bill.prompt * 1000 + bill.completion * 2000


async def test_without_prefill_a_text_is_not_begun_again(sdk: openai.AsyncOpenAI) -> None:
    """The reader has its beginning, and is told."""
    with pytest.raises(openai.APIError) as error:
        await read(sdk, "plain")
    assert "before the answer was complete" in str(error.value)


async def test_a_caller_may_do_without_rescue(sdk: openai.AsyncOpenAI) -> None:
    """By call."""
    with pytest.raises(openai.APIError):
        await read(sdk, "dead", provider={"rescue": "off"})


async def test_an_endpoint_that_refuses_to_go_on_ends_in_an_error(sdk: openai.AsyncOpenAI) -> None:
    """Never silence."""
    with pytest.raises(openai.APIError):
        await read(sdk, "dead")


async def test_a_late_first_token_is_raced(
    sdk: openai.AsyncOpenAI, routed: Gateway, provider: FakeProvider, other: FakeProvider
) -> None:
    """The other endpoint answers; the first is cancelled at once, and costs the caller nothing."""
    for _ in range(12):
        await read(sdk, "late", provider=FIRST)
    provider.queue(Script(delay=3.0))
    before = len(other.requests)
    story = await read(sdk, "late", provider=FIRST)
    assert story.text == "spare"
    assert len(other.requests) == before + 1
    left = provider.requests[-1]
    async with asyncio.timeout(1.0):
        await left.over.wait()
    await until(lambda: sum(entry.model == "late" for entry in routed.ledger()) == 13)
    (*_, entry) = [entry for entry in routed.ledger() if entry.model == "late"]
    assert (entry.attempts, entry.settlement) == (2, "delivered")
    assert entry.charged == 3 * 1000 + 5 * 2000


async def test_a_stream_that_collapses_is_rescued(
    sdk: openai.AsyncOpenAI, provider: FakeProvider, other: FakeProvider
) -> None:
    """Its reader never sees less than the floor for longer than the grace period."""
    for _ in range(3):
        await read(sdk, "collapse", provider=FIRST)
    gate = asyncio.Semaphore(0)
    provider.queue(Script(chunks=200, gate=gate))

    done = asyncio.Event()

    async def pace() -> None:
        for number in range(200):
            gate.release()
            if done.is_set():
                return
            await asyncio.sleep(1 / 60 if number < 40 else 1 / 3)

    async def lived() -> Stream:
        try:
            return await read(sdk, "collapse", provider=FIRST)
        finally:
            done.set()

    story, _ = await asyncio.gather(lived(), pace())
    assert story.text.endswith("spare")
    assert story.gateway["attempts"] == 2
    assert other.requests[-1].json["messages"][-1]["role"] == "assistant"
    assert 0.2 < story.longest_below_floor < GRACE


async def test_keys_are_quotas_of_their_own(sdk: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """The one that is refused makes room for the other, within the call and after it."""
    provider.queue(Script(status=429, retry_after="60"))
    story = await read(sdk, "keys")
    assert story.gateway["attempts"] == 2
    used = [request.header("authorization") for request in provider.requests[-2:]]
    assert len(set(used)) == 2
    for _ in range(4):
        await read(sdk, "keys")
        assert provider.requests[-1].header("authorization") == used[1]


async def test_what_keeps_failing_is_left_alone(sdk: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """After some failures it is not asked any more, until one call has tried it."""
    answers = [await read(sdk, "breaking") for _ in range(12)]
    assert all(story.text == "spare" for story in answers)
    asked = sum(request.json["model"] == "fake?status=503&prompt=8" for request in provider.requests)
    assert asked < 9
    assert answers[-1].gateway["attempts"] == 1


async def test_an_endpoint_has_deadlines_of_its_own(sdk: openai.AsyncOpenAI) -> None:
    """Three hundred milliseconds there, and then another one answers, whole or streamed."""
    begun = time.monotonic()
    whole = await sdk.chat.completions.create(model="own", messages=[{"role": "user", "content": "hi"}])
    assert whole.choices[0].message.content == "spare"
    assert (await read(sdk, "own")).text == "spare"
    assert time.monotonic() - begun < 5


async def test_an_answer_that_is_wanted_whole_is_gathered(sdk: openai.AsyncOpenAI, other: FakeProvider) -> None:
    """Its stream stalls at one endpoint, and is begun anew at the other: nothing of it was shown."""
    whole = await sdk.chat.completions.create(model="gathered", messages=[{"role": "user", "content": "hi"}])
    assert whole.choices[0].message.content == "spare"
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 5
    assert other.requests[-1].json["stream"] is True


async def test_the_configured_limits_of_an_endpoint_hold(sdk: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    """Three requests a minute: the fourth is refused here, and says when to come again."""
    for _ in range(3):
        await read(sdk, "limited")
    before = len(provider.requests)
    with pytest.raises(openai.RateLimitError) as error:
        await read(sdk, "limited")
    assert float(error.value.response.headers["retry-after"]) > 10
    assert len(provider.requests) == before


async def test_a_floor_that_nobody_reaches(sdk: openai.AsyncOpenAI) -> None:
    """It is a wish; with no fallbacks it is a condition, as far as speeds are known."""
    for gap in ("0.04", f"{1 / 60:.4f}", "0.125"):
        for _ in range(2):
            await read(sdk, "speeds", provider={"only": [f"first/fake?chunks=30&gap={gap}"]})
    story = await read(sdk, "speeds", provider={"min_tps": 10_000})
    assert story.gateway["slow"] is True
    with pytest.raises(openai.InternalServerError) as error:
        await read(sdk, "speeds", provider={"min_tps": 10_000, "allow_fallbacks": False})
    assert error.value.status_code == 503
    assert "min_tps" in str(error.value)


async def test_what_is_known_is_known_to_all_workers(launch: Launch, provider: FakeProvider) -> None:
    """Two of them, behind one port; each has heard what the other has seen."""
    names = ["fake?chunks=20&gap=0.05&prompt=40", "fake?chunks=20&gap=0.002&prompt=40"]
    config = configuration(provider.base_url, server={"workers": 2})
    config["models"] = {"m": {"endpoints": [{"provider": "lab", "model": name, "price": PRICE} for name in names]}}
    gateway = await launch(config)
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client:
        for _ in range(6):
            await read(client, "m")
        await asyncio.sleep(0.6)
        asked = Counter([(await read(client, "m")).gateway["endpoint"] for _ in range(20)])
    assert asked[f"lab/{names[1]}"] >= 17, asked
