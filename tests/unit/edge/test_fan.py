"""Several answers of an endpoint that gives one at a time: one answer for the caller, exact books for us."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import msgspec
import pytest

from tests.contract.upstreams import until
from tests.unit.dialects.anthropic import samples
from tests.unit.edge.bench import ENDPOINT, HEAD, LAST_CHUNK, Bench, Client, answer, bench, chunk, request, snapshot
from tokenway.edge.fan import Fan
from tokenway.edge.relay import Relay
from tokenway.metering.estimate import OUTPUT_ASSUMED
from tokenway.metering.ledger import Reserved, Settled
from tokenway.model.catalog import Dialect, Endpoint, Model, Price, Provider, Service, Timeouts
from tokenway.model.errors import TokenwayError
from tokenway.model.money import Rate
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Snapshot
from tokenway.upstream.mock import Ending

COST = 25_000
"""Nano-dollars of one answer of ten tokens in and five out."""


def claude(**more: Any) -> Snapshot:
    """A model at a provider of Anthropic's dialect."""
    provider = Provider("p", "http://upstream/v1", Dialect.ANTHROPIC, api_keys=(Secret("sk-up"),))
    return snapshot(**({"providers": {"p": provider}} | more))


def body(n: int = 2, *, stream: bool = False) -> bytes:
    """A request for `n` answers."""
    fields: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "n": n}
    if stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return msgspec.json.encode(fields)


def whole(text: str) -> bytes:
    """A whole answer of ten tokens in and five out."""
    return answer(
        msgspec.json.encode(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "up",
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 10, "output_tokens": 5},
            }
        )
    )


BEGINNING = HEAD + chunk(
    samples.event(
        "message_start",
        message={
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "up",
            "content": [],
            "usage": {"input_tokens": 10, "output_tokens": 1},
        },
    )
    + samples.TEXT
)
FINISH = (
    chunk(
        samples.stop(0)
        + samples.event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5})
        + samples.END
    )
    + LAST_CHUNK
)


def said(text: str) -> bytes:
    """More text of a stream."""
    return chunk(samples.text(text))


async def answered(client: Client) -> dict[str, Any]:
    """The caller's whole answer."""
    await until(lambda: bool(client.statuses))
    decoded: dict[str, Any] = msgspec.json.decode(client.written.partition(b"\r\n\r\n")[2])
    return decoded


def lines(client: Client) -> dict[str, str]:
    """The header lines of the caller's answer."""
    head = client.written.partition(b"\r\n\r\n")[0].decode()
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


def events(client: Client) -> list[Any]:
    """What the events of the caller's stream say."""
    found = [line for line in client.written.split(b"\n") if line.startswith(b"data: {")]
    return [msgspec.json.decode(line[6:]) for line in found]


def texts(client: Client, choices: int = 2) -> list[str]:
    """The text of each choice of the caller's stream."""
    spoken = [""] * choices
    for event in events(client):
        for choice in event["choices"]:
            spoken[choice["index"]] += choice["delta"].get("content") or ""
    return spoken


async def begun(made: Bench, *, stream: bool = False, n: int = 2) -> Client:
    """A caller who asked for several answers, once every copy has gone out."""
    client = made.connect()
    client.send(request(body(n, stream=stream)))
    await until(lambda: len(made.network.requests) == n)
    return client


# -- whole answers -----------------------------------------------------------------------------------------


async def test_several_answers_are_one() -> None:
    """Its choices are numbered, its usage and its cost are the sums, and its text is each one's."""
    async with bench([[whole("one")]], [[whole("two")]], what=claude()) as made:
        client = await begun(made)
        shown = await answered(client)
        assert [(each["index"], each["message"]["content"]) for each in shown["choices"]] == [(0, "one"), (1, "two")]
        assert [each["finish_reason"] for each in shown["choices"]] == ["stop", "stop"]
        assert shown["usage"]["prompt_tokens"] == 20
        assert shown["usage"]["completion_tokens"] == 10
        assert shown["usage"]["cost"] == 2 * COST / 1e9
        assert shown["model"] == "m"


