"""The memory of the Responses API: what came before a request, and what is kept of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import DONE, HEAD, LAST_CHUNK, USAGE, WHOLE, answer, chunk, event, request
from tests.unit.edge.remembering import (
    CHAT,
    NATIVE,
    OPENAI,
    OTHER,
    answered,
    begun,
    remembering,
    sent,
    snapshot,
    stored,
)
from tokenway.edge import background
from tokenway.model.errors import ErrorType, Problem, Refusal

# -- what came before --------------------------------------------------------------------------------------


async def test_a_request_that_follows_nothing_waits_for_nobody() -> None:
    """The control process is not asked."""
    async with remembering([[answer(WHOLE)]], what=snapshot(CHAT)) as (made, memory):
        shown = await answered(begun(made))
        assert (shown["status"], shown["previous_response_id"], memory.asked) == ("completed", None, [])


async def test_a_conversation_is_put_into_the_request() -> None:
    """The oldest first, answers included; the caller is told the id that it gave."""
    async with remembering([[answer(WHOLE)]], what=snapshot(CHAT)) as (made, memory):
        memory.chain = [stored("a", "one"), stored("b", "two", "a")]
        client = begun(made, previous_response_id="b")
        said = [(each["role"], each["content"]) for each in (await sent(made))["messages"]]
        assert said == [
            ("user", "one?"),
            ("assistant", "one!"),
            ("user", "two?"),
            ("assistant", "two!"),
            ("user", "hi"),
        ]
        assert (await answered(client))["previous_response_id"] == "b"
        assert memory.asked == [("chain", "default", "b")]


async def test_an_id_that_nobody_knows_is_refused() -> None:
    """Nothing is sent; a long one is cut before it is asked for."""
    async with remembering(what=snapshot(CHAT)) as (made, memory):
        shown = await answered(begun(made, previous_response_id="x" * 1000))
        assert shown["error"]["code"] == "previous_response_not_found"
        assert shown["error"]["param"] == "previous_response_id"
        assert (memory.asked, made.network.dials) == ([("chain", "default", "x" * 200)], [])


async def test_an_id_that_only_a_provider_can_know_goes_there() -> None:
    """The request goes as it is, and to nobody who could not have it."""
    async with remembering([[answer(NATIVE)]], what=snapshot(CHAT, OPENAI, OTHER)) as (made, _):
        client = begun(made, previous_response_id="resp_x")
        assert await sent(made) == {"model": "up", "input": "hi", "previous_response_id": "resp_x"}
        await answered(client)
        assert [origin.host for origin, _, _ in made.network.dials] == ["openai"]


@pytest.mark.parametrize("fields", [{"background": True}, {"background": True, "stream": True}])
async def test_a_mistake_of_ours_is_told(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller whose response nobody begins to make is not left waiting for it."""

    def broken(*_: Any) -> None:
        raise IndexError

    monkeypatch.setattr(background, "take_in", broken)
    async with remembering(what=snapshot(CHAT)) as (made, memory):
        client = begun(made, **fields)
        assert (await answered(client))["error"]["code"] == "internal_error"
        assert (client.statuses, memory.kept, made.state.background) == ([500], [], {})


async def test_a_provider_that_kept_it_is_asked_again() -> None:
    """The one that made it, wherever it stands in the list."""
    async with remembering([[answer(NATIVE)]], what=snapshot(CHAT, OPENAI, OTHER)) as (made, memory):
        memory.chain = [stored("a", "one", endpoint="other/up", native=True)]
        client = begun(made, previous_response_id="a")
        assert (await sent(made))["previous_response_id"] == "a"
        await answered(client)
        assert [origin.host for origin, _, _ in made.network.dials] == ["other"]


async def test_a_provider_that_kept_it_and_may_not_be_asked() -> None:
    """The caller's own wishes rule it out: nobody else is sent an id that it cannot know."""
    async with remembering(what=snapshot(OPENAI, OTHER)) as (made, memory):
        memory.chain = [stored("a", "one", endpoint="other/up", native=True)]
        client = begun(made, previous_response_id="a", provider={"ignore": ["other"]})
        shown = await answered(client)
        assert (client.statuses, shown["error"]["code"]) == ([503], "no_endpoints")
        assert "'other'" in shown["error"]["message"]


@pytest.mark.parametrize(
    ("native", "endpoint"), [(False, "openai/up"), (True, "gone/up")], ids=["not kept there", "not there any more"]
)
async def test_elsewhere_the_conversation_goes_along(native: bool, endpoint: str) -> None:
    """A provider is not sent an id that it cannot know."""
    async with remembering([[answer(NATIVE)]], what=snapshot(OPENAI)) as (made, memory):
        memory.chain = [stored("a", "one", endpoint=endpoint, native=native)]
        client = begun(made, previous_response_id="a")
        went = await sent(made)
        assert "previous_response_id" not in went
        assert len(went["input"]) == 3
        await answered(client)


