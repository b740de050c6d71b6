"""The vendors' own SDKs read what the converters make of another vendor's answer, without a gateway between."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.pairs import Pair, paired
from tests.fake_provider import Script
from tests.golden import build
from tests.sdks.expected import CALLERS, CASES, check
from tokenway.model.catalog import Dialect

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPOKEN = build.formats()


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=CALLERS)
async def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """Each SDK whose dialect is written, and a provider that answers with what a test says."""
    if CALLERS[request.param] not in SPOKEN:
        pytest.skip(f"{CALLERS[request.param]} is not converted yet")
    async with paired(request.param, tmp_path_factory.mktemp("trust")) as made:
        yield made


@pytest.mark.parametrize("case", sorted({*CASES} - build.LEFT_OUT))
@pytest.mark.parametrize("upstream", Dialect)
async def test_an_sdk_sees_another_vendors_reply(pair: Pair, upstream: Dialect, case: str) -> None:
    """Whole and streamed, the caller's SDK shows the reply and its counts, whoever made it."""
    if upstream not in SPOKEN:
        pytest.skip(f"{upstream} is not converted yet")
    if upstream == pair.dialect:
        pytest.skip("within one dialect nothing is converted")
    caller = SPOKEN[pair.dialect]
    whole, stream = build.translated(caller, SPOKEN[upstream], case)
    pair.provider.queue(Script(body=whole), Script(body=stream, content_type=caller.stream_type.decode()))
    seen = await pair.client.ask(build.CALLER_MODEL, stream=False)
    streamed = await pair.client.ask(build.CALLER_MODEL, stream=True)
    check(seen, case, upstream, pair.dialect)
    assert streamed == seen
