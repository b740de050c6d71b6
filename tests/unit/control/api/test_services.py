"""What the API is given."""

from __future__ import annotations

import pytest

from tests.unit.control.api.server import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_accounts_are_the_stores(api: Api) -> None:
    """There is one store."""
    assert api.services.accounts is api.store.accounts
    assert api.services.settings() is api.reloader.settings
    assert api.services.snapshot() is api.snapshot
