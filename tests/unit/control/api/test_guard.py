"""What holds for every request: bounded bodies, headers that browsers obey."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.unit.control.api.server import Api
from tokenway.control.api.guard import BODY_MAX, HEADERS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("path", ["/session", "/docs", "/openapi.json", "/no/such/path", "/users/none"])
async def test_every_answer_has_the_headers(admin: httpx.AsyncClient, path: str) -> None:
    """Good ones and bad ones."""
    answer = await admin.get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


async def test_a_body_is_bounded_whether_it_says_so_or_not(admin: httpx.AsyncClient) -> None:
    """By its length, and as it comes."""

    async def pieces() -> object:
        for _ in range(BODY_MAX // 65_536 + 2):
            yield b" " * 65_536

    for content in (b" " * (BODY_MAX + 1), pieces()):
        headers = {"content-type": "application/json"}
        answer = await admin.post("/projects", content=content, headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"


async def test_an_impossible_length_is_refused(api: Api) -> None:
    """Before anything is read."""
    host, _, port = api.url.removeprefix("http://").removesuffix("/api").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/session HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999\r\n\r\n")
    assert (await reader.readline()).split()[1] in {b"413", b"400"}
    writer.close()
