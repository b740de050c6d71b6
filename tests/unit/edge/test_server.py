"""A worker from its first snapshot to its end, run in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.e2e.raw import Raw, chat, get, post
from tests.fake_provider import FakeProvider, Script
from tests.unit.edge.inside import ListJournal, snapshot, turns
from tokenway.aio.tasks import Tasks
from tokenway.edge.server import run_worker
from tokenway.model import link
from tokenway.model.sample import Outcome
from tokenway.wire.frames import FrameSplitter, frame

Message = TypeVar("Message")


class Running:
    """A worker that runs, and the control process's end of its link."""

    def __init__(self) -> None:
        self.journal = ListJournal()
        self.opened: list[tuple[Path, str]] = []
        self.failures: list[BaseException] = []
        self.tasks = Tasks(lambda _name, error: self.failures.append(error))
        self.port = 0
        self.work: asyncio.Task[None]
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._splitter = FrameSplitter()
        self._heard: list[object] = []

    async def start(self) -> None:
        """Starts it as the control process does: with a bound listener and one end of a socket pair."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        ours, theirs = socket.socketpair()
        options = link.WorkerOptions("w7", "journals", listener.detach(), theirs.detach(), drain=10.0)
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self.work = self.tasks.start("worker", run_worker(options, self._open_journal))

    def say(self, message: link.ToWorker) -> None:
        """Sends it a message."""
        self._writer.write(frame(link.pack(message)))

    async def hear(self, kind: type[Message]) -> Message:
        """Its next message of that kind; others are skipped."""
        async with asyncio.timeout(30):
            while True:
                while self._heard:
                    message = self._heard.pop(0)
                    if isinstance(message, kind):
                        return message
                data = await self._reader.read(65536)
                assert data, "the worker closed its link"
                self._heard += [link.unpack_for_control(payload) for payload in self._splitter.feed(data)]

    def hang_up(self) -> None:
        """Ends the link, as a control process that was killed does."""
        self._writer.close()

    async def ended(self) -> None:
        """Waits until it has returned."""
        async with asyncio.timeout(30):
            await self.work

    def _open_journal(self, directory: Path, name: str) -> ListJournal:
        self.opened.append((directory, name))
        return self.journal


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """A worker that waits for its first snapshot."""
    made = Running()
    await made.start()
    yield made
    made.hang_up()
    with contextlib.suppress(asyncio.CancelledError):
        await made.ended()
    await made.tasks.close()
    assert made.failures == []


async def test_it_serves_from_its_first_snapshot_on(running: Running, provider: FakeProvider) -> None:
    """It says so to the control process, keeps its journal by its name, and reports how it is."""
    running.say(link.Publish(snapshot(provider.base_url, version=41)))
    assert (await running.hear(link.Serving)).version == 41
    async with Raw(running.port) as raw:
        await raw.send(post(chat()), get(b"/health/ready"))
        assert (await raw.answer()).json["choices"]
        assert (await raw.answer()).json == {"status": "ok"}
    assert running.opened == [(Path("journals"), "w7")]
    assert [record.status for record in running.journal.settled] == [200]
    gauges = await running.hear(link.Gauges)
    assert (gauges.open_streams, gauges.leases) == (0, {})


async def test_a_new_snapshot_is_in_force_without_a_pause(running: Running, provider: FakeProvider) -> None:
    """On a connection that was there before as well."""
    first = snapshot(provider.base_url)
    running.say(link.Publish(first))
    await running.hear(link.Serving)
    async with Raw(running.port) as raw:
        await raw.send(post(chat("renamed")))
        assert (await raw.answer()).status == 404
        running.say(link.Publish(snapshot(provider.base_url, models={"renamed": first.models["mock"]})))
        while True:
            await raw.send(post(chat("renamed")))
            if (await raw.answer()).status == 200:
                break


async def test_what_only_control_knows_is_asked_over_the_link(running: Running, provider: FakeProvider) -> None:
    """The question names the caller's key; the answer becomes the answer's data."""
    running.say(link.Publish(snapshot(provider.base_url)))
    await running.hear(link.Serving)
    async with Raw(running.port) as raw:
        await raw.send(get(b"/v1/generation?id=gen-1"))
        question = await running.hear(link.Question)
        assert (question.what, question.key_id, question.subject) == ("generation", "k1", "gen-1")
        running.say(link.Answer(question.number, b'{"id":"gen-1"}'))
        assert (await raw.answer()).json == {"data": {"id": "gen-1"}}


async def test_what_its_attempts_were_like_is_told(running: Running, provider: FakeProvider) -> None:
    """Soon after they ended, once; and what others tell is known to it."""
    running.say(link.Publish(snapshot(provider.base_url)))
    await running.hear(link.Serving)
    provider.queue(Script(chunks=4, gap=0.01))
    async with Raw(running.port) as raw:
        await raw.send(post(chat(stream=True)))
        await raw.head()
        async for _ in raw.chunks():
            pass
        (sample,) = (await running.hear(link.Seen)).samples
        assert (sample.endpoint, sample.model, sample.outcome) == ("lab/fake", "mock", Outcome.ANSWERED)
        assert sample.tokens == 4
        assert sample.speed > 0.0
        running.say(link.Heard([sample]))
        await raw.send(post(chat()))
        await raw.answer()
    (second,) = (await running.hear(link.Seen)).samples
    assert second.at > sample.at


async def test_a_breaker_that_is_not_closed_is_told(running: Running, provider: FakeProvider) -> None:
    """By its endpoint; one that is closed is not spoken of."""
    running.say(link.Publish(snapshot(provider.base_url, max_retries=0)))
    await running.hear(link.Serving)
    assert (await running.hear(link.Gauges)).breakers == {}
    async with Raw(running.port) as raw:
        while (gauges := await running.hear(link.Gauges)).breakers == {}:
            for _ in range(20):
                provider.queue(Script(status=500))
                await raw.send(post(chat()))
                await raw.answer()
    assert gauges.breakers in ({"lab/fake": 1}, {"lab/fake": 2})


async def test_it_probes_what_it_is_told_to(running: Running, provider: FakeProvider) -> None:
    """Says when that is over, and tells what the endpoint was like."""
    running.say(link.Publish(snapshot(provider.base_url)))
    await running.hear(link.Serving)
    running.say(link.Probe("probe-20454-43200-beef", "mock", "lab/fake", 10_000_000, time.time()))
    assert await running.hear(link.Probed) == link.Probed("probe-20454-43200-beef")
    assert [record.id for record in running.journal.settled] == ["probe-20454-43200-beef"]
    (sample,) = (await running.hear(link.Seen)).samples
    assert (sample.endpoint, sample.is_probe) == ("lab/fake", True)


async def test_a_probe_does_not_hold_up_its_end(running: Running, provider: FakeProvider) -> None:
    """It is given up, and settled all the same."""
    running.say(link.Publish(snapshot(provider.base_url)))
    await running.hear(link.Serving)
    provider.queue(Script(chunks=2, gate=asyncio.Semaphore(0)))
    running.say(link.Probe("probe-20454-43200-beef", "mock", "lab/fake", 10_000_000, time.time()))
    await provider.received(1)
    os.kill(os.getpid(), signal.SIGTERM)
    await running.ended()
    assert [record.id for record in running.journal.settled] == ["probe-20454-43200-beef"]


async def lets_in(port: int) -> bool:
    """Whether a new connection is served."""
    try:
        async with Raw(port) as late:
            return await late.is_usable()
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


@pytest.mark.parametrize("how", ["SIGTERM", "lost control"])
async def test_it_stops_when_it_is_told_or_left_alone(running: Running, provider: FakeProvider, how: str) -> None:
    """Ctrl-C is not for it; then the open stream ends whole, nobody new is let in, and it returns."""
    running.say(link.Publish(snapshot(provider.base_url)))
    await running.hear(link.Serving)
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=2, gate=gate))
    async with Raw(running.port) as raw:
        await raw.send(post(chat(stream=True)))
        await raw.head()
        os.kill(os.getpid(), signal.SIGINT)
        async with Raw(running.port) as other:
            assert await other.is_usable()
        if how == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            running.hang_up()
        while await lets_in(running.port):
            pass
        assert not running.work.done()
        gate.release()
        assert b"".join([chunk async for chunk in raw.chunks()]).endswith(b"data: [DONE]\n\n")
    await running.ended()
    assert [record.settlement for record in running.journal.settled] == ["delivered"]
    await turns(lambda: provider.open_links == 0)


async def test_without_a_first_snapshot_it_does_not_wait_for_ever(running: Running) -> None:
    """When the control process goes before it has sent one, the worker gives up."""
    running.hang_up()
    with pytest.raises(asyncio.CancelledError):
        await running.ended()
