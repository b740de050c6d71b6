"""Responses that are made in the background: what is kept of them, who follows them, and how they end."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import DONE, HEAD, KEY, LAST_CHUNK, USAGE, Bench, Client, answer, chunk, event
from tests.unit.edge.remembering import (
    CHAT,
    NATIVE,
    OPENAI,
    answered,
    begun,
    provider,
    remembering,
    sent,
    snapshot,
    stored,
)
from tokenway.edge import background, images
from tokenway.edge.background import KEEP_ALIVE
from tokenway.model.catalog import Dialect
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.request import Request
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.model.stored import StoredResponse
from tokenway.wire.sse import event_data, split_events

END = event(finish='"stop"') + USAGE + DONE
STREAM = [HEAD, chunk(event("hi") + END), LAST_CHUNK]
"""What a provider of chat answers."""


def native(kind: str, **members: Any) -> bytes:
    """An event of a provider of the Responses API."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **members}))


def told(stream: bytes) -> list[Any]:
    """The events of a stream, decoded; comments are left out."""
    datas = [event_data(each) for each in split_events(stream)]
    return [msgspec.json.decode(data) for data in datas if data is not None]


def shown(client: Client) -> list[Any]:
    """The events that a caller has got, of a chunked body."""
    body = client.written.partition(b"\r\n\r\n")[2]
    stream = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        stream += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return told(stream)


async def over(made: Bench) -> None:
    """Waits until nothing is made any more."""
    await until(lambda: made.state.background == {})


def last(kept: StoredResponse) -> Any:
    """The response object that is kept."""
    return msgspec.json.decode(kept.response)


# -- what is kept ------------------------------------------------------------------------------------------


async def test_the_caller_is_answered_at_once_and_the_response_kept_twice() -> None:
    """When it begins and when it is done, under the id that the caller was given; the provider streams."""
    async with remembering([[]], what=snapshot(CHAT)) as (made, memory):
        client = begun(made, background=True, metadata={"a": "b"})
        first = await answered(client)
        assert (client.statuses, first["status"], first["background"]) == ([200], "in_progress", True)
        assert list(made.state.background) == [(first["id"], "default")]
        client.lose()
        went = await sent(made)
        assert went["stream"] is True
        assert "background" not in went
        made.network.transports[0].feed(STREAM)
        await over(made)
        begin, end = memory.kept
        assert (begin.status, begin.id, last(begin), begin.events) == ("in_progress", first["id"], first, b"")
        assert (end.status, end.id, end.endpoint, end.native) == ("completed", first["id"], "chat/up", False)
        done = last(end)
        assert (done["id"], done["background"], done["metadata"]) == (first["id"], True, {"a": "b"})
        assert done["output"][0]["content"][0]["text"] == "hi"
        assert len(made.books.settled) == 1


async def test_its_stream_is_kept_with_it() -> None:
    """Numbered from 0 without a gap; the last event has the response that is kept."""
    async with remembering([STREAM], what=snapshot(CHAT)) as (made, memory):
        await answered(begun(made, background=True))
        await over(made)
        events = told(memory.kept[-1].events)
        assert [each["sequence_number"] for each in events] == list(range(len(events)))
        assert [each["type"] for each in events][:3] == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
        ]
        assert (events[-1]["type"], events[-1]["response"]) == ("response.completed", last(memory.kept[-1]))


async def test_it_goes_on_from_a_response() -> None:
    """It is told so, and only what was new is kept."""
    async with remembering([STREAM], what=snapshot(CHAT)) as (made, memory):
        memory.chain = [stored("a", "one")]
        first = await answered(begun(made, background=True, previous_response_id="a"))
        await over(made)
        assert first["previous_response_id"] == "a"
        assert last(memory.kept[-1])["previous_response_id"] == "a"
        assert [(kept.previous, len(msgspec.json.decode(kept.items))) for kept in memory.kept] == [("a", 1)] * 2