@pytest.mark.parametrize("status", ["queued", "in_progress"])
async def test_one_that_is_not_ready_cannot_be_followed(status: str) -> None:
    """The caller is told which one."""
    async with remembering(what=snapshot(CHAT)) as (made, memory):
        memory.chain = [stored("a", "one", status=status)]
        shown = await answered(begun(made, previous_response_id="a"))
        assert shown["error"]["code"] == "response_not_ready"
        assert "'a'" in shown["error"]["message"]


@pytest.mark.parametrize(
    "fields", [{"response": b"[]"}, {"items": b"{}"}, {"response": b'{"output":7}'}, {"response": b""}]
)
async def test_one_that_cannot_be_read_is_as_good_as_gone(fields: dict[str, Any]) -> None:
    """The caller is answered, and the log has the reason."""
    async with remembering(what=snapshot(CHAT)) as (made, memory):
        memory.chain = [stored("a", "one", **fields)]
        shown = await answered(begun(made, previous_response_id="a"))
        assert shown["error"]["code"] == "previous_response_not_found"


async def test_an_item_that_is_not_in_the_conversation_is_refused() -> None:
    """By its place."""
    async with remembering(what=snapshot(CHAT)) as (made, memory):
        memory.chain = [stored("a", "one")]
        item = {"type": "item_reference", "id": "msg_9"}
        shown = await answered(begun(made, previous_response_id="a", input=[item]))
        assert (shown["error"]["param"], shown["error"]["code"]) == ("input[0].id", "not_found")


async def test_without_a_control_process_the_caller_is_told() -> None:
    """By the refusal of whoever asked it."""
    async with remembering(what=snapshot(CHAT)) as (made, memory):
        memory.refusal = Refusal(Problem(503, ErrorType.SERVER, "Nobody answers."))
        client = begun(made, previous_response_id="a")
        await answered(client)
        assert client.statuses == [503]


async def test_a_caller_that_leaves_meanwhile_begins_nothing() -> None:
    """Its connection is gone when the answer comes."""
    async with remembering(what=snapshot(CHAT)) as (made, memory):
        memory.gate.clear()
        memory.chain = [stored("a", "one")]
        client = begun(made, previous_response_id="a")
        await until(lambda: bool(memory.asked))
        client.lose()
        memory.gate.set()
        await until(lambda: len(made.state.tasks) == 0)
        assert (client.written, made.network.dials, made.books.records) == (b"", [], [])


# -- what is kept ------------------------------------------------------------------------------------------


async def test_an_answer_is_kept_with_what_led_to_it() -> None:
    """Only what was new: the rest is in the chain."""
    async with remembering([[answer(WHOLE)]], what=snapshot(CHAT)) as (made, memory):
        memory.chain = [stored("a", "one")]
        shown = await answered(begun(made, previous_response_id="a"))
        [kept] = memory.kept
        assert (kept.id, kept.previous, kept.status) == (shown["id"], "a", "completed")
        assert (kept.project, kept.model, kept.endpoint, kept.native) == ("default", "m", "chat/up", False)
        assert msgspec.json.decode(kept.response) == shown
        [item] = msgspec.json.decode(kept.items)
        assert item["content"] == [{"type": "input_text", "text": "hi"}]


async def test_a_stream_is_kept_by_its_last_event() -> None:
    """The response object that the caller saw there."""
    pieces = [HEAD, chunk(event("hi") + event(finish='"stop"') + USAGE + DONE), LAST_CHUNK]
    async with remembering([pieces], what=snapshot(CHAT)) as (made, memory):
        client = begun(made, stream=True)
        await until(lambda: bool(memory.kept))
        [kept] = memory.kept
        assert msgspec.json.decode(kept.response)["output"][0]["content"][0]["text"] == "hi"
        assert kept.id.encode() in client.written
        assert kept.status == "completed"


async def test_what_a_provider_keeps_itself_is_marked_so() -> None:
    """It knows the id, which is its own."""
    async with remembering([[answer(NATIVE)]], what=snapshot(OPENAI)) as (made, memory):
        await answered(begun(made))
        assert [(kept.id, kept.native, kept.endpoint) for kept in memory.kept] == [("resp_native", True, "openai/up")]


@pytest.mark.parametrize(
    ("fields", "retention"), [({"store": False}, 3600.0), ({}, 0.0)], ids=["not wanted", "nothing is kept"]
)
async def test_what_is_not_to_be_kept_is_not(fields: dict[str, Any], retention: float) -> None:
    """The caller or the configuration says so."""
    what = snapshot(CHAT, response_retention=retention)
    async with remembering([[answer(WHOLE)]], what=what) as (made, memory):
        await answered(begun(made, **fields))
        assert memory.kept == []


async def test_a_failure_is_not_kept() -> None:
    """There is nothing to go on from."""
    async with remembering([[answer(b"{}", b"500 Internal Server Error")]], what=snapshot(CHAT)) as (made, memory):
        await answered(begun(made))
        assert memory.kept == []


async def test_an_answer_of_another_api_is_not_kept() -> None:
    """Chat has no memory."""
    async with remembering([[answer(WHOLE)]], what=snapshot(CHAT)) as (made, memory):
        client = made.connect()
        client.send(request())
        await answered(client)
        assert memory.kept == []
