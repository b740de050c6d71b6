"""The vendors' own SDKs read the fake provider: what it says in each dialect is what the vendor would say."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.pairs import Pair, paired
from tests.fake_provider import REPLIES, Bill
from tests.fake_provider.cases import BROKEN, INVALID
from tests.sdks.expected import CALLERS, CASES, check
from tests.sdks.seen import Failed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=CALLERS)
async def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """Each SDK, and a provider of its own."""
    async with paired(request.param, tmp_path_factory.mktemp("trust")) as made:
        yield made


@pytest.mark.parametrize("case", CASES)
async def test_an_sdk_sees_the_reply(pair: Pair, case: str) -> None:
    """Whole and streamed, the SDK shows the reply and its counts, and the bill is what the counts say."""
    dialect, client = pair.dialect, pair.client
    whole = await client.ask(case, stream=False)
    streamed = await client.ask(case, stream=True)
    check(whole, case, dialect, dialect)
    assert streamed == whole
    counts = REPLIES[case].counts
    assert counts is not None
    bill = Bill(
        prompt=counts.input,
        cached=counts.cache_read,
        completion=counts.output,
        reasoning=counts.reasoning,
        written=counts.cache_write + counts.cache_write_1h,
    )
    for request in pair.provider.requests[-2:]:
        assert (request.bill, request.complete, request.ask.dialect) == (bill, True, dialect)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("case", "status"),
    [("error-before", 400), ("unauthorized", 401), ("rate-limited", 429), ("broken", 500), ("overloaded", 503)],
)
async def test_an_sdk_raises_an_error_before_the_answer(pair: Pair, case: str, status: int, stream: bool) -> None:
    """The status and the words arrive; an overload has Anthropic's own status there."""
    dialect, client = pair.dialect, pair.client
    with pytest.raises(Failed) as caught:
        await client.ask(case, stream=stream)
    assert caught.value.status == (529 if (dialect, status) == ("anthropic", 503) else status)
    if case == "error-before":
        assert INVALID in caught.value.message


async def test_an_sdk_raises_an_error_in_the_middle(pair: Pair) -> None:
    """What came before the error arrives, then the SDK raises with the provider's words."""
    client = pair.client
    with pytest.raises(Failed) as caught:
        await client.ask("error-mid", stream=True)
    assert BROKEN in caught.value.message
    assert caught.value.before == "Grüße from the "
    assert pair.provider.requests[-1].bill.completion == 3
    with pytest.raises(Failed) as whole:
        await client.ask("error-mid", stream=False)
    assert whole.value.status == 500