async def test_a_providers_own_response_has_our_id_and_our_numbers() -> None:
    """The caller was given the id before the provider had one; its own beginning is not told again."""
    begin = {**msgspec.json.decode(NATIVE), "status": "in_progress", "output": []}
    stream = [
        native("response.created", response=begin, sequence_number=7),
        native("response.in_progress", response=begin, sequence_number=8),
        native("response.web_search_call.searching", item_id="ws_1", output_index=0, sequence_number=9),
        native("response.completed", response=msgspec.json.decode(NATIVE), sequence_number=10),
    ]
    async with remembering([[HEAD, chunk(b"".join(stream)), LAST_CHUNK]], what=snapshot(OPENAI)) as (made, memory):
        memory.chain = [stored("a", "one")]
        first = await answered(begun(made, background=True, previous_response_id="a"))
        await over(made)
        end = memory.kept[-1]
        done = last(end)
        assert (end.id, done["id"], end.native) == (first["id"], first["id"], False)
        assert (done["background"], done["previous_response_id"]) == (True, "a")
        events = told(end.events)
        assert [(each["sequence_number"], each["type"]) for each in events] == [
            (0, "response.created"),
            (1, "response.in_progress"),
            (2, "response.web_search_call.searching"),
            (3, "response.completed"),
        ]
        assert {each["response"]["id"] for each in events if "response" in each} == {first["id"]}


async def test_one_that_fails_is_kept_as_failed() -> None:
    """With the words that a waiting caller would have had."""
    broken = answer(b'{"error":{"message":"no room","code":"full"}}', b"400 Bad Request")
    async with remembering([[broken]], what=snapshot(CHAT)) as (made, memory):
        await answered(begun(made, background=True))
        await over(made)
        failed = last(memory.kept[-1])
        assert (memory.kept[-1].status, failed["status"]) == ("failed", "failed")
        assert "no room" in failed["error"]["message"]
        assert [each["type"] for each in told(memory.kept[-1].events)][-1] == "response.failed"


@pytest.mark.parametrize(
    ("dialect", "end"),
    [
        (CHAT, b'data: {"error":{"message":"no room","code":"full"}}\n\n'),
        (OPENAI, native("response.failed", response={"status": "failed", "error": {"message": "no room"}})),
        (OPENAI, native("error", code="full", message="no room")),
    ],
    ids=["chat", "failed", "error"],
)
async def test_one_that_fails_in_the_middle(dialect: Any, end: bytes) -> None:
    """As the provider's own stream has it; it is under our id all the same."""
    begin = native("response.created", response={"id": "resp_x", "status": "in_progress", "output": []})
    text = native("response.output_text.delta", delta="hi", item_id="m", output_index=0, content_index=0)
    first = event("hi") if dialect is CHAT else begin + text
    async with remembering([[HEAD, chunk(first), chunk(end), LAST_CHUNK]], what=snapshot(dialect)) as (made, memory):
        shown_first = await answered(begun(made, background=True))
        await over(made)
        failed = last(memory.kept[-1])
        assert (memory.kept[-1].id, failed["id"], failed["status"]) == (shown_first["id"], shown_first["id"], "failed")
        assert "no room" in failed["error"]["message"]
        events = told(memory.kept[-1].events)
        assert (events[-1]["type"], events[-1]["sequence_number"]) == ("response.failed", len(events) - 1)
        assert "response.output_text.delta" in [each["type"] for each in events]


# -- how it ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "status", "error"),
    [("", "cancelled", None), ("Stopped.", "failed", {"code": "server_error", "message": "Stopped."})],
)
async def test_it_can_be_stopped(why: str, status: str, error: Any) -> None:
    """The provider is left at once, and what is kept says so, by an event too."""
    async with remembering([[HEAD, chunk(event("hi"))]], what=snapshot(CHAT)) as (made, memory):
        await answered(begun(made, background=True))
        await sent(made)
        [work] = made.state.background.values()
        work.stop(why)
        assert made.network.transports[0].is_closing()
        assert [kept.status for kept in memory.kept] == ["in_progress", status]
        assert (last(memory.kept[-1])["status"], last(memory.kept[-1])["error"]) == (status, error)
        assert told(memory.kept[-1].events)[-1]["type"] == f"response.{status}"
        assert [each.status for each in made.books.settled] == [499]


