"""Every SDK through the gateway to every upstream dialect: same answer, same counts, same money, streamed or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.e2e import sdk_matrix
from tests.e2e.gateway import KEY, Gateway
from tests.e2e.sdk_matrix import DIALECTS, RATES, model
from tests.fake_provider import REPLIES, FakeProvider
from tests.fake_provider.cases import BROKEN, INVALID
from tests.sdks.certificate import Certificate
from tests.sdks.clients import NEEDS_TLS, connect
from tests.sdks.expected import CALLERS, CASES, check, told
from tests.sdks.heard import expected, hear
from tests.sdks.seen import Client, Failed, Seen
from tokenway.model.catalog import Dialect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

CREDENTIALS = {"anthropic": ("x-api-key", ""), "gemini": ("x-goog-api-key", "")}
"""The header of each dialect's credential and what stands before it; the others send a bearer token."""


@dataclass
class Caller:
    """An SDK in front of a gateway of its own."""

    dialect: Dialect
    client: Client
    gateway: Gateway
    provider: FakeProvider
    owed: dict[str, int] = field(default_factory=dict)
    """What each exchange must have cost, in nano-dollars, by its id."""

    def owes(self, seen: Seen, cost: int) -> None:
        """Remembers what an answer must have cost."""
        self.owed[seen.headers["x-generation-id"]] = cost


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=CALLERS)
async def caller(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    """Each SDK in turn, with a gateway that speaks TLS where the SDK wants it."""
    sdk, dialect = request.param, Dialect(CALLERS[request.param])
    if dialect not in sdk_matrix.spoken():
        pytest.skip(f"the gateway does not speak {dialect} yet")
    certificate = Certificate(tmp_path_factory.mktemp("trust"))
    server = {"server": {"tls": certificate.serving()}} if sdk in NEEDS_TLS else {}
    async with FakeProvider() as provider:
        gateway = Gateway(tmp_path_factory.mktemp("gateway"), sdk_matrix.configuration(provider, **server))
        await gateway.start()
        client = connect(sdk, gateway.base_url.removesuffix("/v1"), KEY, certificate.authority)
        yield Caller(dialect, client, gateway, provider)
        await client.close()
        assert await gateway.stop() == 0
        assert "Traceback" not in gateway.complaints, gateway.complaints
        assert provider.errors == []


@pytest.fixture(params=DIALECTS)
def upstream(request: pytest.FixtureRequest) -> Dialect:
    """Each dialect of a provider."""
    dialect: Dialect = request.param
    if dialect not in sdk_matrix.spoken():
        pytest.skip(f"the gateway does not speak {dialect} yet")
    return dialect


@pytest.mark.parametrize("case", CASES)
async def test_an_answer_arrives_as_it_was_given(caller: Caller, upstream: Dialect, case: str) -> None:
    """Text, reasoning, calls, end and counts are the reply's; the stream amounts to the whole; the cost is exact."""
    whole = await caller.client.ask(model(upstream, case), stream=False)
    streamed = await caller.client.ask(model(upstream, case), stream=True)
    check(whole, case, upstream, caller.dialect)
    assert streamed == whole
    counts = REPLIES[case].counts
    assert counts is not None
    cost = RATES.cost(told(counts, upstream))
    assert round(float(whole.headers["x-tokenway-cost"]) * 1e9) == cost
    for seen in (whole, streamed):
        assert seen.headers["x-tokenway-endpoint"] == f"lab-{upstream}/{case}"
        caller.owes(seen, cost)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_arrives_as_it_was_made(caller: Caller, upstream: Dialect, stream: bool) -> None:
    """System text, prompt, tools, limit and stop sequences reach the upstream in its own words, with its own key."""
    seen = await caller.client.ask(model(upstream, "text"), stream=stream)
    received = caller.provider.requests[-1]
    assert received.ask.dialect == upstream
    assert received.ask.model == "text"
    assert received.ask.stream is stream
    assert hear(received.ask) == expected(caller.dialect, upstream)
    header, before = CREDENTIALS.get(upstream, ("authorization", "Bearer "))
    assert received.header(header) == f"{before}sk-{upstream}"
    assert KEY.encode() not in received.body
    assert all(KEY not in value for _, value in received.headers)
    assert received.bill.completion == (seen.totals.output if seen.totals else None)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstreams_refusal_of_a_request_is_raised(caller: Caller, upstream: Dialect, stream: bool) -> None:
    """400 with the upstream's words, after one attempt."""
    before = len(caller.provider.requests)
    with pytest.raises(Failed) as caught:
        await caller.client.ask(model(upstream, "error-before"), stream=stream)
    assert caught.value.status == 400
    assert INVALID in caught.value.message
    assert len(caller.provider.requests) == before + 1


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstreams_limit_is_raised(caller: Caller, upstream: Dialect, stream: bool) -> None:
    """429, after one attempt: its pause is too long to be waited through."""
    before = len(caller.provider.requests)
    with pytest.raises(Failed) as caught:
        await caller.client.ask(model(upstream, "rate-limited"), stream=stream)
    assert caught.value.status == 429
    assert len(caller.provider.requests) == before + 1


@pytest.mark.parametrize("case", ["error-mid", "cut-mid"])
async def test_an_error_in_the_middle_is_raised(caller: Caller, upstream: Dialect, case: str) -> None:
    """What came before it arrives, then the SDK raises: no answer that is cut looks whole."""
    with pytest.raises(Failed) as caught:
        await caller.client.ask(model(upstream, case), stream=True)
    assert caught.value.status == 200
    assert caught.value.before == "Grüße from the "
    if case == "error-mid":
        assert BROKEN.rstrip(".") in caught.value.message


async def test_the_ledger_has_what_each_answer_cost(caller: Caller) -> None:
    """Every answer of the tests above is in the ledger once, at the price worked out by hand."""
    if not caller.owed:
        pytest.skip("no answer was asked for before")
    for exchange, cost in caller.owed.items():
        entry = await caller.gateway.entry(exchange)
        assert (entry.settlement, entry.charged) == ("delivered", cost)
    ids = [entry.id for entry in caller.gateway.ledger()]
    assert len(ids) == len(set(ids))