async def test_what_the_head_of_such_an_answer_says() -> None:
    """The endpoint, the attempts of all, the sum, and the id under which the first is found."""
    async with bench([[whole("one")]], [[whole("two")]], what=claude()) as made:
        client = await begun(made)
        shown = await answered(client)
        head = lines(client)
        assert (head["x-tokenway-endpoint"], head["x-tokenway-attempts"]) == ("p/up", "2")
        assert (head["x-tokenway-model"], head["x-tokenway-cost"]) == ("m", "0.00005")
        assert head["x-request-id"] == shown["id"]
        assert "x-tokenway-dropped" not in head


async def test_each_is_an_exchange_of_its_own() -> None:
    """Reserved, settled and charged once, under an id of its own."""
    async with bench([[whole("one")]], [[whole("two")]], what=claude()) as made:
        client = await begun(made)
        await answered(client)
        first = lines(client)["x-request-id"]
        assert [each.id for each in made.books.settled] == [first, f"{first}-2"]
        assert [each.charged for each in made.books.settled] == [COST, COST]
        reserved = [each for each in made.books.records if isinstance(each, Reserved)]
        assert len(reserved) == 2
        assert all(each.amount >= COST for each in reserved)


async def test_each_sets_aside_what_a_faster_service_costs() -> None:
    """A copy is set aside for as its caller's whole request is: half of it, for two answers."""
    fast = Service(input=Rate(2 * 10**9), output=Rate(6 * 10**9))
    dear = Endpoint("p", "up", Price(Rate(10**9), Rate(3 * 10**9), priority=fast))
    for service, times in ((b"default", 1), (b"priority", 2)):
        asked = body(2)[:-1] + b',"service_tier":"%b"}' % service
        async with bench([[whole("one")]], [[whole("two")]], what=claude(models={"m": Model("m", (dear,))})) as made:
            client = made.connect()
            client.send(request(asked))
            await answered(client)
            reserved = [each.amount for each in made.books.records if isinstance(each, Reserved)]
            assert reserved == [times * (len(asked) * 1000 + OUTPUT_ASSUMED * 3000)] * 2


async def test_each_asks_for_one() -> None:
    """Nothing of the others is sent along."""
    async with bench([[whole("one")]], [[whole("two")]], what=claude()) as made:
        await answered(await begun(made))
        sent = [msgspec.json.decode(each.partition(b"\r\n\r\n")[2]) for each in made.network.requests]
        assert sent[0] == sent[1]
        assert "n" not in sent[0]


async def test_they_are_numbered_by_when_they_were_asked() -> None:
    """Whoever comes first."""
    async with bench([[]], [[whole("two")]], what=claude()) as made:
        client = await begun(made)
        for _ in range(20):
            await asyncio.sleep(0)
        assert client.written == b""
        assert made.books.settled == []  # it is paid for when all are there
        made.network.transports[0].feed([whole("one")])
        shown = await answered(client)
        assert [each["message"]["content"] for each in shown["choices"]] == ["one", "two"]


async def test_the_connection_goes_on_behind_it() -> None:
    """To another request."""
    async with bench([[whole("one")], [whole("three")]], [[whole("two")], [whole("four")]], what=claude()) as made:
        client = await begun(made)
        await until(lambda: client.statuses == [200])
        client.send(request(body()))
        await until(lambda: client.statuses == [200, 200])


# -- failures ----------------------------------------------------------------------------------------------


async def test_when_one_fails_the_others_are_given_up() -> None:
    """Their connections are cut; the caller gets the one's reason, and each is settled."""
    broken = answer(b'{"type":"error","error":{"type":"api_error","message":"no"}}', b"500 Internal Server Error")
    async with bench([[]], [[broken]], [[]], what=claude()) as made:
        client = await begun(made, n=3)
        shown = await answered(client)
        assert client.statuses == [502]
        assert "message" in shown["error"]
        assert [each.is_closing() for each in made.network.transports][::2] == [True, True]
        assert len(made.books.settled) == 3
        assert lines(client)["x-tokenway-attempts"] == "1"


