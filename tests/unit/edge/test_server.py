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
from tokenway.aio.leash import READY, Leash
from tokenway.aio.tasks import Tasks
from tokenway.edge.server import run_worker
from tokenway.model import link
from tokenway.model.sample import Outcome
from tokenway.model.worker import WorkerOptions
from tokenway.wire.frames import FrameSplitter, frame

Message = TypeVar("Message")


class OwnedList(ListJournal):
    """A journal in memory, of a writer with a name."""

    owner = "a life"


class Running:
    """A worker that runs, with its supervisor's end of the leash and the control process's end of its link."""

    def __init__(self, folder: Path) -> None:
        self.journal = OwnedList()
        self.opened: list[tuple[Path, str]] = []
        self.failures: list[BaseException] = []
        self.tasks = Tasks(lambda _name, error: self.failures.append(error))
        self.port = 0
        self.work: asyncio.Task[None]
        self.leash: socket.socket
        self._path = folder / "control.sock"
        self._listener = socket.socket(socket.AF_UNIX)
        self._public: socket.socket
        self._end: socket.socket
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._splitter = FrameSplitter()
        self._heard: list[object] = []

    async def start(self) -> None:
        """Starts it as the supervisor does: with a bound listener, a leash, and a socket where control is found."""
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._listener.setblocking(False)
        self._public = socket.create_server(("127.0.0.1", 0))
        self.port = self._public.getsockname()[1]
        self.leash, self._end = socket.socketpair()
        options = WorkerOptions(7, "journals", str(self._path), drain=10.0)
        self.work = self.tasks.start("worker", run_worker(options, self._public, self._open_journal, Leash(self._end)))
        await self.accept()

    async def accept(self) -> link.Hello:
        """The worker finds a control process; what it says first."""
        end, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        self._reader, self._writer = await asyncio.open_unix_connection(sock=end)
        self._splitter, self._heard = FrameSplitter(), []
        return await self.hear(link.Hello)

    async def close(self) -> None:
        """Lets the worker end, and closes everything."""
        self.let_go()
        with contextlib.suppress(asyncio.CancelledError, ValueError):
            await self.ended()
        await self.tasks.close()
        self.hang_up()
        await self._writer.wait_closed()
        asyncio.get_running_loop().remove_reader(self._end)
        for end in (self._end, self._listener, self._public):
            end.close()

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

    def let_go(self) -> None:
        """Ends the leash, as a supervisor that was killed does."""
        self.leash.close()

    async def ended(self) -> None:
        """Waits until it has returned."""
        async with asyncio.timeout(30):
            await self.work

    def _open_journal(self, directory: Path, name: str) -> OwnedList:
        self.opened.append((directory, name))
        return self.journal


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A worker that waits for its first snapshot."""
    made = Running(tmp_path)
    await made.start()
    yield made
    await made.close()
    assert made.failures == []


async def test_it_serves_from_its_first_snapshot_on(running: Running, provider: FakeProvider) -> None:
    """It says so to the control process, keeps its journal by its name, and reports how it is."""
    running.say(link.Publish(snapshot(provider.base_url, version=41)))
    assert (await running.hear(link.Serving)).version == 41
    async with Raw(running.port) as raw:
        await raw.send(post(chat()), get(b"/health/ready"))
        assert (await raw.answer()).json["choices"]
        assert (await raw.answer()).json == {"status": "ok"}
    assert running.opened == [(Path("journals"), "edge-7")]
    assert running.leash.recv(16) == READY
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


@pytest.mark.parametrize("how", ["SIGTERM", "left alone"])
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
            running.let_go()
        while await lets_in(running.port):
            pass
        assert not running.work.done()
        gate.release()
        assert b"".join([chunk async for chunk in raw.chunks()]).endswith(b"data: [DONE]\n\n")
    await running.ended()
    assert [record.settlement for record in running.journal.settled] == ["delivered"]
    await turns(lambda: provider.open_links == 0)


async def test_without_a_first_snapshot_it_does_not_wait_for_ever(running: Running) -> None:
    """When its supervisor goes before there was one, it gives up; a control process that goes changes nothing."""
    running.hang_up()
    await running.accept()
    assert not running.work.done()
    running.let_go()
    with pytest.raises(asyncio.CancelledError):
        await running.ended()


async def test_it_serves_on_without_a_control_process(running: Running, provider: FakeProvider) -> None:
    """And says to the next one who it is and that it serves, by which snapshot; then it takes another one."""
    first = snapshot(provider.base_url, version=41)
    running.say(link.Publish(first))
    await running.hear(link.Serving)
    running.hang_up()
    async with Raw(running.port) as raw:
        await raw.send(post(chat()), get(b"/v1/key"))
        assert (await raw.answer()).status == 200
        assert (await raw.answer()).status == 503
        assert await running.accept() == link.Hello(7, "a life", 41)
        assert (await running.hear(link.Serving)).version == 41
        running.say(link.Publish(snapshot(provider.base_url, models={"renamed": first.models["mock"]})))
        while True:
            await raw.send(post(chat("renamed")))
            if (await raw.answer()).status == 200:
                break


async def test_one_that_drains_says_only_who_it_is(running: Running, provider: FakeProvider) -> None:
    """The next control process must not take it for one that serves."""
    running.say(link.Publish(snapshot(provider.base_url)))
    await running.hear(link.Serving)
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=2, gate=gate))
    async with Raw(running.port) as raw:
        await raw.send(post(chat(stream=True)))
        await raw.head()
        running.let_go()
        while await lets_in(running.port):
            pass
        running.hang_up()
        assert await running.accept() == link.Hello(7, "a life", 1)
        running.say(link.Publish(snapshot(provider.base_url)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await running.hear(link.Serving)
        gate.release()
        await raw.reader.readuntil(b"0\r\n\r\n")


async def test_a_first_snapshot_that_it_cannot_use_is_its_end(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A later one leaves the one before in force."""

    def fail(_state: object, _snapshot: object) -> None:
        raise ValueError("a mistake")

    running.say(link.Publish(snapshot("http://127.0.0.1:9/v1")))
    await running.hear(link.Serving)
    monkeypatch.setattr("tokenway.edge.state.EdgeState.adopt", fail)
    running.say(link.Publish(snapshot("http://127.0.0.1:9/v1", version=2)))
    async with Raw(running.port) as raw:
        await raw.send(get(b"/health/ready"))
        assert (await raw.answer()).status == 200
    await turns(lambda: "a publish of the control process was not taken in" in caplog.text)
    other = Running(running._path.parent / "other")
    other._path.parent.mkdir()
    await other.start()
    other.say(link.Publish(snapshot("http://127.0.0.1:9/v1")))
    with pytest.raises(ValueError, match="a mistake"):
        await other.ended()
    await other.close()


async def test_its_last_responses_are_waited_for(running: Running, provider: FakeProvider) -> None:
    """Until they are kept: the control process may be about to come back."""
    running.say(link.Publish(snapshot(provider.base_url, response_retention=60.0)))
    await running.hear(link.Serving)
    async with Raw(running.port) as raw:
        await raw.send(post(b'{"model":"mock","input":"hi"}', path=b"/v1/responses"))
        assert (await raw.answer()).status == 200
    running.hang_up()
    await running.accept()
    kept = await running.hear(link.Keep)
    running.let_go()
    await asyncio.sleep(0.2)
    assert not running.work.done()
    running.say(link.Kept(kept.number))
    await running.ended()