async def test_one_that_is_silent_for_long_goes_on() -> None:
    """A model may think for minutes when nobody waits: only the whole exchange has a deadline."""
    async with remembering([[HEAD, chunk(event("hi"))]], what=snapshot(CHAT)) as (made, _):
        await answered(begun(made, background=True))
        await sent(made)
        [exchange] = made.state.open
        limits = made.state.snapshot.timeouts
        exchange.wake(asyncio.get_running_loop().time() + limits.first_token + limits.between_tokens)
        assert len(made.state.background) == 1
        exchange.wake(asyncio.get_running_loop().time() + limits.total + 1.0)
        await over(made)


@pytest.mark.parametrize(
    ("fields", "retention", "words"),
    [
        ({"store": False}, 3600.0, "'store' may not be false."),
        ({}, 0.0, "this gateway keeps none (responses.retention)."),
        ({"stream": True, "store": False}, 3600.0, "'store' may not be false."),
    ],
)
async def test_it_must_be_kept(fields: dict[str, Any], retention: float, words: str) -> None:
    """Nobody could ever see what came of it."""
    async with remembering(what=snapshot(CHAT, response_retention=retention)) as (made, memory):
        refused = await answered(begun(made, background=True, **fields))
        assert refused["error"]["param"] == "background"
        assert words in refused["error"]["message"]
        assert (memory.kept, made.network.dials) == ([], [])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_wrong_request_is_refused_at_once(stream: bool) -> None:
    """Nothing is kept of it."""
    async with remembering(what=snapshot(CHAT)) as (made, memory):
        client = begun(made, background=True, stream=stream, model="nobody")
        await answered(client)
        assert (client.statuses, memory.kept) == ([404], [])


def with_rate(amount: int, **more: Any) -> Snapshot:
    """Alice may make so many requests a minute."""
    rate = Limit("rate", Scope.KEY, "k1", Measure.REQUESTS, amount, Term.MINUTE)
    keys = {sha256(KEY).hexdigest(): Principal("k1", "alice", "default", limits=("rate",))}
    return snapshot(CHAT, keys=keys, limits={"rate": rate}, **more)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_limit_refuses_is_told_at_once_and_not_kept(stream: bool) -> None:
    """As without `background`: a key that is over its rate fills no store."""
    async with remembering([STREAM], what=with_rate(1)) as (made, memory):
        assert (await answered(begun(made, background=True)))["status"] == "in_progress"
        await over(made)
        first = list(memory.kept)
        assert [kept.status for kept in first] == ["in_progress", "completed"]
        for _ in range(3):
            client = begun(made, background=True, stream=stream)
            refused = await answered(client)
            assert (client.statuses, refused["error"]["code"]) == ([429], "rate_limit_exceeded")
            assert b"\r\nretry-after: " in client.written
        assert memory.kept == first
        assert len(made.network.dials) == 1
        assert len(made.books.settled) == 1


async def test_a_caller_that_waits_for_a_limit_and_leaves_makes_nothing() -> None:
    """Nobody has the id of its response."""
    async with remembering([STREAM], what=with_rate(1, queue=600.0)) as (made, memory):
        await answered(begun(made, background=True))
        await over(made)
        kept = len(memory.kept)
        client = begun(made, background=True)
        await until(lambda: made.state.admission.is_waiting)
        assert client.written == b""
        client.lose()
        assert (made.state.open, len(memory.kept)) == (set(), kept)


