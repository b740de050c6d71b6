"""The kept responses of a project, asked for over a real connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.e2e.raw import Answer, get
from tests.fake_provider import FakeProvider
from tests.unit.edge.inside import Inside
from tokenway.dialects.openai_responses.replay import beginning
from tokenway.edge import kept as module
from tokenway.edge.kept import with_status
from tokenway.model.snapshot import Principal
from tokenway.model.stored import StoredResponse
from tokenway.wire.sse import event_data, split_events

RESPONSE = b"/v1/responses/resp_1"
ITEMS = [{"type": "message", "id": f"msg_{number}"} for number in range(25)]


def kept(status: str = "completed", **fields: Any) -> StoredResponse:
    """A kept response, whose object has these fields besides."""
    response = msgspec.json.encode({"id": "resp_1", "object": "response", "status": status} | fields)
    return StoredResponse("resp_1", "default", 1.0, "m", "p/up", status, response, msgspec.json.encode(ITEMS))


def has(inside: Inside, response: StoredResponse | None) -> None:
    """What the control process has."""
    inside.answers["response"] = None if response is None else msgspec.msgpack.encode(response)


class Told(Inside):
    """A worker whose control process gives its answers one by one; the last one is given again."""

    def __init__(self, provider: FakeProvider, *answers: StoredResponse | None, **changes: Any) -> None:
        super().__init__(provider, **changes)
        self._left = list(answers)

    async def _ask(self, what: str, principal: Principal, subject: str) -> bytes | None:
        found = await super()._ask(what, principal, subject)
        if what != "response":
            return found
        left = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        return None if left is None else msgspec.msgpack.encode(left)


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


@pytest.mark.parametrize("response", [b"\xff", b"[]", b'{"id":"\xff"}', b'{"output":["\\ud800"]}'])
async def test_one_that_cannot_be_read_is_as_good_as_gone(inside: Inside, response: bytes) -> None:
    """Its provider wrote it so."""
    has(inside, msgspec.structs.replace(kept(), response=response))
    for path, method in ((RESPONSE, b"GET"), (RESPONSE + b"/cancel", b"POST")):
        answer = await fetch(inside, path, method)
        assert (answer.status, answer.error["code"]) == (404, "response_not_found")
    answer = await fetch(inside, RESPONSE + b"?stream=true")
    assert [each["type"] for each in told(answer)] == ["error"]
    broken = msgspec.structs.replace(kept(), previous="resp_0")
    has(inside, broken)
    before = msgspec.structs.replace(kept(), response=b'{"output":[{"id":"\xff"}]}')
    inside.answers["chain"] = msgspec.msgpack.encode([before, broken])
    assert (await fetch(inside, RESPONSE + b"/input_items")).status == 404


# -- its stream --------------------------------------------------------------------------------------------


def told(answer: Answer) -> list[Any]:
    """The events of an answer, decoded; fails unless it is a stream."""
    assert answer.status == 200, answer.body
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == (
        "text/event-stream; charset=utf-8",
        "no-cache",
    )
    assert answer.headers["x-request-id"].startswith("gen-")
    datas = [event_data(each) for each in split_events(answer.body)]
    return [msgspec.json.decode(data) for data in datas if data is not None]


def types(answer: Answer) -> list[tuple[int, str]]:
    """The numbers and types of the events of an answer."""
    return [(each["sequence_number"], each["type"]) for each in told(answer)]


async def test_the_stream_of_one_that_ended_is_made_of_it(inside: Inside) -> None:
    """Where none was kept: a caller waited for it."""
    has(inside, kept(output=[]))
    answer = await fetch(inside, RESPONSE + b"?stream=true")
    assert types(answer) == [(0, "response.created"), (1, "response.in_progress"), (2, "response.completed")]
    assert told(answer)[-1]["response"] == {"id": "resp_1", "object": "response", "status": "completed", "output": []}
    later = await fetch(inside, RESPONSE + b"?stream=true&starting_after=1&include[]=reasoning.encrypted_content")
    assert types(later) == [(2, "response.completed")]


async def test_the_stream_that_was_kept_is_told_again(inside: Inside) -> None:
    """Event for event, from behind a number."""
    has(inside, kept(output=[]))
    events = [b'data: {"type":"e","sequence_number":%d}\n\n' % number for number in range(5)]
    inside.answers["events"] = b"".join(events)
    assert types(await fetch(inside, RESPONSE + b"?stream=true")) == [(number, "e") for number in range(5)]
    assert types(await fetch(inside, RESPONSE + b"?stream=true&starting_after=2")) == [(3, "e"), (4, "e")]
    assert types(await fetch(inside, RESPONSE + b"?stream=true&starting_after=9")) == []


@pytest.mark.parametrize("query", [b"", b"?stream=false", b"?starting_after=1"])
async def test_without_a_stream_the_object_is_given(inside: Inside, query: bytes) -> None:
    """Who does not ask for events gets none."""
    has(inside, kept())
    assert (await fetch(inside, RESPONSE + query)).json["id"] == "resp_1"


@pytest.mark.parametrize("number", [b"x", b"-1", b"", b"99999999999"])
async def test_the_number_to_start_behind(inside: Inside, number: bytes) -> None:
    """Is one."""
    has(inside, kept())
    answer = await fetch(inside, RESPONSE + b"?stream=true&starting_after=" + number)
    assert (answer.status, answer.error["param"]) == (400, "starting_after")


async def test_one_that_is_made_here_is_followed(inside: Inside) -> None:
    """Control is not asked: whoever makes it has its events."""

    class Work:
        async def follow(self, after: int) -> AsyncIterator[bytes]:
            yield b'data: {"type":"e","sequence_number":%d}\n\n' % (after + 1)

        def show(self) -> None: ...

        def stop(self, why: str = "") -> None: ...

    inside.state.background["resp_1", "default"] = Work()
    assert types(await fetch(inside, RESPONSE + b"?stream=true")) == [(0, "e")]
    assert types(await fetch(inside, RESPONSE + b"?stream=true&starting_after=4")) == [(5, "e")]
    assert inside.asked == []


async def test_one_that_another_worker_makes_is_waited_for(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its beginning is told at once, what it shows as it comes, comments in between, and the rest when it is there."""
    monkeypatch.setattr(module, "FOLLOW_SECONDS", 0.01)
    monkeypatch.setattr(module, "PING_SECONDS", 0.02)
    states = [kept("in_progress") for _ in range(5)]
    async with Told(provider, *states, kept("completed", output=[])) as made:
        answer = await fetch(made, RESPONSE + b"?stream=true")
        assert types(answer) == [(0, "response.created"), (1, "response.in_progress"), (2, "response.completed")]
        assert answer.body.count(b": keep-alive\n\n") == 2
        assert made.asked.count(("show", "k1", "resp_1")) == 5
    shown = [*beginning(kept("in_progress").response), b'data: {"type":"e","sequence_number":2}\n\n']
    async with Told(provider, *states, kept("completed", output=[])) as made:
        made.answers["events"] = b"".join(shown)
        answer = await fetch(made, RESPONSE + b"?stream=true&starting_after=0")
        assert types(answer) == [(1, "response.in_progress"), (2, "e")]
        assert answer.body.startswith(b"".join(shown[1:]) + b": keep-alive\n\n")
    async with Told(provider, kept("in_progress"), kept("completed", output=[])) as made:
        answer = await fetch(made, RESPONSE + b"?stream=true&starting_after=1")
        assert types(answer) == [(2, "response.completed")]
    async with Told(
        provider, kept("in_progress"), msgspec.structs.replace(kept("in_progress"), status="failed")
    ) as made:
        answer = await fetch(made, RESPONSE + b"?stream=true&starting_after=7")
        assert types(answer) == [(8, "response.failed")]
        assert told(answer)[0]["response"]["error"]["code"] == "server_error"


