"""The memory of the Responses API: what came before a request, what is kept of it, and work without a caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import (
    DONE,
    HEAD,
    LAST_CHUNK,
    USAGE,
    WHOLE,
    Bench,
    Client,
    answer,
    bench,
    chunk,
    event,
    request,
)
from tests.unit.edge.bench import snapshot as plain_snapshot
from tokenway.edge import images
from tokenway.model.catalog import Dialect, Endpoint, Model, Provider
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.request import Request
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.model.stored import StoredResponse

PATH = b"/v1/responses"
NATIVE = msgspec.json.encode(
    {
        "id": "resp_native",
        "object": "response",
        "status": "completed",
        "model": "up",
        "output": [
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "hi", "annotations": []}],
            }
        ],
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
    }
)


def provider(name: str, dialect: Dialect, **more: Any) -> Provider:
    """A provider that is reached at the scripted network."""
    return Provider(name, f"http://{name}/v1", dialect, api_keys=(Secret("sk-up"),), **more)


CHAT = provider("chat", Dialect.OPENAI_CHAT)
OPENAI = provider("openai", Dialect.OPENAI_RESPONSES)
OTHER = provider("other", Dialect.OPENAI_RESPONSES)


def snapshot(*providers: Provider, **more: Any) -> Snapshot:
    """The model `m` at these providers; responses are kept for an hour."""
    offers = tuple(Endpoint(each.name, "up") for each in providers)
    fields: dict[str, Any] = {
        "providers": {each.name: each for each in providers},
        "models": {"m": Model("m", offers)},
        "response_retention": 3600.0,
    }
    return plain_snapshot(**(fields | more))


class Memory:
    """The control process: what it was asked, what it has, what it was given to keep."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.chain: list[StoredResponse] | None = None
        self.kept: list[StoredResponse] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refusal: Refusal | None = None

    async def ask(self, what: str, principal: Principal, subject: str) -> bytes | None:
        """Its answer, once the gate is open."""
        self.asked.append((what, principal.project, subject))
        await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        return None if self.chain is None else msgspec.msgpack.encode(self.chain)


@asynccontextmanager
async def remembering(*script: Any, what: Snapshot) -> AsyncIterator[tuple[Bench, Memory]]:
    """A bench with a memory."""
    async with bench(*script, what=what) as made:
        memory = Memory()
        made.state.ask = memory.ask
        made.state.keep = memory.kept.append
        yield made, memory
        await until(lambda: len(made.state.tasks) == 0)
        assert made.state.background == {}


def body(**fields: Any) -> bytes:
    """A request."""
    return msgspec.json.encode({"model": "m", "input": "hi"} | fields)


def stored(identity: str, text: str, previous: str = "", **fields: Any) -> StoredResponse:
    """A response that was kept: a question and its answer."""
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"{text}?"}]}]
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": f"{text}!"}]}]
    usual: dict[str, Any] = {
        "endpoint": "chat/up",
        "status": "completed",
        "response": msgspec.json.encode({"id": identity, "status": "completed", "output": output}),
        "items": msgspec.json.encode(items),
    }
    return StoredResponse(identity, "default", 1.0, "m", previous=previous, **(usual | fields))


async def sent(made: Bench) -> Any:
    """The body that went upstream."""
    await until(lambda: bool(made.network.requests))
    return msgspec.json.decode(made.network.requests[-1].partition(b"\r\n\r\n")[2])


async def answered(client: Client) -> Any:
    """The body of the caller's answer."""
    await until(lambda: bool(client.statuses))
    return msgspec.json.decode(client.written.partition(b"\r\n\r\n")[2])


def begun(made: Bench, **fields: Any) -> Client:
    """A caller with this request."""
    client = made.connect()
    client.send(request(body(**fields), PATH))
    return client


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


# -- in the background -------------------------------------------------------------------------------------


async def test_work_in_the_background_is_answered_at_once_and_kept_twice() -> None:
    """When it begins and when it is done, under the id that the caller was given."""
    async with remembering([[]], what=snapshot(CHAT)) as (made, memory):
        client = begun(made, background=True, metadata={"a": "b"})
        shown = await answered(client)
        assert (client.statuses, shown["status"], shown["background"]) == ([200], "in_progress", True)
        assert list(made.state.background) == [(shown["id"], "default")]
        client.lose()
        assert (await sent(made)).keys().isdisjoint({"background"})
        made.network.transports[0].feed([answer(WHOLE)])
        await until(lambda: made.state.background == {})
        first, last = memory.kept
        assert (first.status, first.id, msgspec.json.decode(first.response)) == ("in_progress", shown["id"], shown)
        done = msgspec.json.decode(last.response)
        assert (last.status, last.id, last.endpoint) == ("completed", shown["id"], "chat/up")
        assert (done["id"], done["background"], done["metadata"]) == (shown["id"], True, {"a": "b"})
        assert done["output"][0]["content"][0]["text"] == "hi"
        assert len(made.books.settled) == 1


