"""The links to workers, over a real Unix socket, with workers that say one thing each."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tokenway.aio.tasks import Tasks
from tokenway.control import workers as module
from tokenway.control.workers import Worker, Workers
from tokenway.model.link import (
    Gauges,
    Heard,
    Hello,
    Keep,
    Probe,
    Publish,
    Return,
    Seen,
    Serving,
    ToControl,
    ToWorker,
    pack,
    unpack_for_worker,
)
from tokenway.model.sample import Outcome, Sample
from tokenway.model.snapshot import Snapshot
from tokenway.wire.frames import FrameSplitter, frame


def sample(endpoint: str, at: float = 9.0) -> Sample:
    """What an attempt was like."""
    return Sample(endpoint, "m", at, Outcome.ANSWERED)


class Edge:
    """A worker's end of a link."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._splitter = FrameSplitter()
        self._heard: list[ToWorker] = []
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def connect(self, *messages: ToControl) -> Edge:
        """Finds the control process and says these."""
        self.reader, self.writer = await asyncio.open_unix_connection(self._path)
        self.say(*messages)
        return self

    def say(self, *messages: ToControl) -> None:
        """Says something."""
        self.writer.write(b"".join(frame(pack(message)) for message in messages))

    async def hear(self) -> ToWorker | None:
        """What it is told next; None at the end of the link."""
        while not self._heard:
            data = await self.reader.read(1 << 16)
            if not data:
                return None
            self._heard += map(unpack_for_worker, self._splitter.feed(data))
        return self._heard.pop(0)

    def hang_up(self) -> None:
        """Ends the link."""
        self.writer.close()


class Control:
    """What the gateway is to its workers."""

    def __init__(self, count: int, path: Path, tasks: Tasks) -> None:
        self.path = path
        self.version = 1
        self.fails: list[int] = []
        self.known: list[Sample] = []
        self.greeted: list[Worker] = []
        self.tasks = tasks
        self.gone: list[Worker] = []
        self.workers = Workers(count, tasks, self.greeted.append, self.gone.append)
        self._edges: list[Edge] = []

    async def publish(self) -> None:
        """Sends what is due."""
        await self.workers.publish(self._snapshot_for, lambda: self.known)

    async def _snapshot_for(self, worker: Worker) -> Snapshot:
        if worker.number in self.fails:
            raise OSError("the database is away")
        return Snapshot(version=self.version, providers={}, models={}, aliases={}, keys={})

    async def stranger(self, *messages: ToControl) -> Edge:
        """Somebody who connects and says these."""
        made = await Edge(self.path).connect(*messages)
        self._edges.append(made)
        return made

    def hang_up(self) -> None:
        """Ends all links from their other ends."""
        for edge in self._edges:
            edge.hang_up()

    async def edge(self, number: int = 1, holder: str = "", *, is_serving: bool = True) -> Edge:
        """A worker that is connected and was greeted."""
        before = len(self.greeted)
        said: list[ToControl] = [Hello(number, holder or f"life {number}")]
        made = await self.stranger(*said, *([Serving(1)] if is_serving else []))
        await becomes(lambda: len(self.greeted) > before)
        return made


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    """One that two workers are to come to."""
    failures: list[BaseException] = []
    tasks = Tasks(lambda _name, error: failures.append(error))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        listener.listen()
        listener.setblocking(False)
        made = Control(2, tmp_path / "control.sock", tasks)
        await made.workers.accept(listener.dup())  # as in life: the supervisor has it too
        yield made
        await made.workers.close()
        made.hang_up()
        await tasks.close()
    assert failures == []


async def becomes(condition: Callable[[], bool]) -> None:
    """Gives way to the loop until it is so; the test's own limit ends it when it never is."""
    while not condition():  # noqa: ASYNC110 - what comes over a socket sets no event here
        await asyncio.sleep(0.005)


async def test_a_worker_is_known_by_its_hello(control: Control) -> None:
    """Its number, its life, and what it serves by."""
    await control.stranger(Hello(2, "a life", 7))
    await becomes(lambda: len(control.workers.alive) == 1)
    (worker,) = control.workers.alive
    assert (worker.number, worker.holder, worker.version) == (2, "a life", 7)
    assert control.workers.find("a life") is worker
    assert control.workers.find("another") is None
    assert control.greeted == [worker]


async def test_all_serve_when_each_has_said_so(control: Control) -> None:
    """Each number counts once, in whatever life."""
    waiting = control.tasks.start("wait", control.workers.wait_serving())
    await control.edge(1)
    await control.edge(1, "another life")
    quiet = await control.edge(2, is_serving=False)
    await asyncio.sleep(0.02)
    assert not waiting.done()
    quiet.say(Serving(1))
    await waiting


async def test_who_is_due_gets_a_snapshot(control: Control) -> None:
    """Once, and again when all are due."""
    edges = [await control.edge(number) for number in (1, 2)]
    await control.publish()
    await control.publish()
    control.version = 2
    control.workers.all_are_due()
    await control.publish()
    for edge in edges:
        heard = [await edge.hear() for _ in range(2)]
        assert [message.snapshot.version for message in heard if isinstance(message, Publish)] == [1, 2]


async def test_who_could_not_be_told_waits_on(control: Control) -> None:
    """And the failure is the caller's to hear of."""
    one, two = await control.edge(1), await control.edge(2)
    control.fails = [1]
    with pytest.raises(OSError, match="away"):
        await control.publish()
    control.fails = []
    control.version = 2
    await control.publish()
    for edge in (one, two):
        message = await edge.hear()
        assert isinstance(message, Publish)
        assert message.snapshot.version == 2