async def test_one_that_is_forgotten_meanwhile_breaks_its_stream(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its head has gone out: the error is an event."""
    monkeypatch.setattr(module, "FOLLOW_SECONDS", 0.01)
    async with Told(provider, kept("in_progress"), None) as made:
        assert types(await fetch(made, RESPONSE + b"?stream=true"))[-1] == (2, "error")


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


@pytest.mark.parametrize(("query", "param"), [(b"order=up", "order"), (b"after=msg_99", "after")])
async def test_a_page_that_cannot_be(inside: Inside, query: bytes, param: str) -> None:
    """An order or a place that is none."""
    has(inside, kept())
    answer = await fetch(inside, RESPONSE + b"/input_items?" + query)
    assert (answer.status, answer.error["param"]) == (400, param)


async def test_what_came_before_went_into_it_too(inside: Inside) -> None:
    """The questions and the answers of the responses before, as long as all of them are kept."""
    first = msgspec.structs.replace(
        kept(output=[{"type": "message", "id": "msg_out"}]), items=b'[{"type":"message","id":"msg_in"}]'
    )
    second = msgspec.structs.replace(kept(), items=b'[{"type":"message","id":"msg_new"}]', previous="resp_0")
    has(inside, second)
    inside.answers["chain"] = msgspec.msgpack.encode([first, second])
    page = (await fetch(inside, RESPONSE + b"/input_items?order=asc&include[]=message.output_text.logprobs")).json
    assert [each["id"] for each in page["data"]] == ["msg_in", "msg_out", "msg_new"]
    inside.answers["chain"] = None
    page = (await fetch(inside, RESPONSE + b"/input_items")).json
    assert [each["id"] for each in page["data"]] == ["msg_new"]


# -- forgetting and stopping -------------------------------------------------------------------------------


async def test_a_response_is_forgotten(inside: Inside) -> None:
    """Control does it, for the caller's project."""
    inside.answers["forget"] = b""
    answer = await fetch(inside, RESPONSE, b"DELETE")
    assert (answer.status, answer.json) == (200, {"id": "resp_1", "object": "response", "deleted": True})
    assert inside.asked == [("forget", "k1", "resp_1")]


@pytest.mark.parametrize("status", ["queued", "in_progress"])
@pytest.mark.parametrize("end", ["cancelled", "completed"])
async def test_what_is_under_way_is_stopped(provider: FakeProvider, status: str, end: str) -> None:
    """Whoever makes it is told, and the caller sees what became of it: it may have been done just then."""
    under_way = kept(status, background=True)
    async with Told(provider, under_way, under_way, kept(end, background=True)) as made:
        answer = await fetch(made, RESPONSE + b"/cancel", b"POST")
        assert (answer.status, answer.json["status"]) == (200, end)
        assert made.asked[:2] == [("response", "k1", "resp_1"), ("stop", "k1", "resp_1")]


async def test_what_does_not_stop_in_time_is_told_as_stopped(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker has been told: nothing more can be done."""
    monkeypatch.setattr(module, "STOP_SECONDS", 0.04)
    has(inside, kept("in_progress", background=True))
    answer = await fetch(inside, RESPONSE + b"/cancel", b"POST")
    assert (answer.status, answer.json["status"]) == (200, "cancelled")


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