async def test_images_are_fetched_for_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its caller is told when they are not to be had; nothing is kept."""

    async def none(*_: Any) -> Request:
        raise Refusal(Problem(400, ErrorType.INVALID_REQUEST, "The file is not there.", code="image_not_fetched"))

    monkeypatch.setattr(images, "with_images", none)
    content = [{"type": "input_image", "image_url": "https://pics.example/a.png"}]
    fetching = provider("claude", Dialect.ANTHROPIC, fetch_urls=True)
    async with remembering(what=snapshot(fetching)) as (made, memory):
        client = begun(made, background=True, input=[{"role": "user", "content": content}])
        told = await answered(client)
        assert (client.statuses, told["error"]["code"]) == ([400], "image_not_fetched")
        assert memory.kept == []


# -- who follows it ----------------------------------------------------------------------------------------


async def test_a_caller_that_streams_follows_it() -> None:
    """From its beginning, before the provider has said anything, to its end; the connection goes on."""
    async with remembering([[HEAD]], what=snapshot(CHAT)) as (made, memory):
        client = begun(made, background=True, stream=True)
        await until(lambda: b"response.in_progress" in client.written)
        assert b"text/event-stream" in client.written
        await sent(made)
        made.network.transports[0].feed([chunk(event("hi"))])
        await until(lambda: b"output_text.delta" in client.written)
        made.network.transports[0].feed([chunk(END), LAST_CHUNK])
        await until(lambda: client.written.endswith(LAST_CHUNK))
        assert shown(client) == told(memory.kept[-1].events)
        assert [kept.status for kept in memory.kept] == ["in_progress", "completed"]
        assert not client.is_closed


async def test_a_caller_that_leaves_its_stream_ends_nothing() -> None:
    """The response is made to its end, and kept."""
    async with remembering([[HEAD, chunk(event("hi"))]], what=snapshot(CHAT)) as (made, memory):
        client = begun(made, background=True, stream=True)
        await until(lambda: b"output_text.delta" in client.written)
        client.lose()
        made.network.transports[0].feed([chunk(END), LAST_CHUNK])
        await over(made)
        assert [kept.status for kept in memory.kept] == ["in_progress", "completed"]
        assert b"response.completed" not in client.written


async def test_it_is_followed_from_any_place() -> None:
    """By several at once, each from behind a number of its own, live and up to the end."""
    async with remembering([[HEAD, chunk(event("hi"))]], what=snapshot(CHAT)) as (made, memory):
        await answered(begun(made, background=True))
        [work] = made.state.background.values()
        begin = await anext(aiter(work.follow(-1)))
        assert [each["sequence_number"] for each in told(begin)][:2] == [0, 1]

        async def followed(after: int) -> list[int]:
            return [each["sequence_number"] async for data in work.follow(after) for each in told(data)]

        following = asyncio.gather(*(followed(after) for after in (-1, 0, 3, 99)))
        await until(lambda: bool(made.network.requests))
        made.network.transports[0].feed([chunk(END), LAST_CHUNK])
        count = len(await over_events(made, memory.kept))
        assert await following == [list(range(after + 1, count)) for after in (-1, 0, 3, 99)]


async def over_events(made: Bench, kept: list[StoredResponse]) -> list[Any]:
    """The events of what was made, when it is over."""
    await over(made)
    return told(kept[-1].events)


async def test_it_shows_what_there_is_so_far() -> None:
    """For those who follow it elsewhere: its object is still under way."""
    async with remembering([[HEAD, chunk(event("hi"))]], what=snapshot(CHAT)) as (made, memory):
        first = await answered(begun(made, background=True))
        [work] = made.state.background.values()
        async for data in work.follow(1):
            if b"output_text.delta" in data:
                break
        work.show()
        shown_first, shown_now = memory.kept
        assert (shown_now.id, shown_now.status, last(shown_now)) == (first["id"], "in_progress", last(shown_first))
        types = [each["type"] for each in told(shown_now.events)]
        assert types[:2] == ["response.created", "response.in_progress"]
        assert types[-1] == "response.output_text.delta"
        work.stop()


async def test_silence_is_filled_with_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nothing on the way takes the stream for dead."""
    monkeypatch.setattr(background, "PING_SECONDS", 0.01)
    async with remembering([[]], what=snapshot(CHAT)) as (made, _):
        await answered(begun(made, background=True))
        [work] = made.state.background.values()
        events = aiter(work.follow(1))
        assert [await anext(events), await anext(events)] == [KEEP_ALIVE] * 2
        work.stop()
        assert told(await anext(events))[-1]["type"] == "response.cancelled"
        assert [data async for data in events] == []