@pytest.mark.parametrize("halves", [1, 3], ids=["not for one", "for one and not for two"])
async def test_when_one_is_refused_nothing_is_left_reserved(halves: int) -> None:
    """There was not enough money for all of them."""
    async with bench(what=claude()) as made:
        client = made.connect()
        client.send(request(body()))
        await until(lambda: bool(made.books.records))
        reserved = next(each for each in made.books.records if isinstance(each, Reserved)).amount
        client.lose()
    async with bench([[]], what=_with_budget(halves * reserved // 2)) as made:
        client = made.connect()
        client.send(request(body()))
        await until(lambda: bool(client.statuses))
        assert client.statuses == [402]
        assert made.broker.unspent() == halves * reserved // 2


def _with_budget(amount: int) -> Snapshot:
    return msgspec.structs.replace(claude(), keys=snapshot(amount).keys, limits=snapshot(amount).limits)


async def test_whether_a_retry_helps_is_told() -> None:
    """As of one that was asked for alone."""
    busy = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"
    async with bench([[busy]], [[]], what=claude()) as made:
        client = await begun(made)
        await until(lambda: bool(client.statuses))
        assert (client.statuses, lines(client)["retry-after"], lines(client)["x-should-retry"]) == ([429], "7", "true")


async def test_an_answer_that_is_none_fails_it_all() -> None:
    """As of one that was asked for alone."""
    async with bench([[whole("one")]], [[answer(b"{}")]], what=claude()) as made:
        client = await begun(made)
        await until(lambda: bool(client.statuses))
        assert client.statuses == [502]


async def test_nobody_pays_for_half_of_the_answers() -> None:
    """One failed when the other was there: what that took is the gateway's loss."""
    broken = answer(b'{"type":"error","error":{"type":"api_error","message":"no"}}', b"500 Internal Server Error")
    async with bench([[whole("one")]], [[]], what=claude()) as made:
        client = await begun(made)
        made.network.transports[1].feed([broken])
        await until(lambda: client.statuses == [502])
        assert [each.charged for each in made.books.settled] == [0, 0]
        assert sum(line.cost or 0 for each in made.books.settled for line in each.lines) == COST


# -- streams -----------------------------------------------------------------------------------------------


async def test_streams_flow_into_one() -> None:
    """As they come, each with its number; one start, one usage, one end."""
    async with bench([[BEGINNING]], [[BEGINNING]], what=claude()) as made:
        client = await begun(made, stream=True)
        one, two = made.network.transports
        one.feed([said("a")])
        await until(lambda: texts(client) == ["a", ""])
        two.feed([said("x")])
        await until(lambda: texts(client) == ["a", "x"])
        one.feed([said("b"), FINISH])
        await until(lambda: len(made.books.settled) == 1)
        assert b"[DONE]" not in client.written
        two.feed([said("y"), FINISH])
        await until(lambda: b"[DONE]" in client.written)
        assert texts(client) == ["ab", "xy"]
        finished = [each for event in events(client) for each in event["choices"] if each["finish_reason"]]
        assert [(each["index"], each["finish_reason"]) for each in finished] == [(0, "stop"), (1, "stop")]
        [usage] = [event["usage"] for event in events(client) if event.get("usage")]
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["cost"]) == (20, 10, 2 * COST / 1e9)
        assert len({event["id"] for event in events(client)}) == 1
        assert client.written.endswith(b"0\r\n\r\n")


async def test_a_stream_that_breaks_ends_them_all() -> None:
    """With an error in the caller's dialect and no end mark of an answer; the others are given up."""
    error = chunk(samples.event("error", error={"type": "overloaded_error", "message": "Overloaded"}))
    async with bench([[BEGINNING]], [[BEGINNING]], what=claude()) as made:
        client = await begun(made, stream=True)
        one, two = made.network.transports
        one.feed([said("a")])
        await until(lambda: texts(client) == ["a", ""])
        two.feed([said("x"), error])
        await until(lambda: client.written.endswith(b"0\r\n\r\n"))
        assert events(client)[-1]["error"]["message"] == "One of the answers could not be made."
        assert one.is_closing()
        assert len(made.books.settled) == 2


async def test_a_stream_that_is_cut_ends_them_all() -> None:
    """The same without a word from the provider."""
    async with bench([[BEGINNING]], [[BEGINNING]], what=claude()) as made:
        client = await begun(made, stream=True)
        one, two = made.network.transports
        one.feed([said("a")])
        two.feed([said("x"), Ending.RESET])
        await until(lambda: client.written.endswith(b"0\r\n\r\n"))
        assert "error" in events(client)[-1]
        assert one.is_closing()


async def test_a_caller_that_leaves_cancels_all() -> None:
    """At once; each is settled as left, and nothing counts as open."""
    async with bench([[BEGINNING]], [[BEGINNING]], what=claude()) as made:
        client = await begun(made, stream=True)
        one, two = made.network.transports
        one.feed([said("a")])
        await until(lambda: texts(client) == ["a", ""])
        client.lose()
        assert [one.is_closing(), two.is_closing()] == [True, True]
        assert [each.status for each in made.books.settled] == [499, 499]
        assert made.state.streams == 0


async def test_a_slow_caller_slows_all() -> None:
    """Paused, nothing more is read from any provider; their silence is then not their own."""
    what = claude(timeouts=Timeouts(between_tokens=0.1))
    async with bench([[BEGINNING]], [[BEGINNING]], what=what) as made:
        client = await begun(made, stream=True)
        one, two = made.network.transports
        one.feed([said("a")])
        two.feed([said("x")])
        await until(lambda: texts(client) == ["a", "x"])
        client.protocol.pause_writing()
        for exchange in list(made.state.open):
            exchange.wake(exchange.wake_at + 0.01)
        one.feed([said("b"), FINISH])
        two.feed([said("y"), FINISH])
        for _ in range(20):
            await asyncio.sleep(0)
        assert texts(client) == ["a", "x"]
        client.protocol.resume_writing()
        await until(lambda: b"[DONE]" in client.written)
        assert texts(client) == ["ab", "xy"]


# -- elsewhere ---------------------------------------------------------------------------------------------


async def test_an_endpoint_that_makes_several_at_once_is_asked_once() -> None:
    """Even where another one stands before it."""
    providers = {
        "p": Provider("p", "http://upstream/v1", Dialect.ANTHROPIC),
        "q": Provider("q", "http://upstream/v1"),
    }
    models = {"m": Model("m", (ENDPOINT, msgspec.structs.replace(ENDPOINT, provider="q")))}
    async with bench([[]], what=snapshot(providers=providers, models=models)) as made:
        client = await begun(made, n=1)
        client.lose()
        client = made.connect()
        client.send(request(body(3)))
        await until(lambda: len(made.network.requests) == 2)
        assert b'"n":3' in made.network.requests[-1]
        client.lose()


@pytest.mark.parametrize("leaves", [False, True], ids=["served", "left"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_finished_fan_leaves_nothing_to_collect(stream: bool, leaves: bool) -> None:
    """Its copies are freed by their last reference, as any exchange is."""
    pieces = [BEGINNING, said("a"), FINISH] if stream else [whole("a")]
    gc.collect()
    gc.disable()
    before = _fans()
    try:
        async with bench([pieces], [pieces], what=claude()) as made:
            client = await begun(made, stream=stream)
            if not leaves:
                await until(lambda: len(made.books.settled) == 2)
            client.lose()
            del client
            made.clients.clear()
            await asyncio.sleep(0)
            assert [each for each in _fans() if each not in before] == []
    finally:
        gc.enable()


def _fans() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, Fan | Relay)]


async def test_what_one_cannot_count_nobody_counts() -> None:
    """A sum of some of them would be wrong: there is no usage and no cost, and each is charged what is known."""
    uncounted = whole("two").replace(b'"usage":{"input_tokens":10,"output_tokens":5}', b'"usage":null')
    uncounted = answer(uncounted.partition(b"\r\n\r\n")[2])
    async with bench([[whole("one")]], [[uncounted]], what=claude()) as made:
        client = await begun(made)
        shown = await answered(client)
        assert (client.statuses, shown.get("usage")) == ([200], None)
        assert "x-tokenway-cost" not in lines(client)


async def test_an_unsettled_copy_has_no_end(caplog: pytest.LogCaptureFixture) -> None:
    """What the books do not know is not shown: the caller is told that it failed."""

    class Full(TokenwayError):
        """There is no room."""

    async with bench([[whole("one")]], [[whole("two")]], what=claude()) as made:
        keep = made.books.append

        def append(record: Any) -> None:
            if isinstance(record, Settled):
                raise Full
            keep(record)

        made.state.journal.append = append  # type: ignore[method-assign]
        client = await begun(made)
        await until(lambda: bool(client.statuses))
        assert client.statuses == [502]
        assert b'"code":"copies"' in client.written
        assert "could not be settled" in caplog.text
