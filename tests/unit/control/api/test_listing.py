"""Pages of names."""

from __future__ import annotations

import pytest

from tests.unit.control.api.server import Api
from tokenway.control.api.listing import page_by_name

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_names_in_order_each_once(api: Api) -> None:
    """Also when some come and go between two pages."""
    names = {f"n{number}" for number in range(5)}
    first = page_by_name(api.services, "x", names, str.upper, limit=2, cursor=None)
    assert first.data == ["N0", "N1"]
    names = names - {"n0", "n3"} | {"n00", "n9"}
    second = page_by_name(api.services, "x", names, str.upper, limit=2, cursor=first.next_cursor)
    third = page_by_name(api.services, "x", names, str.upper, limit=2, cursor=second.next_cursor)
    assert (second.data, third.data, third.next_cursor) == (["N2", "N4"], ["N9"], None)
    assert page_by_name(api.services, "x", [], str.upper, limit=2, cursor=None).data == []