async def test_work_in_the_background_goes_on_from_a_response() -> None:
    """It is told so, and only what was new is kept."""
    async with remembering([[answer(WHOLE)]], what=snapshot(CHAT)) as (made, memory):
        memory.chain = [stored("a", "one")]
        shown = await answered(begun(made, background=True, previous_response_id="a"))
        await until(lambda: made.state.background == {})
        assert shown["previous_response_id"] == "a"
        assert msgspec.json.decode(memory.kept[-1].response)["previous_response_id"] == "a"
        assert [(kept.previous, len(msgspec.json.decode(kept.items))) for kept in memory.kept] == [("a", 1)] * 2


async def test_work_in_the_background_of_a_providers_own_has_our_id() -> None:
    """The caller was given it before the provider had one."""
    async with remembering([[answer(NATIVE)]], what=snapshot(OPENAI)) as (made, memory):
        shown = await answered(begun(made, background=True))
        await until(lambda: made.state.background == {})
        last = memory.kept[-1]
        assert (last.id, msgspec.json.decode(last.response)["id"], last.native) == (shown["id"], shown["id"], False)


async def test_work_in_the_background_that_fails_is_kept_as_failed() -> None:
    """With the words that a waiting caller would have had."""
    broken = answer(b'{"error":{"message":"no room","code":"full"}}', b"400 Bad Request")
    async with remembering([[broken]], what=snapshot(CHAT)) as (made, memory):
        await answered(begun(made, background=True))
        await until(lambda: made.state.background == {})
        failed = msgspec.json.decode(memory.kept[-1].response)
        assert (memory.kept[-1].status, failed["status"]) == ("failed", "failed")
        assert "no room" in failed["error"]["message"]


async def test_work_in_the_background_can_be_stopped() -> None:
    """The provider is left at once, and what is kept says so."""
    async with remembering([[]], what=snapshot(CHAT)) as (made, memory):
        await answered(begun(made, background=True))
        await sent(made)
        [work] = made.state.background.values()
        work.client_gone()
        assert made.network.transports[0].is_closing()
        assert [kept.status for kept in memory.kept] == ["in_progress", "cancelled"]
        assert msgspec.json.decode(memory.kept[-1].response)["status"] == "cancelled"
        assert [each.status for each in made.books.settled] == [499]


@pytest.mark.parametrize(
    ("fields", "retention", "words"),
    [
        ({"store": False}, 3600.0, "'store' may not be false."),
        ({}, 0.0, "this gateway keeps none (responses.retention)."),
    ],
)
async def test_work_in_the_background_must_be_kept(fields: dict[str, Any], retention: float, words: str) -> None:
    """Nobody could ever see what came of it."""
    async with remembering(what=snapshot(CHAT, response_retention=retention)) as (made, memory):
        shown = await answered(begun(made, background=True, **fields))
        assert shown["error"]["param"] == "background"
        assert words in shown["error"]["message"]
        assert (memory.kept, made.network.dials) == ([], [])


async def test_a_wrong_request_in_the_background_is_refused_at_once() -> None:
    """Nothing is kept of it."""
    async with remembering(what=snapshot(CHAT)) as (made, memory):
        client = begun(made, background=True, model="nobody")
        await answered(client)
        assert (client.statuses, memory.kept) == ([404], [])


async def test_a_stream_is_not_in_the_background() -> None:
    """Its caller is there."""
    pieces = [HEAD, chunk(event("hi") + event(finish='"stop"') + USAGE + DONE), LAST_CHUNK]
    async with remembering([pieces], what=snapshot(CHAT)) as (made, memory):
        client = begun(made, background=True, stream=True)
        await until(lambda: client.written.endswith(b"0\r\n\r\n"))
        assert [kept.status for kept in memory.kept] == ["completed"]


async def test_work_in_the_background_fetches_images_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """And fails as the caller would have been told, when they are not to be had."""

    async def none(*_: Any) -> Request:
        raise Refusal(Problem(400, ErrorType.INVALID_REQUEST, "The file is not there.", code="image_not_fetched"))

    monkeypatch.setattr(images, "with_images", none)
    content = [{"type": "input_image", "image_url": "https://pics.example/a.png"}]
    fetching = provider("claude", Dialect.ANTHROPIC, fetch_urls=True)
    async with remembering(what=snapshot(fetching)) as (made, memory):
        shown = await answered(begun(made, background=True, input=[{"role": "user", "content": content}]))
        assert shown["status"] == "in_progress"
        await until(lambda: made.state.background == {})
        failed = msgspec.json.decode(memory.kept[-1].response)
        assert failed["error"] == {"code": "image_not_fetched", "message": "The file is not there."}
