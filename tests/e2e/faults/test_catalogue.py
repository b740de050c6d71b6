"""Every row of the catalogue that is quick: see `catalogue.py` for what is to be seen."""

from __future__ import annotations

import httpx2
import openai
import pytest

from tests.e2e.faults.catalogue import QUICK, Row
from tests.e2e.faults.looks import check
from tests.e2e.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("row", QUICK, ids=[row.name for row in QUICK])
async def test_a_fault(gateway: Gateway, client: openai.AsyncOpenAI, raw: httpx2.AsyncClient, row: Row) -> None:
    """The caller gets a whole answer where one is possible, else an error; and is charged for an answer alone."""
    await check(gateway, client, raw, row)
