"""The manual: one page, without scripts and without a network."""

from __future__ import annotations

import re

import httpx
import pytest

from tokenway.control.api.docs import page
from tokenway.control.api.rules import RULES

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_page_has_every_operation_and_fetches_nothing(admin: httpx.AsyncClient) -> None:
    """It can be read by whoever is not signed in."""
    answer = await admin.get("/docs", headers={"authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for method, path in RULES:
        assert f'<span class="m">{method}</span><code>/api{path}</code>' in answer.text
    assert "<script" not in answer.text
    assert re.findall(r"(?:src|href)=\"(?!#|openapi\.json)[^\"]*", answer.text) == []


async def test_texts_are_texts() -> None:
    """What stands in a description is no markup."""
    info = {"title": "<b>", "description": "<i>"}
    operation = {"tags": ["<t>"], "summary": "<s>", "responses": {"200": {"description": "<d>"}}}
    text = page({"openapi": "3.1.0", "info": info, "paths": {"/<p>": {"get": operation}}})
    for mark in ("<b>", "<i>", "<t>", "<s>", "<d>", "/<p>"):
        assert mark not in text