async def test_what_is_known_comes_behind_the_first_snapshot(control: Control) -> None:
    """Only there; one that comes back is told again."""
    control.known = [sample("p/m")]
    edge = await control.edge()
    await control.publish()
    control.workers.all_are_due()
    await control.publish()
    assert [type(await edge.hear()) for _ in range(3)] == [Publish, Heard, Publish]
    edge.hang_up()
    again = await control.edge()
    await control.publish()
    await again.hear()
    assert await again.hear() == Heard([sample("p/m")])


async def test_messages_go_to_whoever_takes_them_in(control: Control) -> None:
    """By their kind, with the worker that sent them; a kind that nobody takes in is passed over."""
    taken: list[tuple[int, str]] = []
    control.workers.on(Return, lambda worker, message: taken.append((worker.number, message.limit)))
    one, two = await control.edge(1), await control.edge(2)
    one.say(Seen([]), Return("a", 0, 5))
    two.say(Return("b", 0, 5))
    await becomes(lambda: sorted(taken) == [(1, "a"), (2, "b")])


async def test_a_message_that_cannot_be_taken_in_does_not_end_a_link(
    control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged."""

    def fail(_worker: Worker, _message: Seen) -> None:
        raise ValueError("a mistake")

    control.workers.on(Seen, fail)
    edge = await control.edge()
    edge.say(Seen([]), Gauges(3, 0.0, {}))
    (worker,) = control.workers.alive
    await becomes(lambda: worker.gauges is not None)
    assert "worker 1: a message was not taken in" in caplog.text
    assert control.workers.alive == [worker]


async def test_what_one_worker_sees_all_others_hear(control: Control) -> None:
    """Those that have their snapshot; not the one that saw it, which knows."""
    control.workers.on(Seen, lambda worker, seen: control.workers.pass_on(worker, seen.samples))
    one, two = await control.edge(1), await control.edge(2)
    await control.publish()
    late = await control.edge(3)
    assert isinstance(await one.hear(), Publish)
    one.say(Seen([sample("p/m")]))
    assert isinstance(await two.hear(), Publish)
    assert await two.hear() == Heard([sample("p/m")])
    probe = Probe("probe-20454-43200-beef", "m", "p/up", 5_000, 1e9)
    control.workers.tell(probe)
    assert [await edge.hear() for edge in (one, two, late)] == [probe] * 3


async def test_a_worker_that_does_not_read_is_not_told(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others have seen would pile up in memory for as long as it hangs."""
    monkeypatch.setattr(module, "BEHIND_BYTES", -1)
    one, two = await control.edge(1), await control.edge(2)
    await control.publish()
    speaker = control.workers.find("life 1")
    assert speaker is not None
    control.workers.pass_on(speaker, [sample("p/m")])
    control.workers.all_are_due()
    await control.publish()
    for edge in (one, two):
        assert [type(await edge.hear()) for _ in range(2)] == [Publish, Publish]


async def test_the_worst_breaker_of_all_workers_counts(control: Control) -> None:
    """Each worker has its own; one that never said anything has none."""
    one, two, _ = await control.edge(1), await control.edge(2), await control.edge(3)
    one.say(Gauges(0, 0.0, {}, {"a/m": 1, "b/m": 2}))
    two.say(Gauges(0, 0.0, {}, {"a/m": 2}))
    await becomes(lambda: control.workers.breakers() == {"a/m": 2, "b/m": 2})


async def test_a_lost_link_takes_its_worker_off(control: Control) -> None:
    """Until it comes back; what is sent meanwhile goes nowhere."""
    edge = await control.edge()
    (worker,) = control.workers.alive
    edge.hang_up()
    await becomes(lambda: control.workers.alive == [])
    worker.send(Heard([]))
    await control.edge()
    assert len(control.workers.alive) == 1


async def test_a_worker_that_comes_twice_is_one(control: Control) -> None:
    """Its new link counts, the old one is closed, and its end changes nothing."""
    first = await control.edge()
    second = await control.edge()
    assert await first.hear() is None
    await asyncio.sleep(0.02)
    assert control.workers.alive == [control.greeted[1]]
    second.say(Gauges(1, 0.0, {}))
    await becomes(lambda: control.greeted[1].gauges is not None)


@pytest.mark.parametrize("said", [b"\xff" * 8, frame(b"nonsense"), frame(pack(Serving(1)))])
async def test_a_stranger_is_let_go(control: Control, said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Who does not begin with a hello, or says what is no message, is not listened to."""
    edge = await control.stranger()
    edge.writer.write(said)
    assert await edge.hear() is None
    assert control.workers.alive == []
    assert "a worker's link broke" in caplog.text


async def test_what_was_left_in_a_link_is_heard(control: Control) -> None:
    """Before everything is closed: a worker that has ended may have said something last."""
    heard: list[Keep | Return] = []
    control.workers.on(Return, lambda _worker, message: heard.append(message))
    edge = await control.edge()
    for number in range(500):
        edge.say(Return("a", 0, number))
    edge.hang_up()
    await control.workers.finish(30.0)
    assert len(heard) == 500
    await control.edge()
    await control.workers.finish(0.01)


async def test_when_it_closes_nobody_is_let_in(control: Control) -> None:
    """Links are closed; who comes then waits for the next control process."""
    edge = await control.edge()
    await control.workers.close()
    assert await edge.hear() is None
    await control.stranger(Hello(2, "late"))
    await asyncio.sleep(0.02)
    assert len(control.greeted) == 1
