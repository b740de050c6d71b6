"""The kept responses of a project, asked for over a real connection."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.e2e.raw import Answer, get
from tests.unit.edge.inside import Inside
from tokenway.edge.kept import with_status
from tokenway.model.stored import StoredResponse

RESPONSE = b"/v1/responses/resp_1"
ITEMS = [{"type": "message", "id": f"msg_{number}"} for number in range(25)]


def kept(status: str = "completed", **fields: Any) -> StoredResponse:
    """A kept response, whose object has these fields besides."""
    response = msgspec.json.encode({"id": "resp_1", "object": "response", "status": status} | fields)
    return StoredResponse("resp_1", "default", 1.0, "m", "p/up", status, response, msgspec.json.encode(ITEMS))


def has(inside: Inside, response: StoredResponse | None) -> None:
    """What the control process has."""
    inside.answers["response"] = None if response is None else msgspec.msgpack.encode(response)


async def fetch(inside: Inside, path: bytes, method: bytes = b"GET") -> Answer:
    """One request on a connection of its own."""
    async with inside.client() as raw:
        await raw.send(get(path, method))
        return await raw.answer()


async def test_a_kept_response_is_shown_as_it_was(inside: Inside) -> None:
    """Asked for by the caller's key; a long id is cut before anybody is asked."""
    has(inside, kept(output=[]))
    answer = await fetch(inside, RESPONSE)
    assert (answer.status, answer.json) == (
        200,
        {"id": "resp_1", "object": "response", "status": "completed", "output": []},
    )
    await fetch(inside, b"/api/v1/responses/" + b"x" * 300)
    assert inside.asked == [("response", "k1", "resp_1"), ("response", "k1", "x" * 200)]


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (RESPONSE, b"GET"),
        (RESPONSE, b"DELETE"),
        (RESPONSE + b"/input_items", b"GET"),
        (RESPONSE + b"/cancel", b"POST"),
    ],
)
async def test_what_is_not_there_is_a_404(inside: Inside, path: bytes, method: bytes) -> None:
    """In every way to ask for it; of another project's nothing more is told."""
    answer = await fetch(inside, path, method)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (404, "response_not_found", "response_id")


async def test_a_key_is_needed(inside: Inside) -> None:
    """Without one nobody is asked."""
    async with inside.client() as raw:
        await raw.send(b"GET /v1/responses/resp_1 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await raw.answer()).status == 401
    assert inside.asked == []


def test_the_status_is_the_rows() -> None:
    """A worker that ended could not write its response anew."""
    left = msgspec.structs.replace(kept("in_progress"), status="failed")
    shown: Any = with_status(left)
    assert shown["status"] == "failed"
    assert shown["error"]["code"] == "server_error"
    whole: Any = with_status(kept("failed", error={"code": "x"}))
    assert whole["error"] == {"code": "x"}


# -- items -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "first", "last", "count", "has_more"),
    [
        (b"", "msg_24", "msg_5", 20, True),
        (b"?limit=3", "msg_24", "msg_22", 3, True),
        (b"?order=asc&limit=25", "msg_0", "msg_24", 25, False),
        (b"?order=desc&after=msg_3", "msg_2", "msg_0", 3, False),
        (b"?order=asc&after=msg_20&limit=100", "msg_21", "msg_24", 4, False),
    ],
)
async def test_a_page_of_the_items(
    inside: Inside, query: bytes, first: str, last: str, count: int, has_more: bool
) -> None:
    """The newest first, unless they are asked for in their order."""
    has(inside, kept())
    page = (await fetch(inside, RESPONSE + b"/input_items" + query)).json
    assert (page["first_id"], page["last_id"], len(page["data"])) == (first, last, count)
    assert (page["object"], page["has_more"]) == ("list", has_more)


@pytest.mark.parametrize("limit", [b"0", b"101", b"-1", b"x", b""])
async def test_a_page_has_a_bound(inside: Inside, limit: bytes) -> None:
    """From one item to a hundred."""
    has(inside, kept())
    answer = await fetch(inside, RESPONSE + b"/input_items?limit=" + limit)
    assert (answer.status, answer.error["param"]) == (400, "limit")


# -- forgetting and stopping -------------------------------------------------------------------------------


async def test_a_response_is_forgotten(inside: Inside) -> None:
    """Control does it, for the caller's project."""
    inside.answers["forget"] = b""
    answer = await fetch(inside, RESPONSE, b"DELETE")
    assert (answer.status, answer.json) == (200, {"id": "resp_1", "object": "response", "deleted": True})
    assert inside.asked == [("forget", "k1", "resp_1")]


@pytest.mark.parametrize("status", ["queued", "in_progress"])
async def test_what_is_under_way_is_stopped(inside: Inside, status: str) -> None:
    """Whoever makes it is told, and the caller sees it cancelled."""
    has(inside, kept(status, background=True))
    answer = await fetch(inside, RESPONSE + b"/cancel", b"POST")
    assert (answer.status, answer.json["status"]) == (200, "cancelled")
    assert inside.asked == [("response", "k1", "resp_1"), ("stop", "k1", "resp_1")]


async def test_what_was_made_in_the_background_has_ended_already(inside: Inside) -> None:
    """Its cancellation changes nothing."""
    has(inside, kept(background=True))
    answer = await fetch(inside, RESPONSE + b"/cancel", b"POST")
    assert (answer.status, answer.json["status"]) == (200, "completed")
    assert inside.asked == [("response", "k1", "resp_1")]


@pytest.mark.parametrize("fields", [{}, {"background": False}, {"background": None}])
async def test_what_a_caller_waited_for_cannot_be_cancelled(inside: Inside, fields: dict[str, Any]) -> None:
    """As OpenAI's API has it."""
    has(inside, kept(**fields))
    answer = await fetch(inside, RESPONSE + b"/cancel", b"POST")
    assert (answer.status, answer.error["code"]) == (400, "not_cancellable")
